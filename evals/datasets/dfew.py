"""DFEW: clips of films, seven classes, five folds.

Split files, class numbers and the folders of `Clip` were checked against public code that reads
them, not against a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Published, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_count

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
SPLITS = "EmoLabel_DataSplit"
FOLDS = ("fold1", "fold2", "fold3", "fold4", "fold5")
FRAMES = ("clip_224x224_16f", "clip_224x224")
LAYOUT = f"""
{SPLITS}/test(single-labeled)/set_1.csv … set_5.csv (video_name,label)
Clip/original/<number>.mp4, or the cropped faces in Clip/clip_224x224_16f/<5 digits>/
"""


def read_dfew(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [SPLITS, "Clip"], "DFEW", LAYOUT)
    clips = _find_clips(root / "Clip")
    found = []
    for fold in FOLDS if split == "all" else (split,):
        path = root / SPLITS / "test(single-labeled)" / f"set_{fold[-1]}.csv"
        for number, row in enumerate(layout.read_rows(path, ["video_name", "label"], "DFEW"), 2):
            name, label = row["video_name"], row["label"]
            clip, place = parse_count(name), parse_count(label)
            if clip is None or place is None or not 1 <= place <= len(CLASSES):
                raise KuleshovError(
                    f"{path}, line {number}: expected a clip's number and a class 1-7 but found "
                    f"{name!r}, {label!r}."
                )
            found.append((fold, clip, CLASSES[place - 1]))
    missing = [f"{n:05d}" for _, n, _ in found if n not in clips]
    layout.complain_of_missing(missing, len(found), "DFEW", f"clips of {split}")
    return (
        Sample(
            id=f"{fold}/{n:05d}",
            source=clips[n][0],
            target=Target(label=label),
            split=fold,
            notes=clips[n][1],
        )
        for fold, n, label in found
    )


def _find_clips(folder: Path) -> dict[int, tuple[Path, tuple[str, ...]]]:
    """By number: the whole clip where it is there, else the cropped face, and a note on that."""
    whole = layout.clips_below(folder / "original")
    found: dict[int, tuple[Path, tuple[str, ...]]] = {
        number: (path, ())
        for stem, path in whole.items()
        if (number := parse_count(stem)) is not None
    }
    cropped: list[Path] = []
    for name in FRAMES:
        if (folder / name).is_dir():
            cropped += sorted(e for e in (folder / name).iterdir() if e.is_dir())
    cropped += layout.clips_below(folder).values()
    for path in cropped:
        number = parse_count(path.stem)
        if number is not None:
            found.setdefault(number, (path, ("the cropped face, not the whole clip",)))
    return found


TASK = Task(
    name="dfew",
    title="DFEW",
    licence="research, on request",
    source="Jiang et al. (2020), DFEW: A large-scale database for recognizing dynamic facial "
    "expressions in the wild, ACM Multimedia 2020",
    kind="single",
    labels="ekman-7",
    unit="clip",
    metrics=("war", "uar", "weighted_f1", "macro_f1"),
    protocol="The clips with one label, in the five test folds; published figures are the mean of "
    "WAR and of UAR over the folds (`all` reads every fold's test clips, each once; a sample's "
    "split is its fold). Whole clips are read where there are any, else the cropped faces.",
    splits=(*FOLDS, "all"),
    split="all",
    layout=LAYOUT,
    reader=read_dfew,
    mean_of_folds=True,
    published=(
        Published(
            "HumanOmni", "war", 0.8246, "Zhao et al. (2025), HumanOmni, arXiv 2501.15111", "trained"
        ),
        Published(
            "HumanOmni", "uar", 0.7486, "Zhao et al. (2025), HumanOmni, arXiv 2501.15111", "trained"
        ),
        Published(
            "Emotion-LLaMA, zero-shot",
            "war",
            0.5937,
            "Cheng et al. (2024), Emotion-LLaMA, NeurIPS 2024",
            "users who repeated it report 0.353",
        ),
        Published(
            "Emotion-LLaMA, zero-shot",
            "uar",
            0.4559,
            "Cheng et al. (2024), Emotion-LLaMA, NeurIPS 2024",
            "users who repeated it report 0.273",
        ),
        Published(
            "GPT-4o", "war", 0.5719, "as compared by Zhao et al. (2025) [from memory]", "zero-shot"
        ),
        Published(
            "GPT-4o", "uar", 0.5057, "as compared by Zhao et al. (2025) [from memory]", "zero-shot"
        ),
    ),
    from_memory="Where the figures of GPT-4o stand.",
)
