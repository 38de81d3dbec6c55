"""A real run, killed again and again, yields what an undisturbed one yields, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kuleshov import Agent

KILLS = 30
ITEMS = 16


@pytest.fixture
def folder(tmp_path: Path, feat_data: Path) -> Path:
    """Small pictures of one face each, all different; one is damaged."""
    (tmp_path / "set").mkdir()
    photo = Image.open(feat_data / "single_face.jpg").convert("RGB")
    rows = ["path,id,context,label"]
    for n in range(ITEMS):
        side = 96 + 6 * n
        photo.resize((side, side)).save(tmp_path / "set" / f"{n:02}.png")
        rows.append(f"{n:02}.png,item {n},Note {n}.,happiness")
    (tmp_path / "set" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "set" / "list.csv").write_text("\n".join([*rows, "bad.png,bad,,"]) + "\n")
    return tmp_path / "set"


def content(run: Path) -> list[bytes]:
    """The lines of both files, sorted, without times."""
    found = []
    for line in (run / "annotations.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        record["provenance"]["seconds"] = {}
        found.append(json.dumps(record, sort_keys=True).encode())
    return sorted(found) + sorted((run / "failures.jsonl").read_bytes().splitlines())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("torch_threads")  # one, as in the runs that are killed
def test_killed_at_random_moments(folder: Path, tmp_path: Path):
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("annotate_killed.py")),
            str(folder / "list.csv"),
            str(tmp_path),
            str(KILLS),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["kills"]) >= KILLS
    # they landed at the beginning, in the middle and near the end
    assert len({kill["done"] for kill in told["kills"]}) > 3
    Agent.load(model="pocket", faces="pocket", max_new_tokens=16).annotate(
        folder / "list.csv", tmp_path / "undisturbed"
    )
    expected = content(tmp_path / "undisturbed")
    assert len(expected) == ITEMS + 1
    for n in range(told["runs"]):
        assert content(tmp_path / f"run-{n}") == expected
