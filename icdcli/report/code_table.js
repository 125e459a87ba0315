"use strict";
// The table of codes: search, sort, and download. A page without this script lacks only the table.
const dataOf = (id) => JSON.parse(document.getElementById(id).textContent);
const { columns, rows, chapters, hidden, formats } = dataOf("data");
const visible = columns.map((_, place) => place).filter((place) => !hidden.includes(columns[place]));
const [chapterOf, goldOf, titleOf] = ["chapter", "gold", "title"].map((name) => columns.indexOf(name));
const isText = (name) => formats[name] === "text";
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
// Codes are found with and without their dots.
const searched = rows.map((row) => plain(row[0] + " " + row[0].replaceAll(".", "") + " " + (row[titleOf] || "")));
const head = document.querySelector("#codes thead"), body = document.querySelector("#codes tbody");
const [search, chapter, least, found, more] = ["search", "chapter", "least", "found", "more"].map((id) => document.getElementById(id));
let sorted = { place: goldOf, down: true }, shown = 100;
chapters.forEach((name, place) => chapter.add(new Option(name, String(place))));
if (chapters.length < 2) chapter.parentElement.hidden = true;
const written = (value, name) => {
  if (value === null) return "";
  if (formats[name] === "share") return value.toFixed(3);
  if (formats[name] === "difference") return (value > 0 ? "+" : "") + value.toFixed(3);
  return typeof value === "number" ? value.toLocaleString("en") : value;
};
// Of equal values, the code with more gold documents comes first.
const compare = (one, other) => {
  const [a, b] = [rows[one][sorted.place], rows[other][sorted.place]];
  if (a === null || b === null) { if (a !== b) return a === null ? 1 : -1; }
  else if (a !== b) return (a < b ? -1 : 1) * (sorted.down ? -1 : 1);
  return rows[other][goldOf] - rows[one][goldOf] || one - other;
};
const chosen = () => {
  const words = plain(search.value).split(/\s+/).filter(Boolean);
  return rows.map((_, place) => place).filter((place) =>
    words.every((word) => searched[place].includes(word))
    && (chapter.value === "" || rows[place][chapterOf] === Number(chapter.value))
    && rows[place][goldOf] >= Number(least.value)).sort(compare);
};
const cell = (row, place) => {
  const element = document.createElement("td"), name = columns[place];
  if (isText(name)) element.className = "text";
  if (name === "title" && row[place] === null) {
    element.className = "text missing";
    element.textContent = "(no title)";
  } else element.textContent = written(row[place], name);
  return element;
};
const draw = () => {
  const places = chosen();
  body.replaceChildren(...places.slice(0, shown).map((place) => {
    const line = document.createElement("tr");
    line.append(...visible.map((column) => cell(rows[place], column)));
    return line;
  }));
  found.textContent = places.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " codes"
    + (places.length > shown ? "; the first " + shown.toLocaleString("en") + " are shown" : "");
  more.hidden = places.length <= shown;
  head.querySelectorAll("th").forEach((th, at) => {
    const own = visible[at] === sorted.place;
    th.setAttribute("aria-sort", !own ? "none" : sorted.down ? "descending" : "ascending");
    th.firstChild.textContent = columns[visible[at]].replaceAll("_", " ") + (!own ? "" : sorted.down ? " ↓" : " ↑");
  });
};
head.append(document.createElement("tr"));
visible.forEach((place) => {
  const th = document.createElement("th"), button = document.createElement("button");
  button.type = "button";
  th.scope = "col";
  if (isText(columns[place])) th.className = "text";
  th.append(button);
  button.addEventListener("click", () => {
    sorted = { place, down: place === sorted.place ? !sorted.down : !isText(columns[place]) };
    draw();
  });
  head.firstChild.append(th);
});
[search, chapter, least].forEach((field) => field.addEventListener("input", () => { shown = 100; draw(); }));
more.addEventListener("click", () => { shown += 400; draw(); });
document.getElementById("download").addEventListener("click", () => {
  const quoted = (value) => value === null ? "" : /[",\r\n]/.test(value) ? '"' + String(value).replaceAll('"', '""') + '"' : String(value);
  const named = (row) => row.map((value, place) => place === chapterOf ? chapters[value] ?? null : value);
  const lines = [columns, ...chosen().map((place) => named(rows[place]))].map((row) => row.map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "codes.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
draw();
