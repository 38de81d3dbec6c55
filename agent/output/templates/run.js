"use strict";
const SIZE = 60;
const items = JSON.parse(document.getElementById("data").textContent);
const el = (id) => document.getElementById(id);
const make = (tag, text, name) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
};
const number = (n) => n.toLocaleString("en");
const percent = (p) => `${Math.round(100 * p)} %`;
let page = 0;
let found = [];

for (const item of items) {
  item.text = [item.i, item.d, item.x, ...item.g, ...item.p.map((p) => p.w)].join(" ").toLowerCase();
  const tops = item.p.filter((p) => p.l.length).map((p) => p.l[0][1]);
  item.least = tops.length ? Math.min(...tops) : NaN;
}

const counts = new Map();
const chances = new Array(20).fill(0);
let unanswered = 0;
for (const item of items) {
  for (const person of item.p) {
    if (!person.l.length) { unanswered += 1; continue; }
    const [label, p] = person.l[0];
    counts.set(label, (counts.get(label) || 0) + 1);
    chances[Math.min(19, Math.floor(20 * p))] += 1;
  }
}
const labels = [...counts].sort((a, b) => b[1] - a[1]);
const most = Math.max(1, ...counts.values());

for (const [label, count] of labels) {
  const bar = make("button", undefined, "bar");
  bar.type = "button";
  const track = make("i"), fill = make("b");
  fill.style.width = `${100 * count / most}%`;
  track.append(fill);
  bar.append(make("span", label), track, make("span", number(count)));
  bar.dataset.label = label;
  bar.addEventListener("click", () => {
    el("label").value = el("label").value === label ? "" : label;
    choose();
  });
  el("labels").append(bar);
  const option = make("option", label);
  option.value = label;
  el("label").append(option);
}
if (unanswered) el("labels").append(make("p", `${number(unanswered)} unanswered`, "soft"));

function columns(place, values, from, to) {
  const high = Math.max(1, ...values);
  const row = make("div", undefined, "columns");
  for (const value of values) {
    const column = make("b");
    column.style.height = `${100 * value / high}%`;
    column.title = number(value);
    row.append(column);
  }
  const axis = make("div", undefined, "axis");
  axis.append(make("span", from), make("span", `most: ${number(high)}`), make("span", to));
  el(place).append(row, axis);
}
columns("chances", chances, "0", "1");
const times = items.map((item) => item.s).filter((s) => s > 0).sort((a, b) => a - b);
const longest = times.length ? times[Math.floor(0.99 * (times.length - 1))] : 1;
const slow = new Array(20).fill(0);
for (const s of times) slow[Math.min(19, Math.floor(20 * s / longest))] += 1;
columns("seconds", slow, "0", `${longest.toPrecision(2)} s or more`);

const keep = {
  "": () => true,
  failed: (item) => item.x !== undefined,
  gaps: (item) => item.g.length > 0,
  nobody: (item) => item.x === undefined && !item.p.length,
  unanswered: (item) => item.p.some((p) => !p.l.length),
  differs: (item) => item.h !== undefined && item.p.some((p) => p.l.length && p.l[0][0] !== item.h),
};
const orders = {
  least: (a, b) => a.least - b.least,
  most: (a, b) => b.least - a.least,
  slow: (a, b) => (b.s || 0) - (a.s || 0),
};

function choose() {
  const words = el("find").value.trim().toLowerCase(), label = el("label").value;
  const test = keep[el("show").value];
  found = items.filter((item) => test(item)
    && (!words || item.text.includes(words))
    && (!label || item.p.some((p) => p.l.length && p.l[0][0] === label)));
  const order = el("order").value;
  if (order === "least" || order === "most") found = found.filter((item) => !isNaN(item.least));
  if (order) found = [...found].sort(orders[order]);
  for (const bar of document.querySelectorAll(".bar")) {
    bar.setAttribute("aria-pressed", String(bar.dataset.label === label));
  }
  page = 0;
  draw();
}

function card(item) {
  const box = make("li");
  const frame = make("div", undefined, "frame");
  if (item.f && item.k === "image") {
    const image = make("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = item.i;
    image.src = item.f;
    image.addEventListener("error", () => image.replaceWith(make("span", "the picture is not there")));
    frame.append(image);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${item.z[0]} ${item.z[1]}`);
    for (const person of item.p) {
      if (!person.b) continue;
      const [x0, y0, x1, y1] = person.b;
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, value] of [["x", x0], ["y", y0], ["width", x1 - x0], ["height", y1 - y0]]) {
        rect.setAttribute(key, value);
      }
      svg.append(rect);
    }
    frame.append(svg);
  } else {
    frame.append(make("span", item.x !== undefined ? "failed" : item.k === "clip" ? "clip" : "no picture"));
  }
  const words = make("div", undefined, "words");
  words.append(make("h2", item.i));
  if (item.x !== undefined) words.append(make("p", item.x, "bad"));
  item.p.forEach((person, n) => {
    const told = person.l.map(([label, p]) => `${label} ${percent(p)}`).join(", ");
    words.append(make("p", `${item.p.length > 1 ? `${n + 1}: ` : ""}${told || person.u || "unanswered"}`));
    if (person.w) words.append(make("p", person.w, "said"));
  });
  if (item.x === undefined && !item.p.length) words.append(make("p", "nobody", "said"));
  if (item.h !== undefined) words.append(make("p", `people say: ${item.h}`));
  if (item.d) words.append(make("p", item.d, "said"));
  for (const gap of item.g) words.append(make("p", gap, "bad"));
  box.append(frame, words);
  return box;
}

function draw() {
  const pages = Math.max(1, Math.ceil(found.length / SIZE));
  page = Math.min(Math.max(page, 0), pages - 1);
  el("items").replaceChildren(...found.slice(page * SIZE, (page + 1) * SIZE).map(card));
  el("count").textContent = `${number(found.length)} of ${number(items.length)} items`;
  el("page").textContent = `page ${number(page + 1)} of ${number(pages)}`;
  el("before").disabled = page === 0;
  el("after").disabled = page === pages - 1;
}

el("filters").addEventListener("submit", (event) => event.preventDefault());
let waiting;
el("find").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(choose, 150); });
for (const id of ["show", "label", "order"]) el(id).addEventListener("change", choose);
for (const [id, by] of [["before", -1], ["after", 1]]) {
  el(id).addEventListener("click", () => { page += by; draw(); el("filters").scrollIntoView(); });
}
choose();
document.body.dataset.ready = "yes";
