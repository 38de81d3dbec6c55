"""BAH: people who speak of a habit into their webcam, with ambivalence or hesitancy or without.

Split files (path, label, transcript, without a header) and the numbers of the classes were checked
against the authors' repository (github.com/sbelharbi/bah-dataset).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import Label, LabelSet

PLACES = ("", "split-0", "dataset-splits/video-level/BAH_DB/split-0", "video-level/BAH_DB/split-0")
LAYOUT = """
Videos/<participant>/<visit>/….mp4
train.txt, val.txt, test.txt of dataset-splits/video-level/BAH_DB/split-0 (path,label,transcript)
"""
PRESENT, ABSENT = "ambivalence or hesitancy", "neither"
LABELS = LabelSet(
    name="bah-2",
    source="González-González et al. (2026), BAH dataset for ambivalence/hesitancy recognition in "
    "videos for digital behavioural change, ICLR 2026: with and without A/H",
    labels=(
        Label(
            name=PRESENT,
            synonyms=("ambivalence", "hesitancy", "ambivalent", "hesitant"),
            definition="torn between wanting a change and not wanting it, or putting it off",
        ),
        Label(name=ABSENT, definition="of one mind about what is talked of"),
    ),
)


def read_bah(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, ["Videos"], "BAH", LAYOUT)
    path = layout.first_there(root, *(f"{place}/{split}.txt".lstrip("/") for place in PLACES))
    if path is None:
        raise KuleshovError(
            f"{root} has the videos of BAH but no {split}.txt; copy it from dataset-splits/"
            "video-level/BAH_DB/split-0 of github.com/sbelharbi/bah-dataset."
        )
    found: list[tuple[str, str, str]] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        name, _, rest = line.partition(",")
        label, _, words = rest.partition(",")
        if label.strip() not in ("0", "1"):
            raise KuleshovError(
                f"{path}, line {number}: expected path,label,transcript with the label 0 or 1 but "
                f"found the label {label.strip()!r}; frame-level lists are not read here."
            )
        found.append((name.strip(), PRESENT if label.strip() == "1" else ABSENT, words.strip()))
    missing = [name for name, *_ in found if not (root / name).is_file()]
    layout.complain_of_missing(missing, len(found), "BAH", f"videos of {split}")
    return (
        Sample(
            id=name,
            source=root / name,
            target=Target(label=label),
            split=split,
            group=PurePosixPath(name).parts[1] if len(PurePosixPath(name).parts) > 1 else None,
            transcript=words or None,
        )
        for name, label, words in found
    )


TASK = Task(
    name="bah",
    title="BAH, videos",
    licence="research, on request by faculty (EULA)",
    source=LABELS.source.removesuffix(": with and without A/H"),
    kind="single",
    labels=LABELS,
    unit="clip",
    metrics=("macro_f1", "weighted_f1", "ap_positive", "accuracy"),
    protocol="Videos as wholes: macro F1, weighted F1 and average precision of the positive class, "
    "on the public split 0. Participants answer several questions: intervals resample people.",
    splits=("train", "val", "test"),
    split="test",
    layout=LAYOUT,
    reader=read_bah,
    published=(),
)
