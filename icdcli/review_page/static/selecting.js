// Words of the note that a reviewer selects, and the small menu beside them.

import { announce, button, element } from "./elements.js";
import { wholeWords } from "./evidence.js";
import { WordCursor } from "./word_cursor.js";
import { say } from "./words.js";

export class Selecting {
  /**
   * @param {NoteView} view The note.
   * @param {object} on `mark(span, isOnly)` and `add(span)` are what the menu does; `code()` returns
   *   the chosen code, if words can be marked for it; `start()` where the keyboard begins.
   */
  constructor(view, on) {
    this.view = view;
    this.on = on;
    this.cursor = new WordCursor(view);
    this.menu = element("div.selection-menu", {
      role: "toolbar",
      "aria-label": say("marking.menu"),
      hidden: true,
    });
    document.body.append(this.menu);
    document.addEventListener("selectionchange", () => this.#soon());
    view.root.addEventListener("scroll", () => this.#place(), { passive: true });
    addEventListener("resize", () => this.#place());
    // A button that takes the focus would take the selection with it.
    this.menu.addEventListener("pointerdown", (event) => event.preventDefault());
    view.root.addEventListener("keydown", (event) => this.#press(event));
    view.root.addEventListener("pointerdown", () => {
      this.isPointing = true;
      this.cursor.isOn = false;
    });
    addEventListener("pointerup", () => {
      this.isPointing = false;
      this.#soon();
    });
  }

  /** Return the selected words; null: nothing of the note is selected. */
  get span() {
    const selection = getSelection();
    if (selection.isCollapsed || !selection.rangeCount) return null;
    const range = selection.getRangeAt(0);
    const begin = this.view.positionOf(range.startContainer, range.startOffset);
    const end = this.view.positionOf(range.endContainer, range.endOffset);
    return begin === null || end === null ? null : wholeWords(this.view.text, begin, end);
  }

  /** Let the keyboard choose words. */
  start() {
    if (this.cursor.start(this.on.start())) announce(say("marking.start"));
  }

  stop() {
    this.cursor.stop();
    this.menu.hidden = true;
  }

  #press(event) {
    if (!this.cursor.isOn) return;
    if (event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      const span = this.span;
      this.stop();
      if (this.on.code()) this.on.mark(span, event.shiftKey);
      else this.on.add(span);
    } else if (this.cursor.press(event.key, event.shiftKey)) {
      event.preventDefault();
      event.stopPropagation();
      announce(this.view.text.slice(this.cursor.span.begin, this.cursor.span.end));
    }
  }

  #soon() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#show());
  }

  #show() {
    const span = this.isPointing ? null : this.span;
    this.menu.hidden = span === null;
    if (!span) return;
    const code = this.on.code();
    const done = (act) => () => {
      this.stop();
      act(span);
    };
    this.menu.replaceChildren(
      ...[
        code &&
          button(say("marking.mark", { code }), {
            key: "m",
            onclick: done((one) => this.on.mark(one, false)),
          }),
        code &&
          button(say("marking.only"), {
            key: "M",
            onclick: done((one) => this.on.mark(one, true)),
          }),
        button(say("marking.add"), { key: "/", onclick: done((one) => this.on.add(one)) }),
      ].filter(Boolean),
    );
    this.#place();
  }

  #place() {
    if (this.menu.hidden) return;
    const selection = getSelection();
    if (!selection.rangeCount) return;
    const box = selection.getRangeAt(0).getBoundingClientRect();
    const pane = this.view.root.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.menu;
    const isAbove = box.top - height - 8 > pane.top;
    const top = isAbove ? box.top - height - 8 : Math.min(box.bottom + 8, pane.bottom - height - 8);
    const left = Math.max(8, Math.min(box.left, pane.right - width - 8, innerWidth - width - 8));
    this.menu.style.setProperty("top", `${Math.max(8, top)}px`);
    this.menu.style.setProperty("left", `${left}px`);
  }
}
