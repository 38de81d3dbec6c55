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


def write_page(found: Evaluation, scores: Scores) -> None:
    """Write the page of an evaluation into its folder."""
    output_files.write_page(found.out / NAME, render_page(found, scores))


def render_page(found: Evaluation, scores: Scores) -> str:
    # from a run whose records hold the three readings
    points = [
        outcome.moved
        for outcome in next((found.outcomes[s] for s in COMPUTED if s in found.outcomes), [])
        if outcome.moved is not None
    ]
    return _render_template(
        "eval.html.jinja",
        heading=scores.task["title"],
        scores=scores,
        caption=tables.table_caption(scores),
        caveats=_list_caveats(scores.provenance),
        main=tables.main_table(scores),
        published=tables.published_table(scores),
        people=tables.people_line(scores),
        forests=[_forest_plot(scores, metric) for metric in scores.metrics],
        systems=[_view_system(system) for system in scores.systems],
        points=thin_points(points, int(found.facts["seed"])),
        all_points=len(points),
        provenance=[
            (name, sorted(report.flatten_values(plan))) for name, plan in scores.provenance.items()
        ],
    )


def write_findings(found: Evaluation, findings: Any) -> None:
    """Write the page of a protocol (`Findings`) into the evaluation's folder."""
    page = _render_template(
        "protocol.html.jinja",
        heading=findings.title,
        findings=findings,
        drawn=f"{found.task.title}, {tables.draw_facts(found.facts)}",
        points=thin_points(list(findings.points), int(found.facts["seed"])),
        all_points=len(findings.points),
        caveats=_list_caveats(_system_plans(found, findings.protocol)),
    )
    output_files.write_page(found.out / f"protocol-{findings.protocol}.html", page)


def _render_template(template: str, **values: Any) -> str:
    environment = report.page_environment()
    own = str(files("kuleshov.evals.harness.report"))
    assert environment.loader is not None
    environment.loader = ChoiceLoader([FileSystemLoader(own), environment.loader])
    environment.filters["numeric"] = is_numeric
    environment.filters["stacked"] = stack_interval
    style = (files("kuleshov.output") / "templates" / "report.css").read_text("utf-8")
    style += (files("kuleshov.evals.harness.report") / "eval.css").read_text("utf-8")
    return environment.get_template(template).render(
        style=Markup(style), caveat=CAVEAT, colour=report.label_colour, **values
    )


def is_numeric(text: str) -> bool:
    """Whether a cell holds a number, to be set to the right."""
    return text[:1] in "0123456789.–-+<"


def stack_interval(text: str) -> Markup:
    """`.857 [.845, .869]` with the interval in small letters below."""
    value, bracket, rest = text.partition(" [")
    if not bracket or not is_numeric(text):
        return Markup("{}").format(text)
    return Markup('{}<br><span class="ci">[{}</span>').format(value, rest)


def _system_plans(found: Evaluation, protocol: str) -> dict[str, Any]:
    from kuleshov.runs import store

    runs = [path for path in (found.out / "runs").iterdir() if (path / store.RUN).is_file()]
    return {path.name: store.read_description(path)["plan"] for path in runs}


def _list_caveats(plans: Mapping[str, Mapping[str, Any]]) -> list[str]:
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


def _forest_plot(scores: Scores, metric: str) -> dict[str, Any]:
    """The systems' intervals of a metric on one axis, per cent of its width; published beside."""
    figures = [(system, system.figure(metric)) for system in scores.systems]
    told = [p for p in scores.published if p["metric"] == metric]
    values = [v for _, f in figures for v in (f.value, f.low, f.high) if v is not None]
    values += [p["value"] for p in told]
    whole = tables.metric_range(metric)
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
            "told": tables.format_interval(figure),
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
            "told": tables.format_number(p["value"]),
            "blind": False,
            "published": True,
        }
        for p in told
    ]
    ticks = [(at(v), f"{v:g}") for v in np.linspace(low, high, 5).round(2).tolist()]
    return {
        "metric": tables.metric_title(metric) + tables.better_arrow(metric),
        "rows": rows,
        "ticks": ticks,
    }


def _view_system(system: SystemScores) -> dict[str, Any]:
    return {
        "name": system.system,
        "title": system.title,
        "shown": bool(system.classes) and system.system not in BLIND,
        "answered": tables.answered_share(system),
        "reasons": list(system.reasons.items())[:8],
        "classes": system.classes,
        "number": tables.format_number,
        "confusion": _view_confusion(system),
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
        "ece": next((tables.format_interval(f) for f in system.figures if f.metric == "ece"), None),
    }


def _view_confusion(system: SystemScores) -> dict[str, Any] | None:
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
                "told": view.format_percent(count / total) if count else "",
                "right": said == label,
            }
            for said, count in zip(found.labels, counts, strict=True)
        ]
        rows.append({"label": label, "total": total, "lost": lost, "cells": cells})
    return {"labels": found.labels, "rows": rows, "lost": any(row["lost"] for row in rows)}


def thin_points(points: Sequence[tuple[float, float]], seed: int) -> list[tuple[float, float]]:
    """At most MOST_POINTS of them, drawn at random."""
    if len(points) <= MOST_POINTS:
        return list(points)
    places = np.random.default_rng(seed).permutation(len(points))[:MOST_POINTS]
    return [points[place] for place in sorted(places.tolist())]
