// Makes elements. Text always becomes a text node, so that markup in a note, a title or a name is
// shown and never run.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4 4l8 8M12 4l-8 8",
  swap: "M3 5.5h9m-2.5-2.5L12 5.5 9.5 8M13 10.5H4m2.5-2.5L4 10.5 6.5 13",
  up: "M8 12.5v-9M4 7.5l4-4 4 4",
  down: "M8 3.5v9M4 8.5l4 4 4-4",
  grip: "M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01",
  pen: "M3 13l.7-3L10.5 3.2a1.3 1.3 0 0 1 1.9 0l.4.4a1.3 1.3 0 0 1 0 1.9L6 12.3z",
  comment: "M3 4.5a1 1 0 0 1 1-1h8a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H7l-3 2.5v-2.5a1 1 0 0 1-1-1z",
  chevron: "M6 4l4 4-4 4",
  plus: "M8 3.5v9M3.5 8h9",
  undo: "M6 3.5L3 6.5l3 3M3.5 6.5H10a3 3 0 0 1 0 6H6.5",
  stop: "M8 4.5v4.2M8 11.3v.01M5.2 2.5h5.6l2.7 2.7v5.6l-2.7 2.7H5.2l-2.7-2.7V5.2z",
  hint: "M8 7.2v4M8 4.9v.01M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2z",
  star: "M8 2.5l1.7 3.5 3.8.5-2.8 2.7.7 3.8L8 11.2 4.6 13l.7-3.8L2.5 6.5 6.3 6z",
};

/**
 * Return an element.
 *
 * @param {string} tag Its name, with classes: `button.quiet.small`.
 * @param {object} attributes Attributes; `on…` are listeners, `data` is the dataset, properties such
 *   as `disabled` and `value` are set as properties; null and undefined are left out.
 * @param {...(Node|string|null|false|Array)} children Its children; strings become text.
 */
export function element(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(made.dataset, value);
    else if (typeof value === "boolean" || key === "value") made[key] = value;
    else made.setAttribute(key, value);
  }
  append(made, children);
  return made;
}

function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child !== null && child !== undefined && child !== false) parent.append(child);
  }
}

/** Return an icon, which screen readers pass over. */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 16 16");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  made.append(path);
  return made;
}

/** Return a key as it is shown beside what it does; screen readers have `aria-keyshortcuts`. */
export function keyHint(key) {
  return element("kbd", { "aria-hidden": "true" }, key);
}

/** Return a button with an icon and words. */
export function button(words, { tag = "button", glyph, key, ...attributes } = {}) {
  return element(
    tag,
    { type: "button", "aria-keyshortcuts": key, ...attributes },
    glyph && icon(glyph),
    words && element("span", {}, words),
    key && keyHint(key),
  );
}

/** Return a button with an icon alone; its words are its label. */
export function iconButton(words, glyph, attributes = {}) {
  return element(
    "button.icon-only",
    { type: "button", "aria-label": words, title: words, ...attributes },
    icon(glyph),
  );
}

let region;

/** Have screen readers read a text. */
export function announce(text) {
  region ??= document.getElementById("announcements");
  // The same text twice is read only if it differs; a no-break space isn't heard.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

/** Show an element or hide it. */
export function show(one, isShown) {
  one.hidden = !isShown;
}
