"""One face over a clip: its measurements at every frame in which it was found, and its events.

Columns instead of a `Face` a frame: a minute of video is hundreds of frames, and an hour must
still fit. A value that was not measured is None; a frame without the face is not in the columns,
and `missing` says which stretches of the clip that makes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from kuleshov.tools.types import (
    ActionUnit,
    EmotionScores,
    Face,
    Gaze,
    HeadPose,
    Record,
    Shown,
    Side,
)

Scale = Literal["intensity", "probability", "activation", "log_odds", "presence"]
Column = tuple[float | None, ...]
_GAZE = ("gaze_pitch", "gaze_yaw")


class UnitSeries(Record):
    """One action unit over time, on the scale that its tool yields."""

    unit: int = Field(ge=1, le=99)
    side: Side = "both"
    scale: Scale | None = None
    thresholds: tuple[float, float, float] | None = None
    thresholds_of: Literal["calm faces"] | None = None
    weak: bool = False
    values: Column = Field(description="one a frame of the track; None: could not be told")
    presence: tuple[bool | None, ...] = Field(
        (), description="beside an intensity: coded present; it decides whether the unit is shown"
    )
    probability: Column = Field(
        (), description="beside an intensity: that it is shown, which decides in the same way"
    )

    def at(self, place: int) -> ActionUnit:
        """The unit as it was measured in one frame of the track."""
        value = self.values[place]
        if value is None or self.scale is None:
            return ActionUnit(
                unit=self.unit, side=self.side, weak=self.weak, **self._deciding(place)
            )
        return self.of(value, place)

    def of(self, value: float, place: int) -> ActionUnit:
        """The unit at `value` on its scale, with what else was measured in that frame."""
        own: dict[str, Any] = {self.scale or "": value}
        if self.scale == "presence":
            own = {"presence": value >= 0.5}
        elif self.scale in ("probability", "activation"):
            own = {self.scale: min(1.0, max(0.0, value))}
        return ActionUnit(
            unit=self.unit,
            side=self.side,
            weak=self.weak,
            thresholds=self.thresholds,
            thresholds_of=self.thresholds_of,
            **{**self._deciding(place), **own},
        )

    def _deciding(self, place: int) -> dict[str, Any]:
        return {
            "presence": self.presence[place] if self.presence else None,
            "probability": self.probability[place] if self.probability else None,
        }

    @property
    def decided(self) -> bool:
        """Whether something beside the values says if the unit is shown."""
        return bool(self.presence or self.probability)

    @property
    def steps(self) -> tuple[float, float, float] | None:
        """Values from which the unit counts as slight, clear, strong; None where not defined."""
        known = next((i for i, value in enumerate(self.values) if value is not None), None)
        return None if known is None else self.at(known).steps


class Stretch(Record):
    """A stretch of the clip, seconds."""

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)


class UnitEvent(Record):
    """One rise and fall of an action unit: onset, apex, offset, by its smoothed values.

    `kind` is `blink` for an eye closure too short to be an expression and `speech` for a mouth
    unit within speech-like movement: neither is told as an expression.
    """

    unit: int = Field(ge=1, le=99)
    side: Side = "both"
    kind: Literal["expression", "blink", "speech"] = "expression"
    onset_s: float = Field(ge=0)
    apex_s: float = Field(ge=0)
    offset_s: float = Field(ge=0)
    peak: float = Field(description="smoothed value at the apex, on the unit's scale")
    scale: Scale
    shown: Shown | None = None
    onset_seen: bool = Field(True, description="False: it was there when the face came into view")
    offset_seen: bool = Field(True, description="False: it was there when the face went")


class Track(Record):
    """One face over one clip. The number holds within the clip and says nothing of who it is."""

    id: int = Field(ge=1)
    tool: str
    version: str
    interval_s: float = Field(gt=0, description="usual time between two frames looked at, seconds")
    times_s: tuple[float, ...] = Field(description="frames in which the face was found, seconds")
    frames: tuple[int, ...] = Field(description="their places among the clip's frames")
    boxes_xyxy: tuple[tuple[float, float, float, float], ...]
    scores: Column = ()
    units: tuple[UnitSeries, ...] = ()
    units_measured: tuple[int, ...] = ()
    labels: str | None = Field(None, description="label set of the expression")
    method: str | None = None
    expression: dict[str, Column] = Field({}, description="label to its probability over time")
    valence: Column = ()
    arousal: Column = ()
    pitch: Column = ()
    yaw: Column = ()
    roll: Column = ()
    gaze_pitch: Column = Field((), description="degrees, up")
    gaze_yaw: Column = Field((), description="degrees, to the person's left")
    missing: tuple[Stretch, ...] = Field((), description="stretches of the clip without this face")
    speech: tuple[Stretch, ...] = Field((), description="speech-like movement of the mouth")
    events: tuple[UnitEvent, ...] = ()
    untold: tuple[str, ...] = Field((), description="what the frame rate is too low to tell")

    @property
    def rate(self) -> float:
        """Frames looked at a second."""
        return 1 / self.interval_s

    @model_validator(mode="after")
    def _columns_are_as_long_as_the_track(self) -> Track:
        count = len(self.times_s)
        columns = {
            "frames": self.frames,
            "boxes_xyxy": self.boxes_xyxy,
            **{f"AU{unit.unit} {unit.side}": unit.values for unit in self.units},
            **{f"AU{u.unit} {u.side} presence": u.presence for u in self.units if u.presence},
            **{
                f"AU{u.unit} {u.side} probability": u.probability
                for u in self.units
                if u.probability
            },
            **self.expression,
        }
        for name in ("scores", "valence", "arousal", "pitch", "yaw", "roll", *_GAZE):
            if getattr(self, name):
                columns[name] = getattr(self, name)
        for name, column in columns.items():
            if len(column) != count:
                raise ValueError(f"{name} must have {count} values, one a frame, got {len(column)}")
        if any(b <= a for a, b in zip(self.times_s, self.times_s[1:], strict=False)):
            raise ValueError("times_s must rise")
        return self

    def scores_at(self, place: int) -> EmotionScores | None:
        """The expression in one frame of the track, or None."""
        values = {label: column[place] for label, column in self.expression.items()}
        if not values or self.labels is None or None in values.values():
            return None
        return EmotionScores(
            labels=self.labels,
            probabilities={k: v for k, v in values.items() if v is not None},
            method=self.method or "",
        )

    def face(self, place: int) -> Face:
        """The face in one frame of the track as a `Face`."""

        def of(column: Column) -> float | None:
            return column[place] if column else None

        angles = of(self.pitch), of(self.yaw), of(self.roll)
        gaze = of(self.gaze_pitch), of(self.gaze_yaw)
        return Face(
            xyxy=self.boxes_xyxy[place],
            score=of(self.scores),
            action_units=tuple(unit.at(place) for unit in self.units),
            units_measured=self.units_measured,
            expression=self.scores_at(place),
            valence=of(self.valence),
            arousal=of(self.arousal),
            pose=None
            if angles == (None, None, None)
            else HeadPose(pitch=angles[0], yaw=angles[1], roll=angles[2]),
            gaze=None if gaze == (None, None) else Gaze(pitch=gaze[0], yaw=gaze[1]),
            tool=self.tool,
            version=self.version,
            time_s=self.times_s[place],
            frame=self.frames[place],
            track=self.id,
        )

    def nearest(self, time_s: float, within_s: float | None = None) -> int | None:
        """The place of the frame nearest to a time; None if none lies within `within_s`."""
        place = min(range(len(self.times_s)), key=lambda i: abs(self.times_s[i] - time_s))
        far = abs(self.times_s[place] - time_s)
        return None if within_s is not None and far > within_s else place

    def stretches(self) -> list[range]:
        """Places of the track without a gap: a gap is more than 2.5 usual intervals."""
        found: list[range] = []
        begin = 0
        for i in range(1, len(self.times_s) + 1):
            last = i == len(self.times_s)
            if last or self.times_s[i] - self.times_s[i - 1] > 2.5 * self.interval_s:
                found.append(range(begin, i))
                begin = i
        return found
