// A field that finds codes by words or by the beginning of a code, from two characters on.

import { announce, element } from "./elements.js";
import { postJson } from "./requests.js";
import { count, say } from "./words.js";

const WAIT = 120; // milliseconds without a key after which it searches
const MOST = 12;
let numbered = 0;

/**
 * Return the label and the field with its list.
 *
 * @param {Review} review The review; codes that the note has already can't be chosen.
 * @param {string} words The label.
 * @param {function} choose Is called with the code that is chosen.
 */
export function codeSearch(review, words, choose) {
  numbered += 1;
  const id = `search-${numbered}`;
  const list = element("ul.found", { id: `${id}-list`, role: "listbox", "aria-label": say("search.found"), hidden: true });
  const status = element("p.hint", {}, say("search.start"));
  const input = element("input", {
    id,
    type: "search",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "200",
    "aria-expanded": "false",
    "aria-autocomplete": "list",
    "aria-controls": list.id,
  });
  const search = { input, list, status, choose, review, id, at: -1, codes: [], asked: "" };
  input.addEventListener("input", () => {
    clearTimeout(search.timer);
    search.timer = setTimeout(() => find(search), WAIT);
  });
  input.addEventListener("keydown", (event) => press(search, event));
  return [
    element("label", { for: id }, words),
    element("div.code-search", {}, input, list, status),
  ];
}

async function find(search) {
  const query = search.input.value.trim();
  search.asked = query;
  if (query.length < 2) {
    draw(search, []);
    search.status.textContent = say("search.start");
    return;
  }
  try {
    const { codes } = await postJson("/api/codes/search", { query, limit: MOST });
    if (search.asked !== query) return; // an answer to what has been typed before
    draw(search, codes);
    const found = codes.length ? say("search.number", { n: count(codes.length) }) : say("search.none");
    search.status.textContent = codes.length ? "" : found;
    announce(found);
  } catch {
    if (search.asked !== query) return;
    draw(search, []);
    search.status.textContent = say("search.failed");
  }
}

function draw(search, codes) {
  search.codes = codes;
  search.list.replaceChildren(
    ...codes.map((one, at) => {
      const isOurs = search.review.isOfNote(one.code);
      const isOff = isOurs || one.assignable === false;
      return element(
        "li",
        {
          id: `${search.id}-${at}`,
          role: "option",
          "aria-selected": "false",
          "aria-disabled": isOff ? "true" : null,
          onpointerdown: (event) => event.preventDefault(),
          onclick: () => take(search, at),
        },
        element("span.code-name", {}, one.code),
        " ",
        element("span.code-title", {}, one.title ?? ""),
        one.term && element("span.hint", {}, ` ${one.term}`),
        one.assignable === false && element("span.tag", {}, say("search.not_assignable")),
        isOurs && element("span.tag", {}, say("search.is_ours")),
        one.in_model === false && element("span.tag", { title: say("search.not_in_model") }, say("search.unknown_to_model")),
      );
    }),
  );
  search.list.hidden = codes.length === 0;
  search.input.setAttribute("aria-expanded", String(codes.length > 0));
  // A list that opens at the lower edge of the pane would be out of sight.
  if (codes.length) search.list.parentElement.scrollIntoView({ block: "nearest" });
  const first = search.list.querySelector("li:not([aria-disabled])");
  point(search, first ? [...search.list.children].indexOf(first) : codes.length ? 0 : -1);
}

function point(search, at) {
  search.at = at;
  [...search.list.children].forEach((item, place) =>
    item.setAttribute("aria-selected", String(place === at)),
  );
  if (at < 0) search.input.removeAttribute("aria-activedescendant");
  else {
    search.input.setAttribute("aria-activedescendant", `${search.id}-${at}`);
    search.list.children[at].scrollIntoView({ block: "nearest" });
  }
}

function press(search, event) {
  const { length } = search.codes;
  if (event.key === "ArrowDown" && length) point(search, (search.at + 1) % length);
  else if (event.key === "ArrowUp" && length) point(search, (search.at - 1 + length) % length);
  else if (event.key === "Enter" && !event.isComposing) {
    // What was typed last may not be searched yet: then Enter would take an older answer.
    if (search.asked === search.input.value.trim()) take(search, search.at);
  } else return;
  event.preventDefault();
}

function take(search, at) {
  const found = search.codes[at];
  if (!found) return;
  if (search.review.isOfNote(found.code)) announce(say("search.is_ours"));
  else if (found.assignable === false) announce(say("search.not_assignable"));
  else search.choose(found);
}
