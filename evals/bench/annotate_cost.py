"""Annotation against the plain loop of a model card, on the same prompts, model and items.

The plain loop: for every step of every item, `processor` on the whole conversation and
`model.generate`; a distribution is one generated word, the cheapest that a loop gets it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kuleshov.evals.bench.timing import Result, median_seconds
from kuleshov.tools.mllm.local.batching import BatchedMllm

EXAMPLES, ITEMS, TOKENS, WORD_TOKENS = 4, 6, 24, 3
OVERLAP_ITEMS, OVERLAP_ROUNDS = 2, 3
LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
ASK = "Which one of these words names best what the person most likely feels: "
Call = tuple[str, list[dict[str, Any]]]  # "write" or "label", and the conversation
STORE_RECORDS = 1_000_000

STORE = """
import json, resource, sys, time
from kuleshov.runs.store import RunDirectory
folder, count, line = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6
before, begun, most = memory(), time.perf_counter(), 0.0
for reopened in (False, True):
    with RunDirectory(folder).open({"input": "bench"}) as run:
        assert run.done == (count if reopened else 0)
        for n in range(count):
            key = f"item-{n:07}"
            state = run.meet(key)
            if state == "new":
                run.add(line.replace("@@", key))
            if not n % 50_000:
                most = max(most, memory())
        most = max(most, memory())
print(json.dumps({"seconds": time.perf_counter() - begun, "growth": most - before}))
"""


def measure_annotate_cost() -> Result:
    """Figures `loop_ratio`, `overlap_ratio`, `store_1m_s`, `store_rss_mb`."""
    from kuleshov.evals.bench import random_model

    mllm = random_model.half_billion()
    calls = _make_calls(ITEMS)
    half = len(calls) // 2
    # half of the loop before the queue and half after it: a slow spell hits both
    loop, first = _time_work(_loop_calls, mllm, calls[:half])
    behind = BatchedMllm(mllm)
    queue, found = _time_work(_queue_calls, behind, calls)
    behind.close()
    more, second = _time_work(_loop_calls, mllm, calls[half:])
    loop = Spent(loop.wall_s + more.wall_s, loop.processor_s + more.processor_s)
    same = sum(a == b for a, b in zip(first + second, found, strict=True) if a is not None)
    overlap = _measure_overlap(mllm)
    store_s, store_mb, line_bytes = _measure_store()
    return Result(
        figures={
            "loop_ratio": round(loop.wall_s / queue.wall_s, 2),
            "loop_ratio_processor": round(loop.processor_s / queue.processor_s, 2),
            "overlap_ratio": round(overlap["ratio"], 3),
            "store_1m_s": round(store_s, 1),
            "store_rss_mb": round(store_mb, 1),
            "loop_s": round(loop.wall_s, 1),
            "queue_s": round(queue.wall_s, 1),
            "same_answers": same,
            "faces_share": round(overlap["faces"] / overlap["model"], 3),
        },
        meaning={
            "loop_ratio": "the model card's loop over the queue, same steps of the same items",
            "loop_ratio_processor": "the same in processor time, which others do not take from",
            "overlap_ratio": "faces and model together over the longer of the two alone",
            "store_1m_s": "1,000,000 records written and reopened for resume, seconds",
            "store_rss_mb": "growth of resident memory meanwhile, MB",
            "loop_s": "the loop, seconds",
            "queue_s": "the queue, seconds",
            "same_answers": f"generated answers equal, of {ITEMS * 2}",
            "faces_share": "faces alone over model alone, seconds",
        },
        settings={
            "model": f"random weights, {(mllm.info.parameters or 0) / 1e9:.2f} B, float32, cpu",
            "items": ITEMS,
            "steps": "2 generations, 1 scoring of 7 labels",
            "example_images": EXAMPLES,
            "max_new_tokens": TOKENS,
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
            "record_bytes": line_bytes,
        },
    )


def _make_picture(seed: int) -> Any:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _make_calls(items: int) -> list[Call]:
    """Per item: describe, explain, name the label; four examples before each."""
    shots: list[dict[str, Any]] = []
    for n in range(EXAMPLES):
        shots += [
            {"type": "image", "image": _make_picture(1000 + n)},
            {"type": "text", "text": f"Example {n + 1}: {LABELS[n]}."},
        ]
    made = []
    for n in range(items):
        image = {"type": "image", "image": _make_picture(n)}
        for kind, text in (
            ("write", "Describe the scene, the people and what they do."),
            ("write", "Explain from face and scene what the person most likely feels."),
            ("label", f"{ASK}{', '.join(LABELS)}? Answer with the one word only."),
        ):
            content = [*shots, image, {"type": "text", "text": text}]
            made.append((kind, [{"role": "user", "content": content}]))
    return made


def _plain_step(mllm: Any, kind: str, talk: list[dict[str, Any]]) -> str | None:
    """One step as model cards show it."""
    import torch

    inputs = mllm.processor.apply_chat_template(
        talk, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    most = TOKENS if kind == "write" else WORD_TOKENS
    with torch.inference_mode():
        out = mllm.model.generate(**inputs, max_new_tokens=most, do_sample=False)
    ids = out[0, inputs["input_ids"].shape[1] :].tolist()
    text = mllm.processor.tokenizer.decode([i for i in ids if i not in mllm.ends])
    return text if kind == "write" else None


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and of the processor on all cores."""

    wall_s: float
    processor_s: float


def _time_work(
    work: Callable[[Any, Sequence[Call]], list[str | None]], mllm: Any, calls: Sequence[Call]
) -> tuple[Spent, list[str | None]]:
    wall, processor = time.perf_counter(), time.process_time()
    found = work(mllm, calls)
    return Spent(time.perf_counter() - wall, time.process_time() - processor), found


def _loop_calls(mllm: Any, calls: Sequence[Call]) -> list[str | None]:
    return [_plain_step(mllm, *call) for call in calls]


def _queue_calls(queue: BatchedMllm, calls: Sequence[Call]) -> list[str | None]:
    """All steps of all items wait at once, as in a run of as many graphs."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(partial(_queued_step, queue), *zip(*calls, strict=True)))


def _queued_step(queue: BatchedMllm, kind: str, talk: list[dict[str, Any]]) -> str | None:
    if kind == "write":
        return queue.generate(talk, max_new_tokens=TOKENS).text
    queue.score(talk, LABELS)
    return None


def _measure_overlap(mllm: Any) -> dict[str, float]:
    """The faces of one photograph an item, by the pocket nets, beside the model's answers."""
    from kuleshov.tools import faces as face_tools
    from kuleshov.tools import media
    from kuleshov.tools.media import demo_files

    tool = face_tools.load("pocket")
    photo = media.open_media(str(demo_files.find_examples()[1])).images
    calls = _make_calls(OVERLAP_ITEMS)

    def look() -> None:
        for _ in range(OVERLAP_ITEMS):
            tool.observe(photo)

    def ask() -> None:
        queue = BatchedMllm(mllm)  # one that has read nothing yet
        _queue_calls(queue, calls)
        queue.close()

    def both() -> None:
        with ThreadPoolExecutor(2) as pool:
            for future in (pool.submit(ask), pool.submit(look)):
                future.result()

    look()
    works = {"faces": look, "model": ask, "both": both}
    seconds = median_seconds(works, OVERLAP_ROUNDS)
    seconds["ratio"] = seconds["both"] / max(seconds["faces"], seconds["model"])
    return seconds


def _measure_store() -> tuple[float, float, int]:
    """In a process of its own, so that nothing else is in its memory."""
    emotions = {"labels": "ekman-7", "probabilities": dict.fromkeys(LABELS, 0.142857)}
    person = {"id": 1, "emotions": emotions}
    line = json.dumps(
        {
            "schema": "kuleshov/inference@1",
            "item": {"id": "@@", "label": None, "extra": {}},
            "media": {"path": "@@.jpg", "sha256": "0" * 64, "kind": "image", "size": [640, 480]},
            "people": [person],
            "provenance": {"note": "x" * 400},
        },
        separators=(",", ":"),
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", STORE, str(Path(folder) / "run"), str(STORE_RECORDS), line],
            capture_output=True,
            text=True,
            check=True,
        )
    told = json.loads(done.stdout)
    return told["seconds"], told["growth"], len(line)
