"use strict";
// What is cited lights up: a cue under the pointer or in focus lights its evidence, the units that
// the evidence names, and every other mention of it. A click keeps the light on.
(() => {
  const lit = new Set();
  let kept = null;

  const find = (id) => {
    const evidence = document.getElementById(id);
    if (!evidence) return [];
    const panel = evidence.closest(".person") || document;
    const units = (evidence.dataset.units || "").split(" ").filter(Boolean);
    return [
      evidence,
      ...panel.querySelectorAll(`[data-evidence="${CSS.escape(id)}"]`),
      ...units.flatMap((unit) => [...panel.querySelectorAll(`[data-unit="${CSS.escape(unit)}"]`)]),
    ];
  };
  const show = (id) => {
    for (const element of lit) element.classList.remove("lit");
    lit.clear();
    for (const element of id ? find(id) : []) {
      element.classList.add("lit");
      lit.add(element);
    }
  };
  const keep = (id) => {
    for (const link of document.querySelectorAll("[data-evidence][aria-current]")) {
      link.removeAttribute("aria-current");
    }
    kept = kept === id ? null : id;
    if (kept) {
      for (const link of document.querySelectorAll(`[data-evidence="${CSS.escape(kept)}"]`)) {
        link.setAttribute("aria-current", "true");
      }
    }
    show(kept);
    return kept;
  };

  for (const link of document.querySelectorAll("[data-evidence]")) {
    const id = link.dataset.evidence;
    link.addEventListener("mouseenter", () => show(id));
    link.addEventListener("mouseleave", () => show(kept));
    link.addEventListener("focus", () => show(id));
    link.addEventListener("blur", () => show(kept));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      if (keep(id)) document.getElementById(id).scrollIntoView({ block: "nearest" });
    });
  }
  for (const evidence of document.querySelectorAll(".evidence li")) {
    evidence.addEventListener("mouseenter", () => show(evidence.id));
    evidence.addEventListener("mouseleave", () => show(kept));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && kept) keep(kept);
  });

  // the box of a person whose panel is under the pointer
  for (const panel of document.querySelectorAll(".person")) {
    const boxes = document.querySelectorAll(`.box[data-person="${CSS.escape(panel.id)}"]`);
    const mark = (on) => boxes.forEach((box) => box.classList.toggle("lit", on));
    panel.addEventListener("mouseenter", () => mark(true));
    panel.addEventListener("mouseleave", () => mark(false));
  }

  // the sampled time nearest to the pointer, in numbers
  for (const stream of document.querySelectorAll(".stream")) {
    const svg = stream.querySelector("svg");
    const samples = [...stream.querySelectorAll(".sample")];
    const readout = stream.querySelector(".readout");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (100 * (event.clientX - box.left)) / box.width;
      const off = (sample) => Math.abs(Number(sample.dataset.x) - x);
      const nearest = samples.reduce((best, sample) => (off(sample) < off(best) ? sample : best));
      samples.forEach((sample) => sample.classList.toggle("on", sample === nearest));
      readout.textContent = nearest.dataset.text;
    });
    svg.addEventListener("pointerleave", () => {
      samples.forEach((sample) => sample.classList.remove("on"));
      readout.textContent = "\u00a0";
    });
  }

  // paper cannot unfold
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((part) => (part.open = true));
  });
  window.addEventListener("afterprint", () => folded.forEach((part) => (part.open = false)));
})();
