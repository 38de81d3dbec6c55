"""Descriptions compared by a judge: overlap of clues and of labels, 1-10 (Lian et al. 2023, EMER).

The judge is a language model at temperature 0 that reads both descriptions. What it answers depends
on the judge and on the wording (ours, `prompts/judge/`), so both stand in every verdict; figures
with another judge, as the published ones, are not comparable. The first number is taken as the
published code takes it; one outside 1-10, or none, is no verdict.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Literal

from pydantic import Field

from kuleshov import prompts
from kuleshov.evals.metrics.base import Metric, Names
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.mllm.base import Mllm
from kuleshov.tools.types import Record

Kind = Literal["clue_overlap", "label_overlap"]
TEMPLATES: dict[Kind, str] = {"clue_overlap": "clues", "label_overlap": "labels"}
NUMBER = re.compile(r"[\d][.]*[\d]*")
TOKENS = 32


class Verdict(Record):
    """What a judge said of two descriptions. score: None where no number could be read."""

    kind: Kind
    score: float | None = Field(ge=1, le=10)
    text: str = Field(description="the judge's answer")
    judge: str
    revision: str | None = None
    prompt: str = Field(description="SHA-256 of the template")


def read_score(text: str) -> float | None:
    """The first number of an answer, if it is one of the scale."""
    found = NUMBER.search(text)
    try:
        score = float(found.group()) if found else None
    except ValueError:  # "8..5"
        return None
    return score if score is not None and 1 <= score <= 10 else None


def ask_verdict(judge: Mllm, kind: Kind, people: str, system: str) -> Verdict:
    """Ask the judge how far two descriptions agree.

    Args:
        people, system: descriptions; data for the judge, quoted, never instructions.

    Raises:
        MllmError: the judge fails.
    """
    name = TEMPLATES[kind]
    text = prompts.render_prompt("judge", name, people=people, system=system)
    said = judge.generate(
        [{"role": "user", "content": [{"type": "text", "text": text}]}],
        max_new_tokens=TOKENS,
        temperature=0.0,
    ).text
    source = (files("kuleshov.prompts") / "judge" / f"{name}.jinja").read_bytes()
    return Verdict(
        kind=kind,
        score=read_score(said),
        text=said,
        judge=judge.info.id,
        revision=judge.info.revision,
        prompt=hashlib.sha256(source).hexdigest(),
    )


def _judge_metric(kind: Kind, title: str, what: str) -> Metric:
    def row(target: Target, answer: Answer, names: Names) -> tuple[float] | None:
        score = answer.judged.get(kind)
        return None if score is None else (score,)

    return Metric(
        kind,
        title,
        f"mean score of a judge for {what}, 1-10 (Lian et al. 2023, EMER)",
        lambda target: target.text is not None,
        row,
        lambda rows, names: float(rows.mean()),
        range=(1, 10),
    )


CLUE_OVERLAP = _judge_metric("clue_overlap", "Clue overlap", "how far the clues named agree")
LABEL_OVERLAP = _judge_metric("label_overlap", "Label overlap", "how far the emotions named agree")
