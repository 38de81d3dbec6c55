"""The page of an evaluation, and of a protocol: one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup

from kuleshov.evals.harness.evaluate import Evaluation
from kuleshov.evals.harness.report import tables
from kuleshov.evals.harness.scores import Scores, SystemScores
from kuleshov.evals.harness.systems import COMPUTED
from kuleshov.output import files as output_files
from kuleshov.output import report, view
from kuleshov.types import CAVEAT

NAME = "report.html"
MOST_POINTS = 1500  # of a scatter; more make the page heavy and show no more
BLIND = ("majority", "chance")


def write(found: Evaluation, scores: Scores) -> None:
    """Write the page of an evaluation into its folder."""
    output_files.write_page(found.out / NAME, html(found, scores))


def html(found: Evaluation, scores: Scores) -> str:
    # from a run whose records hold the three readings
    points = [
        outcome.moved
        for outcome in next((found.outcomes[s] for s in COMPUTED if s in found.outcomes), [])
        if outcome.moved is not None
    ]
    return _render(
        "eval.html.jinja",
        heading=scores.task["title"],
        scores=scores,
        caption=tables.caption(scores),
        caveats=_caveats(scores.provenance),
        main=tables.main_table(scores),
        published=tables.published_table(scores),
        people=tables.people(scores),
        forests=[_forest(scores, metric) for metric in scores.metrics],
        systems=[_system(system) for system in scores.systems],
        points=thinned(points, int(found.facts["seed"])),
        all_points=len(points),
        provenance=[(name, sorted(report.flat(plan))) for name, plan in scores.provenance.items()],
    )


def write_findings(found: Evaluation, findings: Any) -> None:
    """Write the page of a protocol (`Findings`) into the evaluation's folder."""
    page = _render(
        "protocol.html.jinja",
        heading=findings.title,
        findings=findings,
        drawn=f"{found.task.title}, {tables.drawn(found.facts)}",
        points=thinned(list(findings.points), int(found.facts["seed"])),
        all_points=len(findings.points),
        caveats=_caveats(_plans(found, findings.protocol)),
    )
    output_files.write_page(found.out / f"protocol-{findings.protocol}.html", page)


def _render(template: str, **values: Any) -> str:
    environment = report.environment()
    own = str(files("kuleshov.evals.harness.report"))
    assert environment.loader is not None
    environment.loader = ChoiceLoader([FileSystemLoader(own), environment.loader])
    environment.filters["numeric"] = numeric
    environment.filters["stacked"] = stacked
    style = (files("kuleshov.output") / "templates" / "report.css").read_text("utf-8")
    style += (files("kuleshov.evals.harness.report") / "eval.css").read_text("utf-8")
    return environment.get_template(template).render(
        style=Markup(style), caveat=CAVEAT, colour=report.colour, **values
    )


def numeric(text: str) -> bool:
    """Whether a cell holds a number, to be set to the right."""
    return text[:1] in "0123456789.–-+<"


def stacked(text: str) -> Markup:
    """`.857 [.845, .869]` with the interval in small letters below."""
    value, bracket, rest = text.partition(" [")
    if not bracket or not numeric(text):
        return Markup("{}").format(text)
    return Markup('{}<br><span class="ci">[{}</span>').format(value, rest)


def _plans(found: Evaluation, protocol: str) -> dict[str, Any]:
    from kuleshov.runs import store

    runs = [path for path in (found.out / "runs").iterdir() if (path / store.RUN).is_file()]
    return {path.name: store.read_description(path)["plan"] for path in runs}


def _caveats(plans: Mapping[str, Mapping[str, Any]]) -> list[str]:
    told = [
        part.get("caveat")
        for plan in plans.values()
        for part in (plan.get("mllm"), plan.get("faces"))
        if isinstance(part, dict)
    ]
    found = list(dict.fromkeys(text for text in told if text))
    # one that says the same and more is left out
    return [text for text in found if not any(text != o and text.endswith(o) for o in found)]


# ------------------------------------------------------------------------- plots


def _forest(scores: Scores, metric: str) -> dict[str, Any]:
    """The systems' intervals of a metric on one axis, per cent of its width; published beside."""
    figures = [(system, system.figure(metric)) for system in scores.systems]
    told = [p for p in scores.published if p["metric"] == metric]
    values = [v for _, f in figures for v in (f.value, f.low, f.high) if v is not None]
    values += [p["value"] for p in told]
    whole = tables.span(metric)
    low, high = whole or (min([0.0, *values]), max([1.0, *values]) * 1.05)

    def at(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - low) / (high - low), 2)

    rows = [
        {
            "name": system.system,
            "title": system.title,
            "value": at(figure.value),
            "low": at(figure.low),
            "high": at(figure.high),
            "told": tables.interval(figure),
            "blind": system.system in BLIND,
            "published": False,
        }
        for system, figure in figures
    ]
    rows += [
        {
            "name": p["system"],
            "title": f"{p['source']}. {p['note']}",
            "value": at(p["value"]),
            "low": None,
            "high": None,
            "told": tables.number(p["value"]),
            "blind": False,
            "published": True,
        }
        for p in told
    ]
    ticks = [(at(v), f"{v:g}") for v in np.linspace(low, high, 5).round(2).tolist()]
    return {"metric": tables.title(metric) + tables.arrow(metric), "rows": rows, "ticks": ticks}


def _system(system: SystemScores) -> dict[str, Any]:
    return {
        "name": system.system,
        "title": system.title,
        "shown": bool(system.classes) and system.system not in BLIND,
        "answered": tables.answered(system),
        "reasons": list(system.reasons.items())[:8],
        "classes": system.classes,
        "number": tables.number,
        "confusion": _confusion(system),
        "reliability": [
            {
                # a unit square with y upwards, in per cent
                "x": round(100 * one.low, 1),
                "width": round(100 * (one.high - one.low), 1),
                "accuracy": round(100 * one.accuracy, 1),
                "confidence": round(100 * one.confidence, 1),
                "n": one.n,
            }
            for one in system.reliability
        ],
        "ece": next((tables.interval(f) for f in system.figures if f.metric == "ece"), None),
    }


def _confusion(system: SystemScores) -> dict[str, Any] | None:
    found = system.confusion
    if found is None:
        return None
    rows = []
    for label, counts, lost in zip(found.labels, found.counts, found.unanswered, strict=True):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "share": count / total if total else 0.0,
                "told": view.percent(count / total) if count else "",
                "right": said == label,
            }
            for said, count in zip(found.labels, counts, strict=True)
        ]
        rows.append({"label": label, "total": total, "lost": lost, "cells": cells})
    return {"labels": found.labels, "rows": rows, "lost": any(row["lost"] for row in rows)}


def thinned(points: Sequence[tuple[float, float]], seed: int) -> list[tuple[float, float]]:
    """At most MOST_POINTS of them, drawn at random."""
    if len(points) <= MOST_POINTS:
        return list(points)
    places = np.random.default_rng(seed).permutation(len(points))[:MOST_POINTS]
    return [points[place] for place in sorted(places.tolist())]
