// The queue page: which notes there are, and the next one.

import { showKeys, signInAgain } from "./dialogs.js";
import { announce, element } from "./elements.js";
import "./header.js";
import { listen } from "./keyboard.js";
import { keepQueueChoice, nextTask, queueChoice } from "./next.js";
import { postJson } from "./requests.js";
import { count, day, language, say, share } from "./words.js";

const MOST = 50;
const at = (id) => document.getElementById(id);
const filters = at("filters");
const rows = at("tasks");
const languages = new Intl.DisplayNames([language], { type: "language", fallback: "code" });
const me = document.body.dataset.user;
const canChange = document.body.dataset.role !== "reviewer";
let offset = 0;
let tasks = [];

function chosen() {
  const value = (name) => filters.elements[name]?.value.trim() || null;
  return {
    filter: {
      status: value("status"),
      assignee: value("assignee"),
      language: value("language"),
      code: value("code"),
      reading: Number(value("reading")) || null,
    },
    order: value("order") ?? "uncertainty",
  };
}

function fill({ filter, order }) {
  for (const [name, value] of Object.entries({ ...filter, order })) {
    const field = filters.elements[name];
    if (!field || value === null) continue;
    if (field.matches("select") && ![...field.options].some((one) => one.value === String(value))) {
      field.append(element("option", { value: String(value) }, name === "language" ? languages.of(value) : String(value)));
    }
    field.value = String(value);
  }
}

/** Ask again, after a sign-in if the session has ended. */
async function ask(path, body) {
  for (;;) {
    try {
      const answer = await postJson(path, body);
      complain("");
      return answer;
    } catch (error) {
      if (error.status !== 401) {
        complain(error.status ? error.message : say("network.not_loaded"));
        return null;
      }
      await signInAgain();
    }
  }
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

let asked = 0;

async function load() {
  asked += 1;
  const own = asked;
  const choice = chosen();
  const answer = await ask("/api/tasks", { ...choice, limit: MOST + 1, offset });
  if (!answer || own !== asked) return;
  tasks = answer.tasks.slice(0, MOST);
  drawProgress(answer);
  drawLanguages(answer.languages ?? tasks.map((one) => one.language));
  rows.replaceChildren(...tasks.map(row));
  at("task-table").hidden = tasks.length === 0;
  drawEmpty(choice, answer);
  at("before").disabled = offset === 0;
  at("after").disabled = answer.tasks.length <= MOST;
  at("pages").hidden = offset === 0 && answer.tasks.length <= MOST;
  at("range").textContent = tasks.length ? `${count(offset + 1)}–${count(offset + tasks.length)}` : "";
  announce(say("queue.shown", { n: count(tasks.length) }));
}

function drawProgress({ counts, suggesting }) {
  const { open, started, submitted } = counts;
  const all = open + started + submitted;
  const bar = at("progress");
  bar.max = Math.max(1, all);
  bar.value = submitted;
  at("progress-text").textContent = say("queue.progress", { done: count(submitted), all: count(all) });
  at("count-open").textContent = count(open);
  at("count-started").textContent = count(started);
  at("count-submitted").textContent = count(submitted);
  at("next").disabled = open + started === 0;
  const isSuggesting = suggesting && suggesting.done < suggesting.total;
  at("suggesting").hidden = !isSuggesting;
  if (isSuggesting) {
    at("suggesting").textContent = say("queue.suggesting", {
      done: count(suggesting.done),
      all: count(suggesting.total),
    });
    setTimeout(() => !document.hidden && load(), 5000);
  }
}

function drawLanguages(found) {
  const field = filters.elements.language;
  const known = new Set([...field.options].map((one) => one.value));
  for (const one of [...new Set(found)].filter((name) => name && !known.has(name)).sort()) {
    field.append(element("option", { value: one }, languages.of(one)));
  }
  field.closest("label").hidden = field.options.length < 3;
}

function drawEmpty({ filter }, { counts }) {
  const isFiltered = Object.values(filter).some((one) => one !== null);
  const all = counts.open + counts.started + counts.submitted;
  at("empty").hidden = tasks.length > 0;
  at("empty").textContent = say(isFiltered ? "queue.none_found" : all ? "queue.no_more" : "queue.no_notes");
}

function row(task, place) {
  const path = `/notes/${task.number}/${task.reading}`;
  const certain = element("meter", { min: "0", max: "5", "aria-label": say("queue.uncertainty") });
  certain.value = Math.min(5, task.uncertainty ?? 0);
  const person = task.reviewer ?? task.assignee;
  return element(
    "tr",
    { data: { place, status: task.status } },
    canChange &&
      element(
        "td.box",
        {},
        element("input", { type: "checkbox", value: String(place), "aria-label": say("queue.select", { id: task.id }), onchange: drawChange }),
      ),
    element("th", { scope: "row" }, element("a", { href: path }, task.id)),
    element("td", {}, element("span.status", { data: { status: task.status } }, say(`status.${task.status}`))),
    element("td.uncertainty", {}, task.uncertainty === null ? "–" : [certain, share(task.uncertainty)]),
    element("td", {}, day(task.day)),
    element("td", {}, task.language ? languages.of(task.language) : ""),
    element("td", {}, say(`reading.${task.reading}`)),
    element("td", {}, person === me ? say("queue.me") : (person ?? "")),
    element("td.number", {}, task.priority === 0 ? "" : count(task.priority)),
  );
}

function next() {
  keepQueueChoice(chosen());
  at("next").disabled = true;
  const done = (text) => {
    at("next").disabled = false;
    complain(text);
  };
  return nextTask({
    empty: () => done(say("queue.none_for_you")),
    failed: (error) => done(error.status ? error.message : say("network.lost")),
  });
}

function selected() {
  return [...rows.querySelectorAll("input:checked")].map((box) => tasks[Number(box.value)]);
}

function drawChange() {
  const chosenTasks = selected();
  at("change").hidden = chosenTasks.length === 0;
  at("change-number").textContent = say("queue.selected", { n: count(chosenTasks.length) });
}

async function change(event) {
  event.preventDefault();
  const { priority, assignee } = at("change").elements;
  const byReading = Map.groupBy ? Map.groupBy(selected(), (one) => one.reading) : grouped(selected());
  for (const [reading, found] of byReading) {
    const answer = await ask("/api/tasks/change", {
      notes: found.map((one) => one.number),
      reading,
      priority: Number(priority.value) || 0,
      assignee: assignee.value.trim() || null,
    });
    if (!answer) return;
  }
  at("change").hidden = true;
  await load();
}

function grouped(found) {
  const groups = new Map();
  for (const one of found) groups.set(one.reading, [...(groups.get(one.reading) ?? []), one]);
  return groups;
}

function step(by) {
  const links = [...rows.querySelectorAll("th a")];
  const place = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, place + by))]?.focus();
}

function turn(by) {
  offset = Math.max(0, offset + by * MOST);
  load().then(() => scrollTo(0, 0));
}

let typing;
fill(queueChoice());
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(
    () => {
      offset = 0;
      keepQueueChoice(chosen());
      load();
    },
    event.target.name === "code" ? 300 : 0,
  );
});
at("clear").addEventListener("click", () => {
  filters.reset();
  offset = 0;
  keepQueueChoice(chosen());
  load();
});
at("next").addEventListener("click", next);
at("before").addEventListener("click", () => turn(-1));
at("after").addEventListener("click", () => turn(1));
at("change")?.addEventListener("submit", change);
document.addEventListener("visibilitychange", () => !document.hidden && load());
const keys = [
  {
    title: say("queue.title"),
    keys: [
      [["j", "k"], say("keys.step_notes")],
      [["Enter"], say("keys.open_note")],
      [["n"], say("queue.next")],
      [["/"], say("queue.filter_code")],
      [["?"], say("keys.help")],
    ],
  },
];
at("keys").addEventListener("click", () => showKeys(keys));
listen({
  j: () => step(1),
  k: () => step(-1),
  n: () => !at("next").disabled && next(),
  "/": () => filters.elements.code.focus(),
  "?": () => showKeys(keys),
  Escape: () => document.activeElement.blur(),
});
load();
