"""AffectNet: faces of the web, eight classes, valence and arousal in files beside each picture.

The layout (`annotations/<id>_exp.npy` and others) was checked against public code that reads it,
the numbers of the classes too, not against a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Published, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_count

CLASSES = (
    "neutral",
    "happiness",
    "sadness",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
)
FOLDERS = {"train": "train_set", "val": "val_set"}
PARTS = ("exp", "val", "aro")
LAYOUT = """
train_set/images/<id>.jpg, train_set/annotations/<id>_exp.npy, <id>_val.npy, <id>_aro.npy
val_set likewise
"""


def read_affectnet(root: Path, split: str) -> Iterator[Sample]:
    return _read_split(root, split, CLASSES)


def read_seven(root: Path, split: str) -> Iterator[Sample]:
    return _read_split(root, split, CLASSES[:7])


def _read_split(root: Path, split: str, classes: tuple[str, ...]) -> Iterator[Sample]:
    name = FOLDERS[split]
    layout.expect_level(root, [name], "AffectNet", LAYOUT)
    images, annotations = root / name / "images", root / name / "annotations"
    for folder in (images, annotations):
        if not folder.is_dir():
            raise KuleshovError(f"{folder} of AffectNet is missing; expected {LAYOUT.strip()}.")
    told = layout.names_in(annotations)
    pictures = {Path(file).stem: file for file in layout.names_in(images)}
    ids = sorted(
        (file.removesuffix("_exp.npy") for file in told if file.endswith("_exp.npy")), key=_id_order
    )
    if not ids:
        raise KuleshovError(
            f"{annotations} holds no <id>_exp.npy, AffectNet's annotations of this version; it "
            f"holds {layout.list_names(sorted(told)) or 'nothing'}."
        )
    missing = [f"{n}.jpg" for n in ids if n not in pictures]
    layout.complain_of_missing(missing, len(ids), "AffectNet", f"pictures of {name}")
    gone = [f"{n}_{part}.npy" for n in ids for part in PARTS if f"{n}_{part}.npy" not in told]
    layout.complain_of_missing(gone, 3 * len(ids), "AffectNet", f"annotation files of {name}")
    alone = [pictures[n] for n in sorted(pictures, key=_id_order) if f"{n}_exp.npy" not in told]
    layout.complain_of_missing(
        [f"{Path(n).stem}_exp.npy" for n in alone], len(pictures), "AffectNet", "annotations"
    )
    return _yield_samples(images, annotations, ids, pictures, split, classes)


def _yield_samples(
    images: Path,
    annotations: Path,
    ids: list[str],
    pictures: dict[str, str],
    split: str,
    classes: tuple[str, ...],
) -> Iterator[Sample]:
    for n in ids:
        place = _read_number(annotations / f"{n}_exp.npy")
        if place not in range(len(CLASSES)):
            raise KuleshovError(
                f"{annotations / f'{n}_exp.npy'} holds the class {place:g}; AffectNet's eight "
                "classes are 0 (neutral) to 7 (contempt)."
            )
        if CLASSES[int(place)] not in classes:
            continue
        # −2 stands for no valence and arousal
        valence, arousal = (_read_number(annotations / f"{n}_{part}.npy") for part in PARTS[1:])
        rated = abs(valence) <= 1 and abs(arousal) <= 1
        yield Sample(
            id=n,
            source=images / pictures[n],
            target=Target(
                label=CLASSES[int(place)],
                valence=valence if rated else None,
                arousal=arousal if rated else None,
            ),
            split=split,
        )


def _read_number(path: Path) -> float:
    import numpy as np

    try:
        return float(np.load(path, allow_pickle=False).item())
    except (ValueError, OSError, EOFError, TypeError) as error:
        raise KuleshovError(f"{path} is not one number, as AffectNet has it: {error}.") from None


def _id_order(text: str) -> tuple[int, str]:
    number = parse_count(text)
    return (1 << 62, text) if number is None else (number, "")


TASK = Task(
    name="affectnet",
    title="AffectNet, eight classes",
    licence="research, on request",
    source="Mollahosseini, Hasani & Mahoor (2019), AffectNet, IEEE Trans. Affective Computing 10, "
    "18-31",
    kind="single",
    labels="ekman-8",
    metrics=(
        "accuracy",
        "uar",
        "macro_f1",
        "ece",
        "brier",
        "classwise_ece",
        "valence_ccc",
        "arousal_ccc",
        "valence_pcc",
        "arousal_pcc",
        "valence_rmse",
        "arousal_rmse",
        "valence_sagr",
        "arousal_sagr",
    ),
    protocol="The validation set, on which papers report because the test set is not given out; "
    "500 pictures of each class. Accuracy; valence and arousal are −1…1.",
    splits=("train", "val"),
    split="val",
    layout=LAYOUT,
    reader=read_affectnet,
    published=(
        Published(
            "FaceScanPaliGemma",
            "accuracy",
            0.594,
            "AlDahoul et al. (2024), Exploring vision language models for facial attribute "
            "recognition, arXiv 2410.24148",
        ),
        Published(
            "ExpLLM", "accuracy", 0.6593, "Lan et al. (2024), ExpLLM, arXiv 2409.02828", "a subset"
        ),
    ),
)

TASK_SEVEN = replace(
    TASK,
    name="affectnet-7",
    title="AffectNet, seven classes",
    labels="ekman-7",
    reader=read_seven,
    protocol="As affectnet, without the pictures of contempt.",
    published=(
        Published(
            "ResEmoteNet", "accuracy", 0.7239, "Roy et al. (2024), ResEmoteNet, arXiv 2409.10545"
        ),
    ),
)
