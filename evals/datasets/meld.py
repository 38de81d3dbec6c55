"""MELD: utterances of the series Friends, seven emotions, each with its clip and its words.

Tables, columns and folders were checked against public code that reads them, not against a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Sample, Target

FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
LABELS = {
    "neutral": "neutral",
    "joy": "happiness",
    "surprise": "surprise",
    "anger": "anger",
    "sadness": "sadness",
    "disgust": "disgust",
    "fear": "fear",
}
LACKING = {"train": ("dia125_utt3",), "dev": ("dia110_utt7",)}
"""Clips that the release itself does not hold, or that cannot be decoded."""
LAYOUT = """
test_sent_emo.csv (Utterance, Speaker, Emotion, Dialogue_ID, Utterance_ID), beside it or in test
output_repeated_splits_test/dia0_utt0.mp4; of train: train_splits; of dev: dev_splits_complete
"""
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def read_meld(root: Path, split: str) -> Iterator[Sample]:
    table, folder = f"{split}_sent_emo.csv", FOLDERS[split]
    path = layout.first_there(root, table, f"{split}/{table}")
    if path is None:
        layout.expect_level(root, [table], "MELD", LAYOUT)
    path = path or root / table
    clips = layout.first_there(root, folder, f"{split}/{folder}")
    rows = layout.read_rows(path, COLUMNS, "MELD")
    layout.expect_labels([row["Emotion"] for row in rows], list(LABELS), "MELD", str(path))
    names = [f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}" for row in rows]
    known = dict.fromkeys(LACKING.get(split, ()))
    there = layout.clips_below(clips) if clips else {}
    missing = [name for name in names if name not in there and name not in known]
    layout.complain_of_missing(missing, len(rows), "MELD", f"clips of {split}")
    return (
        Sample(
            id=name,
            source=there[name],
            target=Target(label=LABELS[row["Emotion"]]),
            split=split,
            group=f"dialogue {row['Dialogue_ID']}",
            transcript=row["Utterance"] or None,
        )
        for name, row in zip(names, rows, strict=True)
        if name in there and name not in known
    )


TASK = Task(
    name="meld",
    title="MELD",
    licence="research (GPL-3.0 for the release; the clips are of a series)",
    source="Poria, Hazarika, Majumder, Naik, Cambria & Mihalcea (2019), MELD: a multimodal "
    "multi-party dataset for emotion recognition in conversations, ACL 2019",
    kind="single",
    labels="ekman-7",
    unit="clip",
    metrics=("weighted_f1", "accuracy", "uar", "macro_f1"),
    protocol="Weighted F1 over the seven emotions of the test part, joy being happiness here. The "
    "label is the speaker's, and a clip may show others; nobody is named in the picture. Intervals "
    "resample whole dialogues.",
    splits=("train", "dev", "test"),
    split="test",
    layout=LAYOUT,
    reader=read_meld,
)
