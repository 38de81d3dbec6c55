"""An expression from units, by rules: for tools that measure units and no expression.

`yunet+mediapipe+rules`. Reverse inference in the manner of Affdex: units that belong to an
expression raise it, units that speak against it (`facs.AGAINST`) lower it, and a unit that was not
measured says nothing. It is naive Bayes over the units: how often posers of an expression show a
unit is from Du, Tao & Martinez (2014); every unit is shown by BASE of the others. What a detector
gives of a unit is a posterior: it is divided by the unit's base rate (USUAL), so that a unit that
is as probable as usual says nothing. The result is marked: `EmotionScores.method` begins with
"rules". On MediaPipe's units of FER+ PublicTest faces it is right in 65 %, with an unweighted
recall of 37 % (`training.face.thresholds`; three in four of these faces are neutral or happy): much
worse than a trained net.

Units go together, so that their sum is surer than the face is; TEMPER is the power that made its
probabilities fit best on FER+ faces read by MediaPipe (`training/face/thresholds.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.faces import facs
from kuleshov.tools.faces.base import FaceToolInfo, ToolStatus, register
from kuleshov.tools.types import ActionUnit, EmotionScores, Face, whole_units

METHOD = "rules: units after Du et al. 2014, negative weights after Affdex"
LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
LABEL_SET = "ekman-7"
LICENCE = "Apache-2.0 (part of Kuleshov)"
CAVEAT = "the expression is not measured but follows from the units by rules"

MAIN = 0.85  # Du et al. say "over 70 %" of the units that most show
BASE = 0.08  # a unit shown without belonging to the expression
AGAINST = 0.02
TEMPER = 0.5
LEAST = 5
"""Units that must have been measured of those that the rules know."""

# How surely a unit is shown, by its level, for scales that are no probability
SURE = (0.03, 0.4, 0.8, 0.95)


def _unit_rates() -> dict[str, dict[int, float]]:
    """Expression → unit → share of its posers that show the unit; BASE where not listed."""
    rates: dict[str, dict[int, float]] = {"neutral": {}}
    for pattern in facs.PATTERNS:
        if pattern.kind == "posed":
            main = {unit: MAIN for group in pattern.groups for unit in group}
            against = dict.fromkeys(facs.AGAINST[pattern.expression], AGAINST)
            rates[pattern.expression] = against | dict(pattern.often) | main
    return {label: rates[label] for label in LABELS}


RATES = _unit_rates()
UNITS = tuple(sorted({unit for rates in RATES.values() for unit in rates}))
USUAL = {
    unit: sum(RATES[label].get(unit, BASE) for label in LABELS) / len(LABELS) for unit in UNITS
}
"""Unit → its base rate where every expression is as frequent as any other."""


def unit_weights(expression: str) -> dict[int, float]:
    """Unit → what it adds to the log-odds of the expression when it is surely shown (nats)."""
    return {unit: math.log(rate / BASE) for unit, rate in RATES[expression].items()}


def infer_expression(units: Sequence[ActionUnit]) -> EmotionScores | None:
    """The distribution that the measured units speak for; None if fewer than LEAST were told."""
    sure = {
        unit.unit: _shown_probability(unit)
        for unit in whole_units(units)
        if unit.unit in UNITS and not unit.weak
    }
    known = {unit: p for unit, p in sure.items() if p is not None}
    if len(known) < LEAST:
        return None
    logs = []
    for label in LABELS:
        rates = RATES[label]
        total = 0.0
        for unit, p in known.items():
            rate = rates.get(unit, BASE)
            usual = USUAL[unit]
            total += math.log(p / usual * rate + (1 - p) / (1 - usual) * (1 - rate))
        logs.append(TEMPER * total)
    odds = np.exp(np.array(logs) - max(logs))
    odds /= odds.sum()
    return EmotionScores(
        labels=LABEL_SET,
        probabilities={label: round(float(p), 6) for label, p in zip(LABELS, odds, strict=True)},
        method=METHOD,
    )


def by_rules(scores: EmotionScores) -> bool:
    """Whether a distribution came from these rules and not from a net."""
    return scores.method.startswith("rules")


def _shown_probability(unit: ActionUnit) -> float | None:
    """How surely the unit is shown, 0-1: its probability, or by how clearly it is shown."""
    if unit.intensity is None and unit.probability is not None:
        return unit.probability
    return None if unit.level is None else SURE[unit.level]


class Rules:
    """The rules as a measuring tool, to come after one that measures units."""

    info = FaceToolInfo(
        name="rules",
        version="1",
        expressions=LABELS,
        label_set=LABEL_SET,
        measures="expressions from units, by rules",
        licence=LICENCE,
        caveat=CAVEAT,
    )

    def measure(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Sequence[Face]]
    ) -> list[list[Face]]:
        """Expressions of faces whose units are measured; see `MeasuringTool.measure`."""
        return [[self._face(face) for face in here] for here in faces]

    def _face(self, face: Face) -> Face:
        found = infer_expression(face.action_units)
        return Face(
            xyxy=face.xyxy,
            expression=found,
            tool="rules",
            version="1",
            notes=() if found else ("too few units were measured for the rules",),
        )


def load_rules(device: str | None = None) -> Rules:
    """`device` is taken for the sake of the protocol."""
    return Rules()


def rules_status() -> ToolStatus:
    return ToolStatus(
        name="rules",
        ready=True,
        installed=True,
        version="1",
        weights="none needed",
        licence=LICENCE,
        measures="expressions (7) from measured units: e.g. yunet+mediapipe+rules",
    )


register("rules", load_rules, rules_status, finds=False, measures=True)
