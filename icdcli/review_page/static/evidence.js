// Cuts a stretch of a note where words behind codes begin and end. Nothing here touches the page.

/** Assertions that are shown at the words; the others say that the patient has it. */
const SHOWN = new Set(["negated", "hypothetical", "other", "family", "resolved", "historical"]);

/** Return the spans of some codes, ordered by their begin: `{begin, end, code, said, isMarked}`. */
export function spansOf(review, codes) {
  const spans = codes.flatMap((code) =>
    review.wordsOf(code).map((one) => ({
      begin: one.begin,
      end: one.end,
      code,
      said: SHOWN.has(one.assertion) ? one.assertion : null,
      isMarked: one.isMarked === true,
    })),
  );
  return spans.sort((one, other) => one.begin - other.begin || one.end - other.end);
}

/**
 * Return the pieces of a stretch: `{begin, end, codes, said, isMarked}`.
 *
 * @param {number} begin Where the stretch begins.
 * @param {number} end Where it ends.
 * @param {Array} spans The spans; those elsewhere don't matter.
 */
export function pieces(begin, end, spans) {
  const cuts = new Set([begin, end]);
  for (const span of spans) {
    for (const place of [span.begin, span.end]) {
      if (place > begin && place < end) cuts.add(place);
    }
  }
  const places = [...cuts].sort((one, other) => one - other);
  const found = [];
  for (let at = 0; at + 1 < places.length; at += 1) {
    const [from, to] = [places[at], places[at + 1]];
    const here = spans.filter((span) => span.begin < to && span.end > from);
    found.push({
      begin: from,
      end: to,
      codes: [...new Set(here.map((span) => span.code))],
      // What the note says is written once, after the last of the words.
      said: [...new Set(here.filter((one) => one.said && one.end === to).map((one) => one.said))],
      isMarked: here.some((span) => span.isMarked),
    });
  }
  return found;
}

/** Return the paragraphs of a stretch of text as `[begin, end]`: lines up to an empty one. */
export function paragraphs(text, begin, end, most = 1500) {
  const found = [];
  let from = begin;
  let at = begin;
  while (at < end) {
    const next = text.indexOf("\n", at);
    const stop = next < 0 || next >= end ? end : next + 1;
    const isEmpty = text.slice(at, stop).trim() === "";
    if (isEmpty || stop - from > most) {
      found.push([from, stop]);
      from = stop;
    }
    at = stop;
  }
  if (from < end) found.push([from, end]);
  return found;
}

/** Return the sections of a note with what is between them: `{begin, end, title}`. */
export function withoutGaps(sections, length) {
  const found = [];
  let at = 0;
  for (const one of [...sections].sort((a, b) => a.begin - b.begin)) {
    if (one.begin > at) found.push({ begin: at, end: one.begin, title: "" });
    if (one.end > Math.max(at, one.begin)) found.push({ ...one, begin: Math.max(at, one.begin) });
    at = Math.max(at, one.end);
  }
  if (at < length) found.push({ begin: at, end: length, title: "" });
  return found;
}

const WORD = /[\p{L}\p{N}]/u;

/** Return a selection without the space around it, and with the whole of the words that it cuts. */
export function wholeWords(text, begin, end) {
  while (begin < end && /\s/.test(text[begin])) begin += 1;
  while (end > begin && /\s/.test(text[end - 1])) end -= 1;
  if (begin === end) return null;
  while (begin > 0 && WORD.test(text[begin]) && WORD.test(text[begin - 1])) begin -= 1;
  while (end < text.length && WORD.test(text[end - 1]) && WORD.test(text[end])) end += 1;
  // Never within a character of two units.
  if (/[\udc00-\udfff]/.test(text[begin])) begin -= 1;
  if (end < text.length && /[\udc00-\udfff]/.test(text[end])) end += 1;
  return { begin, end };
}
