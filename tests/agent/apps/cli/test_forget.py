"""`kuleshov forget`: one command deletes what is kept of chats."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuleshov.apps.chat.conversations import Memory
from kuleshov.apps.cli.main import main
from kuleshov.tools import scratch


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("KULESHOV_DATA", str(tmp_path / "data"))
    memory = Memory()
    memory.keep(memory.new(), "photo.jpg", "why?", {"turns": []})
    (tmp_path / "data" / "lines").write_text("+why?\n")
    (tmp_path / "data" / "mine.txt").write_text("not ours")
    return tmp_path / "data"


def test_kept_chats_are_told_and_deleted(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert str(kept) in "".join(capsys.readouterr().out.split("\n"))
    assert main(["forget"]) == 2  # nobody is there who could be asked
    assert "say --yes" in capsys.readouterr().err
    assert (kept / "conversations.sqlite").is_file()
    assert main(["forget", "--yes"]) == 0
    assert str(kept) in capsys.readouterr().err
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]
    assert Memory().listing() == []


def test_where_nothing_is_kept_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("KULESHOV_DATA", str(tmp_path / "nothing"))
    assert main(["forget"]) == 0
    assert capsys.readouterr().err == "Nothing was kept.\n"
