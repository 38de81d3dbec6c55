"""Nobody has a home here: as in containers and on clusters, without HOME and entry of the user."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.tools import faces
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import hsemotion, model_file
from kuleshov.tools.faces.base import ToolError
from kuleshov.tools.home import expand_path
from kuleshov.tools.mllm import MllmError, hub

POCKET = ["--model", "pocket", "--faces", "pocket"]


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    pwd = pytest.importorskip("pwd")

    def unknown(who: object) -> None:
        raise KeyError(f"not found: {who}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "KULESHOV_DATA")
    for name in [*names, *(name for name in os.environ if name.startswith("XDG_"))]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("homeless")
def test_chat_says_that_nothing_is_kept_and_goes_on(feat_data, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("/save ~/out\n/help\n"))
    assert main(["chat", str(feat_data / "single_face.jpg"), *POCKET]) == 1  # for /save alone
    told = capsys.readouterr()
    assert "there is no home folder here" in told.err
    assert "This one is private: nothing of it is kept." in told.err
    assert "~/out cannot be found, for there is no home folder here" in told.out.replace("\n", " ")
    assert "/compare" in told.out
    assert not Path("~").exists()
    assert main(["chat", "--resume"]) == 2
    assert "choose a folder with KULESHOV_DATA" in capsys.readouterr().err


def test_chat_goes_on_where_the_home_cannot_be_written(feat_data, tmp_path, monkeypatch, capsys):
    (tmp_path / "home").write_text("a file, in which nothing can be made")
    for name in ("KULESHOV_DATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("/quit\n"))
    assert main(["chat", str(feat_data / "single_face.jpg"), *POCKET]) == 0
    assert "This one is private: nothing of it is kept." in capsys.readouterr().err


@pytest.mark.usefixtures("homeless")
def test_tools_and_models_are_looked_for_and_missed_in_one_sentence(monkeypatch):
    model = model_file.ModelFile("x", "x.task", "https://x", "0", 1, "MIT", "X_FILE")
    assert model.find() is None
    assert "curl -L --create-dirs -o x.task" in model.command
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(ToolError, match="no home folder to keep it in; set XDG_CACHE_HOME"):
        model.get()
    assert hsemotion._find_model() is None
    assert "-o enet" in hsemotion._fetch_command()
    assert all(status() for status in faces.tool_statuses().values())
    monkeypatch.setattr(hub, "_cache_folder", lambda: Path("~/.cache/huggingface/hub"))
    with pytest.raises(MllmError, match="there is no home folder to keep it in; set HF_HOME"):
        hub._must_have_room("a/b", 1)
    assert not Path("~").exists()
    for name in ("~", "~/photos"):
        with pytest.raises(KuleshovError, match="there is no home folder here"):
            expand_path(name)


@pytest.mark.usefixtures("homeless")
def test_a_name_that_begins_so_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expand_path("~$list.csv") == Path("~$list.csv")
    assert expand_path("~nobody/x") == Path("~nobody/x")
