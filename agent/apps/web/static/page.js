"use strict";
// Sends what is asked, listens to what happens, shows what comes. Words of models, files and users
// are set as text; a reading comes as HTML that the server has escaped.
(() => {
  const el = (id) => document.getElementById(id);
  const make = (tag, text, name) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    return node;
  };
  const LIMIT = Number(document.body.dataset.limit);
  const UNREACHED = "The server does not answer. What you see stays; the page keeps trying.";
  const RESTARTED =
    "The server was started anew, or the session has ended: it keeps nothing from before. " +
    "What you see stays until you reload, and new pictures can be read.";

  const say = (text) => { el("status").textContent = text; };
  const banner = (text, reload = false) => {
    el("banner").hidden = !text;
    el("banner").firstElementChild.textContent = text || "";
    el("anew").hidden = !reload;
  };
  el("anew").addEventListener("click", () => location.reload());

  // an answer of the server, or an Error with its sentence
  async function send(path, body) {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", body });
    } catch {
      throw new Error("the server does not answer; try again.");
    }
    const told = await answer.json().catch(() => ({}));
    if (answer.status === 410) listen();
    if (!answer.ok) throw new Error(told.error || `the server answered with ${answer.status}.`);
    return told;
  }
  const form = (values) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(values)) data.append(name, value);
    return data;
  };

  // ------------------------------------------------------------------ what is to be read

  let file = null;
  let address = null;
  const isClip = (given) => given.type.startsWith("video/") || /\.(mp4|m4v|mov|mkv|webm|avi|3gp)$/i.test(given.name);

  // with a reading on the page the form is folded, so that the answer stands at the top
  const another = el("another").firstElementChild;
  function fold(folded) {
    const some = document.querySelector(".result") !== null;
    el("another").hidden = !some;
    el("ask").hidden = some && folded;
    for (const note of document.querySelectorAll(".limits")) note.hidden = some && folded;
    another.setAttribute("aria-expanded", String(!el("ask").hidden));
    document.body.classList.toggle("answered", some);
  }
  another.addEventListener("click", () => {
    fold(!el("ask").hidden);
    if (!el("ask").hidden) el("file").focus();
  });

  function choose(given) {
    fold(false);
    el("problem").textContent = "";
    if (address) URL.revokeObjectURL(address);
    address = null;
    file = given;
    el("preview").replaceChildren();
    el("preview").hidden = !given;
    el("chosen").textContent = given ? given.name : "";
    if (!given) return;
    for (const one of document.querySelectorAll('[name="example"]:checked')) one.checked = false;
    address = URL.createObjectURL(given);
    const shown = make(isClip(given) ? "video" : "img");
    if (shown.tagName === "IMG") shown.alt = "The chosen picture";
    else shown.muted = true;
    shown.addEventListener("error", () => { el("preview").hidden = true; });
    shown.src = address;
    el("preview").append(shown);
    if (given.size > LIMIT) {
      el("problem").textContent = `The file has ${(given.size / 1e6).toFixed(1)} MB; at most ${LIMIT / 1e6} MB can be uploaded.`;
    }
  }

  el("file").addEventListener("change", () => choose(el("file").files[0] || null));
  for (const one of document.querySelectorAll('[name="example"]')) {
    one.addEventListener("change", () => {
      el("file").value = "";
      choose(null);
      const shown = make("img");
      shown.alt = "The chosen example";
      shown.src = one.nextElementSibling.src;
      el("preview").append(shown);
      el("preview").hidden = false;
      el("chosen").textContent = one.parentElement.textContent.trim();
    });
  }
  const drop = el("drop");
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  }
  const give = (files) => {
    if (!files || !files.length) return;
    el("file").value = "";
    choose(files[0]);
  };
  drop.addEventListener("drop", (event) => give(event.dataTransfer.files));
  document.addEventListener("paste", (event) => give(event.clipboardData && event.clipboardData.files));

  // ------------------------------------------------------------------ webcam

  let camera = null;
  const dark = () => {
    if (camera) for (const track of camera.getTracks()) track.stop();
    camera = null;
  };
  el("camera").addEventListener("click", async () => {
    el("nocamera").textContent = "";
    el("take").disabled = true;
    el("shot").showModal();
    if (!navigator.mediaDevices) {
      el("nocamera").textContent = "The browser allows the webcam only on this machine or over HTTPS.";
      return;
    }
    try {
      camera = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
      el("live").srcObject = camera;
      el("take").disabled = false;
    } catch (error) {
      el("nocamera").textContent = error.name === "NotAllowedError"
        ? "The webcam was not allowed; allow it in the browser, or choose a file."
        : "There is no webcam that can be used; choose a file.";
    }
  });
  el("take").addEventListener("click", () => {
    const live = el("live"), canvas = make("canvas");
    canvas.width = live.videoWidth;
    canvas.height = live.videoHeight;
    canvas.getContext("2d").drawImage(live, 0, 0);
    canvas.toBlob((blob) => {
      give([new File([blob], "webcam.jpg", { type: "image/jpeg" })]);
      el("shot").close();
    }, "image/jpeg", 0.92);
  });
  el("leave").addEventListener("click", () => el("shot").close());
  el("shot").addEventListener("close", dark);

  // ------------------------------------------------------------------ asking

  el("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    el("problem").textContent = "";
    const data = new FormData(el("ask"));
    if (file) data.set("file", file, file.name);
    if (file && file.size > LIMIT) return choose(file);
    el("read").disabled = true;
    try {
      show(await send("/page/read", data));
      el("jobs").scrollIntoView({ block: "nearest" });
    } catch (error) {
      el("problem").textContent = sentence(error.message);
    } finally {
      el("read").disabled = false;
    }
  });
  const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // ------------------------------------------------------------------ what is in work

  const ENDS = ["done", "failed", "stopped"];
  const jobs = new Map();
  const seen = new Set(); // jobs that have ended
  const early = new Map(); // how jobs ended that the server has not yet told us of
  const places = (ahead) => ahead === 1 ? "1 before yours" : `${ahead} before yours`;

  function show(told) {
    if (seen.has(told.job)) return;
    let job = jobs.get(told.job);
    if (!job) {
      job = { id: told.job, about: told.about, card: make("li", undefined, "job") };
      const head = make("header"), words = make("div");
      job.place = make("p", "", "place");
      words.append(make("h2", told.title), job.place);
      const stop = make("button", "Stop", "quiet");
      stop.type = "button";
      stop.addEventListener("click", async () => {
        stop.disabled = true;
        await send(`/page/jobs/${job.id}/stop`).catch((error) => say(error.message));
      });
      job.stop = stop;
      head.append(words, stop);
      job.progress = make("progress");
      job.progress.hidden = true;
      job.steps = make("ol", undefined, "steps");
      job.words = make("p", "", "words");
      job.words.setAttribute("aria-hidden", "true");
      job.card.append(head, job.progress, job.steps, job.words);
      jobs.set(job.id, job);
      const place = told.about && here(told.about)?.querySelector(".work");
      (place || el("jobs")).append(job.card);
    }
    job.steps.replaceChildren();
    if (told.state === "waiting") happened.place({ job: job.id, ahead: told.ahead });
    for (const [kind, data] of told.told) {
      if (!ENDS.includes(kind)) happened[kind]?.({ job: job.id, ...data });
    }
    if (ENDS.includes(told.state)) happened[told.state](told);
    else if (early.has(job.id)) early.get(job.id)();
    early.delete(job.id);
  }
  const over = (job, text, name) => {
    seen.add(job.id);
    job.place.textContent = text;
    job.card.classList.remove("running");
    job.card.classList.add(name);
    job.words.remove();
    job.progress.remove();
    job.stop.replaceWith(dismiss(job));
    say(text);
  };
  const dismiss = (job) => {
    const button = make("button", "Dismiss", "quiet");
    button.type = "button";
    button.addEventListener("click", () => { job.card.remove(); jobs.delete(job.id); });
    return button;
  };

  // what a model says inside the JSON that its grammar asks for
  const spoken = (raw) => {
    if (!raw.trimStart().startsWith("{")) return raw;
    const texts = [...raw.matchAll(/"\w+"\s*:\s*"((?:[^"\\]|\\.)*)/g)];
    return texts.map((found) => found[1].replace(/\\(.)/g, "$1")).join(" · ");
  };

  const happened = {
    place: ({ job: id, ahead }) => {
      const job = jobs.get(id);
      if (!job || ahead === null || job.card.classList.contains("running")) return;
      job.place.textContent = ahead ? `Waiting: ${places(ahead)}` : "Starting…";
      say(job.place.textContent);
    },
    begun: ({ job: id }) => {
      const job = jobs.get(id);
      if (!job) return;
      job.card.classList.add("running");
      job.place.textContent = "Reading";
      say("Reading has begun.");
    },
    stopping: ({ job: id }) => {
      const job = jobs.get(id);
      if (job) job.place.textContent = "Stopping";
    },
    step: ({ job: id, text }) => {
      const job = jobs.get(id);
      if (!job) return;
      job.steps.append(make("li", text));
      say(text);
    },
    token: ({ job: id, step, person, text }) => {
      const job = jobs.get(id);
      if (!job) return;
      const from = `${step} ${person}`;
      job.raw = (job.from === from ? job.raw : "") + text;
      job.from = from;
      job.words.textContent = spoken(job.raw.slice(0, 4000));
    },
    progress: ({ job: id, done_s, whole_s }) => {
      const job = jobs.get(id);
      if (!job) return;
      job.progress.hidden = false;
      job.progress.max = whole_s || 1;
      job.progress.value = done_s;
      job.place.textContent = `Following faces: ${done_s.toFixed(0)} of ${whole_s.toFixed(0)} s`;
    },
    done: async ({ job: id, result }) => {
      const job = jobs.get(id);
      if (!job || seen.has(id)) return;
      seen.add(id);
      if (result?.reading) await bring(result.reading, true, job.about);
      job.card.remove();
      jobs.delete(id);
    },
    failed: ({ job: id, sentence: text }) => {
      const job = jobs.get(id);
      if (job && !seen.has(id)) over(job, sentence(text || "it failed."), "failed");
    },
    stopped: ({ job: id, sentence: text }) => {
      const job = jobs.get(id);
      if (!job || seen.has(id)) return;
      over(job, sentence(text || "stopped."), "stopped");
      if (job.about) bring(job.about, false, true); // what was written until then stays
    },
  };

  // ------------------------------------------------------------------ readings

  const here = (id) => document.querySelector(`.result[data-reading="${CSS.escape(id)}"]`);

  // a reading for the first time, or, with `again`, as it stands after another turn
  async function bring(id, fresh = false, again = false) {
    if (here(id) && !again) return;
    const answer = await fetch(`/page/readings/${id}`).catch(() => null);
    if (!answer || !answer.ok || (here(id) && !again)) return;
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const result = document.adoptNode(parsed.querySelector(".result"));
    const old = here(id);
    if (old) {
      result.querySelector(".work").append(...old.querySelector(".work").children);
      old.replaceWith(result);
    } else {
      el("readings").prepend(result);
    }
    if (!again) fold(true);
    kuleshov.enliven(result);
    equip(id, result);
    seek(result);
    if (again) {
      const turn = [...result.querySelectorAll(".turn")].pop();
      if (turn && fresh) {
        turn.focus({ preventScroll: true });
        turn.scrollIntoView({ block: "nearest" });
        say(turn.textContent.replace(/\s+/g, " "));
      }
    } else if (fresh) {
      say(`Read: ${result.querySelector("h2").textContent}. ${summary(result)}`);
      result.scrollIntoView({ block: "start" });
      result.querySelector(".reading").setAttribute("tabindex", "-1");
      result.querySelector(".reading").focus({ preventScroll: true });
    }
  }

  // who seems what, for those who do not see the page
  const summary = (result) => [...result.querySelectorAll(".answer > div")]
    .map((one) => `${one.querySelector("h3").textContent}: ${one.querySelector(".top").textContent}.`)
    .join(" ");

  function equip(id, result) {
    const path = `/page/readings/${id}`;
    const post = async (what, values = {}) => {
      try {
        show(await send(`${path}/${what}`, form(values)));
      } catch (error) {
        say(error.message);
        const told = make("li", sentence(error.message), "job failed");
        told.setAttribute("role", "alert");
        result.querySelector(".work").replaceChildren(told);
      }
    };
    for (const asked of result.querySelectorAll("form[data-post]")) {
      asked.addEventListener("submit", (event) => {
        event.preventDefault();
        post(event.submitter?.dataset.post || asked.dataset.post, Object.fromEntries(new FormData(asked)));
      });
    }
    for (const select of result.querySelectorAll('form[data-post="labels"] select')) {
      select.addEventListener("change", () => post("labels", { text: select.value }));
    }
    const acts = {
      influence: () => post("influence"),
      undo: async () => {
        await send(`${path}/undo`).catch((error) => say(error.message));
        await bring(id, true, true);
      },
      remove: async () => {
        await send(`${path}/remove`).catch(() => null);
        result.remove();
        fold(false);
        say("The reading and its upload are removed.");
      },
    };
    for (const button of result.querySelectorAll("[data-do]")) {
      button.addEventListener("click", acts[button.dataset.do]);
    }
  }

  // a click on the plot over time, or on a moment, brings the clip there
  function seek(result) {
    const video = result.querySelector(".player video");
    if (!video) return;
    for (const svg of result.querySelectorAll(".stream .plot svg")) {
      svg.dataset.seeks = "yes";
      svg.addEventListener("click", (event) => {
        const box = svg.getBoundingClientRect();
        const end = Number(svg.closest(".stream").dataset.end);
        video.currentTime = (end * (event.clientX - box.left)) / box.width;
      });
    }
    for (const moment of result.querySelectorAll(".moments [data-time]")) {
      moment.addEventListener("click", () => { video.currentTime = Number(moment.dataset.time); });
    }
  }

  // ------------------------------------------------------------------ listening

  let source = null;
  let start = null;
  let again = null;
  let before = new Set(); // jobs that were there when the stream was opened, or broke

  function listen() {
    if (source) source.close();
    before = new Set(jobs.keys());
    clearTimeout(again);
    source = new EventSource("/page/events");
    for (const [kind, act] of Object.entries(happened)) {
      source.addEventListener(kind, (event) => {
        const data = JSON.parse(event.data);
        if (!jobs.has(data.job) && ENDS.includes(kind)) early.set(data.job, () => act(data));
        else act(data);
      });
    }
    source.addEventListener("state", (event) => {
      const told = JSON.parse(event.data);
      const restarted = start !== null && start !== told.start;
      start = told.start;
      if (!restarted && el("banner").dataset.kind !== "restarted") banner("");
      for (const job of told.jobs) {
        if (jobs.has(job.job) || !ENDS.includes(job.state)) show(job);
        // the answer to what was sent may still be on its way, and tell of the job as it was then
        else if (!seen.has(job.job)) early.set(job.job, () => happened[job.state](job));
      }
      const known = new Set(told.jobs.map((job) => job.job));
      for (const job of jobs.values()) {
        // one that was begun since is not lost: the state was told before the server knew of it
        if (before.has(job.id) && !known.has(job.id) && !seen.has(job.id)) over(job, "Lost: read it again.", "lost");
      }
      for (const id of told.readings) bring(id);
      const kept = new Set(told.readings);
      for (const result of document.querySelectorAll(".result")) {
        if (!kept.has(result.dataset.reading)) stale(result);
      }
    });
    source.addEventListener("gone", async () => {
      source.close();
      allStale();
      el("banner").dataset.kind = "restarted";
      banner(RESTARTED, true);
      try {
        await send("/page/begin");
        listen();
      } catch {
        again = setTimeout(listen, 2000);
      }
    });
    source.addEventListener("ended", (event) => {
      source.close();
      const told = JSON.parse(event.data).sentence;
      banner(told, true);
      allStale();
      if (/closed down/.test(told)) again = setTimeout(listen, 2000);
    });
    source.addEventListener("error", () => {
      before = new Set(jobs.keys());
      banner(UNREACHED);
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(again);
        again = setTimeout(listen, 2000);
      }
    });
  }
  const allStale = () => document.querySelectorAll(".result").forEach(stale);
  const stale = (result) => {
    result.classList.add("stale");
    for (const part of result.querySelectorAll(".tools button, .tools input, .tools select, .supposing button")) part.disabled = true;
    for (const link of result.querySelectorAll(".tools a")) link.removeAttribute("href");
  };

  el("end").addEventListener("click", async () => {
    await send("/page/end").catch((error) => banner(sentence(error.message)));
  });
  listen();
  document.body.dataset.ready = "yes";
})();
