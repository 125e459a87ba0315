// The note page: joins the note, the codes, the findings and what is sent.

import { agreed } from "./adjudication.js";
import { Clock } from "./clock.js";
import { CodeList } from "./code_list.js";
import { inWords, showConflict } from "./conflict.js";
import { signInAgain } from "./dialogs.js";
import { announce, button, element } from "./elements.js";
import { spansOf } from "./evidence.js";
import { FindingList } from "./findings.js";
import { Forms } from "./open_forms.js";
import "./header.js";
import { nextTask } from "./next.js";
import { noteKeys } from "./note_keys.js";
import { NoteView } from "./note_view.js";
import { moved } from "./ordering.js";
import { Outbox } from "./outbox.js";
import { getJson } from "./requests.js";
import { Review } from "./review.js";
import { Selecting } from "./selecting.js";
import { StatusBar, drawHead, offerNext } from "./status_bar.js";
import { awaitSuggestions } from "./waiting.js";
import { say } from "./words.js";

const main = document.querySelector("main");
const { number, reading } = main.dataset;
const path = `/api/notes/${number}/${reading}`;
const at = (id) => document.getElementById(id);

class NotePage {
  constructor(data) {
    this.review = new Review(data);
    this.outbox = new Outbox(`${path}/decisions`, this.review, new Clock(), signInAgain);
    this.list = new CodeList(at("codes"), this.review, {
      act: (name, code) => this.act(name, code),
      poa: (code, value) => this.decide("poa", { code, value }),
      reveal: (span) => this.view?.reveal(span.begin, { isFocus: true }),
      unmark: (code, index) => this.unmark(code, index),
      order: (codes) => this.decide("order", { codes }),
      chosen: () => this.showWords(),
      point: (code) => this.view?.activate(this.list.chosen, code ? [code] : []),
    });
    this.findings = new FindingList(at("findings"), at("hints"), this.review, {
      replace: (code) => this.act("replace", code),
      pass: (finding, reason) => this.decide("override", { finding, reason }),
      choose: (code) => this.list.choose(code, { isFocused: true }),
    });
    if (!this.review.hasSuggested) this.list.sayEmpty("open", say("group.open_none"));
    this.list.place("codes", at("findings"), at("hints"));
    this.forms = new Forms(this);
    this.bar = new StatusBar(at("submit-bar"), this);
    this.#showNote(data);
    this.#listen();
    drawHead(this.review);
    this.draw();
    noteKeys(this);
    awaitSuggestions(this, path);
  }

  /** Return whether nobody has decided, typed or read anything here yet. */
  get isUntouched() {
    const { review, outbox, forms, findings, selecting } = this;
    const isChanged = review.acknowledged.number > 0 || outbox.unsent.length > 0;
    return !isChanged && !forms.open.size && !findings.hasTyped && !selecting?.span && at("note").scrollTop === 0;
  }

  #showNote({ note }) {
    const root = at("note");
    if (note.text === null) {
      root.append(element("p.empty", {}, say("note.purged")));
      return;
    }
    if (note.text.trim() === "") {
      root.append(element("p.empty", {}, say("note.empty")));
      return;
    }
    const { positions } = this.review;
    const sections = (note.sections ?? []).map((one) => ({
      ...one,
      begin: positions.toUnits(one.begin),
      end: positions.toUnits(one.end),
    }));
    this.view = new NoteView(root, { text: note.text, sections }, {
      point: (codes) => this.list.point(codes),
      choose: (codes) => this.chooseOf(codes),
    });
    this.selecting = new Selecting(this.view, {
      mark: (span, isOnly) => this.mark(this.list.chosen, span, isOnly),
      add: (span) => this.forms.openAdd(span),
      code: () => (this.review.isSubmitted ? null : this.list.chosen),
      start: () => this.review.wordsOf(this.list.chosen)[0]?.begin ?? 0,
    });
    if (this.view.hasSections) {
      let isOpen = true;
      const fold = button(say("note.fold_all"), {
        tag: "button.quiet",
        onclick: () => {
          isOpen = !isOpen;
          this.view.foldAll(isOpen);
          fold.querySelector("span").textContent = say(isOpen ? "note.fold_all" : "note.unfold_all");
        },
      });
      at("note-tools").append(fold);
    }
  }

  #listen() {
    this.outbox.addEventListener("change", () => this.draw());
    this.outbox.addEventListener("stored", ({ detail }) => this.#stored(detail));
    this.outbox.addEventListener("refused", ({ detail }) => this.#refused(detail));
    addEventListener("beforeunload", (event) => {
      if (this.outbox.unsent.length || this.forms.hasTyped || this.findings.hasTyped) {
        event.preventDefault();
      }
    });
    at("add-code").addEventListener("click", () => this.forms.openAdd(this.selecting?.span));
    at("undo").addEventListener("click", () => this.undo());
    at("note-comment").addEventListener("click", () => this.forms.openComment(null));
    const all = at("accept-agreed");
    if (all) {
      all.hidden = !this.review.readings;
      all.addEventListener("click", () => this.outbox.addAll(agreed(this.review)));
    }
  }

  draw() {
    this.list.draw();
    this.findings.draw();
    this.forms.drawComments();
    this.bar.draw();
    at("undo").disabled = !this.canUndo;
    at("add-code").disabled = this.review.isSubmitted;
    this.#drawWords();
  }

  #drawWords() {
    if (!this.view) return;
    const { open, codes } = this.review.groups();
    const shown = new Set([...open, ...codes, this.list.chosen].filter(Boolean));
    this.view.update(spansOf(this.review, [...shown]));
    this.view.activate(this.list.chosen);
  }

  /** Show the words of the code that was chosen. */
  showWords() {
    this.#drawWords();
    const first = this.review.wordsOf(this.list.chosen)[0];
    if (first) this.view?.reveal(first.begin);
  }

  /** Choose a code of words: the next one if one of them is chosen already. */
  chooseOf(codes) {
    const next = codes[(codes.indexOf(this.list.chosen) + 1) % codes.length];
    this.list.choose(next, { isScrolled: true });
    announce(`${next} ${this.review.title(next)}`);
  }

  decide(kind, details) {
    if (this.review.isSubmitted && !["reopen", "comment"].includes(kind)) {
      announce(say("submit.is_submitted"));
      return;
    }
    this.outbox.add(kind, details);
  }

  /** Do what a button or a key of a code is for. */
  act(name, code) {
    if (!code) return;
    const { review } = this;
    const isOurs = review.isOfNote(code);
    if (review.isSubmitted && name !== "comment") {
      announce(say("submit.is_submitted"));
    } else if (name === "accept") {
      if (!isOurs) this.#moveOn(code, [review.taking(code)], say("said.accepted", { code }));
    } else if (name === "reject") {
      this.forms.openReject(code);
    } else if (name === "replace") {
      if (review.suggestions.has(code) || review.isDecided(code)) this.forms.openReplace(code);
    } else if (name === "mark") {
      this.#markSelected(code);
    } else if (name === "comment") {
      this.forms.openComment(code);
    } else if (name === "poa") {
      if (isOurs) this.forms.openPoa(code);
    } else if (isOurs) {
      const by = { principal: -Infinity, up: -1, down: 1 }[name];
      const codes = moved(review.state.codes, code, by);
      if (codes.join() !== review.state.codes.join()) this.decide("order", { codes });
      announce(say("said.place", { code, place: codes.indexOf(code) + 1 }));
    }
  }

  /** Decide on a code, then choose the one to look at next. */
  settle(code, kind, details, said) {
    this.#moveOn(code, [{ kind, details: { code, ...details } }], said);
  }

  #moveOn(code, decisions, said) {
    const before = this.review.groups();
    const hadFocus = at("codes").contains(document.activeElement);
    this.outbox.addAll(decisions);
    const { open } = this.review.groups();
    const next = this.#following(code, decisions[0], before);
    if (next) this.list.choose(next, { isFocused: hadFocus, isScrolled: true });
    announce(`${said} ${say("said.left", { n: open.length })}`);
  }

  /** Return the code that follows one that was decided on, in the group in which that was. */
  #following(code, { kind, details }, before) {
    const name = ["open", "codes", "below"].find((one) => before[one].includes(code));
    if (!name) return null;
    // What replaces a code of the note has no words and no POA yet.
    if (name === "codes" && kind === "replace") return details.by;
    const groups = this.review.groups();
    const left = groups[name];
    const next = left[Math.min(before[name].indexOf(code), left.length - 1)];
    // After the last one to decide, the codes of the note are looked at, the principal one first.
    return next ?? { open: groups.codes[0], codes: groups.open[0] }[name];
  }

  #markSelected(code) {
    this.list.choose(code);
    const span = this.selecting?.span;
    if (!span) {
      this.selecting?.start();
      return;
    }
    this.selecting.stop();
    this.mark(code, span, false);
  }

  /** Mark words for a code: besides those that it has, or these only. */
  mark(code, span, isOnly) {
    const { review } = this;
    if (!code || !span) return;
    const others = isOnly
      ? []
      : review.wordsOf(code).filter((one) => one.end <= span.begin || one.begin >= span.end);
    const evidence = review.evidence([...others, span]);
    if (review.isOfNote(code)) this.decide("mark", { code, evidence });
    // Marking words for a suggestion says that it is right.
    else this.#moveOnWith(code, evidence);
    announce(say("said.marked", { code }));
  }

  #moveOnWith(code, evidence) {
    const taking = this.review.taking(code);
    this.outbox.addAll([taking, { kind: "mark", details: { code, evidence } }]);
  }

  unmark(code, index) {
    const left = this.review.wordsOf(code).filter((_, place) => place !== index);
    this.decide("mark", { code, evidence: this.review.evidence(left) });
  }

  get canUndo() {
    return this.outbox.waiting.length > 0 || this.review.state.last !== null;
  }

  undo() {
    if (!this.canUndo) return;
    // What hasn't left the page is taken back here.
    if (this.outbox.takeBack()) announce(say("said.undone"));
    else {
      this.wasUndone = this.review.state.decisions;
      this.decide("undo", { number: this.review.state.last });
    }
  }

  #stored(decisions) {
    this.draw();
    if (decisions.some((one) => one.kind === "undo")) {
      const after = this.review.state.decisions;
      const changed = [...Object.keys(after), ...Object.keys(this.wasUndone ?? {})].find(
        (code) => JSON.stringify(after[code]) !== JSON.stringify(this.wasUndone?.[code]),
      );
      if (changed && this.list.isOfPage(changed)) this.list.choose(changed, { isFocused: true });
      announce(say("said.undone"));
    }
    if (decisions.some((one) => one.kind === "submit")) this.#next();
  }

  async submit() {
    if (this.review.isSubmitted) return;
    // What the checks find is known once the last decision is stored.
    if (!this.bar.missing.length && !(await this.outbox.settled())) return;
    if (this.bar.missing.length) this.#showMissing();
    else this.decide("submit", {});
  }

  /** Go to what is missing before a submission: a code to decide, or else a finding. */
  #showMissing() {
    const { undecided, stops } = this.review;
    if (undecided.length) {
      const { chosen } = this.list;
      this.list.choose(undecided.includes(chosen) ? chosen : undecided[0], { isFocused: true });
    } else if (stops.length) this.findings.focus(stops[0].key);
    announce(this.bar.missing.join(" · "));
  }

  reopen() {
    this.decide("reopen", {});
  }

  async #next() {
    announce(say("submit.done"));
    if (!(await this.outbox.settled())) return;
    await nextTask({
      empty: () => offerNext(this.bar),
      failed: (error) => this.bar.complain(error.message),
    });
  }

  #refused({ error, refused }) {
    this.draw();
    if (error.status === 409) {
      showConflict(error.body.newer, refused, (again) => this.outbox.addAll(again));
    } else {
      const decisions = refused.map(inWords).join("; ");
      this.bar.complain(`${error.message} ${say("submit.not_stored", { decisions })}`);
    }
  }
}

async function start() {
  for (;;) {
    try {
      const data = await getJson(path);
      at("loading").remove();
      new NotePage(data);
      return;
    } catch (error) {
      if (error.status !== 401) {
        // Without data, nothing else on the page does anything.
        for (const pane of main.querySelectorAll(":scope > section")) pane.hidden = true;
        const why = error.status ? error.message : say("network.not_loaded");
        at("loading").replaceChildren(why, " ", element("a", { href: "/" }, say("queue.back")));
        if (!error.status) console.error(error);
        return;
      }
      await signInAgain();
    }
  }
}

start();
