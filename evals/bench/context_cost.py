"""What it costs to code 40 variables of a picture's context, against describing its scene."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from kuleshov import Agent, Settings
from kuleshov.asking import images
from kuleshov.asking.coding.coder import Coder
from kuleshov.asking.coding.scheme import Scheme
from kuleshov.evals.bench.agent_cost import OneFace
from kuleshov.evals.bench.timing import Result
from kuleshov.tools.mllm.base import Mllm

SAMPLE = 8  # of the slow way, which takes minutes, every so many-th variable is enough
SCENE_TOKENS = 60  # what the agent lets a small model say of a scene; random weights use them up


class OneByOne:
    """The same model without packing: a call a question."""

    def __init__(self, mllm: Mllm, forget: Callable[[], None]) -> None:
        self.mllm, self.info, self.forget = mllm, mllm.info, forget

    def generate(self, conversation: Any, **options: Any) -> Any:
        self.forget()
        return self.mllm.generate(conversation, **options)

    def score(self, conversation: Any, answers: Any) -> Any:
        self.forget()
        return self.mllm.score(conversation, answers)


def forty_variables() -> Scheme:
    """The default scheme without its questions about pairs: 29 of the scene, 11 of a person."""
    whole = Scheme.load("default")
    some = tuple(variable for variable in whole.variables if variable.scope != "pair")
    return whole.model_copy(update={"variables": some})


def measure_context_cost(rounds: int = 2) -> Result:
    """Figures `variables40_ratio` and `naive_variables40_ratio` on a 1000 × 667 picture.

    `variables40_ratio`: seconds to code 40 variables of one picture with one person over those
    of the plain scene description, each from a model that has read nothing before. The answers
    to the blank picture are asked once in an agent's life and are not in it.
    `naive_variables40_ratio`: one question at a time, the picture read for each; measured on every
    eighth variable and scaled to all.
    """
    import numpy as np

    from kuleshov.evals.bench import random_model

    scheme = forty_variables()
    # else the toy tokenizer would cut the questions into twice the tokens of a real one
    questions = [" ".join((v.question, v.definition, *v.options)) for v in scheme.variables]
    mllm = random_model.half_billion(also=questions)
    assert len(scheme.variables) == 40

    def forget() -> None:
        assert mllm.prefixes is not None
        mllm.prefixes.clear()

    agent = Agent(mllm, OneFace(), Settings.load(labels="ekman-7"))
    crew = agent.crew
    naive_crew = Agent(OneByOne(mllm, forget), OneFace(), agent.settings).crew
    naive_crew.priors = crew.priors
    ramp = np.linspace(0, 255, 1000 * 667 * 3).reshape(667, 1000, 3).astype(np.uint8)
    face = OneFace().observe([ramp])[0][0].model_dump(mode="json")
    targets = [{"id": 1, "face": face, "picture": 0, "expression": None, "timeline": []}]
    said = ["Congratulations!"]
    image = images.to_image(ramp)
    scene = crew.writer.scene([image])

    def describe() -> Any:
        forget()
        return mllm.generate(scene, max_new_tokens=SCENE_TOKENS)

    def code() -> Any:
        forget()
        return Coder(crew, scheme).code(image, [ramp], targets, said).variables

    some = scheme.model_copy(update={"variables": scheme.variables[::SAMPLE]})

    def naive() -> Any:
        return Coder(naive_crew, some).code(image, [ramp], targets, said).variables

    first = code()  # the answers to the blank picture
    asked = sum(variable.probabilities is not None for variable in first)
    seconds: dict[str, list[float]] = {"scene": [], "code": [], "naive": []}
    for _ in range(rounds):
        for name, work in {"scene": describe, "code": code, "naive": naive}.items():
            begun = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - begun)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    middle["naive"] *= len(scheme.variables) / len(some.variables)
    return Result(
        figures={
            "variables40_ratio": round(middle["code"] / middle["scene"], 3),
            "naive_variables40_ratio": round(middle["naive"] / middle["scene"], 3),
            "variables40_s": round(middle["code"], 3),
            "naive_variables40_s": round(middle["naive"], 3),
            "scene_s": round(middle["scene"], 3),
        },
        meaning={
            "variables40_ratio": "40 variables over the plain scene description",
            "naive_variables40_ratio": "one question at a time, over the same (scaled from 5)",
            "variables40_s": "40 variables, seconds a picture",
            "naive_variables40_s": "one question at a time, seconds a picture",
            "scene_s": "scene description, seconds a picture",
        },
        settings={
            "model": f"random weights, {(mllm.info.parameters or 0) / 1e9:.2f} B, float32, cpu",
            "picture": "1000 × 667, one person",
            "closed_questions": asked,
            "written_answers": len(first) - asked,
            "scene_tokens": SCENE_TOKENS,
            "rounds": rounds,
        },
    )
