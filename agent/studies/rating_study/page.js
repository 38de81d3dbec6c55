"use strict";
(() => {
  const design = JSON.parse(document.getElementById("design").textContent);
  const main = document.getElementById("main");
  const posts = document.documentElement.dataset.posts === "yes"; // set by kuleshov serve --study

  // ------------------------------------------------------------------ who, and what is known

  const asked = new URLSearchParams(location.search);
  const given = ["PROLIFIC_PID", "participant", "survey_code", "id"].map((name) => asked.get(name)).find(Boolean);
  const safe = (text) => (text || "").replace(/[^A-Za-z0-9_-]/g, "").slice(0, 64).replace(/^-+/, "");
  const OWN = `kuleshov-study-${design.id}`;
  const remembered = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* kept in this page alone */ } };
  const drawn = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16).padStart(2, "0")).join("");
  const participant = safe(given) || remembered(OWN) || drawn();
  if (!safe(given)) remember(OWN, participant);
  const KEY = `${OWN}-${participant}`;
  const state = Object.assign({ at: -3, rows: [], sent: 0 }, JSON.parse(remembered(KEY) || "{}"));
  const save = () => remember(KEY, JSON.stringify(state));

  // ------------------------------------------------------------------ the order, from the id alone

  function random(text) { // FNV-1a (Fowler, Noll, Vo), then mulberry32 (Ettinger): small and the same everywhere
    let h = 2166136261;
    for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 16777619) >>> 0;
    return () => {
      h = (h + 0x6d2b79f5) >>> 0;
      let t = Math.imul(h ^ (h >>> 15), 1 | h);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }
  const next = random(`${design.id} ${participant}`);
  function shuffled(list) {
    const found = [...list];
    for (let i = found.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [found[i], found[j]] = [found[j], found[i]];
    }
    return found;
  }
  function ordered() {
    const blocks = {
      face: shuffled(design.faces.map((face) => ({ condition: "face", face }))),
      context: shuffled(design.contexts.map((context) => ({ condition: "context", context }))),
      both: shuffled(design.faces.flatMap((face) => design.contexts.map((context) => ({ condition: "both", face, context })))).slice(0, design.pairs),
    };
    let trials = shuffled(Object.keys(blocks)).flatMap((name) => blocks[name]);
    if (design.order === "mixed") trials = shuffled(trials);
    for (let k = design.checks; k > 0; k--) {
      const place = Math.max(1, Math.min(trials.length - 1, Math.round(((k - 0.5 + (next() - 0.5) * 0.5) * trials.length) / design.checks)));
      trials.splice(place, 0, { condition: "check", label: design.labels[Math.floor(next() * design.labels.length)] });
    }
    return [{ condition: "practice", context: { name: "practice", text: "Somebody has just been handed a present by a friend." } }, ...trials];
  }
  const trials = ordered();

  // ------------------------------------------------------------------ showing

  function make(tag, text, more = {}) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    Object.assign(element, more);
    return element;
  }
  function show(...parts) {
    main.replaceChildren(...parts);
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  const say = (text) => { document.getElementById("live").textContent = text; };
  const button = (text, act) => {
    const found = make("button", text, { type: "button" });
    found.addEventListener("click", act);
    return found;
  };
  function go(to) { state.at = to; save(); step(); }

  function sliders(ready) {
    const list = make("div"), values = {};
    const ends = make("p", undefined, { className: "ends" });
    ends.append(make("span", `${design.lowest} = not at all`), make("span", `${design.highest} = extremely`));
    list.append(ends);
    design.labels.forEach((label, i) => {
      const row = make("div", undefined, { className: "rate" });
      const name = make("label", label, { htmlFor: `s${i}` });
      const slider = make("input", undefined, { type: "range", id: `s${i}`, min: design.lowest, max: design.highest, step: 1, className: "unset" });
      slider.value = String(Math.round((design.lowest + design.highest) / 2));
      slider.dataset.label = label;
      slider.setAttribute("aria-valuetext", "not answered yet");
      const told = make("output", "–");
      const answer = () => {
        values[label] = Number(slider.value);
        slider.classList.remove("unset");
        slider.setAttribute("aria-valuetext", `${slider.value} of ${design.highest}`);
        told.textContent = slider.value;
        ready(design.labels.every((one) => one in values));
      };
      slider.addEventListener("input", answer);
      slider.addEventListener("pointerup", answer); // the middle is an answer too
      slider.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); answer(); } });
      row.append(name, slider, told);
      list.append(row);
    });
    return [list, () => values];
  }
  function choices(ready, question) {
    const set = make("fieldset", undefined, { className: "choose" });
    let chosen = null;
    set.append(make("legend", question, { className: "hidden" }));
    for (const label of design.labels) {
      const line = make("label"), radio = make("input", undefined, { type: "radio", name: "answer", value: label });
      radio.addEventListener("change", () => { chosen = label; ready(true); });
      line.append(radio, label);
      set.append(line);
    }
    return [set, () => ({ choice: chosen })];
  }

  function trial(index) {
    const one = trials[index], begun = performance.now();
    const question = one.condition === "check"
      ? design.answer === "choice" ? `To show that you are reading this, choose “${one.label}”.` : `To show that you are reading this, set “${one.label}” to ${design.highest} and all others to ${design.lowest}.`
      : design.questions[one.condition === "practice" ? "context" : one.condition];
    const parts = [];
    const bar = make("progress", undefined, { max: trials.length, value: index });
    bar.setAttribute("aria-label", `${index} of ${trials.length} done`);
    parts.push(bar, make("h1", question));
    if (one.condition === "practice") parts.push(make("p", "For practice; this answer does not count.", { className: "quiet" }));
    if (one.face) parts.push(make("img", undefined, { src: one.face.picture, alt: "A face" }));
    if (one.context?.picture) parts.push(make("img", undefined, { src: one.context.picture, alt: "The situation" }));
    if (one.context?.text) parts.push(make("blockquote", one.context.text));
    const on = button("Next", () => {
      const answer = read();
      const row = {
        study: design.id, participant, trial: index, condition: one.condition,
        face: one.face?.name ?? "", context: one.context?.name ?? "",
        rt_ms: Math.round(performance.now() - begun), at: new Date().toISOString(), ...answer,
      };
      if (one.condition === "check") row.check = passed(one, answer) ? "passed" : "failed";
      state.rows.push(row);
      go(index + 1);
      send();
    });
    on.disabled = true;
    const [form, read] = design.answer === "choice"
      ? choices((is) => { on.disabled = !is; }, question)
      : sliders((is) => { on.disabled = !is; });
    parts.push(form, on);
    show(...parts);
    say(`${question} ${one.context?.text ?? ""} ${index + 1} of ${trials.length}.`);
  }
  function passed(one, answer) {
    if (design.answer === "choice") return answer.choice === one.label;
    const tolerance = (design.highest - design.lowest) / 8;
    return design.labels.every((label) => Math.abs(answer[label] - (label === one.label ? design.highest : design.lowest)) <= tolerance);
  }

  // ------------------------------------------------------------------ keeping

  let sending = false, again = null;
  async function send() {
    if (!posts || sending) return;
    sending = true;
    clearTimeout(again);
    try {
      while (state.sent < state.rows.length) {
        const answer = await fetch("trials", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(state.rows[state.sent]) });
        if (!answer.ok) throw new Error(String(answer.status));
        state.sent += 1;
        save();
      }
    } catch {
      again = setTimeout(send, 5000);
    } finally {
      sending = false;
    }
    if (state.at >= trials.length) end();
  }
  const COLUMNS = ["study", "participant", "trial", "condition", "face", "context", ...(design.answer === "choice" ? ["choice"] : design.labels), "check", "rt_ms", "at"];
  function table() {
    const cell = (value) => {
      let text = String(value ?? "");
      if (/^[=+@\t\r]|^-(?![\d.])/.test(text)) text = `'${text}`; // a spreadsheet would run it
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [COLUMNS, ...state.rows.map((row) => COLUMNS.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  }
  function download() {
    const link = make("a", undefined, { download: `${design.id}-${participant}.csv`, href: URL.createObjectURL(new Blob([table()], { type: "text/csv" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
  function end() {
    const open = posts ? state.rows.length - state.sent : state.rows.length;
    const parts = [make("h1", "Thank you. You have finished.")];
    if (open && posts) parts.push(make("p", `${open} answers could not be stored yet; this page keeps trying. Leave it open, or save them:`));
    else if (open) parts.push(make("p", "Your answers are kept in this browser only. Please save them and send the file to the researchers:"));
    else parts.push(make("p", "Your answers are stored."));
    if (open) parts.push(button("Save the answers", download));
    if (design.completion) parts.push(make("a", "Continue", { className: "button", href: design.completion, rel: "noreferrer" }));
    show(...parts);
    say(parts.map((part) => part.textContent).join(" "));
  }

  function step() {
    document.title = design.title;
    if (state.at === -3) {
      show(make("h1", design.title), make("p", design.consent, { className: "text" }), button("I agree to take part", () => go(-2)));
    } else if (state.at === -2) {
      const how = design.answer === "choice" ? "Choose one word each time." : `Move every slider, from ${design.lowest} (not at all) to ${design.highest} (extremely). A slider that should stay in the middle needs a click, or Enter.`;
      show(make("h1", "What to do"), make("p", design.instructions, { className: "text" }), make("p", `${how} There are ${trials.length} pages. You may close this page and come back later with the same browser.`), button("Begin", () => go(0)));
    } else if (state.at < trials.length) trial(state.at);
    else { end(); send(); }
  }
  step();
  send();
})();
