"""Inputs as people have them: labels in every spelling, bad rows, shards, Label Studio's export."""

from __future__ import annotations

import io
import json
import tarfile
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from kuleshov.inputs import items
from kuleshov.output.exports import label_studio
from kuleshov.runs.human_labels import Said
from kuleshov.runs.store import RunDirectory
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet


@pytest.mark.parametrize(
    ("given", "name", "votes", "unknown"),
    [
        ("Happy", "happiness", None, ()),
        (" JOY ", "happiness", None, ()),
        ("no_emotion", "neutral", None, ()),
        (["happiness"], "happiness", None, ()),
        ('["Joy"]', "happiness", None, ()),
        ({"choices": ["Sad"]}, "sadness", None, ()),
        (["happy", "joy", "sad"], "happiness", {"happiness": 2.0, "sadness": 1.0}, ()),
        ({"joy": 0.5, "anger": 0.5}, None, {"happiness": 0.5, "anger": 0.5}, ()),
        (-1, None, None, ()),
        ("unknown", None, None, ()),
        ("N/A", None, None, ()),
        ("", None, None, ()),
        (float("nan"), None, None, ()),
        (3, None, None, ("3",)),
        ("bliss", None, None, ("bliss",)),
        (["happy", "bliss"], None, None, ("bliss",)),
    ],
)
def test_labels_are_read_in_one_way(given, name, votes, unknown):
    read = LabelSet.load("ekman-7").read_label(given)
    assert (read.name, read.votes, read.unknown) == (name, votes, unknown)


def test_a_set_s_own_word_is_no_missing_answer():
    assert LabelSet.load("pain-4").read_label("none").name is not None


BAD = (
    '"box": {"x": 1}',
    '"box": 7',
    '"box": true',
    '"box": [[1, 2, 3, 4], null]',
    '"box": [1, 2, 3, 1' + "0" * 400 + "]",
    '"context": {"a": 1}',
    '"context": "half \\ud83d"',
    '"label": [{"a": 1}]',
    '"label": {"joy": "much"}',
    '"context": ' + "[" * 100_000 + "]" * 100_000,
)


def test_each_bad_row_is_one_failure_and_the_rest_is_read(tmp_path: Path):
    table = tmp_path / "m.jsonl"
    rows = ['{"path": "a.jpg", "id": "first"}']
    rows += [f'{{"path": "a.jpg", "id": "{n}", {cell}}}' for n, cell in enumerate(BAD)]
    rows += ['{"path": "a.jpg", "id": "last", "box": {"x": 10, "y": 20, "width": 5, "height": 6}}']
    table.write_text("\n".join(rows) + "\n")
    first, *bad, last = items.read_items(table)
    assert first.problem is None
    assert last.boxes == ((10, 20, 15, 26),)
    assert len(bad) == len(BAD)
    assert all(work.problem and "\n" not in work.problem for work in bad)


def test_missing_boxes_are_none(tmp_path: Path):
    (tmp_path / "m.jsonl").write_text('{"path": "a.jpg", "box": NaN}\n{"path": "a.jpg"}\n')
    assert [(work.boxes, work.problem) for work in items.read_items(tmp_path / "m.jsonl")] == [
        ((), None),
        ((), None),
    ]


def test_tables_of_spreadsheets(tmp_path: Path):
    told = "sep=;\r\npath;context, free, of others\r\na.jpg;Yes, twice.\r\n"
    for name, data in (
        ("a.csv", told.encode()),
        ("b.csv", told.encode("utf-16")),
        ("c.csv", told.split("\r\n", 1)[1].encode("utf-8-sig")),
    ):
        (tmp_path / name).write_bytes(data)
        (work,) = items.read_items(tmp_path / name)
        assert work.source == str(tmp_path / "a.jpg")
    cut = "path,id,context\na.jpg,1,x\nb.jpg,2,y\n".encode("utf-16")[:-3]
    (tmp_path / "cut.csv").write_bytes(cut)
    assert [work.key for work in items.read_items(tmp_path / "cut.csv")] == ["1", "2"]
    (tmp_path / "huge.csv").write_text("path," + "x" * 200_000 + "\na.jpg,1\n")
    with pytest.raises(KuleshovError, match="is no header"):
        items.read_items(tmp_path / "huge.csv")


def test_files_that_are_spelled_otherwise(tmp_path: Path):
    name = "José Müller.jpg"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / unicodedata.normalize("NFD", name)).write_bytes(b"x")
    table = tmp_path / "m.csv"
    table.write_text(f"path\nset/{name}\nset\\{name}\n", "utf-8")
    for work in items.read_items(table):
        assert Path(str(work.source)).is_file()


def test_a_damaged_part_of_parquet_is_one_failure(tmp_path: Path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"path": [f"{n:04d}-{'x' * 50}.jpg" for n in range(300)]})
    file = tmp_path / "m.parquet"
    pyarrow.parquet.write_table(
        table, file, row_group_size=100, compression="gzip", use_dictionary=False
    )
    facts = pyarrow.parquet.ParquetFile(file).metadata.row_group(1).column(0)
    data = bytearray(file.read_bytes())
    at, size = facts.data_page_offset, facts.total_compressed_size
    data[at + size // 2 : at + size] = b"\xff" * (size - size // 2)
    file.write_bytes(data)
    found = list(items.read_items(file))
    assert len([work for work in found if work.problem is None]) == 200
    (damaged,) = [work for work in found if work.problem]
    assert "rows 101-200" in damaged.problem


def shard(path: Path, files: dict[str, bytes], mode: str = "w", **links: str) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in links.items():
            info = tarfile.TarInfo(name.replace("__", "/") + ".jpg")
            info.type = tarfile.LNKTYPE if target.startswith("train") else tarfile.SYMTYPE
            info.linkname = target
            tar.addfile(info)
    return path


def test_links_in_shards_are_read_or_named(tmp_path: Path):
    pictures = {"train/a.jpg": b"A", "train/b.jpg": b"B"}
    path = shard(
        tmp_path / "s.tar",
        pictures,
        val__a2="train/a.jpg",
        val__b2="../train/b.jpg",
        val__out="/etc/passwd",
        val__ring="ring.jpg",
    )
    found = {work.key: work for work in items.read_items(path)}
    assert found["val/a2"].source == b"A"
    assert found["val/b2"].source == b"B"
    assert "not in the shard" in found["val/out"].problem
    assert "not in the shard" in found["val/ring"].problem


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_shards_in_any_order_and_packing(tmp_path: Path, kind: str):
    files = {
        "2021.05.03 (1).jpg": b"1",
        "2021.05.03 (2).jpg": b"2",
        "s1.jpg": b"S",
        "s2.left.jpg": b"L",
        "s2.right.jpg": b"R",
        "2021.05.03 (1).json": b'{"context": "At a funeral."}',
        "s1.txt": b"At a wedding.",
        "s2.json": b'{"label": "joy"}',
    }
    name = f"s.tar.{kind}" if kind else "s.tar"
    found = {w.key: w for w in items.read_items(shard(tmp_path / name, files, f"w:{kind}"))}
    assert list(found) == ["2021.05.03 (1)", "2021.05.03 (2)", "s1", "s2.left", "s2.right"]
    assert found["2021.05.03 (1)"].context == ("At a funeral.",)
    assert found["2021.05.03 (2)"].context == ()
    assert found["s1"].context == ("At a wedding.",)
    assert found["s2.right"].item.label == "joy"
    assert [w.source for w in found.values()] == [b"1", b"2", b"S", b"L", b"R"]


def test_equal_keys_names_like_patterns_and_a_damaged_header(tmp_path: Path):
    shard(tmp_path / "s-0.tar", {"000.jpg": b"0"})
    shard(tmp_path / "s-1.tar", {"000.jpg": b"1"})
    found = list(items.read_items(str(tmp_path / "s-{0..1}.tar")))
    assert [(w.key, w.source) for w in found] == [("000", b"0"), ("s-1.tar/000", b"1")]
    assert next(items.read_items(shard(tmp_path / "set[1].tar", {"a.jpg": b"a"}))).source == b"a"
    path = shard(tmp_path / "bad.tar", {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    data = bytearray(path.read_bytes())
    data[1024 + 148 : 1024 + 156] = b"99999999"  # the checksum of the second header
    path.write_bytes(data)
    first, rest = items.read_items(path)
    assert first.source == b"a"
    assert "cannot be read" in rest.problem


def region(name: str, label: str | None = "fear", x: float = 10.0) -> dict:
    value = {"x": x, "y": 10.0, "width": 20.0, "height": 20.0}
    return {"id": name, "value": value | ({"rectanglelabels": [label]} if label else {})}


def told(tmp_path: Path, *tasks: dict) -> tuple[list[Said], Counter[str]]:
    (tmp_path / "export.json").write_text(json.dumps(tasks), "utf-8")
    passed: Counter[str] = Counter()
    shown = {"a": [region("person-1"), region("person-2", x=60.0)]}
    return list(label_studio.read_corrections(tmp_path / "export.json", shown, passed)), passed


def test_label_studio_s_unusual_tasks_are_counted(tmp_path: Path):
    relation = {"from_id": "person-1", "to_id": "person-2", "type": "relation"}
    said, passed = told(
        tmp_path,
        {
            "data": {"item": "a"},
            "predictions": [286],
            "annotations": [
                {
                    "completed_by": 1,
                    "updated_at": "2026-01-02T00:00:00Z",
                    "result": [region("person-1", "sadness"), region("xyz", None, 61.0), relation],
                },
                {
                    "completed_by": 1,
                    "updated_at": "2026-01-01T00:00:00Z",
                    "result": [region("person-1", "anger")],
                },
                {"completed_by": 2, "result": [region("person-2", "joy", 60.0)]},
            ],
        },
        {"data": {"image": "extra.jpg"}, "annotations": []},
        {"data": {"item": "a"}, "predictions": [], "annotations": []},
    )
    assert said == [
        Said("a", 1, "1", ["sadness"]),
        Said("a", 2, "1", None),  # drawn anew at its place, without a label: not taken away
        Said("a", 1, "2", None, taken_away=True),
        Said("a", 2, "2", ["joy"]),
    ]
    assert sum(passed.values()) == 3


def test_lines_that_are_taken_out_are_kept_aside(tmp_path: Path):
    plan = {"input": "set"}
    with RunDirectory(tmp_path / "run").open(plan) as run:
        for key in ("a", "b"):
            run.meet(key)
            run.add(json.dumps({"schema": "x", "item": {"id": key}}, separators=(",", ":")))
    file = tmp_path / "run" / "annotations.jsonl"
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"{damaged\n" + second)
    with RunDirectory(tmp_path / "run").open({"input": "./set/"}) as run:
        assert (run.meet("a"), run.meet("b")) == ("new", "done")
        assert "annotations.jsonl.damaged" in run.notes[0]
    assert (tmp_path / "run" / "annotations.jsonl.damaged").read_bytes() == b"{damaged\n"
    assert first


def test_a_data_set_that_was_moved_is_gone_on_with(tmp_path: Path, feat_data: Path):
    from test_agent import agent

    for name, photo in (("set", "single_face.jpg"), ("other", "multi_face.jpg")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes((feat_data / photo).read_bytes())
    made = agent()
    made.annotate(tmp_path / "set", tmp_path / "run")
    (tmp_path / "job2").mkdir()
    (tmp_path / "set").rename(tmp_path / "job2" / "set")
    ended = made.annotate(tmp_path / "job2" / "set", tmp_path / "run")
    assert (ended.done, ended.skipped) == (0, 1)
    assert "moved" in ended.notes[0]
    with pytest.raises(KuleshovError, match="other settings: input is"):
        made.annotate(tmp_path / "other", tmp_path / "run")  # the same name, another picture


def test_members_that_belong_together_however_their_names_are_written(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    told = {"./x.jpg": None, "x.json": "happy", "\u00e9.jpg": None, "e\u0301.json": "sad",
            "IMG_1.jpg": None, "IMG_1.jpg.json": "angry", "__MACOSX/x.jpg": None}  # fmt: skip
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name, label in told.items():
            data = json.dumps({"label": label}).encode() if label else file.getvalue()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    found = {work.key: work for work in items.read_items(tmp_path / "set.tar")}
    assert {key: work.item.label for key, work in found.items()} == {
        "x": "happy", "\u00e9": "sad", "IMG_1": "angry"
    }  # fmt: skip
    assert all(work.problem is None and work.notes == () for work in found.values())
