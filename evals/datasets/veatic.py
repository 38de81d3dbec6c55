"""VEATIC: valence and arousal of a person in a film, rated without pause; a sample is a frame.

Layout, columns and the split were checked against the authors' code (github.com/AlbusPeter/VEATIC).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import IMAGE_SUFFIXES
from kuleshov.tools.structured_text import parse_count

RATINGS = "rating_averaged"
TRAINED = 0.7
LAYOUT = f"""
{RATINGS}/<id>_valence.csv and <id>_arousal.csv
frames/<id>/<n>.jpg (made of the videos by the authors' video_frame.py)
"""


def read_veatic(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [RATINGS], "VEATIC", LAYOUT)
    folder = layout.first_there(root, "frames", "frame")
    if folder is None:
        raise KuleshovError(
            f"{root} has the ratings of VEATIC but no folder frames; make it of the videos with "
            "the authors' video_frame.py."
        )
    rated = {name.rpartition("_")[0] for name in layout.names_in(root / RATINGS)}
    ids = sorted(rated - {""}, key=lambda name: (not name.isdigit(), name.zfill(6)))
    if not ids:
        raise KuleshovError(f"{root / RATINGS} holds no <id>_valence.csv of VEATIC.")
    tables = [
        f"{n}_{what}.csv"
        for n in ids
        for what in ("valence", "arousal")
        if not (root / RATINGS / f"{n}_{what}.csv").is_file()
    ]
    layout.complain_of_missing(tables, 2 * len(ids), "VEATIC", "tables of ratings")
    missing = [n for n in ids if not (folder / n).is_dir()]
    layout.complain_of_missing(missing, len(ids), "VEATIC", "videos' frames")
    return (sample for n in ids for sample in _video_samples(folder / n, root / RATINGS, n, split))


def _video_samples(frames: Path, ratings: Path, name: str, split: str) -> Iterator[Sample]:
    numbered = sorted(
        (number, path)
        for path in frames.iterdir()
        if (number := parse_count(path.stem)) is not None and path.suffix.lower() in IMAGE_SUFFIXES
    )
    valence, arousal = (_read_ratings(ratings / f"{name}_{w}.csv") for w in ("valence", "arousal"))
    if not numbered or numbered[-1][0] >= min(len(valence), len(arousal)):
        raise KuleshovError(
            f"{frames} holds {len(numbered)} frames, the last numbered "
            f"{numbered[-1][0] if numbered else 'none'}, and VEATIC's ratings of video {name} are "
            f"for {min(len(valence), len(arousal))} frames from 0: they belong to another version."
        )
    border = int(len(numbered) * TRAINED)
    for number, path in numbered[:border] if split == "train" else numbered[border:]:
        yield Sample(
            id=f"{name}/{number}",
            source=path,
            target=Target(valence=valence[number], arousal=arousal[number]),
            split=split,
            group=name,
            frame=number,
        )


def _read_ratings(path: Path) -> list[float]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    found = []
    for number, row in enumerate(rows, 1):
        if len(row) < 2:
            raise KuleshovError(
                f"{path}, line {number}: expected time and rating but found {','.join(row)!r}."
            )
        value = layout.parse_number(row[1], f"{path}, line {number}")
        if not -1 <= value <= 1:
            raise KuleshovError(f"{path}, line {number}: {value:g} lies outside −1…1.")
        found.append(value)
    return found


TASK = Task(
    name="veatic",
    title="VEATIC",
    licence="research, non-commercial",
    source="Ren et al. (2024), VEATIC: Video-based emotion and affect tracking in context dataset, "
    "WACV 2024",
    kind="affect",
    unit="frame",
    metrics=(
        "valence_ccc",
        "arousal_ccc",
        "valence_pcc",
        "arousal_pcc",
        "valence_rmse",
        "arousal_rmse",
        "valence_sagr",
        "arousal_sagr",
    ),
    protocol="The last 30 % of each video's frames test; figures are over all of them at once, not "
    "means over batches, with whole videos resampled. The authors' own model starts 20 frames "
    "later in each video, because it looks back. No box of the person rated is published.",
    splits=("train", "test"),
    split="test",
    layout=LAYOUT,
    reader=read_veatic,
    published=(),
    from_memory="That ratings lie in −1…1.",
)
