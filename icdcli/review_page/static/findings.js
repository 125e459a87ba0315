// What the checks of the note's codes found: hard findings need a reason, soft ones are shown.

import { button, element, icon } from "./elements.js";
import { passForm } from "./forms.js";
import { count, has, say } from "./words.js";

/** Return a name for the kind of a finding: `code first` has the key `finding.kind.code_first`. */
function kindText(kind) {
  const key = `finding.kind.${kind.replaceAll(" ", "_")}`;
  return has(key) ? say(key) : kind;
}

/** Return official words, of which long ones are cut until somebody wants to read them all. */
function longText(text, most = 160) {
  const made = element("p", { lang: "en" }, text);
  if (text.length <= most * 1.3) return made;
  const cut = text.lastIndexOf(" ", most);
  const more = button(say("finding.more"), {
    tag: "button.link",
    onclick: () => made.replaceChildren(text),
  });
  made.replaceChildren(`${text.slice(0, cut)} … `, more);
  return made;
}

export class FindingList {
  /**
   * @param {HTMLElement} root Where hard findings are shown.
   * @param {HTMLElement} hints Where soft ones are.
   * @param {Review} review The review.
   * @param {object} on `pass(key, reason)`, `replace(code)` and `choose(code)`.
   */
  constructor(root, hints, review, on) {
    this.root = root;
    this.hints = hints;
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
    const isOpen = this.hints.querySelector("details")?.open ?? soft.length <= 2;
    const list = (found, label) =>
      element("ul.findings", { "aria-label": label }, found.map((one) => this.#item(one)));
    this.root.replaceChildren(...(hard.length ? [list(hard, say("finding.hard"))] : []));
    const words = say("finding.soft", { n: count(soft.length) });
    const folded = element("details.soft", { open: isOpen }, element("summary", {}, words), list(soft, words));
    this.hints.replaceChildren(...(soft.length ? [folded] : []));
  }

  /** Go to what can be done about a hard finding. */
  focus(key) {
    const item = [...this.root.querySelectorAll(".finding")].find((one) => one.dataset.key === key);
    item?.querySelector(".form-buttons button, form input, form textarea")?.focus({ preventScroll: true });
    item?.scrollIntoView({ block: "nearest" });
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
        longText(finding.words),
        finding.advice && element("p.hint", { lang: "en" }, finding.advice),
        reason && element("p.passed", {}, say("finding.passed", { reason })),
        isHard && !reason && !submitted && this.#ways(finding),
      ),
    );
  }

  #ways({ key, codes }) {
    if (this.forms.has(key)) return this.forms.get(key);
    const [code] = codes;
    return element(
      "div.form-buttons",
      {},
      code &&
        button(say("action.replace_code", { code }), {
          tag: "button.small",
          onclick: () => this.on.replace(code),
        }),
      button(say("finding.pass"), { tag: "button.small", onclick: () => this.#open(key) }),
    );
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
