// Chooses words of the note by keyboard: arrows move from word to word and from line to line, with
// Shift they extend the choice.

const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}'’.-]*/gu;

export class WordCursor {
  /** @param {NoteView} view The note. */
  constructor(view) {
    this.view = view;
    this.isOn = false;
  }

  /** Begin at the first word at or after a position. */
  start(position) {
    this.words ??= [...this.view.text.matchAll(WORD)].map((found) => [
      found.index,
      found.index + found[0].replace(/['’.-]+$/u, "").length,
    ]);
    if (!this.words.length) return false;
    const at = this.words.findIndex(([, end]) => end > position);
    this.isOn = true;
    this.anchor = this.head = at < 0 ? this.words.length - 1 : at;
    this.view.root.focus({ preventScroll: true });
    this.view.reveal(this.words[this.head][0]);
    this.#select();
    return true;
  }

  stop() {
    this.isOn = false;
    getSelection().removeAllRanges();
  }

  /** Return the chosen words as a span. */
  get span() {
    const [first, last] = [Math.min(this.anchor, this.head), Math.max(this.anchor, this.head)];
    return { begin: this.words[first][0], end: this.words[last][1] };
  }

  /** Move for a key; return whether it was one of the cursor's. */
  press(key, isExtending) {
    const moves = {
      ArrowRight: () => this.head + 1,
      ArrowLeft: () => this.head - 1,
      ArrowDown: () => this.#line(1),
      ArrowUp: () => this.#line(-1),
      Home: () => this.#edge(-1),
      End: () => this.#edge(1),
    };
    if (!(key in moves)) return false;
    this.head = Math.min(this.words.length - 1, Math.max(0, moves[key]()));
    if (!isExtending) this.anchor = this.head;
    this.#select();
    return true;
  }

  #box(at) {
    return this.view.rangeOf(...this.words[at]).getBoundingClientRect();
  }

  #line(step) {
    const from = this.#box(this.head);
    let best = this.head;
    let line = null;
    for (let at = this.head + step; at >= 0 && at < this.words.length; at += step) {
      const box = this.#box(at);
      const isSame = step > 0 ? box.top < from.bottom - 2 : box.bottom > from.top + 2;
      if (isSame) continue;
      line ??= box;
      if (step > 0 ? box.top > line.bottom - 2 : box.bottom < line.top + 2) break;
      if (best === this.head || away(box, from) < away(this.#box(best), from)) best = at;
    }
    return best;
  }

  #edge(step) {
    const from = this.#box(this.head);
    let at = this.head;
    while (this.words[at + step] && Math.abs(this.#box(at + step).top - from.top) < 3) at += step;
    return at;
  }

  #select() {
    const { begin, end } = this.span;
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(this.view.rangeOf(begin, end));
    const box = this.#box(this.head);
    const pane = this.view.root.getBoundingClientRect();
    if (box.bottom > pane.bottom - 24) this.view.root.scrollBy(0, box.bottom - pane.bottom + 80);
    if (box.top < pane.top + 24) this.view.root.scrollBy(0, box.top - pane.top - 80);
  }
}

function away(box, other) {
  return Math.abs((box.left + box.right) / 2 - (other.left + other.right) / 2);
}
