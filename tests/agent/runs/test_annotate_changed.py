"""A data set that is edited between two calls: what changed is told, and done again on request."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from test_agent import agent, script
from test_annotate import AwayError, failures, records

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.runs import fingerprints

from parts import NO_FROWN, SMILE, HandFaces, face

ROWS = {
    "one": "a.jpg,one,She has won.,happiness,x",
    "two": "b.jpg,two,,fear,x",
    "three": "c.jpg,three,,anger,x",
    "four": "cut.jpg,four,,,x",
}


def write_list(folder: Path, **changed: str) -> None:
    rows = [changed.get(key, row) for key, row in ROWS.items()]
    folder.joinpath("list.csv").write_text("\n".join(["path,id,context,label,site", *rows]) + "\n")


@pytest.fixture
def folder(tmp_path: Path, feat_data: Path) -> Path:
    (tmp_path / "set").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(feat_data / "single_face.jpg", tmp_path / "set" / name)
    (tmp_path / "set" / "cut.jpg").write_bytes((tmp_path / "set" / "a.jpg").read_bytes()[:3000])
    write_list(tmp_path / "set")
    return tmp_path / "set"


def replace_picture(path: Path) -> None:
    """Other bytes, which still are a picture."""
    path.write_bytes(path.read_bytes() + b"other")


def files(run: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in run.iterdir() if p.name.endswith(".jsonl")}


def last_session(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())["sessions"][-1]


def test_what_changed_is_named_and_done_again_on_request(folder, tmp_path):
    run, made = tmp_path / "run", agent()
    made.annotate(folder / "list.csv", run)
    before, calls = files(run), len(made.crew.mllm.calls)
    write_list(
        folder,
        one="a.jpg,one,She has lost.,happiness,x",
        three="c.jpg,three,,sadness,y",
    )
    replace_picture(folder / "b.jpg")
    shutil.copy(folder / "a.jpg", folder / "cut.jpg")  # the damaged one is mended
    told = made.annotate(folder / "list.csv", run)
    expected = {
        "one": ["context, said or boxes"],
        "two": ["file"],
        "three": ["label", "other columns"],
        "four": ["file"],
    }
    assert told.changed.first == expected
    assert last_session(run)["changed"] == {"items": 4, "first": expected}
    assert "4 items have changed" in told.notes[0]
    assert "one (context, said or boxes)" in told.notes[0]
    assert files(run) == before
    assert len(made.crew.mllm.calls) == calls
    again = made.annotate(folder / "list.csv", run, redo="changed")
    assert (again.done, again.failed, again.changed.items) == (4, 0, 0)
    assert last_session(run)["redone"]["items"] == 4
    found = records(run)
    assert '"She has lost."' in found["one"]["evidence"][-1]["text"]
    assert found["three"]["item"] == {"id": "three", "label": "sadness", "extra": {"site": "y"}}
    assert failures(run) == {}
    old = (run / "annotations.jsonl.replaced").read_bytes().splitlines(keepends=True)
    assert sorted(old) == sorted(before["annotations.jsonl"].splitlines(keepends=True))
    after = files(run)
    nothing = made.annotate(folder / "list.csv", run, redo="changed")
    assert (nothing.done, nothing.skipped, nothing.notes) == (0, 4, [])
    assert files(run) == after


def test_what_did_not_change_is_not_done_again(folder, tmp_path):
    run = tmp_path / "run"
    agent().annotate(folder / "list.csv", run)
    before = records(run)
    replace_picture(folder / "b.jpg")
    again = agent().annotate(folder / "list.csv", run, redo="changed")
    assert (again.done, again.skipped) == (1, 3)
    after = records(run)
    assert before["two"]["media"]["sha256"] != after["two"]["media"]["sha256"]
    for key in ("one", "three"):
        assert before[key] == after[key]


def test_a_file_of_the_same_size_and_time_is_not_read_again(folder, tmp_path, monkeypatch):
    run = tmp_path / "run"
    agent().annotate(folder / "list.csv", run)
    os.utime(folder / "b.jpg", ns=(1, 1))  # copied about: the same bytes
    read = []
    digest = fingerprints.file_digest
    monkeypatch.setattr(
        fingerprints, "file_digest", lambda work: read.append(work.key) or digest(work)
    )
    for expected in (["two"], []):
        told = agent().annotate(folder / "list.csv", run)
        assert (told.changed.items, told.notes, read) == (0, [], expected)
        read.clear()


def test_a_row_put_in_above_changes_none_below(folder, tmp_path):
    run = tmp_path / "run"
    text = (folder / "list.csv").read_text()
    (folder / "list.csv").write_text(text + "b.jpg,two,,,x\nc.jpg,five,,,x,too,many\n")
    agent().annotate(folder / "list.csv", run)
    head, *rest = (folder / "list.csv").read_text().splitlines()
    (folder / "list.csv").write_text("\n".join([head, "a.jpg,new,,,x", *rest]) + "\n")
    told = agent().annotate(folder / "list.csv", run)
    assert told.changed.items == 0
    assert "new" in records(run)


def test_a_file_that_is_gone_keeps_its_record(folder, tmp_path):
    run = tmp_path / "run"
    agent().annotate(folder / "list.csv", run)
    (folder / "b.jpg").unlink()
    again = agent().annotate(folder / "list.csv", run, redo="changed")
    assert (again.done, again.failed, again.skipped) == (0, 0, 4)
    assert "two" in records(run)


@pytest.mark.parametrize("damage", ["gone", "cut", "garbage"])
def test_lines_without_a_fingerprint_are_compared_by_their_record(folder, tmp_path, damage):
    """Runs of older versions have none; a power cut may lose the last ones."""
    run = tmp_path / "run"
    agent().annotate(folder / "list.csv", run)
    items = run / "items.jsonl"
    if damage == "gone":
        items.unlink()
    else:
        items.write_bytes(items.read_bytes()[:20] if damage == "cut" else b"\0\xff{}\n{\n")
    before = files(run)
    told = agent().annotate(folder / "list.csv", run)
    assert (told.done, told.changed.items, told.notes) == (0, 0, [])
    for name in ("annotations.jsonl", "failures.jsonl"):
        assert files(run)[name] == before[name]
    items.unlink()
    write_list(folder, three="c.jpg,three,,sadness,x")
    replace_picture(folder / "b.jpg")
    told = agent().annotate(folder / "list.csv", run)
    assert told.changed.first == {"two": ["file"], "three": ["label"]}


def test_a_kill_between_taking_out_and_doing_again_loses_nothing(folder, tmp_path):
    run = tmp_path / "run"
    agent().annotate(folder / "list.csv", run)
    replace_picture(folder / "b.jpg")
    replace_picture(folder / "c.jpg")

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent().annotate(folder / "list.csv", run, workers=1, redo="changed", watch=stop)
    ended = agent().annotate(folder / "list.csv", run)
    assert ended.changed.items == 0
    assert set(records(run)) == {"one", "two", "three"}
    assert len((run / "annotations.jsonl.replaced").read_bytes().splitlines()) == 2


def test_members_of_an_archive_are_compared_too(folder, tmp_path):
    import io
    import tarfile

    def write_tar(context: str) -> None:
        with tarfile.open(tmp_path / "set.tar", "w") as tar:
            for name, data in {
                "a.jpg": (folder / "a.jpg").read_bytes(),
                "a.txt": context.encode(),
                "b.jpg": (folder / "b.jpg").read_bytes(),
            }.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

    write_tar("She has won.")
    agent().annotate(tmp_path / "set.tar", tmp_path / "run")
    assert agent().annotate(tmp_path / "set.tar", tmp_path / "run").changed.items == 0
    write_tar("She has lost.")
    replace_picture(folder / "b.jpg")
    write_tar("She has lost.")
    told = agent().annotate(tmp_path / "set.tar", tmp_path / "run")
    assert sorted(told.changed.first.values()) == [["context, said or boxes"], ["file"]]


def test_a_passing_failure_is_tried_again_by_the_next_call_a_lasting_one_is_not(folder, tmp_path):
    run = tmp_path / "run"
    down = agent(script(judge=AwayError("the server does not answer.")))
    ended = down.annotate(folder / "list.csv", run)
    assert (ended.done, ended.failed) == (0, 4)
    up = agent().annotate(folder / "list.csv", run)
    assert (up.done, up.failed, up.skipped) == (3, 0, 1)
    assert up.notes == [
        "3 items failed before for a passing cause (the model or its server): tried again"
    ]
    assert set(failures(run)) == {"four"}


def test_the_command_names_what_changed(folder, tmp_path, monkeypatch, capsys):
    def load(settings=None, **choices):
        return Agent(script(), HandFaces(face(SMILE, NO_FROWN)), Settings.load(settings, **choices))

    monkeypatch.setattr(Agent, "load", staticmethod(load))
    call = ["annotate", str(folder / "list.csv"), "--out", str(tmp_path / "run")]
    call += ["--progress", "json"]
    assert main(call) == 1
    replace_picture(folder / "b.jpg")
    capsys.readouterr()
    assert main(call) == 1
    err = capsys.readouterr().err
    assert "1 item has changed since the run did them: two (file)" in err
    assert "--redo changed" in err
    assert main([*call, "--redo", "changed"]) == 1
    assert "two (file): done again" in capsys.readouterr().err
    assert main(call) == 1
    assert "changed since" not in capsys.readouterr().err
