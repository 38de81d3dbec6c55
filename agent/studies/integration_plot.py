"""The picture of `kuleshov integrate`: rules held against people, with the noise ceiling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kuleshov.studies.integrate import RULES, Integration, held_out
from kuleshov.studies.ratings import MISSING, Ratings, mean_cells
from kuleshov.tools.errors import KuleshovError

SHOWN = ("face", "product-over-prior", "mean", "log-pool")


def plot_integration(found: Integration, ratings: Ratings, path: Path) -> None:
    """Draw people's shares of both against four rules, and all rules against the ceiling.

    Raises:
        KuleshovError: matplotlib is missing, or `path` cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise KuleshovError(f"a study needs {MISSING}.") from None
    pairs = mean_cells(ratings)
    by_name = {rule.name: rule for rule in RULES}
    fits = {fit.rule: fit for fit in found.rules}
    figure = Figure(figsize=(12, 6.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1, 1.1])  # an array of two
    upper, lower = parts
    colours = [f"C{i % 10}" for i in range(len(found.labels))]
    for place, name in enumerate(SHOWN):
        axes = upper.add_subplot(1, len(SHOWN), place + 1)
        told = held_out(by_name[name], pairs, pairs.face_names)
        for i, label in enumerate(found.labels):
            axes.plot(told[:, i], pairs.both[:, i], ".", ms=3, color=colours[i], label=label)
        axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, zorder=0)
        top = max(float(told.max()), float(pairs.both.max())) * 1.05
        axes.set(xlim=(0, top), ylim=(0, top), xlabel=by_name[name].says)
        axes.set_title(f"r = {fits[name].r.value:.2f}", fontsize=10)
        if place == 0:
            axes.set_ylabel("people: share of both")
            axes.legend(fontsize=6, markerscale=2, frameon=False)
    axes = lower.add_subplot()
    order = sorted(found.rules, key=lambda fit: -fit.over_faces.value)
    for row, fit in enumerate(order):
        value, low, high = fit.over_faces.value, fit.over_faces.low, fit.over_faces.high
        axes.plot(value, row, "o", color="C0")
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], color="C0")
    axes.set_yticks(range(len(order)), [f"{fit.says} ({fit.rule})" for fit in order])
    axes.set_xlabel("divergence from people (Kullback-Leibler, nats; faces left out one at a time)")
    axes.set_xlim(left=0)
    if found.ceiling is not None:
        axes.axvline(found.ceiling.divergence, color="C3", ls="--", lw=1)
        axes.annotate(
            "noise ceiling",
            (found.ceiling.divergence, 0),
            xytext=(-4, 0),
            ha="right",
            textcoords="offset points",
            color="C3",
            fontsize=9,
        )
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise KuleshovError(f"cannot write {path}: {error.strerror}.") from None
