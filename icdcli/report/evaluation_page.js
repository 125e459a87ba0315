// The page of an evaluation works without this script, but for the slider.
// The threshold: what each value would give.
const { points, threshold, own } = dataOf("points");
const slider = document.getElementById("slider"), point = document.getElementById("point");
const share = (value) => value === null ? "undefined" : (100 * value).toFixed(1) + " %";
const showPoint = ([value, precision, recall, f1, codes]) => {
  const parts = [
    ["threshold", value], ["precision", share(precision)], ["recall", share(recall)],
    ["F1", f1 === null ? "undefined" : f1.toFixed(3)], ["codes per note", codes.toFixed(1)],
  ];
  point.replaceChildren(...parts.map(([name, text]) => {
    const part = document.createElement("span"), number = document.createElement("b");
    number.textContent = text;
    part.append(name + " ", number);
    return part;
  }));
  slider.setAttribute("aria-valuetext", value);
};
slider.value = Math.min(98, Math.max(0, Math.round(100 * threshold) - 1));
slider.addEventListener("input", () => {
  const [value, ...rest] = points[slider.value];
  showPoint([value.toFixed(2), ...rest]);
});
showPoint(["of the model", ...own]);  // As above on the page; the slider's nearest step may differ.

// The documents: a click on a code shows only its words.
document.querySelectorAll(".document").forEach((shown) => {
  shown.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-code]");
    if (!button) return;
    const off = button.getAttribute("aria-pressed") === "true";
    shown.querySelectorAll("button[data-code]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    if (!off) button.setAttribute("aria-pressed", "true");
    let first = null;
    shown.querySelectorAll("mark").forEach((mark) => {
      const own = !off && mark.dataset.codes.split(" ").includes(button.dataset.code);
      mark.classList.toggle("chosen", own);
      mark.classList.toggle("dim", !off && !own);
      if (own && !first) first = mark;
    });
    if (first) first.scrollIntoView({ block: "nearest" });
  });
});
