// Dialogs: they take the focus, Escape closes those that can be closed.

import { button, element } from "./elements.js";
import { postForm } from "./requests.js";
import { say } from "./words.js";

let numbered = 0;

/**
 * Open a dialog and return it.
 *
 * @param {string} title Its title.
 * @param {Array} children Its content.
 * @param {object} options `isFirm`: it can't be given up; `closed` is called after it.
 */
export function openDialog(title, children, { isFirm = false, closed = () => {}, name } = {}) {
  numbered += 1;
  const id = `dialog-${numbered}`;
  const made = element(
    "dialog",
    { "aria-labelledby": id, data: { dialog: name ?? "" } },
    element("h2", { id }, title),
    children,
  );
  if (isFirm) made.addEventListener("cancel", (event) => event.preventDefault());
  // After closing, keys still come here until the browser has moved the focus; the page needs them.
  made.addEventListener("keydown", (event) => made.open && event.stopPropagation());
  const before = document.activeElement;
  made.addEventListener("close", () => {
    made.remove();
    const isFocusLost = document.activeElement === document.body;
    if (isFocusLost && before?.isConnected) before.focus({ preventScroll: true });
    closed();
  });
  document.body.append(made);
  made.showModal();
  return made;
}

let signingIn = null;

/** Ask for the password after a session has ended; the promise is kept when it was right. */
export function signInAgain() {
  signingIn ??= new Promise(askPassword).finally(() => {
    signingIn = null;
  });
  return signingIn;
}

function askPassword(resolve) {
  const me = document.body.dataset.user ?? "";
  const problem = element("p.problem", { role: "alert", hidden: true });
  const name = element("input", { id: "again-name", name: "name", value: me, autocomplete: "username", required: true });
  const password = element("input", {
    id: "again-password",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const send = button(say("login.sign_in"), { tag: "button.primary", type: "submit" });
  const leave = button(say("login.leave"), { hidden: true, onclick: () => location.assign("/") });
  const complain = (text) => {
    problem.textContent = text;
    problem.hidden = false;
    password.select();
  };
  const form = element(
    "form.stack",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        send.disabled = true;
        try {
          const answer = await postForm("/login", { name: name.value, password: password.value });
          // What one person has decided must not be stored as another's.
          if (me && answer.name !== me) {
            complain(say("login.other", { name: me }));
            leave.hidden = false;
            return;
          }
          dialog.close();
          resolve();
        } catch (error) {
          complain(error.status ? error.message : say("network.lost"));
        } finally {
          send.disabled = false;
        }
      },
    },
    element("label", { for: name.id }, say("login.name")),
    name,
    element("label", { for: password.id }, say("login.password")),
    password,
    problem,
    element("div.form-buttons", {}, send, leave),
  );
  const text = element("p", {}, say("login.ended"));
  const dialog = openDialog(say("login.again"), [text, form], {
    isFirm: true,
    name: "sign-in",
  });
  (me ? password : name).focus();
}

/** Show the keys, and whether single keys do anything. */
export function showKeys(groups) {
  const single = element("input", {
    type: "checkbox",
    id: "single-keys",
    checked: hasSingleKeys(),
    onchange: (event) => localStorage.setItem("keys", event.target.checked ? "on" : "off"),
  });
  const dialog = openDialog(
    say("keys.title"),
    [
      element(
        "div.keys",
        {},
        groups.map(({ title, keys }) =>
          element(
            "section",
            {},
            element("h3", {}, title),
            element(
              "dl",
              {},
              keys.map(([names, words]) => [
                element("dt", {}, names.map((one) => [element("kbd", {}, one), " "])),
                element("dd", {}, words),
              ]),
            ),
          ),
        ),
      ),
      element("p.check", {}, single, element("label", { for: single.id }, say("keys.single"))),
      element("div.form-buttons", {}, button(say("action.close"), { key: "Esc", onclick: () => dialog.close() })),
    ],
    { name: "keys" },
  );
}

/** Return whether keys without Ctrl or Alt do something; those who speak commands switch it off. */
export function hasSingleKeys() {
  return localStorage.getItem("keys") !== "off";
}
