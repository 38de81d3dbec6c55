"""OV-MERD+: clips with people's own words for the emotions, as many as they saw.

Folder, `ovlabel.csv` (name, openset) and `subtitle_eng.csv` were checked against public code that
reads MER-UniBench's copy (github.com/zeroQiaoba/AffectGPT), not against a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.datasets.mer2023 import read_transcripts
from kuleshov.evals.text import split_words as words_of
from kuleshov.evals.types import Published, Sample, Target

TABLE = "ovlabel.csv"
LAYOUT = f"""
{TABLE} (name, openset)
video/<name>.mp4
if wanted subtitle_eng.csv (name, sentence)
"""


def read_ovmer(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [TABLE, "video"], "OV-MER", LAYOUT)
    rows = layout.read_rows(root / TABLE, ["name", "openset"], "OV-MER")
    clips = layout.clips_below(root / "video")
    missing = [row["name"] for row in rows if row["name"] not in clips]
    layout.complain_of_missing(missing, len(rows), "OV-MER", "clips")
    spoken = read_transcripts(root)
    return (
        Sample(
            id=row["name"],
            source=clips[row["name"]],
            target=Target(labels=tuple(words_of(row["openset"]))),
            split=split,
            transcript=spoken.get(row["name"]),
        )
        for row in rows
    )


TASK = Task(
    name="ov-mer",
    title="OV-MERD+",
    licence="research, on request",
    source="Lian et al. (2025), AffectGPT: A new dataset, model, and benchmark for emotion "
    "understanding with multimodal large language models, arXiv 2501.16566",
    kind="open",
    labels="free",
    unit="clip",
    metrics=("set_f", "set_f_words"),
    protocol="Words are brought to their base form, to words of a wheel and to its sector, on each "
    "of five wheels; precision and recall of the sets are averaged over clips before F, and F over "
    "the wheels. Clips for which people's words have no place are skipped, an empty answer counts "
    "0. The wheels are the authors' and not shipped: without them only equal words count "
    "(set_f_words), which is not comparable.",
    splits=("all",),
    split="all",
    layout=LAYOUT,
    reader=read_ovmer,
    published=(
        Published(
            "AffectGPT", "set_f", 0.6252, "Lian et al. (2025), arXiv 2501.16566", "on OV-MERD+"
        ),
    ),
)
