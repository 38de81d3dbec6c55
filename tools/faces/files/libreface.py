"""Result files of LibreFace (Chang et al. 2024) and PyAFAR (Hinduja et al. 2023).

LibreFace 0.2: `au_N` presence, `au_N_intensity` 0-5 of another list of units, `facial_expression`
one label; `frame_time_in_ms` holds seconds; frames without a face are left out; no box. A file of
one picture has neither frame nor time.

PyAFAR: `Occ_au_N` likelihood 0-1, `Int_au_N` 0-5 (adults), `Person_ID`; frames without a face are
left out; no box in pixels. `Pitch`, `Yaw`, `Roll` are degrees; how they count is not documented, so
that their sides are not told.
"""

from __future__ import annotations

from pathlib import Path

from kuleshov.tools.errors import shorten_text
from kuleshov.tools.faces.base import FaceToolInfo
from kuleshov.tools.faces.files.results import ResultRow, Results
from kuleshov.tools.faces.files.table import (
    FileError,
    Table,
    TableLine,
    find_units,
    read_result_table,
)
from kuleshov.tools.types import ActionUnit

LICENCE_LIBREFACE = "LibreFace: USC research licence, non-commercial"
LICENCE_PYAFAR = "PyAFAR: non-commercial use only"
EXPRESSIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"
)  # fmt: skip


def read_libreface(path: Path) -> Results:
    """Read a CSV of LibreFace. Raises FileError."""
    table = read_result_table(path)
    presence, intensity = (
        _unit_numbers(table, r"au_(\d+)"),
        _unit_numbers(table, r"au_(\d+)_intensity"),
    )
    table.require(
        "facial_expression",
        "au_1" if not presence and not intensity else table.columns[0],
        tool="LibreFace",
    )
    units = tuple(sorted(presence | intensity))
    rows = []
    for line in table.lines:
        measured = tuple(
            _read_unit(line, unit, f"au_{unit}", f"au_{unit}_intensity") for unit in units
        )
        label = (line.text("facial_expression") or "").lower() or None
        if label is not None and label not in EXPRESSIONS:
            raise FileError(
                f"{path}, row {line.number}: facial_expression must be one of "
                f"{', '.join(EXPRESSIONS)} but is {shorten_text(label)!r}."
            )
        rows.append(
            ResultRow(
                row=line.number,
                frame=line.whole("frame_idx") if "frame_idx" in table.columns else None,
                # named milliseconds, but frame number over frame rate: seconds
                time_s=line.value("frame_time_in_ms"),
                face={"action_units": measured},
                label=label,
            )
        )
    return Results(
        path,
        FaceToolInfo(
            name="libreface",
            version="LibreFace result file",
            units=units,
            unit_scale="presence (au_N) and intensity 0-5 (au_N_intensity)",
            measures="action units (presence, intensity), one expression label",
            licence=LICENCE_LIBREFACE,
        ),
        tuple(rows),
        notes=table.notes,
    )


def read_pyafar(path: Path) -> Results:
    """Read a CSV of PyAFAR. Raises FileError."""
    table = read_result_table(path)
    occurrence, intensity = (
        _unit_numbers(table, r"Occ_au_(\d+)"),
        _unit_numbers(table, r"Int_au_(\d+)"),
    )
    table.require(
        "Frame",
        "Occ_au_1" if not occurrence and not intensity else table.columns[0],
        tool="PyAFAR",
    )
    units = tuple(sorted(occurrence | intensity))
    person = next((c for c in ("Person_ID", "Face_Index") if c in table.columns), "")
    rows = []
    for line in table.lines:
        frame = line.whole("Frame")
        if frame is None:
            raise FileError(f"{path}, row {line.number}: Frame is empty.")
        measured = []
        for unit in units:
            probability = line.value(f"Occ_au_{unit}", 0, 1)
            strength = line.value(f"Int_au_{unit}", 0, 5)
            measured.append(
                ActionUnit(
                    unit=unit,
                    probability=None if probability is None else round(probability, 4),
                    intensity=None if strength is None else round(strength, 4),
                )
            )
        rows.append(
            ResultRow(
                row=line.number,
                frame=frame,
                person=line.text(person) or "",
                face={"action_units": tuple(measured)},
            )
        )
    return Results(
        path,
        FaceToolInfo(
            name="pyafar",
            version="PyAFAR result file",
            units=units,
            unit_scale="probability (Occ_au_N) and intensity 0-5 (Int_au_N)",
            measures="action units (likelihood, intensity)",
            licence=LICENCE_PYAFAR,
        ),
        tuple(rows),
        notes=table.notes,
    )


def _unit_numbers(table: Table, pattern: str) -> set[int]:
    return set(find_units(table, pattern))


def _read_unit(line: TableLine, unit: int, presence: str, intensity: str) -> ActionUnit:
    shown, strength = line.value(presence, 0, 1), line.value(intensity, 0, 5)
    return ActionUnit(
        unit=unit,
        presence=None if shown is None else shown >= 0.5,
        intensity=None if strength is None else round(strength, 4),
    )
