// A note for which the model hasn't suggested codes yet: shows them as soon as they are there.

import { announce, button } from "./elements.js";
import { getJson } from "./requests.js";
import { say } from "./words.js";

const BETWEEN = 3000; // milliseconds

/**
 * Ask for the suggestions of a note until there are some, unless it has them.
 *
 * A page on which nobody has done anything is loaded again by itself.
 *
 * @param {NotePage} page The page.
 * @param {string} path Where the note is.
 */
export function awaitSuggestions(page, path) {
  const { review } = page;
  if (!review.isWaiting || review.isSubmitted) return;
  page.list.sayEmpty("open", say("group.open_waiting"));
  const look = async () => {
    let found = null;
    if (!document.hidden) {
      try {
        found = await getJson(path);
      } catch (error) {
        if (error.status) return; // refused: what the page does next says why
      }
    }
    if (found?.suggestion_set) show();
    else setTimeout(look, BETWEEN);
  };
  const show = () => {
    if (page.isUntouched) {
      location.reload();
      return;
    }
    const load = button(say("group.open_show"), { tag: "button.small", onclick: () => location.reload() });
    page.list.sayEmpty("open", say("group.open_ready"), " ", load);
    announce(say("group.open_ready"));
  };
  setTimeout(look, BETWEEN);
}
