"""Tab-separated events with columns named after those of BORIS's export of aggregated events.

For tables and scripts that read that export. BORIS itself takes in observations from its own
project files (its import_observations.py), so this file cannot be opened there.
"""

from __future__ import annotations

import csv
from pathlib import Path

from kuleshov.exports.spans import spans
from kuleshov.types import Inference

COLUMNS = (
    "Observation id", "Media file name", "Total length", "Subject", "Behavior",
    "Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Comment start",
)  # fmt: skip


def write(inference: Inference, path: Path) -> None:
    """One row a span; the subject is "person N", the behaviour the tier."""
    name = inference.media.path or ""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(COLUMNS)
        for span in sorted(spans(inference), key=lambda s: s.start_s):
            subject = "No focal subject" if span.person is None else f"person {span.person}"
            length = span.end_s - span.start_s
            writer.writerow(
                [
                    Path(name).stem or "clip",
                    name,
                    f"{inference.media.duration_s or 0:.3f}",
                    subject,
                    span.tier,
                    "STATE",
                    f"{span.start_s:.3f}",
                    f"{span.end_s:.3f}",
                    f"{length:.3f}",
                    span.text,
                ]
            )
