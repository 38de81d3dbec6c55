"""Exports of iMotions: Affdex 2 (Bishay et al. 2023) and FACET (Emotient); Affectiva's JSON.

Affdex: some 24 rows of metadata before the header, a byte order mark, a second column
`EventSource`; `Timestamp` in milliseconds; named expressions 0-100, which are the SDK's own score
and neither FACS intensity nor probability: they are kept as `activation` = score / 100; valence
±100; `Blink` is 0 or 1 in newer exports, a presence. `Timestamp` runs through the session; rows of
a stimulus (`SourceStimuliName`) count from its first. Rows of other sensors are empty in these
columns and are left out. Affectiva's JSON app writes the same names in camel case, with `FileName`.

FACET: tab-separated; `AUn Evidence` is the log10 of the odds that a coder would see the unit; it is
kept as such. Rows of other sensors repeat the last numbers and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kuleshov.tools.faces.base import FaceToolInfo
from kuleshov.tools.faces.files.results import ResultRow, Results
from kuleshov.tools.faces.files.table import FileError, TableLine, find_units, read_result_table
from kuleshov.tools.media import IMAGE_SUFFIXES
from kuleshov.tools.structured_text import parse_json
from kuleshov.tools.types import ActionUnit

LICENCE_AFFDEX = "Affdex: commercial (iMotions, Smart Eye)"
LICENCE_FACET = "FACET: commercial (Emotient, iMotions)"

AFFDEX_UNITS: dict[str, int] = {
    "Inner Brow Raise": 1, "Brow Raise": 2, "Brow Furrow": 4, "Eye Widen": 5, "Cheek Raise": 6,
    "Lid Tighten": 7, "Nose Wrinkle": 9, "Upper Lip Raise": 10, "Smile": 12, "Dimpler": 14,
    "Lip Corner Depressor": 15, "Chin Raise": 17, "Lip Pucker": 18, "Lip Stretch": 20,
    "Lip Press": 24, "Mouth Open": 25, "Jaw Drop": 26, "Lip Suck": 28, "Eye Closure": 43,
    "Blink": 45,
}  # fmt: skip
AFFDEX_EMOTIONS = {
    "Anger": "anger", "Contempt": "contempt", "Disgust": "disgust", "Fear": "fear",
    "Joy": "happiness", "Sadness": "sadness", "Surprise": "surprise", "Neutral": "neutral",
}  # fmt: skip
# iMotions' customary threshold is 50 of 100; 25 and 75 are Kuleshov's own steps around it
STEPS = (0.25, 0.5, 0.75)
ALWAYS_HIGH = ("Attention", "Engagement")  # scores of Affdex that are no action units
HIGH = 0.5  # of 1; a calm face may well have no score above half of a hundredth


def read_affdex(path: Path) -> Results:
    """Read an iMotions export of Affdex (CSV), or Affectiva's JSON. Raises FileError."""
    notes: tuple[str, ...] = ()
    if path.suffix.lower() == ".json":
        rows, notes = _from_json(path)
    else:
        table = read_result_table(path, is_header=_is_affdex)
        table.require("Timestamp", "Brow Furrow", tool="Affdex (iMotions)")
        names = {line_name: AFFDEX_UNITS[line_name] for line_name in AFFDEX_UNITS
                 if line_name in table.columns}  # fmt: skip
        every = list(table.lines)
        lines = [line for line in every if any(line.text(name) for name in names)]
        flags = _flag_columns(lines, names)
        most, said = _find_scale(lines, [name for name in names if name not in flags], path)
        made = [_affdex_row(line, names, flags, most) for line in lines]
        rows = list(_in_stimulus_time(made, lines, every))
        notes = (*table.notes, *said)
    return Results(
        path,
        FaceToolInfo(
            name="affdex",
            version="Affdex result file",
            units=tuple(sorted(AFFDEX_UNITS.values())),
            unit_scale="activation: Affdex score 0-100, divided by 100",
            measures="action units (Affdex score), one expression label, valence",
            licence=LICENCE_AFFDEX,
        ),
        tuple(rows),
        key="time_s",
        notes=notes,
    )


def _flag_columns(lines: Sequence[TableLine], names: Mapping[str, int]) -> frozenset[str]:
    """Columns that hold 0 or 1 and no score: Blink in newer exports; all, where thresholded.

    Other columns are scores: a calm face may well have a Smile of 0 or 1 of 100.
    """

    def only_flags(name: str) -> bool:
        return {line.value(name) for line in lines} <= {None, 0.0, 1.0}

    if all(only_flags(name) for name in names):
        return frozenset(names)
    return frozenset(name for name in ("Blink",) if name in names and only_flags(name))


def _is_affdex(fields: Sequence[str]) -> bool:
    return "Brow Furrow" in fields or "Timestamp" in fields


def _find_scale(
    lines: Sequence[TableLine], names: Sequence[str], path: Path
) -> tuple[float, tuple[str, ...]]:
    """The largest value that a score can have, 100 or 1, and what is to be said of it.

    Affdex scores 0-100; some export 0-1. Where all of a file lie within 0-1, it is the latter if
    one is high, or if columns that are high for any face that is seen (Neutral, Attention) are.
    """
    told = (*names, *AFFDEX_EMOTIONS, *ALWAYS_HIGH)
    values = [v for line in lines for name in told if (v := line.value(name)) is not None]
    if not values or max(values) > 1 or all(value in (0, 1) for value in values):
        return 100.0, ()
    if max(values) >= HIGH:
        return 1.0, (f"{path.name}: all scores lie within 0-1: read as such, and not as of 100",)
    return 100.0, (
        f"{path.name}: all scores lie below {HIGH:g}: read as of 100, as Affdex writes them; if "
        "they are of 1, multiply them by 100",
    )


def _affdex_row(
    line: TableLine,
    names: Mapping[str, int],
    flags: Container[str] = frozenset(),
    most: float = 100,
) -> ResultRow:
    time = line.value("Timestamp")
    if time is None:
        raise FileError(f"{line.file}, row {line.number}: Timestamp is empty.")
    emotions = {
        label: line.value(name, 0, most)
        for name, label in AFFDEX_EMOTIONS.items()
        if name in line.values
    }
    valence = line.value("Valence", -most, most)
    return ResultRow(
        row=line.number,
        time_s=time / 1000,
        face={
            "action_units": tuple(
                _flag_unit(unit, line.value(name, 0, 1))
                if name in flags
                else _score_unit(unit, line.value(name, 0, most), most)
                for name, unit in names.items()
            ),
            "valence": None if valence is None else round(valence / most, 4),
        },
        label=_top_emotion(emotions, least=most / 2),
    )


def _flag_unit(unit: int, flag: float | None) -> ActionUnit:
    return ActionUnit(unit=unit, presence=None if flag is None else flag >= 0.5)


def _score_unit(unit: int, score: float | None, most: float) -> ActionUnit:
    if score is None:
        return ActionUnit(unit=unit)
    return ActionUnit(unit=unit, activation=round(score / most, 6), thresholds=STEPS)


def _top_emotion(emotions: Mapping[str, float | None], least: float = 50) -> str | None:
    """The one expression that is most evident, if any is."""
    known = {label: value for label, value in emotions.items() if value is not None}
    top = max(known, key=lambda label: known[label], default=None)
    return top if top is not None and known[top] >= least else None


def _from_json(path: Path) -> tuple[list[ResultRow], tuple[str, ...]]:
    try:
        told: Any = parse_json(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path} is not JSON: {error}.") from None
    records = told if isinstance(told, list) else [told]
    found: list[tuple[TableLine, dict[str, int]]] = []
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict) or "browFurrow" not in record:
            raise FileError(
                f"{path}, record {number}: an Affectiva record has browFurrow, smile, Timestamp …"
            )
        values = {_space_key(key): str(value) for key, value in record.items()}
        line = TableLine(number, {"Timestamp": "0", **values}, str(path))
        found.append((line, {name: u for name, u in AFFDEX_UNITS.items() if name in values}))
    units = list(dict.fromkeys(name for _, names in found for name in names))
    most, notes = _find_scale([line for line, _ in found], units, path)
    rows = []
    for line, names in found:
        file = line.text("File Name")
        still = file is not None and file.lower().endswith(IMAGE_SUFFIXES)
        seconds = None if still else line.value("Timestamp")
        made = _affdex_row(line, names, most=most)
        rows.append(replace(made, media=file, time_s=seconds))
    return rows, notes


def _space_key(key: str) -> str:
    """`browFurrow` → `Brow Furrow`; `Timestamp` stays."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key)
    return words[:1].upper() + words[1:]


# --------------------------------------------------------------------------------------- FACET

FACET_EMOTIONS = {
    "Joy": "happiness", "Anger": "anger", "Surprise": "surprise", "Fear": "fear",
    "Contempt": "contempt", "Disgust": "disgust", "Sadness": "sadness", "Neutral": "neutral",
}  # fmt: skip


def read_facet(path: Path) -> Results:
    """Read a FACET export of iMotions. Raises FileError."""
    table = read_result_table(path, is_header=lambda fields: "FrameTime" in fields)
    units = tuple(find_units(table, r"AU(\d+) Evidence"))
    table.require("EventSource", "FrameNo", "FrameTime", "AU1 Evidence", tool="FACET (iMotions)")
    rows, used = [], []
    for line in table.lines:
        number = line.whole("FrameNo")
        # other sensors' rows repeat FACET's last numbers; frame -1 is before the first one
        if "FACET" not in (line.text("EventSource") or "") or number is None or number < 0:
            continue
        used.append(line)
        time = line.value("FrameTime")
        x, y, w, h = (line.value(f"FaceRect {side}") for side in ("X", "Y", "Width", "Height"))
        box = None
        if x is not None and y is not None and w and h:
            box = (x, y, x + w, y + h)
        evidence = {label: line.value(f"{name} Evidence") for name, label in FACET_EMOTIONS.items()}
        rows.append(
            ResultRow(
                row=line.number,
                frame=number,
                time_s=None if time is None else time / 1000,
                found=(line.whole("NoOfFaces") or 0) > 0,
                box=box,
                face={
                    "action_units": tuple(
                        ActionUnit(unit=unit, log_odds=line.value(f"AU{unit} Evidence"))
                        for unit in units
                    )
                },
                label=_top_emotion(evidence, least=0),
            )
        )
    return Results(
        path,
        FaceToolInfo(
            name="facet",
            version="FACET result file",
            units=units,
            unit_scale="log-odds: FACET evidence, log10 of the odds",
            measures="action units (evidence), one expression label",
            licence=LICENCE_FACET,
        ),
        _by_stimulus(rows, used),
        key="time_s",
        notes=table.notes,
    )


PAUSE_S = 1.0  # with rows of no stimulus alone: it was away from the screen
STIMULUS = ("SourceStimuliName", "StimulusName")


def _line_stimulus(line: TableLine) -> str | None:
    return next((name for column in STIMULUS if (name := line.text(column))), None)


def _by_stimulus(rows: Sequence[ResultRow], lines: Sequence[TableLine]) -> tuple[ResultRow, ...]:
    """Where a file holds several stimuli, each with its own frames and times, rows are theirs."""
    names = [_line_stimulus(line) for line in lines]
    times = [line.value("Timestamp") for line in lines]
    shown = _exposures(names, [None if time is None else time / 1000 for time in times], lines)
    numbered = [replace(row, exposure=number) for row, (number, _) in zip(rows, shown, strict=True)]
    if len(set(names)) < 2:
        return tuple(numbered)
    return tuple(replace(row, media=name) for row, name in zip(numbered, names, strict=True))


def _exposures(
    names: Sequence[str | None], times: Sequence[float | None], lines: Sequence[TableLine]
) -> list[tuple[int, float]]:
    """Of each row, which showing of its stimulus it is of, from 1, and when that began, seconds.

    A stimulus is shown anew after another one, after rows of none, or where iMotions says that it
    starts.
    """
    found: list[tuple[int, float]] = []
    count: dict[str | None, int] = {}
    begun: dict[str | None, float] = {}
    last: dict[str | None, float] = {}
    before: str | None = None
    started = away = False
    for name, time, line in zip(names, times, lines, strict=True):
        if name is not None and time is not None:
            starts = (line.text("SlideEvent") or "").lower() in ("startslide", "startmedia")
            since = time - last.get(name, time)
            again = name != before or (away and since > PAUSE_S)
            if again or (starts and not started and since > 0):
                count[name], begun[name] = count.get(name, 0) + 1, time
            started, away = starts, False
            before, last[name] = name, time
        elif name is None:  # between two showings, or a row of another sensor
            away = True
        found.append((count.get(name, 1), begun.get(name, 0.0)))
    return found


def _in_stimulus_time(
    rows: Sequence[ResultRow], lines: Sequence[TableLine], every: Sequence[TableLine]
) -> tuple[ResultRow, ...]:
    """Rows of named stimuli, their times from the first row of the stimulus, of any sensor.

    `Timestamp` runs through the session, which is kept as `session_s`. A stimulus that is shown
    again later has times of its own each time: which one a clip is of cannot be told.
    """
    names = [_line_stimulus(line) for line in every]
    if not any(names):
        return tuple(rows)
    told = [line.value("Timestamp") for line in every]
    times = [None if time is None else time / 1000 for time in told]
    shown = dict(zip((line.number for line in every), _exposures(names, times, every), strict=True))
    placed = []
    for row, line in zip(rows, lines, strict=True):
        name, (number, onset_s) = _line_stimulus(line), shown[line.number]
        since = row.time_s
        if name is not None and since is not None:
            since -= onset_s
        placed.append(
            replace(
                row,
                media=name or "between stimuli",
                time_s=None if since is None else round(since, 6),
                session_s=row.time_s,
                exposure=number,
            )
        )
    return tuple(placed)
