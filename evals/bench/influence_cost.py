"""The cost of influence: face alone, context alone and both, against one plain inference."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kuleshov.agent import Agent
from kuleshov.evals.bench.agent_cost import OneFace
from kuleshov.evals.bench.timing import Result, median_seconds
from kuleshov.settings import Settings

TOKENS = 96  # written by the model at each step: about what a scene or an explanation takes
SCENE = {
    "description": "Five friends lean together on a beach at dusk.",
    "setting": "beach",
    "activity": "posing",
    "people": "five friends",
    "people_present": True,
    "objects": [],
    "mood_words": ["calm"],
}
JUDGE = {
    "cues": [{"evidence": 1, "text": "a smile"}],
    "before": "",
    "after": "",
    "interpretation": "The smile fits the outing.",
    "conclusion": "Most likely happiness.",
}


class Readable:
    """Lets the model write `TOKENS` tokens, and hands on an answer that can be read.

    Random weights write nothing that could be; the time is the model's own.
    """

    def __init__(self, mllm: Any) -> None:
        self.mllm, self.info = mllm, mllm.info

    def generate(self, conversation: Any, **options: Any) -> Any:
        told = SCENE if "mood_words" in json.dumps(options.get("schema")) else JUDGE
        options |= {"schema": None, "max_new_tokens": TOKENS}
        return replace(self.mllm.generate(conversation, **options), text=json.dumps(told))

    def score(self, conversation: Any, answers: Any) -> Any:
        return self.mllm.score(conversation, answers)


def measure_influence_cost(rounds: int = 3) -> Result:
    """Figures `influence_ratio` and `naive_influence_ratio` on a 1000 × 667 JPEG with one face.

    `influence_ratio`: seconds of `agent.infer(…, influence=True)` over those of `agent.infer`, the
    pictures that the model has read forgotten before each. `naive_influence_ratio`: three plain
    inferences, of the face cut out, of the picture with the face covered, and of the picture.
    """
    import numpy as np
    import torch
    from PIL import Image

    from kuleshov.asking import images
    from kuleshov.evals.bench import random_model

    mllm = random_model.half_billion()
    settings = Settings.load(fusion="text", labels="ekman-7", prompts="full")
    agent = Agent(Readable(mllm), OneFace(), settings)
    ramp = np.linspace(0, 255, 1000 * 667 * 3).reshape(667, 1000, 3).astype(np.uint8)
    face = agent.crew.faces.observe([ramp])[0][0]
    size = (ramp.shape[1], ramp.shape[0])
    cut = np.asarray(Image.fromarray(images.face_alone(ramp, face)).resize(size))
    covered = images.cover_faces(ramp, [face])
    context = "They have just heard that she passed the exam."

    def fresh(work: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            if mllm.prefixes is not None:
                mllm.prefixes.clear()
            work()

        return run

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        Image.fromarray(ramp).save(path, quality=90)
        works = {
            "plain": fresh(lambda: agent.infer(path, context=context)),
            "influence": fresh(lambda: agent.infer(path, context=context, influence=True)),
            "naive": fresh(
                lambda: [agent.infer(one, context=context) for one in (cut, covered, path)]
            ),
        }
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more would wait for one another, which counts as work
        try:
            works["influence"]()  # the content-free prior is asked once in an agent's life
            seconds = median_seconds(works, rounds, time.process_time)
        finally:
            torch.set_num_threads(threads)
    return Result(
        figures={
            "influence_ratio": round(seconds["influence"] / seconds["plain"], 3),
            "naive_influence_ratio": round(seconds["naive"] / seconds["plain"], 3),
            "plain_s": round(seconds["plain"], 3),
        },
        meaning={
            "influence_ratio": "agent.infer with influence over agent.infer",
            "naive_influence_ratio": "three plain inferences over one",
            "plain_s": "agent.infer, processor seconds",
        },
        settings={"tokens_written": TOKENS, "picture": "1000 × 667 JPEG, one face"},
    )
