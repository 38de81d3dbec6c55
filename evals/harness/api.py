"""An evaluation in one call, for notebooks and scripts; `kuleshov eval` does the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kuleshov.agent import Agent
from kuleshov.evals.datasets import registry
from kuleshov.evals.harness import baselines, evaluate, scores
from kuleshov.evals.harness.evaluate import Evaluation
from kuleshov.evals.harness.report import page, tables
from kuleshov.evals.harness.scores import Scores
from kuleshov.evals.metrics.base import RESAMPLES


def evaluate_agent(
    agent: Agent,
    task: str,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    strategies: Sequence[str] = ("face", "context", "people", "text", "majority", "chance"),
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    metrics: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    clip: str = baselines.CLIP,
) -> Scores:
    """Evaluate an agent's model and face tool; the same call resumes.

    Args:
        agent: its settings hold, but for label set and fusion, which the task and `strategies` set.
        task: a name of `kuleshov.evals.datasets.registry`, e.g. "ferplus" or "manifest".
        data: the user's copy of the data.
        out: the folder; holds page, tables and results.json afterwards.
        strategies: those of the agent, and baselines: clip, majority, chance.
        limit: so many samples, in proportion to the labels, drawn by `seed`.

    Raises:
        KuleshovError: the data, a system, or what is in `out` already; one sentence.
    """
    found = evaluate.begin_evaluation(
        registry.find_task(task, os.fspath(data)),
        os.fspath(data),
        Path(out),
        split=split,
        limit=limit,
        seed=seed,
    )
    evaluate.run_systems(
        found, tuple(strategies), lambda settings: evaluate.reset_agent(agent, settings), clip=clip
    )
    return finish_evaluation(
        found, scores.score_evaluation(found, metrics=metrics, resamples=resamples)
    )


def finish_evaluation(found: Evaluation, result: Scores) -> Scores:
    """Write results.json, the tables and the page."""
    scores.write_scores(found, result)
    for name, make in tables.WRITTEN.items():
        (found.out / name).write_text(make(result), "utf-8")
    page.write_page(found, result)
    return result
