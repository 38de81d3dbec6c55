"""Py-Feat's table of faces: see `kuleshov.tools.faces.fex`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.output.exports import table
from kuleshov.runs import store
from kuleshov.tools.faces.fex import SCALES, FexRow, write_fex
from kuleshov.tools.types import Face
from kuleshov.types import Inference


def write_export(run: Path, out: Path) -> list[str]:
    count = 0

    def rows() -> Iterator[FexRow]:
        nonlocal count
        for line in store.read_lines(run):
            inference = Inference.from_json(line)
            name = inference.media.path or (inference.item.id if inference.item else "")
            seen: list[Face | None] = [
                face
                for person in inference.people
                for face in (person.timeline or ([person.face] if person.face else []))
            ]
            for face in seen or [None]:
                count += 1
                yield FexRow(name, face, full_scale=inference.media.full_scale)

    units = table.survey_columns(run).units
    held = {name for _, _, name in units}
    scale = next((name for name in SCALES if name in held), None)
    write_fex(rows(), out, units=sorted({number for number, _, _ in units}), scale=scale)
    return [f"{out}: {count:,} rows; feat.utils.io.read_feat opens it"]
