"""The run directory: what is cut off is dropped and redone, what is done stays as it is."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from kuleshov.apps.cli.main import main
from kuleshov.runs import store
from kuleshov.runs.store import RunDirectory, StoreError

PLAN = {"input": "photos", "settings": {"seed": 0, "labels": "ekman-7"}}


def record(n: int) -> str:
    return json.dumps(
        {"schema": "kuleshov/inference@1", "item": {"id": f'ü "{n}"\n'}, "n": n},
        separators=(",", ":"),
        ensure_ascii=False,
    )


def filled(folder: Path, count: int) -> bytes:
    with RunDirectory(folder).open(PLAN) as run:
        for n in range(count):
            assert run.meet(f'ü "{n}"\n') == "new"
            run.add(record(n))
    return (folder / "annotations.jsonl").read_bytes()


def test_each_item_is_new_once_and_done_after_reopening(tmp_path):
    filled(tmp_path / "run", 3)
    with RunDirectory(tmp_path / "run").open(PLAN) as run:
        assert run.done == 3
        states = [run.meet(f'ü "{n}"\n') for n in (0, 2, 2, 3, 3)]
    assert states == ["done", "done", "again", "new", "again"]


def test_a_line_cut_off_anywhere_is_dropped_and_redone(tmp_path):
    whole = filled(tmp_path / "run", 3)
    file = tmp_path / "run" / "annotations.jsonl"
    start = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in range(start, len(whole)):
        file.write_bytes(whole[:cut])
        with RunDirectory(tmp_path / "run").open(PLAN) as run:
            assert run.done == 2
            assert run.meet('ü "2"\n') == "new"
            assert run.notes == (
                []
                if cut == start
                else ["1 line of annotations.jsonl cut off in writing: dropped, to be done again"]
            )
            run.add(record(2))
        assert file.read_bytes() == whole


def test_blocks_that_a_power_cut_left_empty_are_cut_out(tmp_path):
    whole = filled(tmp_path / "run", 4)
    first, second, third, fourth = whole.splitlines(keepends=True)
    file = tmp_path / "run" / "annotations.jsonl"
    file.write_bytes(first + b"\0" * len(second) + third[:-9] + fourth + first)
    with RunDirectory(tmp_path / "run").open(PLAN) as run:
        left = file.read_bytes()
        states = [run.meet(f'ü "{n}"\n') for n in range(4)]
    # the zeros run into the third line and that one into the fourth: all three are done again
    assert left == first
    assert states == ["done", "new", "new", "new"]


def test_lines_that_another_program_has_written_anew_are_no_damage(tmp_path):
    filled(tmp_path / "run", 3)
    file = tmp_path / "run" / "annotations.jsonl"
    records = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for again in (
        "".join(json.dumps(record) + "\n" for record in records),
        "".join(json.dumps(dict(sorted(record.items()))) + "\r\n" for record in records),
    ):
        file.write_bytes(again.encode())
        assert len(list(store.read_lines(tmp_path / "run"))) == 3
        with RunDirectory(tmp_path / "run").open(PLAN) as run:
            assert (run.done, run.notes) == (3, [])
            assert run.meet('ü "1"\n') == "done"
        assert file.read_bytes() == again.encode()


def test_failures_are_kept_and_tried_again_when_asked(tmp_path):
    with RunDirectory(tmp_path / "run").open(PLAN) as run:
        run.meet("a")
        run.fail("a", "the server is down.", id="a", path="a.jpg")
    with RunDirectory(tmp_path / "run").open(PLAN) as run:
        assert (run.failed, run.meet("a")) == (1, "done")
    with RunDirectory(tmp_path / "run").open(PLAN, retry_failed=True) as run:
        assert (run.failed, run.meet("a")) == (0, "new")


def test_other_settings_are_refused_with_the_difference(tmp_path):
    before = filled(tmp_path / "run", 1)
    other = {"input": "photos", "settings": {"seed": 1, "labels": "ekman-7"}}
    with pytest.raises(StoreError) as told:
        RunDirectory(tmp_path / "run").open(other)
    assert "settings.seed is 1, was 0" in str(told.value)
    assert "labels" not in str(told.value)
    assert (tmp_path / "run" / "annotations.jsonl").read_bytes() == before
    filled_again = RunDirectory(tmp_path / "run").open(PLAN)  # the refusal let go of the folder
    filled_again.close()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"thesis\.tex and no run\.json"):
        RunDirectory(tmp_path).open(PLAN)
    assert sorted(os.listdir(tmp_path)) == [".lock", "thesis.tex"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        RunDirectory(tmp_path / "file").open(PLAN)
    with pytest.raises(StoreError, match="not a run directory"):
        store.read_description(tmp_path)


def test_a_damaged_description_is_not_overwritten(tmp_path):
    filled(tmp_path / "run", 1)
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read as the description"):
        RunDirectory(tmp_path / "run").open(PLAN)
    assert (tmp_path / "run" / "run.json").read_text() == "{"


SECOND = """
import sys
from kuleshov.runs.store import RunDirectory, StoreError
try:
    RunDirectory(sys.argv[1]).open({"input": "x"})
    print("opened")
except StoreError as error:
    print(error)
"""


def test_a_second_process_is_refused(tmp_path):
    """A program of its own: under a bare `pytest`, a spawned child cannot import this file."""
    with RunDirectory(tmp_path / "run").open({"input": "x"}):
        told = subprocess.run(
            [sys.executable, "-c", SECOND, str(tmp_path / "run")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert "another process is writing to" in told


FULL = """
import resource, signal, sys
from kuleshov.runs.store import RunDirectory, StoreError
run = RunDirectory(sys.argv[1]).open({"input": "x"})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for n in range(100):
        run.add('{"schema":"kuleshov/inference@1","item":{"id":"%d"},"x":"%s"}' % (n, "y" * 90))
except StoreError as error:
    print(run.done, error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limit here")
def test_no_room_left_keeps_what_is_whole(tmp_path):
    """The kernel cuts a write off in mid-line, as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    )
    count, _, told = done.stdout.partition(" ")
    assert told.startswith("there is no room left to write to")
    text = (tmp_path / "run" / "annotations.jsonl").read_text()
    assert text.endswith("}\n")
    assert len(text.splitlines()) == int(count) > 0
    with RunDirectory(tmp_path / "run").open({"input": "x"}) as run:
        assert (run.done, run.notes) == (int(count), [])


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="permission denied"):
        RunDirectory(tmp_path / "run").open(PLAN)


def test_damage_is_found_wherever_it_lies_in_a_long_file(tmp_path):
    """More than 64 MiB: lines whose begin and end are whole, and not what is between."""
    folder, filling = tmp_path / "run", "y" * (1 << 20)
    with RunDirectory(folder).open(PLAN) as run:
        for n in range(70):
            run.meet(str(n))
            run.add(f'{{"schema":"x","item":{{"id":"{n}"}},"x":"{filling}"}}')
        run.session(end="complete")
    file = folder / "annotations.jsonl"
    with file.open("r+b") as lines:
        lines.seek(500_000)
        lines.write(b'"')  # the first line is JSON no more
    with RunDirectory(folder).open(PLAN) as run:
        assert run.done == 69
        assert run.meet("0") == "new"
        assert "1 line of annotations.jsonl damaged" in run.notes[0]
        run.session(end="complete")
    assert json.loads((folder / "run.json").read_text())["checked"]["annotations.jsonl"] == {
        "bytes": file.stat().st_size,
        "crc32": zlib.crc32(file.read_bytes()),
    }


def test_a_failure_without_its_reason_is_left_out(tmp_path):
    with RunDirectory(tmp_path / "run").open(PLAN) as run:
        run.fail("a", "it is cut off")
    file = tmp_path / "run" / "failures.jsonl"
    file.write_bytes(file.read_bytes() + b'{"key":"b"}\n')
    assert len(list(store.read_lines(tmp_path / "run", store.FAILURES))) == 1
    assert any("failures.jsonl line 2" in text for text in store.damaged_lines(tmp_path / "run"))


@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_network_drives_without_locks(tmp_path, monkeypatch, capsys, code):
    def flock(fd, operation):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / "set").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "set" / "a.png")
    run = tmp_path / "run"
    call = ["annotate", str(tmp_path / "set"), "--out", str(run), "--model", "pocket"]
    for _ in range(2):  # the second call goes on with it
        assert main([*call, "--faces", "pocket"]) == 0
    assert "has no locks: .lock-soft keeps other processes out" in capsys.readouterr().err
    told = store.read_description(run)["sessions"][0]
    assert any("has no locks" in note for note in told["notes"])
    with (
        RunDirectory(run).open(store.read_description(run)["plan"]),
        pytest.raises(StoreError) as no,
    ):
        RunDirectory(run).open(PLAN)
    assert f"remove {run / '.lock-soft'}" in str(no.value)
    assert not (run / ".lock-soft").exists()
