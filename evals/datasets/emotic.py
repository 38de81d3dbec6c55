"""EMOTIC: 26 categories and valence, arousal of people in their surroundings.

Layout and the order of the fields in `Annotations.mat` were checked against public code that reads
them (github.com/Tandon-A/emotic); scipy.io reads the file. Dominance is not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task, rescale_rating
from kuleshov.evals.types import Box, Published, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

MAT = "Annotations/Annotations.mat"
SPLITS = ("train", "val", "test")
LAYOUT = f"""
{MAT}
emotic/ade20k, emotic/emodb_small, emotic/framesdb, emotic/mscoco
"""
LOW, HIGH = 1, 10  # of valence and arousal


def read_emotic(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [MAT, "emotic"], "EMOTIC", LAYOUT)
    pictures = _read_annotations(root / MAT, split)
    labels = LabelSet.load("emotic-26")
    samples = [
        sample
        for number, picture in enumerate(pictures, 1)
        for sample in _picture_samples(
            picture, f"{root / MAT}, {split}, picture {number}", split, labels
        )
    ]
    by_folder: dict[str, set[str]] = {}
    wanted = dict.fromkeys(str(sample.source) for sample in samples)
    missing = []
    for name in wanted:
        folder, _, file = name.rpartition("/")
        if folder not in by_folder:
            by_folder[folder] = layout.names_in(root / "emotic" / folder)
        if file not in by_folder[folder]:
            missing.append(name)
    layout.complain_of_missing(missing, len(wanted), "EMOTIC", f"pictures of {split}")
    return (_place_sample(sample, root) for sample in samples)


def _place_sample(sample: Sample, root: Path) -> Sample:
    return replace(sample, source=root / "emotic" / str(sample.source))


def _read_annotations(path: Path, split: str) -> list[Mapping[str, Any]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        table = loadmat(str(path), simplify_cells=True)
    except (MatReadError, NotImplementedError, OSError, ValueError, TypeError) as error:
        raise KuleshovError(
            f"{path} cannot be read as MATLAB 5 data, as EMOTIC is published: "
            f"{str(error).splitlines()[0].rstrip('.')}."
        ) from None
    parts = [name for name in table if not name.startswith("__")]
    if split not in table:
        raise KuleshovError(
            f"{path} is not the annotation file of EMOTIC that is read here: it holds "
            f"{layout.list_names(parts) or 'nothing'}; expected {', '.join(SPLITS)}."
        )
    return _to_list(table[split])


def _picture_samples(
    picture: Mapping[str, Any], where: str, split: str, labels: LabelSet
) -> Iterator[Sample]:
    try:
        folder, file = str(picture["folder"]), str(picture["filename"])
        width, height = _cell_numbers(picture["image_size"])[:2]
        people = _to_list(picture["person"])
        for number, person in enumerate(people, 1):
            cells = list(person.values())
            # train: box, categories, continuous, gender, age; val and test carry every annotator's
            # categories and continuous beside the combined ones
            box, *_, gender, age = cells
            categories, continuous = (
                (cells[1], cells[2]) if len(cells) == 5 else (cells[2], cells[4])
            )
            kept, notes = _cut_box(_cell_numbers(box), width, height)
            yield Sample(
                id=f"{folder}/{file}#{number}",
                source=Path(folder) / file,
                target=_make_target(
                    _cell_words(categories), _cell_numbers(continuous), labels, where
                ),
                split=split,
                box_xyxy=kept,
                group=f"{folder}/{file}",
                slices={
                    name: " ".join(_cell_words(cell)).lower()
                    for name, cell in (("gender", gender), ("age", age))
                    if _cell_words(cell)
                },
                notes=notes,
            )
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise KuleshovError(
            f"{where}: not as EMOTIC is published ({error}); expected filename, folder, "
            "image_size and person with box, categories, continuous, gender, age."
        ) from None


def _make_target(
    categories: list[str], continuous: list[float], labels: LabelSet, where: str
) -> Target:
    names = [labels.find(word) for word in categories]
    known = [name for name in labels.names if name in names]
    strange = [word for word, name in zip(categories, names, strict=True) if name is None]
    if strange:
        layout.expect_labels(strange, labels.names, "EMOTIC", where)
    valence = arousal = None
    if len(continuous) == 3 and not any(map(math.isnan, continuous)):
        valence, arousal = (rescale_rating(value, LOW, HIGH) for value in continuous[:2])
    return Target(labels=tuple(known), valence=valence, arousal=arousal)


def _cut_box(
    corners: list[float], width: float, height: float
) -> tuple[Box | None, tuple[str, ...]]:
    """The box cut to the picture, as the authors do, and what that changed."""
    x0, y0, x1, y1 = corners
    box = (
        min(max(x0, 0), width),
        min(max(y0, 0), height),
        min(max(x1, 0), width),
        min(max(y1, 0), height),
    )
    if not (box[0] < box[2] and box[1] < box[3]):
        return None, (f"the person's box {corners} lies outside the picture: left out",)
    if list(box) != corners:
        return box, ("the person's box was cut to the picture",)
    return box, ()


def _to_list(cell: Any) -> list[Any]:
    """Structs of one are read as the struct itself, of several as an array."""
    if isinstance(cell, Mapping):
        return [cell]
    return list(cell) if hasattr(cell, "__len__") else [cell]


def _cell_words(cell: Any) -> list[str]:
    if isinstance(cell, str):
        return [cell]
    if isinstance(cell, Mapping):
        return [word for inner in cell.values() for word in _cell_words(inner)]
    return (
        [word for inner in cell for word in _cell_words(inner)] if hasattr(cell, "__iter__") else []
    )


def _cell_numbers(cell: Any) -> list[float]:
    if isinstance(cell, Mapping):
        return [number for inner in cell.values() for number in _cell_numbers(inner)]
    if isinstance(cell, str):
        return []
    if hasattr(cell, "__len__"):
        return [number for inner in cell for number in _cell_numbers(inner)]
    return [float(cell)]


TASK = Task(
    name="emotic",
    title="EMOTIC",
    licence="research, on request (Universitat Oberta de Catalunya)",
    source="Kosti, Alvarez, Recasens & Lapedriza (2020), Context based emotion recognition using "
    "EMOTIC dataset, IEEE TPAMI 42, 2755-2766",
    kind="multi",
    labels="emotic-26",
    unit="person",
    metrics=("map", "multi_macro_f1", "valence_ccc", "arousal_ccc", "valence_rmse", "arousal_rmse"),
    protocol="Every annotated person, in a box cut to the picture. In val and test the labels are "
    "those of any annotator (combined). mAP is the mean over the 26 labels of average precision. "
    "Valence and arousal, 1-10, are brought to −1…1; where one is missing none counts. Answers "
    "without a score for each label have no average precision: their F1 counts.",
    splits=SPLITS,
    split="test",
    layout=LAYOUT,
    reader=read_emotic,
    published=(
        Published(
            "Xenos et al.",
            "map",
            0.3852,
            "Xenos et al. (2024), VLLMs provide better context for emotion understanding through "
            "common sense reasoning, arXiv 2404.07078",
            "trained on EMOTIC",
        ),
        Published(
            "EmotiCon",
            "map",
            0.3548,
            "Mittal et al. (2020), EmotiCon, CVPR 2020",
            "trained on EMOTIC",
        ),
        Published("EMOTIC baseline", "map", 0.2738, "Kosti et al. (2020)", "trained on EMOTIC"),
    ),
)
