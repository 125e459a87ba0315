// One code: a line when it isn't chosen; with its words, its actions and its notes when it is.

import { aboutNotes } from "./about.js";
import { button, element, icon, iconButton } from "./elements.js";
import { readingsOf } from "./adjudication.js";
import { reasonText } from "./reasons.js";
import { percent, say, share } from "./words.js";

export const POA = ["Y", "N", "U", "W", "exempt"];

/**
 * Return the card of a code, empty; it is kept as long as the page, so that it keeps the focus.
 *
 * @param {string} code The code.
 * @param {object} on What happens: `choose(code)`, `point(code)`, `act(name, code)`,
 *   `poa(code, value)`, `reveal(span)`, `unmark(code, index)`, `grab(event, code)`.
 */
export function makeCard(code, on) {
  const card = element("article.code", {
    id: `code-${code}`,
    tabindex: "-1",
    "aria-labelledby": `title-${code}`,
    data: { code },
    onpointerenter: () => on.point(code),
    onpointerleave: () => on.point(null),
    onfocusin: (event) => (event.target === card ? on.choose(code) : on.point(code)),
    onclick: (event) => event.target.closest(INTERACTIVE) === card && on.choose(code),
  });
  return card;
}

const INTERACTIVE = "button, select, a, input, textarea, summary, form, article";

/**
 * Draw a card.
 *
 * @param {HTMLElement} card What `makeCard` returned.
 * @param {Review} review The review.
 * @param {object} shown `isChosen`, `place` (among the note's codes, from 0; -1: it isn't one), and
 *   `form`, an element below the code, such as that of a rejection.
 * @param {object} on See `makeCard`.
 */
export function drawCard(card, review, { isChosen, place, form }, on) {
  const { code } = card.dataset;
  const isOurs = review.isOfNote(code);
  card.tabIndex = isChosen ? 0 : -1;
  card.dataset.status = review.decision(code)?.status ?? "open";
  if (isChosen) card.setAttribute("aria-current", "true");
  else card.removeAttribute("aria-current");
  const children = [
    isOurs && !review.isSubmitted && grip(code, on),
    element(
      "div.code-line",
      { id: `title-${code}` },
      element("span.code-name", {}, code),
      " ",
      element("span.code-title", {}, review.title(code) || say("code.untitled")),
      " ",
      tags(review, code, place),
    ),
    isOurs && poaChoice(review, code, on),
    trust(review, code),
    quickActions(review, code, on),
    review.readings && readingsOf(review, code),
    isChosen ? details(review, code, { place, form }, on) : form,
  ];
  card.replaceChildren(...children.filter(Boolean));
}

function grip(code, on) {
  return element(
    "span.grip",
    { "aria-hidden": "true", onpointerdown: (event) => on.grab(event, code) },
    icon("grip"),
  );
}

function tags(review, code, place) {
  const decision = review.decision(code);
  const findings = review.findingsOn(code);
  const worst = findings.some((one) => review.stops.includes(one)) ? "stop" : "hint";
  return element(
    "span.tags",
    {},
    place === 0 && element("span.tag.is-principal", {}, say("code.principal")),
    decision?.status === "added" && !decision.replaces && element("span.tag", {}, say("code.added")),
    decision?.replaces && element("span.tag", {}, say("code.replaces", { code: decision.replaces })),
    decision?.replaced_by &&
      element("span.tag", {}, say("code.replaced_by", { code: decision.replaced_by })),
    decision?.status === "rejected" && element("span.tag", {}, reasonText(decision.reason)),
    review
      .assertionsOf(code)
      .map((one) => element("span.tag.is-said", { data: { said: one } }, say(`assertion.${one}`))),
    isOfNoteWith(findings, review, code) &&
      element(`span.tag.is-${worst}`, {}, icon(worst), say(`finding.${worst}`)),
    review.commentsOn(code).length > 0 &&
      element(
        "span.tag",
        { "aria-label": say("comment.number", { n: review.commentsOn(code).length }), role: "img" },
        icon("comment"),
        String(review.commentsOn(code).length),
      ),
  );
}

function isOfNoteWith(findings, review, code) {
  return findings.length > 0 && review.isOfNote(code);
}

function trust(review, code) {
  const suggestion = review.suggestions.get(code);
  if (!suggestion) return element("span.trust");
  const bar = element("span.bar", { "aria-hidden": "true" });
  bar.style.setProperty("--part", suggestion.confidence);
  return element(
    "span.trust",
    { title: say("code.confidence") },
    bar,
    element("span.visually-hidden", {}, `${say("code.confidence")} `),
    element("span.number", {}, percent(suggestion.confidence)),
  );
}

function quickActions(review, code, on) {
  if (review.isSubmitted) return null;
  const isOurs = review.isOfNote(code);
  const isRejected = review.decision(code)?.status === "rejected";
  return element(
    "span.quick",
    {},
    !isOurs &&
      iconButton(say("action.accept_code", { code }), "check", {
        class: "icon-only accept",
        onclick: () => on.act("accept", code),
      }),
    !isRejected &&
      iconButton(say("action.reject_code", { code }), "cross", {
        class: "icon-only reject",
        onclick: () => on.act("reject", code),
      }),
  );
}

function poaChoice(review, code, on) {
  const value = review.decision(code).poa ?? "";
  const label = say("poa.of_code", { code });
  return element(
    "span.poa",
    { title: say("poa.title") },
    element(
      "select",
      {
        "aria-label": label,
        disabled: review.isSubmitted,
        onchange: (event) => on.poa(code, event.target.value),
      },
      !value && element("option", { value: "", selected: true }, say("poa.short")),
      POA.map((one) => element("option", { value: one, selected: one === value }, poaText(one))),
    ),
  );
}

/** Return what a value of present on admission means, its letter first. */
export function poaText(value) {
  // The wide space ends what a closed field shows: the letter.
  return `${value === "exempt" ? "E" : value}\u2003\u2003${say(`poa.${value}`)}`;
}

function details(review, code, { place, form }, on) {
  return element(
    "div.details",
    {},
    wordsList(review, code, on),
    comments(review.commentsOn(code)),
    form ?? (!review.isSubmitted && actions(review, code, place, on)),
    !form && numbers(review, code),
    !form && aboutNotes(code),
  );
}

function wordsList(review, code, on) {
  const text = review.note.text;
  const words = review.wordsOf(code);
  if (text === null) return null;
  if (!words.length) return element("p.hint", {}, say("code.no_words"));
  const canRemove = review.isOfNote(code) && !review.isSubmitted;
  return element(
    "ul.words",
    { "aria-label": say("code.words") },
    words.map((one, at) =>
      element(
        "li",
        {},
        element(
          "button.snippet",
          { type: "button", onclick: () => on.reveal(one), "aria-keyshortcuts": at < 9 ? String(at + 1) : null },
          at < 9 && element("kbd", { "aria-hidden": "true" }, String(at + 1)),
          element("q", {}, shortened(text.slice(one.begin, one.end))),
          one.assertion && one.assertion !== "affirmed" &&
            element("span.tag.is-said", {}, say(`assertion.${one.assertion}`)),
        ),
        canRemove &&
          iconButton(say("marking.remove"), "cross", { onclick: () => on.unmark(code, at) }),
      ),
    ),
  );
}

function shortened(text, most = 90) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

/** Return the comments on a code or on the note. */
export function comments(texts) {
  if (!texts.length) return null;
  return element(
    "ul.comments",
    { "aria-label": say("comment.list") },
    texts.map((text) => element("li", {}, text)),
  );
}

function actions(review, code, place, on) {
  const isOurs = review.isOfNote(code);
  const isSuggested = review.suggestions.has(code) || review.isDecided(code);
  const act = (name) => () => on.act(name, code);
  const last = review.state.codes.length - 1;
  return element(
    "div.actions",
    {},
    !isOurs && button(say("action.accept"), { tag: "button.accept", key: "a", onclick: act("accept") }),
    isSuggested && button(say("action.reject"), { tag: "button.reject", key: "x", onclick: act("reject") }),
    isSuggested && button(say("action.replace"), { key: "r", onclick: act("replace") }),
    review.note.text !== null && button(say("action.mark"), { key: "m", onclick: act("mark") }),
    button(say("action.comment"), { key: "c", onclick: act("comment") }),
    isOurs && place > 0 && button(say("action.principal"), { key: "P", onclick: act("principal") }),
    isOurs && place > 0 &&
      iconButton(say("action.up"), "up", { onclick: act("up"), "aria-keyshortcuts": "K" }),
    isOurs && place < last &&
      iconButton(say("action.down"), "down", { onclick: act("down"), "aria-keyshortcuts": "J" }),
  );
}

function numbers(review, code) {
  const suggestion = review.suggestions.get(code);
  if (!suggestion) return null;
  const { score, threshold, edition, predicted } = suggestion;
  return element(
    "p.numbers",
    {},
    say(predicted ? "code.above" : "code.below", { score: share(score), threshold: share(threshold) }),
    edition && ` · ${edition.split("@")[0]}`,
    review.model && ` · ${review.model.name}`,
  );
}
