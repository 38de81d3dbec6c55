"""What is said while something is done: at once, on a terminal, and never in a pipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main

PROGRAM = "import sys; from kuleshov.apps.cli.main import main; sys.exit(main())"


def test_a_terminal_sees_what_is_being_done(feat_data: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    photo = str(feat_data / "single_face.jpg")
    child = pexpect.spawn(
        sys.executable, ["-c", PROGRAM, "infer", photo, "--pocket"], timeout=120, encoding="utf-8"
    )
    for said in (
        "loading the models …",
        "looking at faces and scene …",
        "judging …",
        "happiness",
    ):
        child.expect(said)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_pipe_gets_nothing_of_it(feat_data: Path) -> None:
    photo = str(feat_data / "single_face.jpg")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "infer", photo, "--pocket"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["infer", "table.csv"], "it holds text"),
        (["chat", "table.csv"], "it holds text"),
        (["code", "table.csv"], "it holds text"),
        (["infer", "empty.png"], "is empty (0 bytes)"),
        (["annotate", "photo.png", "--out", "table.csv"], "is a file; give --out a folder"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    command: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from PIL import Image

    from kuleshov.agent import Agent

    def load(*_: object, **__: object) -> Agent:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(Agent, "load", staticmethod(load))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KULESHOV_DATA", str(tmp_path / "data"))
    Path("table.csv").write_text("a,b\n1,2\n")
    Path("empty.png").write_bytes(b"")
    Image.new("RGB", (40, 30)).save("photo.png")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
