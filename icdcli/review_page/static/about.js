// What the edition says about a code: its notes, and the codes around it. Loaded on demand.

import { button, element } from "./elements.js";
import { postJson } from "./requests.js";
import { say } from "./words.js";

const KINDS = ["includes", "excludes1", "excludes2", "code_first", "use_additional", "code_also"];
const known = new Map();

/** Return what the edition says about a code; it is asked for once. */
export function about(code) {
  if (!known.has(code)) {
    const asked = postJson("/api/codes/about", { code });
    asked.catch(() => known.delete(code));
    known.set(code, asked);
  }
  return known.get(code);
}

let isOpen = localStorage.getItem("notes") === "open";

/** Return the notes of a code, which fold; the choice counts for all codes. */
export function aboutNotes(code) {
  const body = element("div.about-body", { "aria-live": "off" });
  const made = element(
    "details.about",
    { open: isOpen },
    element("summary", {}, say("about.title")),
    body,
  );
  let isLoaded = false;
  const load = async () => {
    if (isLoaded || !made.open) return;
    isLoaded = true;
    try {
      body.replaceChildren(...notesOf(await about(code)));
    } catch (error) {
      if (error.status === 404) {
        body.replaceChildren(element("p.hint", {}, say("about.unknown")));
        return;
      }
      isLoaded = false;
      const again = button(say("about.again"), { onclick: load });
      body.replaceChildren(element("p.hint", {}, say("about.failed"), " ", again));
    }
  };
  made.addEventListener("toggle", () => {
    isOpen = made.open;
    localStorage.setItem("notes", isOpen ? "open" : "closed");
    load();
  });
  // Those who only pass over a code needn't wait for its notes.
  if (known.has(code)) load();
  else setTimeout(() => made.isConnected && load(), 150);
  return made;
}

function notesOf({ code, notes, edition, parents }) {
  const lists = KINDS.filter((kind) => notes?.[kind]?.length).map((kind) => [
    element("dt", {}, say(`about.${kind}`)),
    notes[kind].map((one) => [
      one.code !== code && element("dd.from", {}, say("about.from", { code: one.code })),
      one.texts.map((text) => element("dd", {}, text)),
    ]),
  ]);
  const path = (parents ?? []).map((one) => `${one.code} ${one.title}`).join(" › ");
  return [
    lists.length ? element("dl", {}, lists) : element("p.hint", {}, say("about.none")),
    path && element("p.path", {}, path),
    edition && element("p.numbers", {}, edition),
  ].filter(Boolean);
}
