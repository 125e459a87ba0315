// Calls what belongs to a key, unless somebody is typing.

import { hasSingleKeys } from "./dialogs.js";

const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable]";

/**
 * Listen to keys.
 *
 * @param {object} actions The name of a key to what it does: `j`, `Ctrl+Enter`. An action that
 *   returns false lets the key pass.
 */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const isTyping = event.target.matches?.(TYPING);
    if (isPlain && isTyping && name !== "Escape") return;
    if (isPlain && name.length === 1 && name !== "?" && !hasSingleKeys()) return;
    const act = actions[name];
    if (act && act(event) !== false) event.preventDefault();
  });
}

/** Return the name of a key, whatever the keyboard: letters of another script count by place. */
function nameOf(event) {
  const isCommand = event.ctrlKey || event.metaKey;
  let { key } = event;
  if (/^Key[A-Z]$/.test(event.code) && !/^[a-z]$/i.test(key)) {
    // A Korean keyboard yields ㅓ where others yield j.
    key = event.shiftKey ? event.code[3] : event.code[3].toLowerCase();
  }
  return `${isCommand ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${key}`;
}
