"""Where head and eyes turn: FACS 51-56 and 61-64, from angles or from MediaPipe's eyeLook.

FACS names the person's own left and right. From which angle on a turn is told is a choice of ours:
Ekman, Friesen & Hager (2002) score it by sight. Angles are against the camera.
"""

from __future__ import annotations

from collections.abc import Iterator

from kuleshov.tools.types import Face

HEAD_DEG = 15.0
GAZE_DEG = 10.0

# unit: which angle, its sign, words
HEAD: dict[int, tuple[str, int, str]] = {
    51: ("yaw", 1, "turned to the person's left"),
    52: ("yaw", -1, "turned to the person's right"),
    53: ("pitch", 1, "up"),
    54: ("pitch", -1, "down"),
    55: ("roll", -1, "tilted to the person's left"),
    56: ("roll", 1, "tilted to the person's right"),
}
GAZE: dict[int, tuple[str, int, str]] = {
    61: ("yaw", 1, "to the person's left"),
    62: ("yaw", -1, "to the person's right"),
    63: ("pitch", 1, "up"),
    64: ("pitch", -1, "down"),
}
UNITS = (*HEAD, *GAZE)


def is_turned(face: Face, unit: int) -> bool | None:
    """Whether head or eyes turn as the FACS number says; None: not measured, or no such number."""
    if (measured := face.unit(unit)) is not None:
        return None if measured.weak else measured.is_shown
    angle = angle_of(face, unit)
    if angle is None:
        return None
    return angle >= (HEAD_DEG if unit in HEAD else GAZE_DEG)


def angle_of(face: Face, unit: int) -> float | None:
    """How far head or eyes turn that way, degrees; negative: the other way."""
    kind = HEAD if unit in HEAD else GAZE
    turned = face.pose if unit in HEAD else face.gaze
    if turned is None or unit not in kind:
        return None
    name, sign, _ = kind[unit]
    angle = getattr(turned, name)
    return None if angle is None else sign * angle


def direction_lines(face: Face) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """What is told of head and gaze: ("head" or "gaze", units that are shown, text)."""
    for name, kind, least in (("head", HEAD, HEAD_DEG), ("gaze", GAZE, GAZE_DEG)):
        known = {unit: turned for unit in kind if (turned := is_turned(face, unit)) is not None}
        if not known:
            continue
        shown = tuple(unit for unit, turned in known.items() if turned)
        verb = "looks " if name == "gaze" else ""
        told = [_direction_text(face, unit, kind[unit][2]) for unit in shown]
        if told:
            text = verb + ", ".join(told)
        elif any(angle_of(face, unit) is not None for unit in kind):
            text = f"straight ahead, within {least:.0f}\N{DEGREE SIGN}"
        else:
            text = "no turn of the eyes above 95% of calm faces"
        yield name, shown, f"{name}: {text}"


def _direction_text(face: Face, unit: int, words: str) -> str:
    measured = face.unit(unit)
    if measured is not None:
        return f"{words} (AU{unit} {measured.shown})"
    return f"{words} {angle_of(face, unit) or 0:.0f}\N{DEGREE SIGN} (AU{unit})"
