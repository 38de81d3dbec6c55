"""Tidy CSV tables of a clip: one row per face and frame (Fex), per unit event, per moment."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from kuleshov.tools.faces import facs
from kuleshov.tools.faces.fex import FexRow, write_fex
from kuleshov.tools.valid_text import csv_row
from kuleshov.types import Inference


def write_frames(inference: Inference, path: Path) -> None:
    """Py-Feat's Fex: every frame in which a person was found; unknown is an empty field."""

    def rows() -> Iterator[FexRow]:
        name, scale = inference.media.path or "clip", inference.media.full_scale
        for person in inference.people:
            if person.track is not None:
                for place in range(len(person.track.times_s)):
                    yield FexRow(name, person.track.face(place), full_scale=scale)

    write_fex(rows(), path)


def write_events(inference: Inference, path: Path) -> None:
    """One row a rise and fall of a unit, with its times in seconds and its peak."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "input",
                "person",
                "unit",
                "name",
                "side",
                "kind",
                "onset_s",
                "apex_s",
                "offset_s",
                "peak",
                "scale",
                "shown",
                "onset_seen",
                "offset_seen",
            ]
        )
        for person in inference.people:
            for e in person.track.events if person.track else ():
                writer.writerow(
                    csv_row(
                        [
                            inference.media.path,
                            person.id,
                            e.unit,
                            facs.unit_name(e.unit),
                            e.side,
                            e.kind,
                            e.onset_s,
                            e.apex_s,
                            e.offset_s,
                            e.peak,
                            e.scale,
                            e.shown,
                            e.onset_seen,
                            e.offset_seen,
                        ]
                    )
                )


def write_moments(inference: Inference, path: Path) -> None:
    """One row a moment, a column a label; a moment without an answer has empty fields."""
    told = [(p, m) for p in inference.people for m in p.moments]
    labels = list(dict.fromkeys(k for _, m in told if m.emotions for k in m.emotions.probabilities))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "input",
                "person",
                "start_s",
                "time_s",
                "end_s",
                "top",
                *csv_row([*labels]),
                "fusion",
                "unanswered",
            ]
        )
        for person, m in told:
            p = m.emotions.probabilities if m.emotions else {}
            writer.writerow(
                csv_row(
                    [
                        inference.media.path,
                        person.id,
                        m.start_s,
                        m.time_s,
                        m.end_s,
                        m.emotions.top if m.emotions else None,
                        *(p.get(k) for k in labels),
                        m.emotions.fusion if m.emotions else None,
                        m.unanswered,
                    ]
                )
            )
