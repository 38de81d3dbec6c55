"""Parts that several tests share: faces made by hand and a face tool that yields them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov.tools.faces.base import FaceToolInfo
from kuleshov.tools.types import ActionUnit, EmotionScores, Face

EKMAN7 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def scores(labels: str = "ekman-7", **probabilities: float) -> EmotionScores:
    """A distribution over the seven labels; what is not named shares the rest."""
    rest = [label for label in EKMAN7 if label not in probabilities]
    left = (1 - sum(probabilities.values())) / len(rest)
    return EmotionScores(
        labels=labels,
        probabilities={label: probabilities.get(label, left) for label in EKMAN7},
        method="made by hand",
    )


def face(
    *units: ActionUnit, box: tuple[float, float, float, float] = (10, 10, 60, 70), **changes: Any
) -> Face:
    fields: dict[str, Any] = {
        "xyxy": box,
        "score": 0.9,
        "tool": "hand",
        "version": "1",
        "action_units": units,
        "units_measured": (1, 4, 12, 15),
        "expression": scores(happiness=0.8, neutral=0.1),
    }
    return Face(**{**fields, **changes})


SMILE = ActionUnit(unit=12, probability=0.93)
NO_FROWN = ActionUnit(unit=4, probability=0.02)


class HandFaces:
    """A face tool that finds the faces it was given, in every picture."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)
        self.info = FaceToolInfo(
            name="hand",
            version="1",
            units=(1, 4, 12, 15),
            unit_scale="probability",
            expressions=EKMAN7,
            label_set="ekman-7",
            licence="none",
        )

    def observe(self, images: Sequence[Any]) -> list[list[Face]]:
        return [list(self.faces) for _ in images]
