"use strict";
// What is cited lights up: a cue under the pointer or in focus lights its evidence, the units that
// the evidence names, every other mention of it, and the box of a face that it speaks of. A click
// keeps the light on. `kuleshov.enliven` does this for a part of a page that comes later.
const kuleshov = (() => {
  const lit = new Set();
  let kept = null;

  const find = (id) => {
    const evidence = document.getElementById(id);
    if (!evidence) return [];
    const panel = evidence.closest(".person") || document;
    const units = (evidence.dataset.units || "").split(" ").filter(Boolean);
    const face = evidence.closest("[data-about]")?.dataset.about;
    return [
      evidence,
      ...panel.querySelectorAll(`[data-evidence="${CSS.escape(id)}"]`),
      ...units.flatMap((unit) => [...panel.querySelectorAll(`[data-unit="${CSS.escape(unit)}"]`)]),
      ...(face ? boxesOf(face) : []),
    ];
  };
  const boxesOf = (panel) => document.querySelectorAll(`.box[data-person="${CSS.escape(panel)}"]`);
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

  const enliven = (root) => {
    for (const link of root.querySelectorAll("[data-evidence]")) {
      const id = link.dataset.evidence;
      link.addEventListener("mouseenter", () => show(id));
      link.addEventListener("mouseleave", () => show(kept));
      link.addEventListener("focus", () => show(id));
      link.addEventListener("blur", () => show(kept));
      link.addEventListener("click", (event) => {
        event.preventDefault();
        if (keep(id)) document.getElementById(id)?.scrollIntoView({ block: "nearest" });
      });
    }
    for (const evidence of root.querySelectorAll(".evidence li")) {
      evidence.addEventListener("mouseenter", () => show(evidence.id));
      evidence.addEventListener("mouseleave", () => show(kept));
    }

    // the box of a person whose panel is under the pointer
    for (const panel of root.querySelectorAll(".person")) {
      const mark = (on) => boxesOf(panel.id).forEach((box) => box.classList.toggle("lit", on));
      panel.addEventListener("mouseenter", () => mark(true));
      panel.addEventListener("mouseleave", () => mark(false));
    }

    // the sampled time nearest to the pointer, in numbers
    for (const stream of root.querySelectorAll(".stream")) {
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
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && kept) keep(kept);
  });

  // paper cannot unfold
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((part) => (part.open = true));
  });
  window.addEventListener("afterprint", () => folded.forEach((part) => (part.open = false)));

  return { enliven };
})();
kuleshov.enliven(document);
