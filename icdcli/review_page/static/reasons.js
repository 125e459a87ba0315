// Reasons for a rejection that are a key away. They are stored in English, whatever the language of
// the page, so that they can be counted.

import { has, say } from "./words.js";

export const QUICK_REASONS = [
  "not documented",
  "denied or ruled out",
  "not of this patient or stay",
  "more specific code",
  "part of another code",
  "not relevant to this stay",
];

const keyOf = (reason) => `reason.${reason.replaceAll(" ", "_")}`;

/** Return a reason in the language of the page if it is one of the quick ones. */
export function reasonText(reason) {
  if (!reason) return "";
  return has(keyOf(reason)) ? say(keyOf(reason)) : reason;
}
