// The small forms below a code: why it is rejected, what replaces it, a comment, why a finding is
// passed. They keep what is typed until it is sent or given up.

import { about } from "./about.js";
import { codeSearch } from "./code_search.js";
import { POA, poaText } from "./code_card.js";
import { button, element } from "./elements.js";
import { QUICK_REASONS, reasonText } from "./reasons.js";
import { say } from "./words.js";

let numbered = 0;

/** Return a field with its label. */
function field(words, attributes = {}, tag = "input") {
  numbered += 1;
  const id = `field-${numbered}`;
  return [
    element("label", { for: id }, words),
    element(tag, { id, name: "typed", autocomplete: "off", ...attributes }),
  ];
}

function form(name, { title, done, cancel, children, send }) {
  const made = element(
    "form.inline-form",
    {
      data: { form: name },
      "aria-label": title,
      onsubmit: (event) => {
        event.preventDefault();
        const typed = made.elements.typed?.value.trim() ?? "";
        if (typed) done(typed);
        else made.elements.typed?.focus();
      },
      onkeydown: (event) => press(made, event, cancel),
    },
    element("p.form-title", {}, title),
    children,
    element(
      "div.form-buttons",
      {},
      send && button(send, { tag: "button.primary", type: "submit" }),
      button(say("action.cancel"), { key: "Esc", onclick: cancel }),
    ),
  );
  return made;
}

/** Numbers and letters choose; what is typed otherwise goes to the field of the form. */
function press(made, event, cancel) {
  if (event.key === "Escape") {
    event.stopPropagation();
    cancel();
    return;
  }
  const isPlain = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!isPlain || event.target.matches("input, textarea")) return;
  if (event.key === " ") return; // presses the button that has the focus
  event.stopPropagation();
  if (pressChoice(made, event.key)) event.preventDefault();
  else made.querySelector("input, textarea")?.focus();
}

function choices(options) {
  return element(
    "div.choices",
    {},
    options.map(({ words, act, letter }, at) =>
      element(
        "button.choice",
        {
          type: "button",
          onclick: act,
          data: { choice: at + 1, ...(letter && { letter }) },
        },
        at < 9 && element("kbd", { "aria-hidden": "true" }, String(at + 1)),
        element("span", {}, words),
      ),
    ),
  );
}

/** Return the form of a rejection. */
export function rejectForm(code, done, cancel) {
  return form("reject", {
    title: say("reject.title", { code }),
    done,
    cancel,
    send: say("action.reject"),
    children: [
      choices(QUICK_REASONS.map((one) => ({ words: reasonText(one), act: () => done(one) }))),
      field(say("reject.other"), { maxlength: "500" }),
    ],
  });
}

/** Return the form of a comment; without a code it is on the note. */
export function commentForm(code, done, cancel) {
  return form("comment", {
    title: code ? say("comment.on_code", { code }) : say("comment.on_note"),
    done,
    cancel,
    send: say("comment.send"),
    children: field(
      say("comment.text"),
      {
        rows: "3",
        onkeydown: (event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            event.stopPropagation();
            event.target.form.requestSubmit();
          }
        },
      },
      "textarea",
    ),
  });
}

/** Return the form that passes a hard finding. */
export function passForm(done, cancel) {
  return form("pass", {
    title: say("finding.pass_title"),
    done,
    cancel,
    send: say("finding.pass"),
    children: field(say("finding.reason"), { maxlength: "500" }),
  });
}

/** Return the form that sets whether a code was present on admission. */
export function poaForm(code, done, cancel) {
  return form("poa", {
    title: say("poa.of_code", { code }),
    done,
    cancel,
    children: choices(
      POA.map((one) => ({
        words: poaText(one),
        act: () => done(one),
        letter: one[0].toLowerCase(),
      })),
    ),
  });
}

/** Return the form that replaces a code by one beside it, below it, or any other. */
export function replaceForm(review, code, done, cancel) {
  const near = element("div.near", {}, element("p.hint", {}, say("about.loading")));
  const [label, search] = codeSearch(review, say("replace.search"), (found) => done(found.code, found));
  const made = form("replace", {
    title: say("replace.title", { code }),
    done: () => {},
    cancel,
    children: [near, label, search],
  });
  about(code).then(
    (found) => {
      near.replaceChildren(...nearCodes(found, code, done));
      // Who has typed nothing yet may choose by number now, or still type.
      const field = made.querySelector("input");
      if (field === document.activeElement && !field.value) near.querySelector("button")?.focus();
    },
    () => near.replaceChildren(element("p.hint", {}, say("about.failed"))),
  );
  return made;
}

function nearCodes({ children = [], siblings = [] }, code, done) {
  const option = (one) => ({
    words: [element("b", {}, one.code), ` ${one.title}`],
    act: () => done(one.code, one),
  });
  const others = siblings.filter((one) => one.code !== code);
  const all = [...children, ...others].filter((one) => one.assignable !== false);
  if (!all.length) return [element("p.hint", {}, say("replace.none"))];
  return [choices(all.map(option))];
}

/** Press the choice with a number or a letter in a form; return whether it has one. */
export function pressChoice(made, key) {
  const name = CSS.escape(String(key).toLowerCase());
  const found = made?.querySelector(`[data-choice="${name}"], [data-letter="${name}"]`);
  found?.click();
  return Boolean(found);
}
