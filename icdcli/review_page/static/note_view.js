// The note itself: paragraphs with the words behind codes, in sections that fold.

import { element, icon } from "./elements.js";
import { paragraphs, pieces, withoutGaps } from "./evidence.js";
import { say } from "./words.js";

export class NoteView {
  /**
   * @param {HTMLElement} root Where the note is shown.
   * @param {object} note Its text and its sections, in UTF-16 positions.
   * @param {object} on `point(codes, isFocus)` is called when words are pointed at, with no codes
   *   when they no longer are; `choose(codes)` when they are chosen.
   */
  constructor(root, note, on) {
    this.root = root;
    this.text = note.text;
    this.on = on;
    this.blocks = [];
    this.marks = new Map();
    root.append(...withoutGaps(note.sections, note.text.length).map((one) => this.#section(one)));
    this.#listen();
  }

  #section({ begin, end, title }) {
    const body = element("div.section-body");
    for (const [from, to] of paragraphs(this.text, begin, end)) {
      const made = element("div.block", { data: { block: this.blocks.length } });
      const block = { begin: from, end: to, headed: from, element: made, key: "", marks: [] };
      if (from === begin && title) block.headed = this.#endOfHeading(from, to, title);
      this.blocks.push(block);
      this.#draw(block, []);
      body.append(made);
    }
    if (!title) return element("section.section", {}, body);
    const made = element("section.section", { "aria-label": title });
    const toggle = element(
      "button.fold",
      { type: "button", "aria-expanded": "true", title: say("note.fold", { title }) },
      icon("chevron"),
      element("span.fold-title", {}, title),
    );
    toggle.addEventListener("click", () => this.#fold(made, body.hidden));
    made.append(toggle, body);
    return made;
  }

  #fold(section, isOpen) {
    section.classList.toggle("is-folded", !isOpen);
    section.querySelector(".section-body").hidden = !isOpen;
    section.querySelector(".fold").setAttribute("aria-expanded", String(isOpen));
  }

  /** Fold or unfold all sections. */
  foldAll(isOpen) {
    for (const one of this.root.querySelectorAll(".section:has(> .fold)")) this.#fold(one, isOpen);
  }

  get hasSections() {
    return this.root.querySelector(".fold") !== null;
  }

  #listen() {
    const codesAt = (event) => event.target.closest?.("mark")?.dataset.codes?.split(" ") ?? null;
    this.root.addEventListener("pointerover", (event) => this.on.point(codesAt(event), false));
    this.root.addEventListener("pointerleave", () => this.on.point(null, false));
    this.root.addEventListener("focusin", (event) => this.on.point(codesAt(event), true));
    this.root.addEventListener("focusout", () => this.on.point(null, true));
    this.root.addEventListener("click", (event) => {
      const codes = codesAt(event);
      if (codes && getSelection().isCollapsed) this.on.choose(codes);
    });
    // Chromium doesn't select text from an element that takes the focus.
    this.root.addEventListener("pointerdown", (event) => {
      this.pressed = event.target.closest?.("mark") ?? null;
      this.pressed?.removeAttribute("tabindex");
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, () => {
        if (this.pressed) this.pressed.tabIndex = this.pressed.matches(".is-chosen") ? 0 : -1;
        this.pressed = null;
      });
    }
    this.root.addEventListener("keydown", (event) => {
      const mark = event.target.closest?.("mark");
      if (!mark || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.on.choose(mark.dataset.codes.split(" "));
      } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        event.preventDefault();
        const marks = [...this.root.querySelectorAll("mark")];
        marks[marks.indexOf(mark) + (event.key === "ArrowRight" ? 1 : -1)]?.focus();
      }
    });
  }

  /** Mark the words behind codes; only paragraphs in which something changed are drawn again. */
  update(spans) {
    let first = 0;
    this.marks.clear();
    for (const block of this.blocks) {
      while (first < spans.length && spans[first].begin < block.begin && isBefore(spans, first, block)) {
        first += 1;
      }
      const here = [];
      for (let at = first; at < spans.length && spans[at].begin < block.end; at += 1) {
        if (spans[at].end > block.begin) here.push(spans[at]);
      }
      const key = JSON.stringify(here);
      if (key !== block.key && !(here.length === 0 && block.key === "")) this.#draw(block, here);
      block.key = here.length ? key : "";
      for (const mark of block.marks) {
        for (const code of mark.dataset.codes.split(" ")) {
          if (!this.marks.has(code)) this.marks.set(code, []);
          this.marks.get(code).push(mark);
        }
      }
    }
    this.#highlight();
  }

  #draw(block, spans) {
    block.marks = [];
    const { begin, headed, end } = block;
    const heading = headed > begin ? this.#parts(block, pieces(begin, headed, spans)) : [];
    const parts = this.#parts(block, pieces(headed, end, spans));
    block.element.replaceChildren(
      ...(heading.length ? [element("b.heading", {}, heading), ...parts] : parts),
    );
  }

  #parts(block, found) {
    return found.map((piece) => {
      const text = this.text.slice(piece.begin, piece.end);
      if (!piece.codes.length) return text;
      const said = piece.said.map((one) => say(`assertion.${one}`)).join(", ");
      const mark = element(
        piece.isMarked ? "mark.is-marked" : "mark",
        {
          tabindex: "-1",
          role: "button",
          "aria-label": [text.trim(), ...piece.codes, said].filter(Boolean).join(", "),
          data: { codes: piece.codes.join(" "), begin: piece.begin, ...(said && { said }) },
        },
        text,
      );
      block.marks.push(mark);
      return mark;
    });
  }

  #endOfHeading(begin, end, title) {
    const at = this.text.slice(begin, end).toLowerCase().indexOf(title.toLowerCase());
    return at >= 0 && at < 8 ? begin + at + title.length : begin;
  }

  /** Show the words of the chosen code, and those of codes that are pointed at. */
  activate(chosen, pointed = []) {
    this.chosen = chosen;
    this.pointed = pointed;
    this.#highlight();
  }

  #highlight() {
    for (const one of this.root.querySelectorAll("mark.is-chosen, mark.is-pointed")) {
      one.classList.remove("is-chosen", "is-pointed");
      one.tabIndex = -1;
    }
    for (const mark of this.marks.get(this.chosen) ?? []) {
      mark.classList.add("is-chosen");
      mark.tabIndex = 0;
    }
    for (const code of this.pointed ?? []) {
      for (const mark of this.marks.get(code) ?? []) mark.classList.add("is-pointed");
    }
  }

  /** Scroll to a position and, if its words are marked, focus them. */
  reveal(begin, { isFocus = false } = {}) {
    const block = this.blockAt(begin);
    if (!block) return;
    const section = block.element.closest(".section");
    if (section.classList.contains("is-folded")) this.#fold(section, true);
    const mark = block.marks.find((one) => Number(one.dataset.begin) === begin);
    const target = mark ?? block.element;
    if (isFocus && mark) mark.focus({ preventScroll: true });
    if (isWithin(target, this.root)) return;
    target.scrollIntoView({ block: "center" });
  }

  /** Return the paragraph of a position. */
  blockAt(position) {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.blocks[middle].end <= position) low = middle + 1;
      else high = middle;
    }
    return this.blocks[low];
  }

  /** Return the position of a place in the page; null: it isn't in the note. */
  positionOf(node, offset) {
    if (!this.root.contains(node)) return null;
    const inside = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest(".block");
    const range = document.createRange();
    if (inside) {
      const block = this.blocks[Number(inside.dataset.block)];
      range.setStart(inside, 0);
      range.setEnd(node, offset);
      return block.begin + range.toString().length;
    }
    // Between paragraphs: the beginning of the next one.
    for (const block of this.blocks) {
      range.selectNodeContents(block.element);
      if (range.comparePoint(node, offset) < 0) return block.begin;
    }
    return this.text.length;
  }

  /** Return the range of the page between two positions. */
  rangeOf(begin, end) {
    const range = document.createRange();
    range.setStart(...this.#place(begin, false));
    range.setEnd(...this.#place(end, true));
    return range;
  }

  #place(position, isEnd) {
    const block = this.blockAt(isEnd ? position - 1 : position);
    let left = position - block.begin;
    const walker = document.createTreeWalker(block.element, NodeFilter.SHOW_TEXT);
    let node = walker.nextNode();
    while (node && (isEnd ? left > node.length : left >= node.length)) {
      left -= node.length;
      const next = walker.nextNode();
      if (!next) return [node, node.length];
      node = next;
    }
    return [node, left];
  }
}

/** Return whether a span and all before it end before a block; spans may be long. */
function isBefore(spans, at, block) {
  return spans[at].end <= block.begin;
}

function isWithin(one, pane) {
  const inner = one.getBoundingClientRect();
  const outer = pane.getBoundingClientRect();
  return inner.height > 0 && inner.top >= outer.top + 8 && inner.bottom <= outer.bottom - 8;
}
