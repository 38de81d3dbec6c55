"""EMER: descriptions of a person's emotion with the clues that it rests on, for clips of MER2023.

The second version's table (332 rows) was checked against its README and public code that reads it
(github.com/zeroQiaoba/AffectGPT). The clips are MER2023's, at any depth below the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.datasets.mer2023 import read_transcripts
from kuleshov.evals.types import Published, Sample, Target
from kuleshov.tools.errors import KuleshovError

TABLE = "final-EMER-reason.csv"
LAYOUT = f"""
{TABLE} (names, chinese, english; 332 rows)
the clips of MER2023 by these names, in any folder below
"""


def read_emer(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [TABLE], "EMER", LAYOUT)
    path = root / TABLE
    rows = layout.read_rows(path, ["chinese", "english"], "EMER")
    name = next((column for column in ("names", "name") if rows and column in rows[0]), None)
    if name is None:
        raise KuleshovError(
            f"{path} is not the table of EMER that is read here: it has "
            f"{'no column names' if rows else 'no rows'}; expected names, chinese, english."
        )
    blank = [row[name] for row in rows if not row["english"]]
    layout.complain_of_missing(blank, len(rows), "EMER", "English descriptions")
    clips = layout.clips_below(root)
    missing = [row[name] for row in rows if row[name] not in clips]
    layout.complain_of_missing(missing, len(rows), "EMER", "clips (they are MER2023's)")
    spoken = read_transcripts(root)
    return (
        Sample(
            id=row[name],
            source=clips[row[name]],
            target=Target(text=row["english"]),
            split=split,
            transcript=spoken.get(row[name]),
        )
        for row in rows
    )


TASK = Task(
    name="emer",
    title="EMER",
    licence="research, on request (clips of MER2023)",
    source="Lian et al. (2023), Explainable multimodal emotion recognition, arXiv 2306.15401",
    kind="text",
    unit="clip",
    metrics=("clue_overlap", "label_overlap"),
    protocol="A judge at temperature 0 rates 1-10 how far the clues, and how far the emotions, of "
    "a description agree with people's. The published judge is ChatGPT, asked in Chinese about the "
    "Chinese descriptions; here they are the English ones, asked in our words. Figures of another "
    "judge or wording are not comparable, so both are recorded.",
    splits=("all",),
    split="all",
    layout=LAYOUT,
    reader=read_emer,
    published=(
        Published(
            "Emotion-LLaMA",
            "clue_overlap",
            7.83,
            "Cheng et al. (2024), Emotion-LLaMA, NeurIPS 2024",
            "judge ChatGPT",
        ),
        Published(
            "Emotion-LLaMA",
            "label_overlap",
            6.25,
            "Cheng et al. (2024), Emotion-LLaMA, NeurIPS 2024",
            "judge ChatGPT",
        ),
        Published(
            "Valley",
            "clue_overlap",
            7.24,
            "as compared by Cheng et al. (2024)",
            "judge ChatGPT",
        ),
        Published(
            "Valley",
            "label_overlap",
            5.77,
            "as compared by Cheng et al. (2024)",
            "judge ChatGPT",
        ),
    ),
)
