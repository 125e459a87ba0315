// What the page knows of a note: its suggestions, what is decided, and what isn't decided yet.
// Nothing here touches the page.

import { counts, folded } from "./folding.js";
import { Positions } from "./positions.js";

/** Assertions that say that the patient has, or had, what the words name. */
const OF_THE_PATIENT = [undefined, null, "affirmed", "historical"];

export class Review {
  constructor(data) {
    this.note = data.note;
    this.model = data.model;
    this.suggestionSet = data.suggestion_set;
    this.isWaiting = data.suggesting === true; // for suggestions
    this.readings = data.readings ?? null;
    this.positions = new Positions(data.note.text ?? "");
    this.suggestions = new Map(data.suggestions.map((one) => [one.code, this.#inUnits(one)]));
    this.titles = new Map();
    this.drafts = [];
    this.accept(data);
  }

  #inUnits(suggestion) {
    return {
      ...suggestion,
      evidence: suggestion.evidence.map((span) => ({
        ...span,
        begin: this.positions.toUnits(span.begin),
        end: this.positions.toUnits(span.end),
      })),
    };
  }

  /** Take over an answer of the server: the state, the findings and the titles. */
  accept({ state, findings, titles }) {
    this.acknowledged = state;
    this.findings = findings ?? this.findings ?? [];
    for (const [code, title] of Object.entries(titles ?? {})) this.titles.set(code, title);
    this.#fold();
  }

  /** Set the decisions that the server hasn't acknowledged. */
  setDrafts(drafts) {
    this.drafts = drafts;
    this.#fold();
  }

  #fold() {
    this.state = this.drafts.reduce(folded, this.acknowledged);
  }

  get isSubmitted() {
    return this.state.submitted;
  }

  title(code) {
    return this.suggestions.get(code)?.title ?? this.titles.get(code) ?? "";
  }

  decision(code) {
    return this.state.decisions[code];
  }

  isDecided(code) {
    return this.decision(code) !== undefined;
  }

  isOfNote(code) {
    return counts(this.decision(code));
  }

  /** Return all codes of the page in groups, each in the order in which it is shown. */
  groups() {
    const suggested = [...this.suggestions.values()];
    const undecided = suggested.filter((one) => !this.isDecided(one.code));
    const open = undecided.filter((one) => one.predicted).map((one) => one.code);
    const fromReadings = this.#codesOfReadings().filter(
      (code) => !this.isDecided(code) && !open.includes(code),
    );
    return {
      open: this.#differencesFirst([...open, ...fromReadings]),
      codes: this.state.codes,
      below: undecided
        .filter((one) => !one.predicted && !fromReadings.includes(one.code))
        .map((one) => one.code),
      dropped: Object.keys(this.state.decisions).filter((code) => !this.isOfNote(code)),
    };
  }

  #codesOfReadings() {
    return [...new Set((this.readings ?? []).flatMap((one) => one.state.codes))];
  }

  /** Return whether the two blind readings differ on a code. */
  differs(code) {
    const found = (this.readings ?? []).map((one) => one.state.codes.includes(code));
    return found.length > 1 && found.some((one) => one !== found[0]);
  }

  #differencesFirst(codes) {
    if (!this.readings) return codes;
    return [
      ...codes.filter((code) => this.differs(code)),
      ...codes.filter((code) => !this.differs(code)),
    ];
  }

  /** Return the words behind a code in UTF-16 positions: those marked, else those suggested. */
  wordsOf(code) {
    const marked = this.decision(code)?.evidence;
    if (marked) {
      return marked.map(([begin, end]) => ({
        begin: this.positions.toUnits(begin),
        end: this.positions.toUnits(end),
        isMarked: true,
      }));
    }
    return this.suggestions.get(code)?.evidence ?? [];
  }

  /** Return the words of a code as the server writes them. */
  evidence(spans) {
    const inPoints = spans.map(({ begin, end }) => [
      this.positions.toPoints(begin),
      this.positions.toPoints(end),
    ]);
    return inPoints.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  }

  /** Return what the note says of a code's words if none says that the patient has it. */
  assertionsOf(code) {
    const words = this.wordsOf(code);
    if (words.some((one) => OF_THE_PATIENT.includes(one.assertion))) return [];
    return [...new Set(words.map((one) => one.assertion))];
  }

  commentsOn(code) {
    return this.state.comments.find((one) => one.code === code)?.texts ?? [];
  }

  findingsOn(code) {
    return this.findings.filter((one) => one.codes.includes(code));
  }

  /** Return the findings that forbid to submit. */
  get stops() {
    return this.findings.filter(
      (one) => one.severity === "hard" && !(one.key in this.state.overrides),
    );
  }

  /** Return whether something was to be decided when the page was opened, or is. */
  get hasSuggested() {
    return this.readings !== null || this.numberToDecide > 0;
  }

  /** Return how many codes are to be decided, those that are decided included. */
  get numberToDecide() {
    const predicted = [...this.suggestions.values()].filter((one) => one.predicted);
    return new Set([...predicted.map((one) => one.code), ...this.#codesOfReadings()]).size;
  }

  /** Return the codes that must be decided before a submission: of the model, and of readings. */
  get undecided() {
    return this.groups().open;
  }

  /** Return the decision that makes a code one of the note's codes. */
  taking(code, spans = null) {
    if (this.suggestions.has(code) || this.isDecided(code)) {
      return { kind: "accept", details: { code } };
    }
    const evidence = spans?.length ? { evidence: this.evidence(spans) } : this.#evidenceRead(code);
    return { kind: "add", details: { code, ...evidence } };
  }

  #evidenceRead(code) {
    const read = (this.readings ?? []).map((one) => one.state.decisions[code]?.evidence);
    const evidence = read.find((one) => one?.length);
    return evidence ? { evidence } : {};
  }
}
