// The two blind readings beside each code, for the third person who settles the differences.

import { element, icon } from "./elements.js";
import { counts } from "./folding.js";
import { reasonText } from "./reasons.js";
import { say } from "./words.js";

const SIGNS = { accepted: "check", added: "plus", rejected: "cross", replaced: "swap" };

/** Return what both readings made of a code, side by side. */
export function readingsOf(review, code) {
  return element(
    `div.readings${review.differs(code) ? ".is-different" : ""}`,
    {},
    review.readings.map((one) => readingOf(one, code)),
  );
}

function readingOf({ reviewer, state }, code) {
  const decision = state.decisions[code];
  const status = decision?.status ?? "none";
  const place = state.codes.indexOf(code);
  const more = [
    place === 0 && say("code.principal"),
    decision?.poa && `${say("poa.short")} ${decision.poa}`,
    decision?.replaced_by && say("code.replaced_by", { code: decision.replaced_by }),
    decision?.reason && reasonText(decision.reason),
    ...(state.comments.find((one) => one.code === code)?.texts ?? []),
  ].filter(Boolean);
  return element(
    "div.reading",
    { data: { status } },
    element("span.reader", {}, reviewer),
    element(
      `span.verdict${counts(decision) ? ".is-kept" : ""}`,
      {},
      SIGNS[status] && icon(SIGNS[status]),
      say(`status.${status}`),
    ),
    more.length > 0 && element("span.more", {}, more.join(" · ")),
  );
}

/** Return the decisions that settle all undecided codes on which the readings agree. */
export function agreed(review) {
  const settled = review
    .groups()
    .open.filter((code) => !review.differs(code))
    .map((code) => {
      const states = review.readings.map((one) => one.state.decisions[code]);
      if (states.some(counts)) return review.taking(code);
      const [by, other] = states.map((one) => one?.replaced_by);
      // Not by a code that isn't one of the note's any more.
      if (by && by === other && (review.isOfNote(by) || !review.isDecided(by))) {
        return { kind: "replace", details: { code, by } };
      }
      const reason = states.find((one) => one?.reason)?.reason;
      return reason && { kind: "reject", details: { code, reason } };
    })
    .filter(Boolean);
  // A code can be added only before it replaces another one.
  return [
    ...settled.filter((one) => one.kind !== "replace"),
    ...settled.filter((one) => one.kind === "replace"),
  ];
}
