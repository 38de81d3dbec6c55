"""The agent's own cost: `agent.infer` against the same model calls made bare, in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kuleshov import Agent, Settings
from kuleshov.evals.bench.timing import Result, median_seconds
from kuleshov.tools.faces.base import FaceToolInfo
from kuleshov.tools.types import ActionUnit, EmotionScores, Face

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
TOKENS = 24  # random weights never end an answer: each is this long


class OneFace:
    """Finds the same face in every picture at no cost, so that only the agent's is measured."""

    info = FaceToolInfo(
        name="constant",
        version="1",
        units=(12,),
        expressions=LABELS,
        label_set="ekman-7",
        licence="none",
    )

    def observe(self, images: Any) -> list[list[Face]]:
        face = Face(
            xyxy=(400, 200, 600, 450),
            score=0.9,
            action_units=(ActionUnit(unit=12, probability=0.9),),
            units_measured=(12,),
            expression=EmotionScores(
                labels="ekman-7",
                probabilities={label: 1 / len(LABELS) for label in LABELS},
                method="constant",
            ),
            tool="constant",
            version="1",
        )
        return [[face] for _ in images]


class Recorder:
    """Passes calls on to a model and notes them, so that they can be made again bare."""

    def __init__(self, mllm: Any) -> None:
        self.mllm = mllm
        self.info = mllm.info
        self.calls: list[Callable[[], Any]] = []

    def generate(self, conversation: Any, **options: Any) -> Any:
        self.calls.append(lambda: self.mllm.generate(conversation, **options))
        return self.mllm.generate(conversation, **options)

    def score(self, conversation: Any, answers: Any) -> Any:
        self.calls.append(lambda: self.mllm.score(conversation, answers))
        return self.mllm.score(conversation, answers)


class Instant(Recorder):
    """Answers each call at once with what the model answered the first time."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.mllm)
        self.known: dict[str, Any] = {}

    @staticmethod
    def _key(conversation: Any, kind: str) -> str:
        texts = [p.get("text", "image") for turn in conversation for p in turn["content"]]
        return kind + "\n".join(texts)

    def generate(self, conversation: Any, **options: Any) -> Any:
        key = self._key(conversation, "generate")
        if key not in self.known:
            self.known[key] = self.mllm.generate(conversation, **options)
        return self.known[key]

    def score(self, conversation: Any, answers: Any) -> Any:
        key = self._key(conversation, "score")
        if key not in self.known:
            self.known[key] = self.mllm.score(conversation, answers)
        return self.known[key]


def measure_agent_cost(rounds: int = 2) -> Result:
    """Figures `overhead_ratio` and `overhead_ms` on a 1000 × 667 JPEG.

    `overhead_ratio`: seconds of `agent.infer` over those of its own model calls made bare, the
    prefix cache emptied before each. `overhead_ms`: `agent.infer` with a model that answers at
    once, which leaves the agent alone: opening the picture, the graph, evidence, grounding, the
    record.
    """
    import numpy as np
    from PIL import Image

    from kuleshov.evals.bench import random_model

    mllm = random_model.half_billion()
    settings = Settings.load(max_new_tokens=TOKENS, fusion="bayes", labels="ekman-7")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        ramp = np.linspace(0, 255, 1000 * 667 * 3).reshape(667, 1000, 3).astype(np.uint8)
        Image.fromarray(ramp).save(path, quality=90)

        recorder = Recorder(mllm)
        agent = Agent(recorder, OneFace(), settings)
        agent.infer(path)  # warm: the content-free prior is asked once in an agent's life
        recorder.calls.clear()
        agent.infer(path)
        calls = list(recorder.calls)

        def forget() -> None:
            if mllm.prefixes is not None:
                mllm.prefixes.clear()

        def whole() -> None:
            forget()
            agent.infer(path)

        def make(call: Callable[[], Any]) -> None:
            # the graph runs its nodes in threads of their own, where torch may be faster or slower
            with ThreadPoolExecutor(1) as thread:
                thread.submit(call).result()

        def bare() -> None:
            forget()
            for call in calls:
                make(call)

        seconds = median_seconds({"agent": whole, "bare": bare}, rounds)
        alone = Agent(Instant(recorder), OneFace(), settings)
        alone.infer(path)
        spent = []
        for _ in range(30):
            begun = time.perf_counter()
            alone.infer(path)
            spent.append(time.perf_counter() - begun)
    return Result(
        figures={
            "overhead_ratio": round(seconds["agent"] / seconds["bare"], 4),
            "overhead_ms": round(1000 * sorted(spent)[len(spent) // 2], 2),
            "agent_s": round(seconds["agent"], 3),
            "bare_s": round(seconds["bare"], 3),
        },
        meaning={
            "overhead_ratio": "agent.infer over the same model calls made bare",
            "overhead_ms": "agent.infer with a model that answers at once, ms an image",
            "agent_s": "agent.infer, seconds an image",
            "bare_s": "the same model calls bare, seconds",
        },
        settings={
            "model": f"random weights, {(mllm.info.parameters or 0) / 1e9:.2f} B, float32, cpu",
            "picture": "1000 × 667 JPEG, one face",
            "model_calls": len(calls),
            "max_new_tokens": TOKENS,
            "rounds": rounds,
        },
    )
