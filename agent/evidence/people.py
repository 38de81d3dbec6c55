"""From faces to people: who is judged, in which order. Ids say nothing about who a person is."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Sequence
from typing import Any

from kuleshov.evidence import negation
from kuleshov.evidence.moments import mean_expression
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.media import Frame
from kuleshov.tools.types import Face
from kuleshov.types import Plain, Scene

EVERYBODY = "all"
"""Stands for a person's number where every face is covered."""

SMALL_FACE_PX = 24  # narrower than half of the pocket net's 48 px input: mostly interpolation
MOST_BOXES = 100  # people that may be named for one picture or clip
COVERS = re.compile(
    r"\b(?:(?:face |surgical |medical |ski |gas )?masks?(?! of)|sunglasses|dark glasses|goggles|"
    r"visors?|veils?|balaclavas?|blindfolds?)\b",
    re.IGNORECASE,
)
"""Words for what covers a part of a face."""
BRIEF = 3  # frames: a track of fewer is more often a false find than a person


def covers_of_faces(scene: Scene | None, found: Sequence[Plain]) -> list[str]:
    """What the scene's description says to cover a face, as a warning."""
    if scene is None or not any(target["face"] for target in found):
        return []
    text = ". ".join((scene.description, scene.people or "", *scene.objects))
    named = [
        match[0].lower()
        for match in COVERS.finditer(text)
        if not negation.is_denied(text, match.span())
    ]
    if not named:
        return []
    what = " and ".join(dict.fromkeys(named))
    return [f"the description of the scene names {what}: units of a covered part cannot be trusted"]


def apex_face(faces: Sequence[Face]) -> Face:
    """The least neutral face of a track; without neutral scores, the one detected best."""

    def strength(face: Face) -> float:
        if face.expression is None or "neutral" not in face.expression.probabilities:
            return face.score or 0.0
        return 1 - face.expression.probabilities["neutral"]

    return max(faces, key=strength)


def choose_people(faces: Sequence[Face], most: int) -> tuple[list[Plain], int]:
    """The people of a still to judge, numbered from left to right, and how many were left out.

    Each is {"id", "face", "picture", "timeline", "expression"} in plain values. Where there are
    more than `most`, the largest are kept.
    """
    kept = sorted(faces, key=lambda face: -face.area)[:most]
    kept.sort(key=lambda face: face.xyxy[0])
    people = []
    for number, face in enumerate(kept, start=1):
        scores = face.expression
        people.append(
            {
                "id": number,
                "face": face.model_dump(mode="json"),
                "picture": 0,
                "expression": scores.model_dump(mode="json") if scores else None,
                "timeline": [],
            }
        )
    return people, len(faces) - len(kept)


def check_boxes(
    boxes: Sequence[Sequence[float]] | None, size: tuple[int, int] | None = None
) -> tuple[list[list[float]], list[str]]:
    """The boxes as (x0, y0, x1, y1) pixels, and what had to be changed of them, in words.

    Args:
        boxes: as people, forms and manifests give them.
        size: (width, height) of the upright picture; what reaches outside is cut off. None: not
            opened yet, the numbers alone are looked at.

    Raises:
        KuleshovError: too many, not four finite numbers with x0 < x1 and y0 < y1, or a box that
            lies wholly outside the picture.
    """
    given = [] if boxes is None else list(boxes)
    if len(given) > MOST_BOXES:
        raise KuleshovError(
            f"{len(given):,} boxes were given; at most {MOST_BOXES} people can be read at once."
        )
    found, told = [], []
    for number, box in enumerate(given, start=1):
        x0, y0, x1, y1 = _box_numbers(box)
        if size is not None:
            width, height = size
            if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
                raise KuleshovError(
                    f"box {number}, {_box_text(x0, y0, x1, y1)}, lies outside the picture, which "
                    f"has {width} × {height} pixels."
                )
            cut = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
            if cut != (x0, y0, x1, y1):
                told.append(
                    f"box {number}, {_box_text(x0, y0, x1, y1)}, reaches outside the picture of "
                    f"{width} × {height} pixels: read as {_box_text(*cut)}"
                )
                x0, y0, x1, y1 = cut
        found.append([x0, y0, x1, y1])
    return found, told


def _box_numbers(box: Any) -> tuple[float, float, float, float]:
    shown = reprlib.repr(box)  # a number may have 400 digits
    try:
        x0, y0, x1, y1 = (float(value) for value in box)
    except (TypeError, ValueError, OverflowError):
        raise KuleshovError(f"the box {shown} is not four numbers x0 y0 x1 y1.") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise KuleshovError(f"the box {shown} is not four finite numbers x0 y0 x1 y1.")
    if not (x0 < x1 and y0 < y1):
        raise KuleshovError(f"the box {shown} is not x0 < x1, y0 < y1 in pixels.")
    return x0, y0, x1, y1


def _box_text(*sides: float) -> str:
    return f"({', '.join(f'{side:.10g}' for side in sides)})"


def in_boxes(
    found: Sequence[dict[str, Any]], boxes: Sequence[Sequence[float]]
) -> list[dict[str, Any]]:
    """Of the targets, those in the boxes, numbered as these are.

    A face belongs to the box that its centre lies in, the largest first. In a box without a face
    is a person whose face was not found.
    """
    people = []
    left = sorted(found, key=lambda target: -Face.model_validate(target["face"]).area)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        target: dict[str, Any] = {
            "face": None,
            "picture": 0,
            "expression": None,
            "timeline": [],
        }
        for face in left:
            a, b, c, d = face["face"]["xyxy"]
            if x0 <= (a + c) / 2 <= x1 and y0 <= (b + d) / 2 <= y1:
                target = face
                left.remove(face)
                break
        people.append({**target, "id": number, "box": [x0, y0, x1, y1]})
    return people


def choose_followed(
    tracks: Sequence[Track], frames: Sequence[Frame], most: int
) -> tuple[list[Plain], list[Track]]:
    """The people of a clip to judge, as `choose_people` and with their "track", and the tracks left
    out.

    Kept are the tracks seen longest, then the largest; numbered in order of appearance, then from
    left to right. A track of fewer than `BRIEF` frames beside a longer one is left out.
    """
    longest = max((len(track.times_s) for track in tracks), default=0)
    least = min(BRIEF, longest)

    def size(track: Track) -> float:
        return max((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in track.boxes_xyxy)

    lasting = [track for track in tracks if len(track.times_s) >= least]
    kept = sorted(lasting, key=lambda track: (-len(track.times_s), -size(track)))[:most]
    kept.sort(key=lambda track: (track.times_s[0], track.boxes_xyxy[0][0]))
    people = []
    for number, track in enumerate(kept, start=1):
        own = track.model_copy(update={"id": number})
        places = {frame: i for i, frame in enumerate(own.frames)}
        shown = [
            (picture, own.face(places[frame.index]))
            for picture, frame in enumerate(frames)
            if frame.index in places
        ]
        if not shown:  # never in a kept frame: the picture nearest in time stands for it
            face = own.face(len(own.times_s) // 2)
            picture = min(
                range(len(frames)), key=lambda i: abs(frames[i].time_s - (face.time_s or 0))
            )
        else:
            face = apex_face([face for _, face in shown])
            picture = next(place for place, other in shown if other is face)
        mean = mean_expression(own)
        people.append(
            {
                "id": number,
                "face": face.model_dump(mode="json"),
                "picture": picture,
                "expression": mean.model_dump(mode="json") if mean else None,
                "timeline": [face.model_dump(mode="json") for _, face in shown],
                "track": own.model_dump(mode="json"),
            }
        )
    ids = {id(track) for track in kept}
    return people, [track for track in tracks if id(track) not in ids]


def covered_name(person: Plain, cover: str) -> str:
    """Whose face is covered when the context of a person is read: its number, or `EVERYBODY`."""
    return EVERYBODY if cover == "all" else str(person["id"])


def faces_to_cover(
    target: Plain, faces: Sequence[Sequence[Plain]], frames: Sequence[int], cover: str
) -> list[list[Plain]]:
    """The faces to cover when the context of a person is read, a list for each picture.

    Args:
        target: the person: "face" (None: not found), "picture" and, of a clip, "track".
        faces: all faces, a list for each picture.
        frames: of a clip, the number of each picture's frame.
        cover: "all", or "judged" for the face of the person alone.
    """
    if cover == "all":
        return [list(found) for found in faces]
    hidden: list[list[Plain]] = [[] for _ in faces]
    face, track = target["face"], target.get("track")
    if face is None:
        return hidden
    if track:
        boxes = dict(zip(track["frames"], track["boxes_xyxy"], strict=True))
        for place, frame in enumerate(frames):
            if frame in boxes:
                hidden[place] = [{**face, "xyxy": boxes[frame]}]
    if not hidden[target["picture"]]:
        hidden[target["picture"]] = [face]
    return hidden


def left_out_text(tracks: Sequence[Track]) -> str:
    """What was left out, with its times: never in silence."""
    count = len(tracks)
    times = ", ".join(f"{t.times_s[0]:.1f}-{t.times_s[-1]:.1f} s" for t in tracks[:6])
    more = f" and {count - 6} more" if count > 6 else ""
    faces = "1 face was" if count == 1 else f"{count} faces were"
    return f"{faces} seen too briefly or too small to be read: {times}{more}"
