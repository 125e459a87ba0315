// Sends decisions in their order, and keeps those that the server hasn't acknowledged.
//
// A decision has a name, `request`. If no answer comes, the same decisions are sent again with the
// same names, and the server stores each once. Nothing is written to the browser's storage, since
// codes, reasons and comments say something about a patient and the computer may be shared; the
// page warns before it is left with unsent decisions.

import { NoAnswer, pause, postJson } from "./requests.js";

const PAUSES = [500, 1000, 2000, 4000, 8000]; // milliseconds before it is tried again

export class Outbox extends EventTarget {
  /**
   * @param {string} path Where decisions are sent.
   * @param {Review} review What is told about drafts and answers.
   * @param {Clock} clock Measures the time of each decision.
   * @param {function} signIn Returns a promise that is kept when somebody has signed in again.
   */
  constructor(path, review, clock, signIn) {
    super();
    this.path = path;
    this.review = review;
    this.clock = clock;
    this.signIn = signIn;
    this.waiting = [];
    this.inFlight = [];
    this.isSending = false;
    this.isOffline = false;
    addEventListener("online", () => this.wake?.());
  }

  get unsent() {
    return [...this.inFlight, ...this.waiting];
  }

  /** Add a decision, which counts on the page at once. */
  add(kind, details) {
    this.addAll([{ kind, details }]);
  }

  /** Add several decisions, of which the first has the time. */
  addAll(decisions) {
    for (const { kind, details } of decisions) {
      this.waiting.push({
        kind,
        details,
        seconds: this.clock.take(),
        request: crypto.randomUUID?.() ?? randomName(),
      });
    }
    this.#changed();
    this.#send();
  }

  /** Take back the last decision if it hasn't left the page; return whether it has been. */
  takeBack() {
    const found = this.waiting.pop();
    if (found) this.#changed();
    return found !== undefined;
  }

  /** Return a promise that is kept when nothing is unsent, or refused if something was. */
  async settled() {
    while (this.isSending) {
      await new Promise((resolve) => this.addEventListener("idle", resolve, { once: true }));
    }
    return this.unsent.length === 0;
  }

  /** Try again now. */
  retry() {
    this.wake?.();
  }

  #changed() {
    this.review.setDrafts(this.unsent);
    this.dispatchEvent(new Event("change"));
  }

  async #send() {
    if (this.isSending) return;
    this.isSending = true;
    try {
      while (this.unsent.length > 0) {
        if (!this.inFlight.length) this.inFlight = this.waiting.splice(0);
        await this.#sendOnce();
      }
    } finally {
      this.isSending = false;
      this.dispatchEvent(new Event("idle"));
    }
  }

  async #sendOnce() {
    try {
      const answer = await postJson(this.path, {
        seen: this.review.acknowledged.number,
        suggestion_set: this.review.suggestionSet,
        decisions: this.inFlight,
      });
      this.failures = 0;
      this.isOffline = false;
      const sent = this.inFlight;
      this.inFlight = [];
      this.review.setDrafts(this.waiting);
      this.review.accept(answer);
      this.#changed();
      this.dispatchEvent(new CustomEvent("stored", { detail: sent }));
    } catch (error) {
      await this.#failed(error);
    }
  }

  async #failed(error) {
    if (error instanceof NoAnswer) {
      this.failures = (this.failures ?? 0) + 1;
      this.isOffline = true;
      this.#changed();
      const length = PAUSES[Math.min(this.failures, PAUSES.length) - 1];
      await Promise.race([pause(length), new Promise((resolve) => (this.wake = resolve))]);
      return;
    }
    this.isOffline = false;
    if (error.status === 401) {
      await this.signIn();
      return;
    }
    const refused = this.unsent;
    this.inFlight = [];
    this.waiting = [];
    this.review.setDrafts([]);
    if (error.body?.state) this.review.accept(error.body);
    this.#changed();
    this.dispatchEvent(new CustomEvent("refused", { detail: { error, refused } }));
  }
}

/** Return a random name where `randomUUID` is missing: in pages that aren't served by HTTPS. */
function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
