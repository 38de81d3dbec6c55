"""RAER: students at work on their own, five academic emotions.

Lists, the numbers of the classes and the form of the boxes were checked against the authors' public
code (github.com/zgsfer/CLIP-CAER); the places of the files against public code that uses a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Box, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_count, parse_json

CLASSES = ("neutrality", "enjoyment", "confusion", "fatigue", "distraction")
LAYOUT = """
annotation/train.txt and annotation/test.txt (path, number of frames, class 1-5)
the clips by these paths, as files or as folders of frames
if wanted bounding_box/body.json and bounding_box/face.json
"""


def read_raer(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [f"annotation/{split}.txt"], "RAER", LAYOUT)
    path = root / "annotation" / f"{split}.txt"
    found: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        parts = line.strip().rsplit(" ", 2)
        if len(parts) != 3 or any(parse_count(part) is None for part in parts[1:]):
            raise KuleshovError(
                f"{path}, line {number}: expected path, number of frames and class but found "
                f"{line.strip()!r}."
            )
        place = parse_count(parts[2])
        if place is None or not 1 <= place <= len(CLASSES):
            raise KuleshovError(
                f"{path}, line {number}: the class {parts[2]}; RAER's are 1 (neutrality) to 5 "
                "(distraction)."
            )
        found.append((parts[0].replace("\\", "/"), CLASSES[place - 1]))
    places = {name: _find_clip(root, name) for name, _ in found}
    missing = [name for name, place in places.items() if place is None]
    layout.complain_of_missing(missing, len(found), "RAER", f"clips of {split}")
    boxes = _read_boxes(root / "bounding_box")
    return (
        Sample(
            id=name,
            source=places[name] or Path(),
            target=Target(label=label),
            split=split,
            box_xyxy=_box_of(name, boxes),
        )
        for name, label in found
    )


def _find_clip(root: Path, name: str) -> Path | None:
    """The clip of a path that was written for the authors' disk: the longest end that is here."""
    parts = PurePosixPath(name).parts
    for start in range(len(parts)):
        here = root.joinpath(*(part for part in parts[start:] if part not in ("/", "..")))
        if here.exists() and here != root:
            return here
    return None


def _read_boxes(folder: Path) -> dict[str, list[Any]]:
    """By clip: the body's box, else the boxes of the face by frame.

    A clip stands under its whole path and under the end of it that says which it is; boxes that
    share an end stay together there.
    """
    found: dict[str, list[Any]] = {}
    for name in ("face.json", "body.json"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            table = parse_json(path.read_bytes())
        except ValueError as error:
            raise KuleshovError(f"{path} is not JSON: {error}.") from None
        if not isinstance(table, dict):
            raise KuleshovError(f"{path}: expected boxes by clip, as RAER has them.")
        own: dict[str, list[Any]] = {}
        for clip, box in table.items():
            if box:
                whole, end = _path_keys(clip)
                for key in {whole, end}:
                    own.setdefault(key, []).append(box)
        found |= own
    return found


def _path_keys(name: str) -> tuple[str, str]:
    """The path without its ending, and its last two parts: disks begin differently."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [*path.parts[:-1], path.stem]
    return "/".join(parts), "/".join(parts[-2:])


def _box_of(name: str, boxes: Mapping[str, list[Any]]) -> Box | None:
    whole, end = _path_keys(name)
    given = boxes.get(whole) or boxes.get(end) or []
    if len(given) != 1:  # none, or several clips whose paths end alike: whose it is is unknown
        return None
    (box,) = given
    if isinstance(box, dict):  # a face, frame by frame: the first frame that has one
        box = next((box for _, box in sorted(box.items()) if box), None)
    if box is None or len(box) != 4:
        return None
    x0, y0, x1, y1 = map(float, box)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


TASK = Task(
    name="raer",
    title="RAER",
    licence="research, on request",
    source="Zhao, Xuan, Lou, Yu & Yang (2025), Context-aware academic emotion dataset and "
    "benchmark, ICCV 2025",
    kind="single",
    labels="academic-5",
    unit="clip",
    metrics=("war", "uar", "weighted_f1", "macro_f1"),
    protocol="WAR and UAR over the test list. Emotion recognition in education is prohibited in "
    "the EU, with exceptions (AI Act, Article 5(1)(f)).",
    splits=("train", "test"),
    split="test",
    layout=LAYOUT,
    reader=read_raer,
    published=(),
    from_memory="The places of lists and boxes within the download.",
)
