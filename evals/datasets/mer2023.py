"""MER2023: clips of Chinese films and series, six classes, and valence.

Folders, label files, their columns and the weighted F1 were checked against the organisers' public
scripts (github.com/zeroQiaoba/MERTools), not against a copy. The processed `label-6way.npz` holds
pickled objects, which are never opened here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task, rescale_rating
from kuleshov.evals.types import Published, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import Label, LabelSet

SPLITS = ("train", "test1", "test2", "test3")
LOW, HIGH = -5, 5  # of valence
LAYOUT = """
train-label.csv, test1-label.csv, test2-label.csv, test3-label.csv (name, discrete, valence)
train, test1, test2, test3 with <name>.mp4 or .avi
"""
TRANSCRIPTS = (
    "transcription-engchi-polish.csv",
    "label-transcription.csv",
    "subtitle_eng.csv",
    "transcription.csv",
)
LABELS = LabelSet(
    name="mer2023-6",
    source="Lian et al. (2023), MER 2023: Multi-label learning, modality robustness, and "
    "semi-supervised learning, ACM Multimedia 2023: its six discrete emotions",
    labels=(
        Label(name="neutral"),
        Label(name="anger", synonyms=("angry",)),
        Label(name="happiness", synonyms=("happy", "joy")),
        Label(name="sadness", synonyms=("sad",)),
        Label(name="worry", synonyms=("worried",)),
        Label(name="surprise", synonyms=("surprised",)),
    ),
)


def read_mer2023(root: Path, split: str) -> Iterator[Sample]:
    if (root / "label-6way.npz").is_file() and not (root / f"{split}-label.csv").is_file():
        raise KuleshovError(
            f"{root} is the processed MER2023, whose label-6way.npz holds pickled objects that are "
            f"not opened here; give the folder with {split}-label.csv and {split}."
        )
    layout.expect_level(root, [f"{split}-label.csv", split], "MER2023", LAYOUT)
    path = root / f"{split}-label.csv"
    rows = layout.read_rows(path, ["name", "discrete"], "MER2023")
    layout.expect_labels(
        [row["discrete"] for row in rows if LABELS.find(row["discrete"]) is None],
        LABELS.names,
        "MER2023",
        str(path),
    )
    clips = layout.clips_below(root / split)
    missing = [row["name"] for row in rows if row["name"] not in clips]
    layout.complain_of_missing(missing, len(rows), "MER2023", f"clips of {split}")
    spoken = read_transcripts(root)
    samples = [
        Sample(
            id=row["name"],
            source=clips[row["name"]],
            target=Target(
                label=LABELS.find(row["discrete"]),
                valence=_parse_valence(row.get("valence", ""), f"{path}, {row['name']}"),
            ),
            split=split,
            transcript=spoken.get(row["name"]),
        )
        for row in rows
    ]
    return iter(samples)


def _parse_valence(text: str, where: str) -> float | None:
    """On −1…1; test3 has none, which the organisers' script writes as −10."""
    if not text or layout.parse_number(text, where) == -10:
        return None
    try:
        return rescale_rating(layout.parse_number(text, where), LOW, HIGH)
    except ValueError as error:
        raise KuleshovError(f"{where}: {error}.") from None


def read_transcripts(root: Path) -> dict[str, str]:
    """Words of each clip, in English where the file has them, else as they were said."""
    path = layout.first_there(root, *TRANSCRIPTS)
    if path is None:
        return {}
    found = {}
    for row in layout.read_rows(path, ["name"], "MER2023"):
        words = next((row[c] for c in ("english", "sentence", "chinese") if row.get(c)), "")
        if words:
            found[row["name"]] = words
    return found


TASK = Task(
    name="mer2023",
    title="MER2023",
    licence="research, on request (EULA)",
    source="Lian et al. (2023), MER 2023, ACM Multimedia 2023",
    kind="single",
    labels=LABELS,
    unit="clip",
    metrics=("weighted_f1", "accuracy", "uar", "valence_ccc", "valence_rmse"),
    protocol="Weighted F1 over the six classes; test3 is MER-SEMI, on which Emotion-LLaMA reports. "
    "test1 (MER-MULTI) and test2 (MER-NOISE) have valence too, −5…5 brought to −1…1.",
    splits=SPLITS,
    split="test3",
    layout=LAYOUT,
    reader=read_mer2023,
    published=(
        Published(
            "Emotion-LLaMA",
            "weighted_f1",
            0.9036,
            "Cheng et al. (2024), Emotion-LLaMA, NeurIPS 2024",
            "trained on MER2023, with sound",
        ),
    ),
    from_memory="The range of valence.",
)
