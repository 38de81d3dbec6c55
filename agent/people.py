"""From faces to people: who is judged, in which order, and one face followed over a clip.

Within one clip only, and by position alone: ids say nothing about who a person is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov.tools.types import EmotionScores, Face, KuleshovError

SMALL_FACE_PX = 24  # narrower than half of the pocket net's 48 px input: mostly interpolation


def overlap(a: Face, b: Face) -> float:
    """Intersection over union of two boxes, 0-1."""
    x0, y0 = max(a.xyxy[0], b.xyxy[0]), max(a.xyxy[1], b.xyxy[1])
    x1, y1 = min(a.xyxy[2], b.xyxy[2]), min(a.xyxy[3], b.xyxy[3])
    common = max(0.0, x1 - x0) * max(0.0, y1 - y0)
    return common / (a.area + b.area - common)


def linked(frames: Sequence[Sequence[Face]]) -> list[list[Face]]:
    """Faces of a clip's frames as one list a person.

    Each face joins the person whose last box it overlaps most (at least 0.2), best pairs first;
    no person gets two faces of one frame.
    """
    people: list[list[Face]] = []
    for faces in frames:
        pairs = sorted(
            (
                (overlap(person[-1], face), i, j)
                for i, person in enumerate(people)
                for j, face in enumerate(faces)
            ),
            reverse=True,
        )
        taken_people: set[int] = set()
        taken_faces: set[int] = set()
        for score, i, j in pairs:
            if score < 0.2 or i in taken_people or j in taken_faces:
                continue
            people[i].append(faces[j])
            taken_people.add(i)
            taken_faces.add(j)
        people.extend([face] for j, face in enumerate(faces) if j not in taken_faces)
    return people


def mean_expression(faces: Sequence[Face]) -> EmotionScores | None:
    """The mean distribution over the frames in which one was measured, or None."""
    measured = [face.expression for face in faces if face.expression is not None]
    if not measured:
        return None
    labels = measured[0].probabilities
    mean = {
        label: sum(scores.probabilities[label] for scores in measured) / len(measured)
        for label in labels
    }
    method = measured[0].method if len(measured) == 1 else f"{measured[0].method}, mean over time"
    return EmotionScores(labels=measured[0].labels, probabilities=mean, method=method)


def apex(faces: Sequence[Face]) -> Face:
    """The least neutral face of a track; without neutral scores, the one detected best."""

    def strength(face: Face) -> float:
        if face.expression is None or "neutral" not in face.expression.probabilities:
            return face.score or 0.0
        return 1 - face.expression.probabilities["neutral"]

    return max(faces, key=strength)


def targets(frames: Sequence[Sequence[Face]], most: int) -> tuple[list[dict[str, Any]], int]:
    """The people to judge, numbered from left to right, and how many were left out.

    Each is {"id", "face", "picture", "timeline", "expression"} in plain values; "picture" is the
    place of the frame that the face was found in. Where there are more than
    `most`, the largest are kept (in a clip: the longest seen, then the largest).
    """
    tracks = linked(frames)
    kept = sorted(tracks, key=lambda faces: (-len(faces), -max(f.area for f in faces)))[:most]
    kept.sort(key=lambda faces: faces[0].xyxy[0])
    people = []
    for number, faces in enumerate(kept, start=1):
        mean = mean_expression(faces)
        clip = faces[0].time_s is not None
        best = apex(faces)
        people.append(
            {
                "id": number,
                "face": best.model_copy(update={"track": number if clip else None}).model_dump(
                    mode="json"
                ),
                "picture": next(i for i, seen in enumerate(frames) if best in seen),
                "expression": mean.model_dump(mode="json") if mean else None,
                "timeline": [
                    face.model_copy(update={"track": number}).model_dump(mode="json")
                    for face in faces
                ]
                if clip
                else [],
            }
        )
    return people, len(tracks) - len(kept)


def checked_box(box: Sequence[float]) -> list[float]:
    """The box as (x0, y0, x1, y1) pixels. Raises KuleshovError if it is none."""
    try:
        x0, y0, x1, y1 = (float(value) for value in box)
    except (TypeError, ValueError):
        raise KuleshovError(f"the box {box!r} is not four numbers x0 y0 x1 y1.") from None
    if not (x0 < x1 and y0 < y1):
        raise KuleshovError(f"the box {box!r} is not x0 < x1, y0 < y1 in pixels.")
    return [x0, y0, x1, y1]


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
