"""Temporary folders: nothing of a photo stays in them, however a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kuleshov.tools import scratch

SLOW = """#!/bin/sh
sleep 60
"""
PROGRAM = "import sys; from kuleshov.apps.cli.main import main; sys.exit(main())"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_scratch_folder_is_private_and_goes_at_the_end(place: Path) -> None:
    with scratch.scratch_folder("faces") as folder:
        (folder / "face.png").write_bytes(b"x")
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        assert scratch.remove_left_behind() == []  # somebody is at work in it
    assert list(place.iterdir()) == []


def test_only_what_was_left_behind_is_removed(place: Path) -> None:
    for name in ("kuleshov-faces-a", "kuleshov-new", "other"):
        (place / name).mkdir()
    (place / "kuleshov-faces-a" / scratch.LOCK).touch()
    (place / "kuleshov-link").symlink_to(place / "other")
    assert scratch.remove_left_behind() == [place / "kuleshov-faces-a"]
    assert {path.name for path in place.iterdir()} == {"kuleshov-new", "other", "kuleshov-link"}


@pytest.mark.parametrize(
    ("command", "number", "code", "stays"),
    [
        ("annotate", signal.SIGINT, 130, False),
        ("annotate", signal.SIGTERM, 130, False),
        ("infer", signal.SIGINT, 130, False),
        ("infer", signal.SIGTERM, 143, False),
        ("infer", signal.SIGKILL, -9, True),
    ],
)
def test_a_photo_that_a_program_was_given_does_not_stay(
    command: str, number: int, code: int, stays: bool, place: Path, tmp_path: Path, feat_data: Path
) -> None:
    slow = tmp_path / "bin" / "FaceLandmarkImg"
    slow.parent.mkdir()
    slow.write_text(SLOW)
    slow.chmod(0o755)
    photo = str(feat_data / "single_face.jpg")
    given = [command, photo, "--model", "pocket", "--faces", "openface"]
    if command == "annotate":
        given += ["--out", str(tmp_path / "run")]
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *given],
        env={**os.environ, "OPENFACE_BIN": str(slow.parent)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not list(place.glob("kuleshov-*/picture.png")) and run.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    run.send_signal(number)
    if command == "annotate":  # the first one lets the item in hand end
        time.sleep(0.5)
        run.send_signal(number)
    said = run.communicate(timeout=30)[1].decode()
    assert run.returncode == code, said
    assert bool(list(place.glob("kuleshov-*"))) is stays
    if stays:
        scratch.remove_left_behind()
        assert list(place.glob("kuleshov-*")) == []
