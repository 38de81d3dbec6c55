"""What perception yields: one face, its action units, its expression; and the label sets.

These types are the contract between the rooms. They check themselves when made, carry their
units and ranges, and keep *unknown* (``None``) apart from zero: a value that a tool could not
measure is never 0 and never "neutral".
"""

from __future__ import annotations

import ast
import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.tools.moved import old_names

Side = Literal["both", "left", "right"]
Shown = Literal[
    "absent",
    "present",
    "slight",
    "clear",
    "strong",
    "possible",
    "probable",
    "very probable",
    "above 80% of calm faces",
    "above 95% of calm faces",
    "above 99% of calm faces",
    "near its threshold",
    "above its threshold",
    "far above its threshold",
]
# what is told by level, 0 to 3; `ActionUnit.shown` says which scale takes which
DEGREES: tuple[Shown, ...] = ("absent", "slight", "clear", "strong")
CHANCES: tuple[Shown, ...] = ("absent", "possible", "probable", "very probable")
OF_CALM: tuple[Shown, ...] = (
    "absent",
    "above 80% of calm faces",
    "above 95% of calm faces",
    "above 99% of calm faces",
)
OF_THRESHOLD: tuple[Shown, ...] = (
    "absent",
    "near its threshold",
    "above its threshold",
    "far above its threshold",
)
Scale = Literal["intensity", "probability", "activation", "log_odds", "presence"]
LEVELS: dict[str, int] = {
    **{
        word: level
        for words in (DEGREES, CHANCES, OF_CALM, OF_THRESHOLD)
        for level, word in enumerate(words)
    },
    "present": 2,
}
"""What is told of a unit → its level, for order, plots and weights."""
NO_SIGN: frozenset[str] = frozenset({CHANCES[1], OF_CALM[1], OF_THRESHOLD[1]})
"""What is told without the unit counting as shown: it confirms and contradicts nothing."""


class Record(BaseModel):
    """Base of everything that is written to a record: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __str__(self) -> str:
        return repr(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the JSON record."""
        return self.model_dump(mode="json", by_alias=True)

    def __dir__(self) -> list[str]:
        own = set(super().__dir__()) - set(dir(BaseModel))
        return sorted(name for name in own if not name.startswith(("_", "model_")))


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
        None, description="activations that it is compared with: near, above, far above"
    )
    thresholds_of: Literal["calm faces"] | None = Field(
        None,
        description="calm faces: the thresholds are what 20, 5 and 1 % of faces with a calm "
        "expression reach; None: set by the tool or by us",
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
        """Values on `scale` from which the unit counts as level 1, 2, 3; None: not defined."""
        if self.intensity is not None:
            return _INTENSITY
        if self.probability is not None:
            return _PROBABILITY
        if self.activation is not None:
            return self.thresholds
        if self.log_odds is not None:
            return _LOG_ODDS
        return None if self.presence is None else (0.5, 0.5, 1.5)

    @property
    def is_shown(self) -> bool | None:
        """Whether the unit is shown; None: the tool could not tell, or what it tells is no sign.

        What speaks of presence decides, before any intensity: a coded presence, else a
        probability or odds (shown from 0.5 on, absent below 0.3, between them open). An intensity
        alone decides from FACS letter A on (0.5). An activation is a sign from its second
        threshold on and absent below its first: what 20 % of calm faces reach confirms nothing.
        """
        if self.presence is not None:
            return self.presence
        for number, steps in (
            (self.probability, _PROBABILITY),
            (self.log_odds, _LOG_ODDS),
            (None if self.intensity is not None else self.activation, self.thresholds),
        ):
            if number is not None:
                if steps is None:
                    return None
                return True if number >= steps[1] else False if number < steps[0] else None
        return None if self.intensity is None else self.intensity >= _INTENSITY[0]

    @property
    def level(self) -> int | None:
        """How much speaks for the unit, on whatever scale, for order and plots: 0 (absent) to 3.

        None: the tool could not tell. Levels of different scales mean different things.
        """
        if self.is_shown is False:
            return 0
        if self.intensity is not None and self.is_shown:
            return max(1, _round_count(self.intensity, _INTENSITY))
        for number, steps in (
            (self.probability, _PROBABILITY),
            (self.log_odds, _LOG_ODDS),
            (self.activation, self.thresholds),
        ):
            if number is not None and steps is not None:
                return max(_round_count(number, steps), 2 if self.is_shown else 0)
        return None if self.is_shown is None else 2

    @property
    def shown(self) -> Shown | None:
        """What is told of the unit, in the words of its scale; None: the tool could not tell.

        Intensity: slight, clear, strong (FACS letters A, B-C, D-E). Probability and odds:
        possible, probable, very probable (from 0.3, 0.5, 0.8). Activation: the thresholds that it
        is above. Presence alone, or with an intensity below A: present.
        """
        level = self.level
        if level is None or level == 0:
            return None if level is None else "absent"
        if self.intensity is not None and self.is_shown:
            degree = _round_count(self.intensity, _INTENSITY)
            if degree:
                return DEGREES[degree]
        if self.presence:
            return "present"
        if self.probability is not None or self.log_odds is not None:
            return CHANCES[level]
        return (OF_CALM if self.thresholds_of == "calm faces" else OF_THRESHOLD)[level]

    @property
    def at_odds(self) -> bool:
        """Whether presence and intensity disagree; in some tools they are separate models."""
        if self.intensity is None or (self.presence is self.probability is self.log_odds is None):
            return False
        return self.is_shown is not None and self.is_shown != (self.intensity >= _INTENSITY[0])


_INTENSITY = (0.5, 1.5, 3.5)
_PROBABILITY = (0.3, 0.5, 0.8)
_LOG_ODDS = (math.log10(0.3 / 0.7), 0.0, math.log10(0.8 / 0.2))


def _round_count(number: float, steps: tuple[float, float, float]) -> int:
    return sum(number >= step for step in steps)


def whole_units(units: Iterable[ActionUnit]) -> tuple[ActionUnit, ...]:
    """One `ActionUnit` a number, in the order given; see `join_halves`."""
    found: dict[int, list[ActionUnit]] = {}
    for unit in units:
        found.setdefault(unit.unit, []).append(unit)
    return tuple(join_halves(halves) for halves in found.values())


def join_halves(units: Sequence[ActionUnit]) -> ActionUnit:
    """One unit of what was measured of it: the whole face's, else both halves as one.

    The halves' mean, on every scale that both have; where one half is shown and the other absent,
    that half alone, with its side: a mean would hide a movement of one side.

    Args:
        units: of one number, at least one.
    """
    whole = [unit for unit in units if unit.side == "both"]
    if whole or len(units) == 1:
        return (whole or list(units))[0]
    shown = [unit for unit in units if unit.is_shown]
    told = [unit for unit in units if unit.is_shown is not None]
    if len(shown) == 1 and len(told) == len(units):
        return shown[0]

    def mean(name: str) -> float | None:
        values = [getattr(unit, name) for unit in units]
        return None if None in values else round(sum(values) / len(values), 4)

    scales = ("intensity", "probability", "activation", "log_odds")
    presences = [unit.presence for unit in units]
    return units[0].model_copy(
        update={
            "side": "both",
            "presence": None if None in presences else any(presences),
            **{scale: mean(scale) for scale in scales},
        }
    )


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

    def __getitem__(self, label: str) -> float:
        """The probability of a label.

        Raises:
            KuleshovError: the set has no such label.
        """
        if label not in self.probabilities:
            known = list(self.probabilities)
            raise KuleshovError(
                f"{self.labels} has no label {label!r}{suggest_word(label, known)}; it has "
                f"{', '.join(known)}."
            )
        return self.probabilities[label]

    def __repr__(self) -> str:
        told = ", ".join(f"{label} {p:.0%}" for label, p in self.ranked()[:3])
        more = len(self.probabilities) - 3
        return f"<{self.labels}: {told}{f' and {more} more' if more > 0 else ''}>"


class HeadPose(Record):
    """Head rotation in degrees: pitch up, yaw to the person's left, roll to their right."""

    pitch: float | None = None
    yaw: float | None = None
    roll: float | None = None


class Gaze(Record):
    """Where the eyes look against the camera, in degrees: pitch up, yaw to the person's left."""

    pitch: float | None = None
    yaw: float | None = None


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
    gaze: Gaze | None = None
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
        """The unit as measured, halves joined, or None: this tool did not measure it here."""
        found = [au for au in self.action_units if au.unit == number]
        return join_halves(found) if found else None

    def au(self, number: int) -> ActionUnit | None:
        """The unit of this number, as `unit`; None: not measured.

        Raises:
            KuleshovError: it is no action unit; the sentence names those that were measured.
        """
        if not 1 <= number <= 99:
            known = ", ".join(f"AU{n}" for n in dict.fromkeys(u.unit for u in self.action_units))
            raise KuleshovError(f"there is no AU{number}; measured were {known or 'none'}.")
        return self.unit(number)

    def __repr__(self) -> str:
        x0, y0, x1, y1 = self.xyxy
        told = [f"{x1 - x0:.0f} × {y1 - y0:.0f} px at ({x0:.0f}, {y0:.0f})"]
        if self.expression is not None:
            label, p = self.expression.ranked()[0]
            told.append(f"{label} {p:.0%}")
        shown = [f"AU{u.unit} {u.shown}" for u in self.whole_units() if u.is_shown]
        told += [", ".join(shown[:8]) + (" …" if len(shown) > 8 else "")] if shown else []
        return f"<Face by {self.tool}: {'; '.join(told)}>"

    def whole_units(self) -> tuple[ActionUnit, ...]:
        """One `ActionUnit` a number, in the order measured; halves joined by `join_halves`."""
        return whole_units(self.action_units)


_NONE = (
    "|-|--|?|-1|-1.0|n/a|na|n.a.|#n/a|nan|null|nil|none|unknown|unlabelled|unlabeled|unsure"
    "|uncertain|missing|undefined|not sure|don't know|dont know|cannot tell|can't tell|no answer"
    "|no label|n.a|i don't know|do not know|i do not know|no idea"
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
        pass
    try:  # ['happy', 'sad']: a list in a cell, as pandas writes it
        told = ast.literal_eval(text) if len(text) < 10_000 else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        told = None
    if isinstance(told, (list, dict)):
        return told
    raise KuleshovError(f"its label begins with {text[0]} and is not JSON") from None


def _plain_word(word: str) -> str:
    """As words are compared: one spelling of Unicode, no case, no marks around it."""
    plain = unicodedata.normalize("NFC", word).lower().replace("_", " ").replace("\u2019", "'")
    return " ".join(plain.split()).strip(" .!,:\"'\u201c\u201d\u2018`*")


def _is_no_answer(word: str) -> bool:
    return _plain_word(word) in NO_ANSWER


if not TYPE_CHECKING:  # names that stood here before
    __getattr__ = old_names(__name__)
