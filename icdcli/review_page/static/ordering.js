// Puts the note's codes in order by dragging: with a mouse, a pen or a finger.

export class Ordering {
  /**
   * @param {HTMLElement} list The list of codes.
   * @param {function} done Is called with the codes in their new order.
   */
  constructor(list, done) {
    this.list = list;
    this.done = done;
  }

  /** Begin to drag a code. */
  grab(event, code) {
    if (event.button !== 0) return;
    event.preventDefault();
    const item = [...this.list.children].find((one) => codeOf(one) === code);
    const before = this.#codes();
    const pointer = event.pointerId;
    item.classList.add("is-dragged");
    const move = (moved) => moved.pointerId === pointer && this.#move(item, moved.clientY);
    const finish = (ended) => {
      if (ended.pointerId !== pointer) return;
      stop();
      const after = this.#codes();
      if (ended.type === "pointercancel") this.#restore(before);
      else if (after.join() !== before.join()) this.done(after);
    };
    const escape = (pressed) => {
      if (pressed.key !== "Escape") return;
      pressed.stopPropagation();
      stop();
      this.#restore(before);
    };
    const stop = () => {
      item.classList.remove("is-dragged");
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", finish);
      removeEventListener("pointercancel", finish);
      removeEventListener("keydown", escape, true);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", finish);
    addEventListener("pointercancel", finish);
    addEventListener("keydown", escape, true);
  }

  #codes() {
    return [...this.list.children].map(codeOf);
  }

  #restore(codes) {
    const items = new Map([...this.list.children].map((one) => [codeOf(one), one]));
    this.list.append(...codes.map((code) => items.get(code)));
  }

  #move(item, y) {
    for (const other of this.list.children) {
      if (other === item) continue;
      const { top, height } = other.getBoundingClientRect();
      const isAfter = item.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (isAfter && y > top + height / 2 && item.nextSibling !== null) {
        other.after(item);
      } else if (!isAfter && y < top + height / 2) {
        other.before(item);
        return;
      }
    }
  }
}

function codeOf(item) {
  return item.firstElementChild.dataset.code;
}

/** Return codes with one of them moved by some places; to the front if `by` is -Infinity. */
export function moved(codes, code, by) {
  const at = codes.indexOf(code);
  const to = Math.min(codes.length - 1, Math.max(0, at + by));
  const others = codes.filter((one) => one !== code);
  return [...others.slice(0, to), code, ...others.slice(to)];
}
