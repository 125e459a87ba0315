// The keys of the note page.

import { showKeys } from "./dialogs.js";
import { pressChoice } from "./forms.js";
import { listen } from "./keyboard.js";
import { say } from "./words.js";

/** Listen to the keys of the note page. */
export function noteKeys(page) {
  const act = (name) => () => page.act(name, page.list.chosen);
  const step = (by) => () => page.list.step(by);
  const choose = (number) => () => {
    if (pressChoice(page.forms.current, number)) return;
    const word = page.review.wordsOf(page.list.chosen)[number - 1];
    if (word) page.view?.reveal(word.begin, { isFocus: true });
  };
  listen({
    j: step(1),
    k: step(-1),
    ArrowDown: (event) => event.target.closest("#codes") && event.target.matches("article") ? step(1)() : false,
    ArrowUp: (event) => event.target.closest("#codes") && event.target.matches("article") ? step(-1)() : false,
    a: act("accept"),
    x: act("reject"),
    r: act("replace"),
    m: act("mark"),
    M: () => {
      const span = page.selecting?.span;
      if (!span || page.review.isSubmitted) return;
      page.selecting.stop();
      page.mark(page.list.chosen, span, true);
    },
    p: act("poa"),
    P: act("principal"),
    J: act("down"),
    K: act("up"),
    c: act("comment"),
    C: () => page.forms.openComment(null),
    u: () => page.undo(),
    "/": () => page.forms.openAdd(page.selecting?.span),
    "?": () => showKeys(groups()),
    "Ctrl+Enter": () => page.submit(),
    Enter: (event) => {
      if (!event.target.matches("article, body, main")) return false;
      page.list.choose(page.list.chosen, { isFocused: true });
      const first = page.review.wordsOf(page.list.chosen)[0];
      if (first) page.view?.reveal(first.begin, { isFocus: true });
    },
    Escape: () => {
      if (page.selecting?.span || page.selecting?.cursor.isOn) page.selecting.stop();
      else if (page.forms.open.size) page.forms.closeCurrent();
      page.list.choose(page.list.chosen, { isFocused: true });
    },
    ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((one) => [String(one), choose(one)])),
  });
  document.getElementById("keys").addEventListener("click", () => showKeys(groups()));
}

function groups() {
  return [
    {
      title: say("keys.codes"),
      keys: [
        [["j", "k"], say("keys.step")],
        [["a"], say("action.accept")],
        [["x"], say("keys.reject")],
        [["r"], say("keys.replace")],
        [["1–9"], say("keys.words")],
        [["Enter"], say("keys.enter")],
        [["/"], say("keys.add")],
        [["u"], say("keys.undo")],
      ],
    },
    {
      title: say("keys.of_note"),
      keys: [
        [["p"], say("poa.title")],
        [["P"], say("action.principal")],
        [["J", "K"], say("keys.move")],
        [["c"], say("action.comment")],
        [["C"], say("comment.on_note")],
        [["Ctrl", "Enter"], say("submit.submit")],
      ],
    },
    {
      title: say("keys.words_title"),
      keys: [
        [["m"], say("keys.mark")],
        [["M"], say("marking.only")],
        [["←", "→", "↑", "↓"], say("keys.cursor")],
        [["Shift"], say("keys.extend")],
        [["Esc"], say("keys.escape")],
        [["?"], say("keys.help")],
      ],
    },
  ];
}
