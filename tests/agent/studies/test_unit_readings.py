"""Readings from a table of units alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main

HEAD = (
    "frame, face_id, timestamp, confidence, success, x_0, x_1, y_0, y_1, "
    "AU01_r, AU02_r, AU04_r, AU06_r, AU12_r, AU15_r, AU25_r, AU12_c"
)
SMILE = "1, 0, 0.0, 0.98, 1, 10, 60, 10, 70, 0, 0, 0, 2.8, 3.6, 0, 1.5, 1"
FROWN = "2, 0, 0.04, 0.98, 1, 10, 60, 10, 70, 2.5, 0, 2.8, 0, 0, 3.2, 0, 0"
LOST = "3, 0, 0.08, 0.1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"


def write_table(path: Path, *rows: str) -> str:
    path.write_text("\n".join((HEAD, *rows)) + "\n", "utf-8")
    return str(path)


def test_an_openface_table_alone_gives_readings_by_rules(tmp_path: Path, capsys) -> None:
    table = write_table(tmp_path / "clip.csv", SMILE, FROWN, LOST)
    assert main(["facs", "--table", f"openface:{table}"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["frame"], row["emotion"]) for row in rows] == [
        ("0", "happiness"),
        ("1", "sadness"),
    ]
    for row in rows:
        chances = {name: float(cell) for name, cell in row.items() if name.startswith("p_")}
        assert len(chances) == 7
        assert sum(chances.values()) == pytest.approx(1, abs=1e-4)
        assert float(row["probability"]) == max(chances.values())
    assert main(["facs", "--table", table, "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["emotion"] for row in told] == ["happiness", "sadness"]


def test_a_table_without_faces_or_enough_units_is_told(tmp_path: Path, capsys) -> None:
    assert main(["facs", "--table", f"openface:{write_table(tmp_path / 'a.csv', LOST)}"]) == 2
    assert "holds no row with a face" in capsys.readouterr().err
    few = tmp_path / "few.csv"
    few.write_text(
        "frame, face_id, timestamp, confidence, success, AU12_r, AU12_c\n1, 0, 0, 0.9, 1, 3, 1\n"
    )
    assert main(["facs", "--table", f"openface:{few}"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["emotion"] == row["p_happiness"] == ""
    assert "fewer than 5 units" in row["unanswered"]
    assert main(["facs", "12", "--table", str(few)]) == 2
