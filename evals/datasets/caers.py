"""CAER-S: stills of television series, seven classes in folders.

Folder names and the annotation with face boxes were checked against public code and
github.com/larrylu0426/CAERS-Annotation, not against a copy.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Box, Published, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.media import IMAGE_SUFFIXES

CLASSES = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
LAYOUT = """
train and test, each with the folders Anger, Disgust, Fear, Happy, Neutral, Sad, Surprise
if wanted train.txt and test.txt with face boxes (CAERS-Annotation)
"""


def read_caers(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, ["train", "test"], "CAER-S", LAYOUT)
    labels = LabelSet.load("ekman-7")
    folders = {
        entry.name: entry
        for entry in sorted((root / split).iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    layout.expect_labels(
        [name for name in folders if labels.find(name) is None],
        CLASSES,
        "CAER-S",
        str(root / split),
    )
    found = {labels.find(name) for name in folders}
    lacking = [name for name in CLASSES if labels.find(name) not in found]
    layout.complain_of_missing(lacking, len(CLASSES), "CAER-S", f"class folders of {split}")
    boxes = _read_boxes(root / f"{split}.txt")
    pictures = {
        name: [
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]
        for name, folder in folders.items()
    }
    empty = [name for name, paths in pictures.items() if not paths]
    layout.complain_of_missing(
        empty, len(CLASSES), "CAER-S", f"pictures of whole classes, {split},"
    )
    return (
        Sample(
            id=f"{split}/{name}/{path.name}",
            source=path,
            target=Target(label=labels.find(name)),
            split=split,
            box_xyxy=boxes.get(f"{split}/{name}/{path.name}"),
        )
        for name, paths in pictures.items()
        for path in paths
    )


def _read_boxes(path: Path) -> dict[str, Box]:
    """Rows of `test/Sad/1000.png,5,294,89,396,191`: picture, class, x0, y0, x1, y1."""
    if not path.is_file():
        return {}
    found: dict[str, Box] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row:
                continue
            try:
                name, _, *corners = row
                x0, y0, x1, y1 = map(float, corners)
                if not (x0 < x1 and y0 < y1):
                    raise ValueError
            except ValueError:
                raise KuleshovError(
                    f"{path}, line {number}: expected picture,class,x0,y0,x1,y1 but found "
                    f"{','.join(row)}."
                ) from None
            found[name] = (x0, y0, x1, y1)
    return found


TASK = Task(
    name="caer-s",
    title="CAER-S",
    licence="research, non-commercial",
    source="Lee, Kim, Kim, Park & Sohn (2019), Context-aware emotion recognition networks, "
    "ICCV 2019",
    kind="single",
    labels="ekman-7",
    metrics=("accuracy", "uar", "macro_f1", "ece", "brier", "classwise_ece"),
    protocol="Accuracy over the test folder. The data set names no person; with CAERS-Annotation's "
    "test.txt beside it, its face box names the one meant, else the largest face is taken. "
    "Neighbouring stills of one series lie in both parts.",
    splits=("train", "test"),
    split="test",
    layout=LAYOUT,
    reader=read_caers,
    published=(
        Published(
            "CAER-Net-S",
            "accuracy",
            0.7351,
            "Lee et al. (2019), ICCV 2019",
            "trained on CAER-S",
        ),
    ),
)
