// Another reviewer, or the same one in another window, has decided on the same note meanwhile: shows
// what, keeps what wasn't stored, and lets one decide again.

import { openDialog } from "./dialogs.js";
import { button, element } from "./elements.js";
import { reasonText } from "./reasons.js";
import { say } from "./words.js";

/** Return a decision in words. */
export function inWords({ kind, details }) {
  return say(`event.${kind}`, {
    ...details,
    reason: reasonText(details.reason),
    codes: (details.codes ?? []).join(", "),
  });
}

function inJson({ kind, details }) {
  return JSON.stringify([kind, details]);
}

function touched({ details }) {
  return [details.code, details.by, ...(details.codes ?? [])].filter(Boolean);
}

/**
 * Show a conflict.
 *
 * @param {Array} newer The decisions of others.
 * @param {Array} own One's own decisions, which weren't stored.
 * @param {function} again Is called with those to decide again.
 */
export function showConflict(newer, own, again) {
  const theirs = new Set(newer.flatMap(touched));
  const isOwn = newer.every((one) => one.author === document.body.dataset.user);
  const isOfSubmitted = newer.some((one) => one.kind === "submit");
  const same = new Set(newer.map(inJson));
  // An undo or a submission was meant for a state that is gone.
  const possible = own.filter(
    (one) => !["undo", "submit"].includes(one.kind) && !same.has(inJson(one)),
  );
  const boxes = possible.map((one, at) => ({
    one,
    box: element("input", {
      type: "checkbox",
      id: `again-${at}`,
      checked: !isOfSubmitted && !touched(one).some((code) => theirs.has(code)),
    }),
  }));
  const dialog = openDialog(
    say(isOwn ? "conflict.own_title" : "conflict.title"),
    [
      element("p", {}, say(isOwn ? "conflict.own_text" : "conflict.text")),
      element("h3", {}, say(isOwn ? "conflict.own_theirs" : "conflict.theirs")),
      element(
        "ul.events",
        {},
        newer.map((one) => element("li", {}, element("b", {}, one.author), " ", inWords(one))),
      ),
      boxes.length > 0 && [
        element("h3", {}, say("conflict.yours")),
        element(
          "ul.events.is-choice",
          {},
          boxes.map(({ one, box }) =>
            element("li", {}, box, element("label", { for: box.id }, inWords(one))),
          ),
        ),
      ],
      element(
        "div.form-buttons",
        {},
        boxes.length > 0 &&
          button(say("conflict.again"), {
            tag: "button.primary",
            onclick: () => {
              dialog.close();
              again(boxes.filter(({ box }) => box.checked).map(({ one }) => one));
            },
          }),
        button(say(isOwn ? "conflict.own_leave" : "conflict.leave"), { onclick: () => dialog.close() }),
      ),
    ],
    { name: "conflict", isFirm: true },
  );
}
