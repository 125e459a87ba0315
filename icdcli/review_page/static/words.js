// The words of the interface, in the language of the page.

const words = JSON.parse(document.getElementById("words").textContent);

export const language = document.documentElement.lang;

/** Return the words with a key, with `{name}` replaced by values. */
export function say(key, values = {}) {
  const found = words[key];
  if (found === undefined) throw new Error(`no words for ${key}`);
  return found.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** Return whether there are words with a key. */
export function has(key) {
  return words[key] !== undefined;
}

const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const shares = new Intl.NumberFormat(language, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const counts = new Intl.NumberFormat(language);

export const percent = (value) => percents.format(value);
export const share = (value) => shares.format(value);
export const count = (value) => counts.format(value);

/** Return a day, `2026-11-03`, as people write it; anything else is returned as it is. */
export function day(value) {
  const at = /^\d{4}-\d\d-\d\d$/.test(value ?? "") ? new Date(`${value}T00:00:00`) : null;
  return at && !Number.isNaN(at.valueOf())
    ? at.toLocaleDateString(language, { dateStyle: "medium" })
    : (value ?? "");
}
