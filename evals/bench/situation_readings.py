"""How well a model reads the context alone: situations in words, a blank picture, no face.

Each situation of a table is read as `agent.infer(picture, context=…)` reads it, with the question
of the model's own or another that is shipped, and held against the label that most people would
name.

The 70 held-out situations over six emotions and neutral (chance .14), 95 % intervals; two language
models as they were trained by others, quantised to 4-5 bits, behind a projector that tells nothing
of the picture:

| model | top-1 | mean rank | p(right) | ECE | largest share of one label |
|---|---|---|---|---|---|
| Qwen2.5-Coder-0.5B-Instruct (OneVision's architecture) | .67 [.56, .77] | 1.9 [1.6, 2.3] | \
.46 [.39, .52] | .18 [.13, .28] | .21 |
| SmolLM2-135M-Instruct (LLaVA's architecture) | .53 [.41, .64] | 2.3 [1.9, 2.7] | \
.37 [.31, .43] | .13 [.09, .25] | .21 |
| pocket (its own question, the labels listed) | .31 [.21, .43] | 3.2 [2.7, 3.7] | \
.22 [.17, .27] | .18 [.11, .29] | .71 |

The wordings, the weight of the two questions and the temperature were chosen on the 70 marked
"tune" and 22 others; the held-out ones were read once.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from kuleshov.asking import images, situation
from kuleshov.asking.parts import Crew
from kuleshov.asking.scoring import Likelihood
from kuleshov.asking.situation import Surroundings
from kuleshov.evals.bench.situations import TableSituation, read_situations
from kuleshov.evals.bench.timing import Result
from kuleshov.evidence import collection
from kuleshov.studies.statistics import calibration_error
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm.base import Conversation, Mllm
from kuleshov.tools.types import EmotionScores

RESAMPLES = 1000
QUESTIONS = ("own", "situation", "direct")

MEANING = {
    "items": "situations",
    "top1": "share whose first label is people's",
    "rank": "mean place of people's label (1 is best; ties take the worse place)",
    "p_right": "mean probability of people's label",
    "mass": "mean probability of the answers that are scored, before anything is divided out",
    "ece": "expected calibration error, 0-1",
    "largest_share": "share of all answers that the commonest one has",
    "seconds": "a situation, on this machine",
}


@dataclass
class MeteredMllm:
    """A model whose first score after `begin` tells how likely the scored answers are at all."""

    mllm: Mllm
    mass: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mllm, name)

    def begin(self) -> None:
        self.mass = None

    def score(self, conversation: Conversation, answers: Sequence[str]) -> list[float]:
        logs = self.mllm.score(conversation, answers)
        if self.mass is None:
            self.mass = float(np.exp(np.logaddexp.reduce(logs)))
        return logs


def measure_readings(
    model: str = "pocket",
    *,
    table: str | None = None,
    split: str = "held",
    question: str = "own",
    prompts: str = "auto",
    labels: str = "ekman-7",
    device: str | None = None,
) -> Result:
    """Figures with 95 % intervals (percentiles of a bootstrap over the situations).

    Args:
        model: as `--model`.
        table: as `read_situations`; None: the shipped one.
        split: of it.
        question: "own": as the agent asks this model; "situation" or "direct": see
            `Provenance.context_asked`.
        prompts: family of the templates.
        labels: what the table is labelled with.
        device: as `--device`.

    Raises:
        KuleshovError: as loading, and for a question that does not suit the model.
    """
    from kuleshov.agent import Agent
    from kuleshov.settings import Settings

    if question not in QUESTIONS:
        raise KuleshovError(f"there is no question {question!r}; known: {', '.join(QUESTIONS)}.")
    where = {} if device is None else {"device": device}
    settings = Settings.load(model=model, faces="pocket", prompts=prompts, labels=labels, **where)
    agent = Agent.load(settings)
    items = read_situations(table, agent.crew.labels, split=split, seed=settings.seed)
    metered = MeteredMllm(agent.crew.mllm)
    crew = dataclasses.replace(agent.crew, mllm=cast(Mllm, metered))
    asked = crew.context_asked
    if crew.labels.mode != "single":
        raise KuleshovError(f"context-reading needs labels that exclude one another: {labels}.")
    if crew.writer.stated:
        raise KuleshovError(f"{model} scores no labels: there is nothing to hold against people.")
    if question == "situation" and not (
        crew.mllm.info.scores_texts and crew.writer.family.asks_situation
    ):
        raise KuleshovError(
            f"{model} with the prompts {crew.writer.family.name} cannot be asked for the situation."
        )
    if question in ("situation", "direct"):
        asked = question  # type: ignore[assignment]
    begun = time.perf_counter()
    found, masses = read_all(crew, metered, items, asked)
    figures = summarise_readings(found, items, crew.labels.names, settings.seed)
    if masses:
        figures["mass"] = float(np.mean(masses))
    figures["seconds"] = (time.perf_counter() - begun) / len(items)
    meaning = {}
    for name in figures:
        stem, _, end = name.rpartition("_")
        known = MEANING.get(name)
        meaning[name] = known or f"{stem}: {end} end of the 95 % interval"
    return Result(
        figures={name: round(value, 4) for name, value in figures.items()},
        meaning=meaning,
        settings={
            "model": model,
            "table": table or "shipped",
            "split": split,
            "question": asked,
            "prompts": crew.writer.family.name,
            "labels": labels,
            "method": found[0].method,
        },
    )


def read_all(
    crew: Crew,
    metered: MeteredMllm,
    items: Sequence[TableSituation],
    asked: Literal["situation", "direct"],
) -> tuple[list[EmotionScores], list[float]]:
    """The reading of each situation before a blank picture, and the mass on the scored answers."""
    likelihood, blank = Likelihood(crew), images.blank_image()
    found, masses = [], []
    for item in items:
        evidence = collection.collect_evidence(None, None, [item.text])
        metered.begin()
        if asked == situation.ASKED:
            scores = situation.read_situation(crew, Surroundings(blank, None, None, evidence))
        else:
            names = crew.labels.names
            talk = crew.writer.direct(blank, None, None, evidence, names)
            scores = likelihood.scores(talk, names, "direct")
        found.append(scores)
        if metered.mass is not None:
            masses.append(metered.mass)
    return found, masses


def summarise_readings(
    found: Sequence[EmotionScores],
    items: Sequence[TableSituation],
    names: Sequence[str],
    seed: int,
) -> dict[str, float]:
    """What readings and labels tell of `MEANING`; NAME_low and NAME_high beside each figure."""
    given = np.array([[scores.probabilities[name] for name in names] for scores in found])
    truth = np.array([names.index(item.label) for item in items])

    def told(places: NDArray[Any]) -> dict[str, float]:
        p, y = given[places], truth[places]
        right = p[np.arange(len(y)), y]
        others = (p >= right[:, None]).sum(axis=1)
        top = p.argmax(axis=1)
        return {
            "top1": float((top == y).mean()),
            "rank": float(others.mean()),
            "p_right": float(right.mean()),
            "ece": calibration_error(p, y),
            "largest_share": float(np.bincount(top).max() / len(y)),
        }

    figures: dict[str, float] = {"items": len(items)}
    draws = np.random.default_rng(seed).integers(0, len(items), (RESAMPLES, len(items)))
    drawn = [told(places) for places in draws]
    for name, value in told(np.arange(len(items))).items():
        low, high = np.percentile([one[name] for one in drawn], (2.5, 97.5))
        figures |= {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}
    return figures
