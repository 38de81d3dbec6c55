"""C-EXPR-DB: clips of the web that show compound expressions, cut into one expression each.

The layout is that of a public preparation of the data (folders of trimmed clips by class), checked
against its code; the owners give frames and annotations on request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import Label, LabelSet
from kuleshov.tools.media import CLIP_SUFFIXES

CLASSES = (
    "fearfully surprised",
    "happily surprised",
    "sadly surprised",
    "disgustedly surprised",
    "angrily surprised",
    "sadly fearful",
    "sadly angry",
)
OTHER = "other"  # a class of that preparation which names no expression
LAYOUT = """
trimmed_videos/Fearfully-Surprised/<clip>_Fearfully-Surprised_<n>.mp4, a folder for each class
"""
LABELS = LabelSet(
    name="c-expr-7",
    source="Kollias (2023), Multi-label compound expression recognition: C-EXPR database & "
    "network, CVPR 2023: its seven classes; the words are those of Du, Tao & Martinez (2014)",
    labels=tuple(Label(name=name) for name in CLASSES),
)


def read_cexpr(root: Path, split: str) -> Iterator[Sample]:
    base = layout.expect_level(root, ["trimmed_videos"], "C-EXPR-DB", LAYOUT) / "trimmed_videos"
    folders = {
        path.name.replace("-", " ").casefold(): path for path in base.iterdir() if path.is_dir()
    }
    layout.expect_labels(list(folders), [*CLASSES, OTHER], "C-EXPR-DB", str(base))
    found = [
        Sample(
            id=f"{folders[label].name}/{path.stem}",
            source=path,
            target=Target(label=label),
            split=split,
            group=path.stem.partition(f"_{folders[label].name}_")[0],
        )
        for label in CLASSES
        if label in folders
        for path in sorted(folders[label].iterdir())
        if path.suffix.lower() in CLIP_SUFFIXES
    ]
    if not found:
        raise KuleshovError(f"{base} holds no clip in a folder of a class of C-EXPR-DB.")
    return iter(found)


TASK = Task(
    name="c-expr-db",
    title="C-EXPR-DB",
    licence="research, non-commercial, on request",
    source="Kollias (2023), Multi-label compound expression recognition: C-EXPR database & "
    "network, CVPR 2023",
    kind="single",
    labels=LABELS,
    unit="clip",
    metrics=("macro_f1", "accuracy", "uar"),
    protocol="Macro F1 over the seven compound expressions, the measure of the ABAW challenges, of "
    "whole clips here and not of frames: published figures are of frames. Clips of class other are "
    "left out. Intervals resample whole videos.",
    splits=("all",),
    split="all",
    layout=LAYOUT,
    reader=read_cexpr,
    from_memory="The owners' own layout of annotations a frame.",
)
