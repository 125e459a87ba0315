// What the checks of the note's codes found: hard findings need a reason, soft ones are shown.

import { button, element, icon } from "./elements.js";
import { passForm } from "./forms.js";
import { count, has, say } from "./words.js";

/** Return a name for the kind of a finding: `code first` has the key `finding.kind.code_first`. */
function kindText(kind) {
  const key = `finding.kind.${kind.replaceAll(" ", "_")}`;
  return has(key) ? say(key) : kind;
}

export class FindingList {
  /**
   * @param {HTMLElement} root Where they are shown.
   * @param {Review} review The review.
   * @param {object} on `pass(key, reason)` and `choose(code)`.
   */
  constructor(root, review, on) {
    this.root = root;
    this.review = review;
    this.on = on;
    this.forms = new Map();
    this.key = "";
  }

  draw() {
    const { findings, state } = this.review;
    const key = JSON.stringify([findings, state.overrides, state.submitted, [...this.forms.keys()]]);
    if (key === this.key) return;
    this.key = key;
    const hard = findings.filter((one) => one.severity === "hard");
    const soft = findings.filter((one) => one.severity !== "hard");
    const isOpen = this.root.querySelector("details")?.open ?? soft.length <= 3;
    const parts = [
      hard.length > 0 && element("ul.findings", { "aria-label": say("finding.hard") }, hard.map((one) => this.#item(one))),
      soft.length > 0 &&
        element(
          "details.soft",
          { open: isOpen },
          element("summary", {}, say("finding.soft", { n: count(soft.length) })),
          element("ul.findings", {}, soft.map((one) => this.#item(one))),
        ),
    ];
    this.root.replaceChildren(...parts.filter(Boolean));
  }

  #item(finding) {
    const { overrides, submitted } = this.review.state;
    const isHard = finding.severity === "hard";
    const reason = overrides[finding.key];
    const kind = reason ? "passed" : isHard ? "stop" : "hint";
    return element(
      `li.finding.is-${kind}`,
      { data: { key: finding.key } },
      icon(kind === "passed" ? "check" : kind),
      element(
        "div.finding-body",
        {},
        element(
          "p.finding-kind",
          {},
          element("b", {}, kindText(finding.kind)),
          finding.codes.map((code) => [
            " ",
            element("button.code-link", { type: "button", onclick: () => this.on.choose(code) }, code),
          ]),
        ),
        element("p", { lang: "en" }, finding.words),
        finding.advice && element("p.hint", { lang: "en" }, finding.advice),
        reason && element("p.passed", {}, say("finding.passed", { reason })),
        isHard && !reason && !submitted && this.#pass(finding.key),
      ),
    );
  }

  #pass(key) {
    if (this.forms.has(key)) return this.forms.get(key);
    return button(say("finding.pass"), { tag: "button.small", onclick: () => this.#open(key) });
  }

  #open(key) {
    const close = () => {
      this.forms.delete(key);
      this.draw();
    };
    const form = passForm((reason) => {
      close();
      this.on.pass(key, reason);
    }, close);
    this.forms.set(key, form);
    this.draw();
    form.elements.typed.focus();
  }

  /** Return whether somebody has typed a reason that isn't sent. */
  get hasTyped() {
    return [...this.forms.values()].some((one) => one.elements.typed.value.trim());
  }
}
