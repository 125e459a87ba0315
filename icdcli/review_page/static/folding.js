// The state after a decision, as the server will compute it, so that the page needn't wait. The
// server's answer replaces it.

const COUNTS = ["accepted", "added"];

/** Return whether a code with this decision is one of the note's codes. */
export function counts(decision) {
  return decision !== undefined && COUNTS.includes(decision.status);
}

function codesOf(decisions, order, before) {
  // The codes before come first: JavaScript puts keys such as 486 (ICD-9-CM) before all others.
  const all = [...new Set([...order, ...before, ...Object.keys(decisions)])];
  return all.filter((code) => counts(decisions[code]));
}

const CHANGES = {
  accept(state, { code }) {
    if (!counts(state.decisions[code])) state.decisions[code] = { status: "accepted" };
  },
  reject(state, { code, reason }) {
    state.decisions[code] = { status: "rejected", reason };
  },
  replace(state, { code, by, reason }) {
    const { evidence, poa } = state.decisions[code] ?? {};
    state.order = state.order.filter((one) => one !== by).map((one) => (one === code ? by : one));
    state.decisions[code] = { status: "replaced", reason, replaced_by: by };
    if (!counts(state.decisions[by])) {
      state.decisions[by] = { status: "added", replaces: code, evidence, poa };
    }
  },
  add(state, { code, evidence }) {
    state.decisions[code] = { status: "added", evidence };
  },
  mark(state, { code, evidence }) {
    state.decisions[code] = { ...state.decisions[code], evidence };
  },
  poa(state, { code, value }) {
    state.decisions[code] = { ...state.decisions[code], poa: value };
  },
  order(state, { codes }) {
    state.order = codes;
  },
  comment(state, { code = null, text }) {
    const before = state.comments.find((one) => one.code === code);
    state.comments = [
      ...state.comments.filter((one) => one !== before),
      { code, texts: [...(before?.texts ?? []), text] },
    ];
  },
  override(state, { finding, reason }) {
    state.overrides = { ...state.overrides, [finding]: reason };
  },
  submit(state) {
    state.submitted = true;
  },
  reopen(state) {
    state.submitted = false;
  },
  undo() {
    // What it takes back is known to the server alone; the answer brings it.
  },
};

/** Return the codes before a decision, with what replaces one of them in its place. */
function placesAfter({ codes, decisions }, kind, { code, by }) {
  if (kind !== "replace" || counts(decisions[by])) return codes;
  return codes.map((one) => (one === code ? by : one));
}

/** Return the state after a decision. */
export function folded(before, { kind, details }) {
  const state = { ...before, decisions: { ...before.decisions }, number: before.number + 1 };
  CHANGES[kind](state, details);
  state.codes = codesOf(state.decisions, state.order, placesAfter(before, kind, details));
  state.last = state.submitted || ["undo", "reopen"].includes(kind) ? null : state.number;
  return state;
}
