"""What perception yields: one face, its action units, its expression; and the label sets.

These types are the contract between the rooms. They check themselves when made, carry their
units and ranges, and keep *unknown* (``None``) apart from zero: a value that a tool could not
measure is never 0 and never "neutral".
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.moved import old_names

Side = Literal["both", "left", "right"]
Shown = Literal["absent", "slight", "clear", "strong"]
Scale = Literal["intensity", "probability", "activation", "log_odds", "presence"]


class Record(BaseModel):
    """Base of everything that is written to a record: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ActionUnit(Record):
    """One FACS action unit as one tool measured it on one face.

    Exactly the scales that the tool yields are set; a probability is not an intensity, and
    neither is a presence. All ``None`` means: the tool looked and could not tell.
    """

    unit: int = Field(ge=1, le=99, description="FACS number, e.g. 12 for lip corner puller")
    side: Side = Field("both", description="the person's own left or right, or both")
    intensity: float | None = Field(None, ge=0, le=5, description="FACS intensity, 0-5 (A=1 … E=5)")
    probability: float | None = Field(None, ge=0, le=1, description="probability that it is shown")
    presence: bool | None = Field(None, description="coded present or absent")
    activation: float | None = Field(
        None,
        ge=0,
        le=1,
        description="blendshape activation or a tool's own score, 0-1: no FACS scale",
    )
    log_odds: float | None = Field(
        None, description="log10 of the odds that it is shown (FACET evidence)"
    )
    thresholds: tuple[float, float, float] | None = Field(
        None, description="activation from which the tool calls the unit slight, clear, strong"
    )
    weak: bool = Field(False, description="the tool measures this unit poorly, by its own figures")

    @property
    def value(self) -> float | None:
        """The number on the scale that is set, intensity first; None if the tool could not tell."""
        for number in (self.intensity, self.probability, self.activation, self.log_odds):
            if number is not None:
                return number
        return None if self.presence is None else float(self.presence)

    @property
    def scale(self) -> Scale | None:
        if self.intensity is not None:
            return "intensity"
        if self.probability is not None:
            return "probability"
        if self.activation is not None:
            return "activation"
        if self.log_odds is not None:
            return "log_odds"
        return "presence" if self.presence is not None else None

    @property
    def steps(self) -> tuple[float, float, float] | None:
        """Values from which the unit counts as slight, clear, strong; None where not defined."""
        if self.intensity is not None:
            return (0.5, 1.5, 3.5)
        if self.probability is not None:
            return (0.3, 0.5, 0.8)
        if self.activation is not None:
            return self.thresholds
        if self.log_odds is not None:
            slight, clear, strong = (math.log10(p / (1 - p)) for p in (0.3, 0.5, 0.8))
            return slight, clear, strong
        return None if self.presence is None else (0.5, 0.5, 1.5)

    @property
    def shown(self) -> Shown | None:
        """How clearly the unit is shown, or None if the tool could not tell.

        Intensity: FACS letters A, B-C, D-E (below 0.5 absent). Probability: 0.3, 0.5, 0.8.
        Log-odds: the same three as odds. Activation: the tool's own `thresholds`, else None.
        Presence: clear or absent.
        """
        steps = self.steps
        if self.scale == "presence":
            return "clear" if self.presence else "absent"
        if steps is None or self.value is None:
            return None
        words: tuple[Shown, ...] = ("absent", "slight", "clear", "strong")
        return words[sum(self.value >= step for step in steps)]


class EmotionScores(Record):
    """Probabilities over the labels of one label set.

    `single`: the labels exclude one another, a distribution. `multi`: each label holds or does
    not, whatever the others do.
    """

    labels: str = Field(description="name of the label set, e.g. ekman-7")
    mode: Literal["single", "multi"] = "single"
    probabilities: dict[str, float] = Field(
        description="label to probability; in mode single they sum to 1"
    )
    method: str = Field(description="where the numbers come from, e.g. softmax, likelihood, stated")

    @field_validator("probabilities")
    @classmethod
    def _are_probabilities(cls, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ValueError("a distribution needs at least one label but got none")
        if any(not 0 <= p <= 1 + 1e-6 for p in value.values()):
            raise ValueError(f"probabilities must lie in 0-1 but got {value}")
        return value

    @model_validator(mode="after")
    def _sum_to_one(self) -> EmotionScores:
        total = sum(self.probabilities.values())
        if self.mode == "single" and not math.isclose(total, 1, abs_tol=1e-3):
            raise ValueError(f"probabilities must sum to 1 but sum to {total:.4f}")
        return self

    @property
    def top(self) -> str:
        """The most probable label; the first in the set's order among equals."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])

    def ranked(self) -> list[tuple[str, float]]:
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


class HeadPose(Record):
    """Head rotation in degrees: pitch up, yaw to the person's left, roll to their right."""

    pitch: float | None = None
    yaw: float | None = None
    roll: float | None = None


class Face(Record):
    """One face in one picture, as one tool saw it.

    `xyxy` is in pixels of the picture after its EXIF orientation was applied, x0 < x1, y0 < y1.
    `units_measured` lists what the tool can measure at all: any other unit is "not measured".
    """

    xyxy: tuple[float, float, float, float]
    score: float | None = Field(None, ge=0, le=1, description="the detector's confidence")
    action_units: tuple[ActionUnit, ...] = ()
    units_measured: tuple[int, ...] = ()
    expression: EmotionScores | None = None
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)
    pose: HeadPose | None = None
    tool: str
    version: str
    time_s: float | None = Field(None, ge=0, description="time in the clip, seconds; None: a still")
    frame: int | None = Field(None, ge=0)
    track: int | None = Field(None, ge=1, description="same face over time within one clip only")
    notes: tuple[str, ...] = Field((), description="what limits this reading, e.g. a small face")

    @model_validator(mode="after")
    def _box_is_a_box(self) -> Face:
        x0, y0, x1, y1 = self.xyxy
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"xyxy must be x0<x1, y0<y1 in pixels but got {self.xyxy}")
        return self

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.xyxy[2] - self.xyxy[0]

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return self.width * (self.xyxy[3] - self.xyxy[1])

    def unit(self, number: int) -> ActionUnit | None:
        """The unit as measured, or None: this tool did not measure it here."""
        return next((au for au in self.action_units if au.unit == number), None)


_NONE = (
    "|-|--|?|-1|-1.0|n/a|na|n.a.|#n/a|nan|null|nil|none|unknown|unlabelled|unlabeled|unsure"
    "|uncertain|missing|undefined|not sure|don't know|dont know|cannot tell|can't tell|no answer"
    "|no label"
)
NO_ANSWER = frozenset(_NONE.split("|"))
"""Words with which tables and annotators say that there is no answer; a set's own labels win."""


@dataclass(frozen=True)
class HumanLabel:
    """What people answered, in the names of a label set.

    name: the label, or the one with the largest share; None: no answer, or none is the largest.
    votes: shares or votes by name, as given (they need not sum to 1); None: one label alone.
    unknown: the words that the set has no place for; then there is neither name nor votes.
    """

    name: str | None = None
    votes: dict[str, float] | None = None
    unknown: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        return self.name is not None or self.votes is not None


def plain_label(given: Any) -> str | dict[str, float] | None:
    """A cell with people's answer as a word, as shares by word, or None where it holds none.

    A list of one word is that word; in a longer one each entry is a vote. JSON text is read as what
    it says. Words stay as they were written: what they mean is for the label set to say.

    Raises:
        KuleshovError: it is none of these: shares that are no numbers, lists in lists, broken JSON.
    """
    if given is None or (isinstance(given, float) and not math.isfinite(given)):
        return None
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, (int, float)):
        if given == -1:  # how class indices say that there is none
            return None
        return str(int(given)) if given == int(given) else str(given)
    if isinstance(given, str):
        text = given.strip()
        if text[:1] in ("{", "[") and text:
            return plain_label(_label_json(text))
        return None if text.lower() in ("", "-1", "-1.0", "nan", "n/a", "#n/a", "null") else text
    if isinstance(given, Mapping):
        (only,) = given if len(given) == 1 else (None,)
        if isinstance(only, str) and isinstance(given[only], (list, tuple)):
            return plain_label(given[only])  # {"choices": [...]}, as Label Studio writes it
        try:
            return {str(word): float(share) for word, share in given.items() if share is not None}
        except (TypeError, ValueError, OverflowError):
            raise KuleshovError("its label is not a distribution: numbers by label") from None
    if isinstance(given, (list, tuple)):
        votes: dict[str, float] = {}
        for entry in given:
            word = plain_label(entry)
            if isinstance(word, dict):
                raise KuleshovError("its label is a list that holds more than words")
            if word is not None:
                votes[word] = votes.get(word, 0.0) + 1.0
        return next(iter(votes)) if len(votes) == 1 else votes or None
    raise KuleshovError(f"its label is of the kind {type(given).__name__}")


def _label_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise KuleshovError(f"its label begins with {text[0]} and is not JSON") from None


def _plain_word(word: str) -> str:
    return " ".join(unicodedata.normalize("NFC", word).lower().replace("_", " ").split())


def _is_no_answer(word: str) -> bool:
    return _plain_word(word) in NO_ANSWER


if not TYPE_CHECKING:  # names that stood here before
    __getattr__ = old_names(__name__)
