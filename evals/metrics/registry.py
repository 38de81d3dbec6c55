"""Every metric by its name."""

from __future__ import annotations

from pathlib import Path

from kuleshov.evals.metrics import affect, classes, emotion_wheels, judge, multilabel, votes
from kuleshov.evals.metrics.base import Metric
from kuleshov.evals.metrics.emotion_wheels import Wheels
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.registry import Registry

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        metric.name: metric
        for metric in (
            classes.ACCURACY,
            classes.WAR,
            classes.UAR,
            classes.WEIGHTED_F1,
            classes.MACRO_F1,
            classes.ALPHA,
            classes.ECE,
            classes.BRIER,
            classes.CLASSWISE_ECE,
            classes.AP_POSITIVE,
            multilabel.MAP,
            multilabel.MULTI_MACRO_F1,
            multilabel.MULTI_MICRO_F1,
            *affect.METRICS,
            votes.SOFT_CROSS_ENTROPY,
            votes.JS_DIVERGENCE,
            emotion_wheels.SET_F_WORDS,
            emotion_wheels.HIT_RATE,
            judge.CLUE_OVERLAP,
            judge.LABEL_OVERLAP,
        )
    },
    otherwise="on emotion wheels: set_f, wheel_hit_rate",
)

ON_WHEELS = {"set_f": emotion_wheels.set_f, "wheel_hit_rate": emotion_wheels.wheel_hit_rate}
"""Metrics that need the emotion wheels, which are not shipped."""


def find_metric(name: str, wheels: Wheels | str | Path | None = None) -> Metric:
    """The metric of that name.

    Args:
        wheels: the emotion wheels or their folder, for the metrics that rest on them.

    Raises:
        KuleshovError: there is no such metric, or it needs the wheels.
    """
    if name in ON_WHEELS:
        if wheels is None:
            raise KuleshovError(
                f"the metric {name} needs the emotion wheels: give the folder "
                "MER2025/MER2025_Track23/emotion_wheel of github.com/zeroQiaoba/MERTools."
            )
        return ON_WHEELS[name](wheels if isinstance(wheels, Wheels) else Wheels.load(wheels))
    return METRICS.find(name)
