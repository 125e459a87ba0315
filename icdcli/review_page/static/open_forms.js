// The forms that are open on the note page: one at a time for each code.

import { comments } from "./code_card.js";
import { codeSearch } from "./code_search.js";
import { announce, button, element } from "./elements.js";
import { commentForm, poaForm, rejectForm, replaceForm } from "./forms.js";
import { reasonText } from "./reasons.js";
import { say } from "./words.js";

const at = (id) => document.getElementById(id);

export class Forms {
  /** @param {NotePage} page The page. */
  constructor(page) {
    this.page = page;
    this.open = new Map();
  }

  /** Return whether something typed isn't sent. */
  get hasTyped() {
    return [...this.open.values()].some((one) => one.elements.typed?.value.trim());
  }

  /** Return the form that a number chooses from: that of the code that is chosen. */
  get current() {
    return this.open.get(this.page.list.chosen);
  }

  #show(code, name, make) {
    if (this.open.get(code)?.dataset.form !== name) {
      const made = make(() => this.close(code));
      this.open.set(code, made);
      if (code) {
        this.page.list.choose(code);
        this.page.list.setForm(code, made);
      } else at("note-form").replaceChildren(made);
    }
    const made = this.open.get(code);
    // With choices, the form itself has the focus, so that numbers choose.
    const first = made.querySelector(".choice, textarea, input");
    first?.focus({ preventScroll: true });
    made.scrollIntoView({ block: "nearest" });
  }

  /** Close a form without sending it. */
  close(code, { isFocused = true } = {}) {
    if (!this.open.delete(code)) return;
    if (code) {
      this.page.list.setForm(code, null);
      if (isFocused) this.page.list.choose(code, { isFocused });
    } else at("note-form").replaceChildren();
  }

  /** Close the form of the chosen code, or the one on the note. */
  closeCurrent() {
    const { chosen } = this.page.list;
    if (this.open.has(chosen)) this.close(chosen);
    else if (this.open.has("")) this.closeAdd();
    else this.close(null);
  }

  openReject(code) {
    this.#show(code, "reject", (cancel) =>
      rejectForm(
        code,
        (reason) => {
          cancel();
          this.page.settle(code, "reject", { reason }, say("said.rejected", { code, reason: reasonText(reason) }));
        },
        cancel,
      ),
    );
  }

  openReplace(code) {
    this.#show(code, "replace", (cancel) =>
      replaceForm(
        this.page.review,
        code,
        (by, found) => {
          cancel();
          this.page.review.titles.set(by, found.title ?? "");
          this.page.settle(code, "replace", { by }, say("said.replaced", { code, by }));
        },
        cancel,
      ),
    );
  }

  openPoa(code) {
    this.#show(code, "poa", (cancel) =>
      poaForm(
        code,
        (value) => {
          cancel();
          this.page.decide("poa", { code, value });
          announce(`${code}: ${say(`poa.${value}`)}`);
        },
        cancel,
      ),
    );
  }

  openComment(code) {
    this.#show(code, "comment", (cancel) =>
      commentForm(
        code,
        (text) => {
          cancel();
          this.page.decide("comment", { text, ...(code && { code }) });
          announce(say("said.commented"));
        },
        cancel,
      ),
    );
  }

  /** Open the search for a code to add, with the words that are selected. */
  openAdd(span = null) {
    const { review, selecting } = this.page;
    if (review.isSubmitted) return;
    this.closeAdd();
    selecting?.stop();
    const [label, search] = codeSearch(review, say("add.label"), (found) => this.#add(found, span));
    const made = element(
      "form.inline-form.add-form",
      {
        data: { form: "add" },
        "aria-label": say("add.title"),
        onsubmit: (event) => event.preventDefault(),
        onkeydown: (event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          this.closeAdd();
        },
      },
      label,
      search,
      span && element("p.hint", {}, say("add.with_words"), " ", element("q", {}, review.note.text.slice(span.begin, span.end))),
      element("div.form-buttons", {}, button(say("action.cancel"), { key: "Esc", onclick: () => this.closeAdd() })),
    );
    this.open.set("", made);
    at("add-place").replaceChildren(made);
    made.querySelector("input").focus();
  }

  closeAdd() {
    if (!this.open.delete("")) return;
    at("add-place").replaceChildren();
    this.page.list.choose(this.page.list.chosen, { isFocused: true });
  }

  #add(found, span) {
    const { code, title } = found;
    const { review, list } = this.page;
    this.open.delete("");
    at("add-place").replaceChildren();
    review.titles.set(code, title ?? "");
    const taking = review.taking(code, span ? [span] : null);
    const isAccepted = taking.kind === "accept" && span;
    this.page.outbox.addAll(
      isAccepted ? [taking, { kind: "mark", details: { code, evidence: review.evidence([span]) } }] : [taking],
    );
    list.choose(code, { isFocused: true });
    announce(say("said.added", { code }));
  }

  /** Draw the comments on the note. */
  drawComments() {
    const texts = this.page.review.commentsOn(null);
    const place = at("note-comments");
    if (place.childElementCount === 0 && !texts.length) return;
    place.replaceChildren(...[comments(texts)].filter(Boolean));
  }
}
