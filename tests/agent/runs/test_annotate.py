"""An annotation run as its user sees it: the records, failures, going on, the end of it."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console
from test_agent import agent, script

from kuleshov import Agent, Inference, Settings
from kuleshov.apps.cli.main import main
from kuleshov.output.exports.table import table_rows
from kuleshov.runs import summary
from kuleshov.runs.summary import summarise_run
from kuleshov.tools.mllm import MllmError

from parts import NO_FROWN, SMILE, HandFaces, face


@pytest.fixture
def folder(tmp_path: Path, feat_data: Path) -> Path:
    """Two photographs, a damaged one, and a manifest that names them and more."""
    (tmp_path / "set").mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(feat_data / "single_face.jpg", tmp_path / "set" / name)
    (tmp_path / "set" / "cut.jpg").write_bytes((tmp_path / "set" / "a.jpg").read_bytes()[:3000])
    (tmp_path / "set" / "list.csv").write_text(
        "path,id,context,label,box\n"
        "a.jpg,one,She has won.,happiness,\n"
        "b.jpg,two,,fear,0 0 1000 1000\n"
        "b.jpg,one,,,\n"
        "cut.jpg,three,,,\n"
        "gone.jpg,four,,,\n"
        "a.jpg,five,,,100 100 200 200\n"
    )
    return tmp_path / "set"


def records(run: Path) -> dict[str, dict]:
    found = [json.loads(line) for line in (run / "annotations.jsonl").read_text().splitlines()]
    assert len({record["item"]["id"] for record in found}) == len(found)
    return {record["item"]["id"]: record for record in found}


def failures(run: Path) -> dict[str, str]:
    found = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    return {failure["key"]: failure["reason"] for failure in found}


def test_what_can_be_read_is_read_and_the_rest_is_said(folder: Path, tmp_path: Path):
    made = agent()
    ended = made.annotate(folder / "list.csv", tmp_path / "run")
    assert (ended.done, ended.failed, ended.skipped, ended.total) == (3, 3, 0, 6)
    found = records(tmp_path / "run")
    for record in found.values():
        jsonschema.validate(record, Inference.json_schema())
    assert set(found) == {"one", "two", "five"}
    assert found["one"]["item"]["label"] == "happiness"
    assert '"She has won."' in found["one"]["evidence"][-1]["text"]
    assert len(found["two"]["people"]) == 1
    (nobody,) = found["five"]["people"]
    assert nobody["face"] is None
    assert nobody["box_xyxy"] == [100, 100, 200, 200]
    assert any("no face was found in the box given" in told for told in found["five"]["warnings"])
    # who is read from the context alone is told apart wherever people are counted
    assert nobody["basis"] == "context"
    assert found["one"]["people"][0]["basis"] == "face"
    counted = summarise_run(tmp_path / "run").to_dict()
    assert (counted["people"], counted["people_without_face"]) == (3, 1)
    assert sum(counted["labels"].values()) == 2
    assert sum(counted["labels_without_face"].values()) == 1
    rows = {row["item"]: row for row in table_rows(tmp_path / "run")}
    assert (rows["one"]["basis"], rows["five"]["basis"]) == ("face", "context")
    told = failures(tmp_path / "run")
    assert set(told) == {"one (row 3)", "three", "four"}
    assert "used twice" in told["one (row 3)"]
    assert "cut off or damaged" in told["three"]
    assert "there is no file" in told["four"]
    for file in ("annotations.jsonl", "failures.jsonl"):
        shutil.copy(tmp_path / "run" / file, tmp_path / file)
    calls = len(made.crew.mllm.calls)
    again = made.annotate(folder / "list.csv", tmp_path / "run")
    assert (again.done, again.failed, again.skipped) == (0, 0, 6)
    assert len(made.crew.mllm.calls) == calls
    for file in ("annotations.jsonl", "failures.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / file).read_bytes()
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["plan"]["settings"]["labels"] == "ekman-7"
    assert [(s["end"], s["done"]) for s in described["sessions"]] == [
        ("complete", 3),
        ("complete", 0),
    ]


class AwayError(MllmError):
    """As a server that does not answer raises it."""

    passing = True


def test_an_item_whose_server_was_down_is_a_failure_and_can_be_tried_again(folder, tmp_path):
    down = agent(script(judge=AwayError("the server does not answer.")))
    ended = down.annotate([folder / "a.jpg"], tmp_path / "run")
    assert (ended.done, ended.failed) == (0, 1)
    (reason,) = failures(tmp_path / "run").values()
    assert reason == "judge: the server does not answer."
    up = agent().annotate([folder / "a.jpg"], tmp_path / "run", retry_failed=True)
    assert (up.done, up.failed) == (1, 0)
    assert failures(tmp_path / "run") == {}


def test_a_fault_of_a_tool_in_one_item_does_not_end_the_run(folder, tmp_path, monkeypatch):
    made = agent()
    whole = made.infer

    def infer(source, **options):
        if "b.jpg" in str(source):
            raise ZeroDivisionError("by a bug")
        return whole(source, **options)

    monkeypatch.setattr(made, "infer", infer)
    ended = made.annotate([folder / "a.jpg", folder / "b.jpg"], tmp_path / "run")
    assert (ended.done, ended.failed) == (1, 1)
    assert "ZeroDivisionError: by a bug" in failures(tmp_path / "run").popitem()[1]


def test_ctrl_c_writes_what_is_in_hand_and_the_next_call_goes_on(folder, tmp_path):
    paths = [folder / "a.jpg"] + [folder / f"{n}.jpg" for n in range(8)]
    for path in paths[1:]:
        shutil.copy(folder / "b.jpg", path)

    def watch(progress):
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent().annotate(paths, tmp_path / "run", workers=2, watch=watch)
    first = records(tmp_path / "run")
    assert 1 <= len(first) < len(paths)
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["sessions"][0]["end"] == "interrupted"
    agent().annotate(paths, tmp_path / "run", workers=2)
    assert len(records(tmp_path / "run")) == len(paths)


def test_the_summary_counts_what_the_run_holds(folder, tmp_path):
    agent().annotate(folder / "list.csv", tmp_path / "run")
    found = summary.summarise_run(tmp_path / "run").to_dict()
    assert (found["items"], found["failed"], found["people"]) == (3, 3, 3)
    assert found["labels"] == {"happiness": 2}
    assert found["labels_without_face"] == {"happiness": 1}
    assert len(found["slowest"]) == 3


def test_shares_of_the_summary_are_of_the_people_that_they_are_told_of():
    counts = summary.Summary(
        items=3,
        people=3,
        without_face=2,
        unanswered=2,
        unanswered_with_face=0,
        labels=Counter(happiness=1),
    )
    file = io.StringIO()
    summary.print_summary(counts, Console(file=file, width=100))
    told = " ".join(file.getvalue().split())
    assert "3 people (2 of them without a face, read from the context alone)" in told
    assert "happiness 1 100.0 %" in told
    assert "without a face: unanswered 2" in told
    assert "200" not in told


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(settings=None, **choices):
        return Agent(script(), HandFaces(face(SMILE, NO_FROWN)), Settings.load(settings, **choices))

    monkeypatch.setattr(Agent, "load", staticmethod(load))


@pytest.mark.usefixtures("by_hand")
def test_the_command(folder, tmp_path, capsys):
    call = ["annotate", str(folder / "list.csv"), "--out", str(tmp_path / "run")]
    assert main([*call, "--progress", "json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    *progress, last = [json.loads(line) for line in err.splitlines()]
    assert progress[0]["event"] == "progress"
    assert set(progress[0]) >= {"done", "failed", "total", "items_per_s", "left_s", "memory_mb"}
    assert (last["event"], last["items"], last["failed"]) == ("summary", 3, 3)
    assert main([*call, "--progress", "quiet"]) == 1
    assert capsys.readouterr() == ("", "")
    assert main([*call, "--progress", "bar"]) == 1
    err = capsys.readouterr().err
    assert "happiness" in err
    assert "all 6 were done before, nothing was left to do" in " ".join(err.split())
    closing = [line.split(maxsplit=1) for line in err.splitlines()[-4:]]
    assert [name for name, _ in closing] == ["records:", "browse:", "table:", "retry:"]
    assert closing[0][1] == str(tmp_path / "run" / "annotations.jsonl")
    assert closing[2][1].startswith(f"kuleshov export {tmp_path / 'run'} --to csv")
    assert closing[3][1] == f"kuleshov {' '.join(call)} --progress bar --retry-failed"
    assert main([*call, "--seed", "5"]) == 2
    assert "settings.seed is 5, was 0" in capsys.readouterr().err
    assert main(["annotate", str(folder / "none"), "--out", str(tmp_path / "x")]) == 2
    assert "there is no file or folder" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
