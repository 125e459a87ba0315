// The bar below the codes: what is missing before a submission, and what isn't sent yet; and the
// head of the page.

import { button, element, icon } from "./elements.js";
import { count, day, say } from "./words.js";

/** Show which note it is. */
export function drawHead({ note, readings }) {
  const language = note.language
    ? new Intl.DisplayNames([document.documentElement.lang], { type: "language", fallback: "code" })
    : null;
  document.getElementById("note-name").textContent = note.id;
  document.getElementById("note-facts").textContent = [
    day(note.day),
    language?.of(note.language),
    readings && say("reading.3"),
  ]
    .filter(Boolean)
    .join(" · ");
  if (note.language) document.getElementById("note").lang = note.language;
}

export class StatusBar {
  /**
   * @param {HTMLElement} root Where it is shown.
   * @param {NotePage} page The page.
   */
  constructor(root, page) {
    this.page = page;
    this.problem = "";
    this.text = element("p.missing", { id: "missing" });
    this.sending = element("p.sending", { role: "status" });
    this.complaint = element("p.problem", { role: "alert", hidden: true });
    this.send = button(say("submit.submit"), {
      tag: "button.primary.submit",
      key: "Ctrl+Enter",
      id: "submit",
      "aria-describedby": "missing",
      onclick: () => page.submit(),
    });
    this.again = button(say("submit.reopen"), { id: "reopen", onclick: () => page.reopen() });
    this.places = element("div.submit-buttons", {}, this.again, this.send);
    root.append(this.complaint, this.sending, element("div.submit-line", {}, this.text, this.places));
  }

  /** Return what is missing before the note can be submitted, in words. */
  get missing() {
    const { undecided, stops, isWaiting, state } = this.page.review;
    return [
      // Codes that somebody found alone may be submitted.
      isWaiting && !state.codes.length && say("submit.waiting"),
      undecided.length > 0 && say("submit.undecided", { n: count(undecided.length) }),
      stops.length > 0 && say("submit.stops", { n: count(stops.length) }),
    ].filter(Boolean);
  }

  draw() {
    const { review, outbox } = this.page;
    const { missing } = this;
    const { isSubmitted } = review;
    this.send.hidden = isSubmitted;
    this.again.hidden = !isSubmitted;
    this.send.disabled = missing.length > 0;
    this.text.replaceChildren(
      ...(isSubmitted
        ? [icon("check"), say("submit.is_submitted")]
        : [missing.join(" · ") || say("submit.ready", { n: count(review.state.codes.length) })]),
    );
    this.text.classList.toggle("is-ready", isSubmitted || !missing.length);
    const lost = outbox.isOffline
      ? say("network.unsent", { n: count(outbox.unsent.length) })
      : "";
    if (this.sending.dataset.text !== lost) {
      this.sending.dataset.text = lost;
      this.sending.replaceChildren(
        ...(lost
          ? [lost, " ", button(say("network.retry"), { tag: "button.small", onclick: () => outbox.retry() })]
          : []),
      );
    }
    if (this.problem && outbox.unsent.length) this.complain("");
    this.drawProgress(review);
  }

  drawProgress(review) {
    const all = review.numberToDecide;
    const done = all - review.undecided.length;
    const bar = document.getElementById("progress");
    bar.max = Math.max(1, all);
    bar.value = all ? done : Number(!review.isWaiting);
    document.getElementById("progress-text").textContent = say("note.decided", {
      done: count(done),
      all: count(all),
    });
  }

  /** Show that the server refused something; an empty text: nothing. */
  complain(text) {
    this.problem = text;
    this.complaint.hidden = !text;
    this.complaint.textContent = text;
  }
}

/** Show that nothing is left to do. */
export function offerNext(bar) {
  bar.text.replaceChildren(
    icon("check"),
    say("submit.last"),
    " ",
    element("a", { href: "/" }, say("queue.back")),
  );
}
