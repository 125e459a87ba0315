// The codes of a note in their groups: to decide, of the note, below the threshold, dropped.

import { drawCard, makeCard } from "./code_card.js";
import { element } from "./elements.js";
import { Ordering } from "./ordering.js";
import { count, say } from "./words.js";

const GROUPS = ["open", "codes", "below", "dropped"];
const FOLDED = new Set(["below", "dropped"]);

export class CodeList {
  /**
   * @param {HTMLElement} root Where the codes are shown.
   * @param {Review} review The review.
   * @param {object} on See `makeCard`; besides, `order(codes)` and `chosen(code)`.
   */
  constructor(root, review, on) {
    this.root = root;
    this.review = review;
    this.on = { ...on, choose: (code) => this.choose(code), grab: (event, code) => this.ordering.grab(event, code) };
    this.cards = new Map();
    this.forms = new Map();
    this.chosen = null;
    this.groups = new Map(GROUPS.map((name) => [name, this.#group(name)]));
    this.ordering = new Ordering(this.groups.get("codes").list, on.order);
    root.append(...[...this.groups.values()].map((one) => one.element));
  }

  #group(name) {
    const number = element("span.number");
    const list = element("ol.codes", { "aria-label": say(`group.${name}`), data: { group: name } });
    const heading = [element("span", {}, say(`group.${name}`)), " ", number];
    const made = FOLDED.has(name)
      ? element("details.group", {}, element("summary", {}, heading), list)
      : element("section.group", {}, element("h2", {}, heading), list);
    const empty = FOLDED.has(name) ? null : element("p.hint.empty", {}, say(`group.${name}_empty`));
    if (empty) made.append(empty);
    return { element: made, list, number, empty };
  }

  /** Show something else than usual while a group has no codes. */
  sayEmpty(name, ...content) {
    this.groups.get(name).empty.replaceChildren(...content);
  }

  /** Put elements above and below the codes of a group. */
  place(name, above, below) {
    this.groups.get(name).list.before(above);
    this.groups.get(name).element.append(below);
  }

  /** Return the codes in the order of the page, without those of groups that are folded. */
  get order() {
    return GROUPS.filter((name) => this.groups.get(name).element.open !== false).flatMap((name) => [
      ...this.groups.get(name).list.children,
    ]).map((item) => item.firstElementChild.dataset.code);
  }

  /** Draw what has changed, and keep the focus where it was. */
  draw() {
    const focused = document.activeElement;
    const hadFocus = this.root.contains(focused);
    const label = hadFocus && !focused.matches("article") ? focusedPlace(focused) : null;
    const groups = this.review.groups();
    if (!this.isOfPage(this.chosen, groups)) this.chosen = this.#first(groups);
    for (const name of GROUPS) this.#drawGroup(name, groups[name]);
    for (const code of [...this.cards.keys()]) {
      if (!GROUPS.some((name) => groups[name].includes(code))) this.cards.delete(code);
    }
    if (hadFocus && !this.root.contains(document.activeElement)) this.#restore(label);
  }

  isOfPage(code, groups = this.review.groups()) {
    return GROUPS.some((name) => groups[name].includes(code));
  }

  #first(groups) {
    return GROUPS.flatMap((name) => groups[name])[0] ?? null;
  }

  #restore(label) {
    const card = this.cards.get(this.chosen)?.card;
    const again = label && card?.querySelector(`[aria-label="${CSS.escape(label)}"]`);
    (again ?? card ?? this.root).focus({ preventScroll: true });
  }

  #drawGroup(name, codes) {
    const { element: made, list, number, empty } = this.groups.get(name);
    const items = codes.map((code) => this.#item(code, name === "codes" ? codes.indexOf(code) : -1));
    if (items.some((item, at) => list.children[at] !== item) || list.children.length !== items.length) {
      list.replaceChildren(...items);
    }
    number.textContent = count(codes.length);
    list.hidden = codes.length === 0;
    if (empty) empty.hidden = codes.length > 0;
    else made.hidden = codes.length === 0;
    if (FOLDED.has(name) && codes.includes(this.chosen)) made.open = true;
  }

  #item(code, place) {
    if (!this.cards.has(code)) {
      const card = makeCard(code, this.on);
      this.cards.set(code, { card, item: element("li", {}, card), key: null });
    }
    const found = this.cards.get(code);
    const { review } = this;
    const form = this.forms.get(code) ?? null;
    const isChosen = code === this.chosen;
    // What the card shows; it is drawn again only if that has changed.
    const key = JSON.stringify([
      ...[isChosen, place, form !== null, review.decision(code), review.isSubmitted],
      ...[review.commentsOn(code), review.findingsOn(code).map((one) => one.key), review.state.overrides],
      ...[review.title(code), isChosen && review.state.codes.length],
    ]);
    if (key !== found.key || form !== found.form) {
      drawCard(found.card, review, { isChosen, place, form }, this.on);
      found.key = key;
      found.form = form;
    }
    return found.item;
  }

  /** Choose a code; null: none. */
  choose(code, { isFocused = false, isScrolled = false } = {}) {
    if (code !== this.chosen) {
      this.chosen = code;
      this.draw();
      this.on.chosen(code);
    }
    const card = this.cards.get(code)?.card;
    if (isFocused) card?.focus({ preventScroll: true });
    if (isFocused || isScrolled) card?.scrollIntoView({ block: "nearest" });
  }

  /** Choose the next code, or the one before. */
  step(by) {
    const { order } = this;
    if (!order.length) return;
    const at = order.indexOf(this.chosen);
    const next = at < 0 ? 0 : Math.min(order.length - 1, Math.max(0, at + by));
    this.choose(order[next], { isFocused: true });
  }

  /** Show a form below a code; null: none. */
  setForm(code, form) {
    if (form) this.forms.set(code, form);
    else this.forms.delete(code);
    this.draw();
  }

  /** Show that codes are pointed at, in the note. */
  point(codes) {
    for (const [code, { card }] of this.cards) {
      card.classList.toggle("is-pointed", codes?.includes(code) ?? false);
    }
  }
}

/** Return how to find an element again after its card was drawn again. */
function focusedPlace(one) {
  return one.getAttribute("aria-label");
}
