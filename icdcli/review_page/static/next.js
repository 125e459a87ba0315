// Brings the next task of the queue, chosen as the queue page was left.

import { signInAgain } from "./dialogs.js";
import { postJson } from "./requests.js";

const EVERYTHING = { filter: {}, order: "uncertainty" };

/** Return how the queue is filtered and ordered in this tab. */
export function queueChoice() {
  try {
    return { ...EVERYTHING, ...JSON.parse(sessionStorage.getItem("queue") ?? "{}") };
  } catch {
    return EVERYTHING; // another version of the page wrote it
  }
}

export function keepQueueChoice(choice) {
  sessionStorage.setItem("queue", JSON.stringify(choice));
}

/** Go to the next task; `empty` is called if there is none, `failed` with an error. */
export async function nextTask({ empty, failed }) {
  const { filter, order } = queueChoice();
  for (;;) {
    try {
      // The queue gives only what is left to do, whatever status is listed.
      const { task } = await postJson("/api/tasks/next", { filter: { ...filter, status: null }, order });
      if (task) location.assign(`/notes/${task.number}/${task.reading}`);
      else empty();
      return;
    } catch (error) {
      if (error.status !== 401) {
        failed(error);
        return;
      }
      await signInAgain();
    }
  }
}
