"""What data sets are read, and what is wrong with their items."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from kuleshov.inputs import items
from kuleshov.tools.errors import KuleshovError


@pytest.fixture
def photos_of(tmp_path: Path, feat_data: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for name in ("b.jpg", "a.JPG", "inner/c.jpg"):
        shutil.copy(feat_data / "single_face.jpg", folder / name)
    (folder / "notes.txt").write_text("x")
    return folder


def keys(source) -> list[str]:
    return [work.key for work in items.read_items(source)]


def test_a_folder(photos_of: Path):
    assert keys(photos_of) == ["a.JPG", "b.jpg", "inner/c.jpg"]
    assert items.count_items(photos_of) == 3
    assert keys(str(photos_of / "**" / "*.jpg")) == [
        str(photos_of / "b.jpg"),
        str(photos_of / "inner" / "c.jpg"),
    ]


def test_links_that_run_in_circles_end(photos_of: Path):
    (photos_of / "inner" / "up").symlink_to(photos_of)
    (photos_of / "one").symlink_to(photos_of / "two")
    (photos_of / "two").symlink_to(photos_of / "one")
    found = list(items.read_items(photos_of))
    assert [work.key for work in found if work.problem is None] == ["a.JPG", "b.jpg", "inner/c.jpg"]
    (bad,) = [work for work in found if work.problem]
    assert "link to a folder above it" in bad.problem


def test_a_folder_that_cannot_be_read_is_a_failure(photos_of: Path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (photos_of / "inner").chmod(0)
    found = list(items.read_items(photos_of))
    (photos_of / "inner").chmod(0o700)
    assert [work.problem is None for work in found] == [True, True, False]


def test_three_pictures_among_very_many_files(tmp_path: Path, feat_data: Path):
    for n in range(20_000):
        (tmp_path / f"{n}.txt").touch()
    for n in (7, 9, 8):
        shutil.copy(feat_data / "single_face.jpg", tmp_path / f"{n}.jpg")
    assert keys(tmp_path) == ["7.jpg", "8.jpg", "9.jpg"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "there is no file or folder"),
        ("*.png", "no picture or clip matches"),
        ("empty", "there is no picture or clip in"),
        ("notes.txt", "is neither a manifest"),
        ("none.csv", "there is no file"),
        ("none-{00..02}.tar", "there is no file"),
        ("wrong.csv", "has no column 'path'"),
        ("void.csv", "is empty"),
        ("fake.parquet", "is not a Parquet file"),
    ],
)
def test_mistakes_are_one_sentence(name: str, told: str, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "wrong.csv").write_text("picture_path,label\na.jpg,fear\n")
    (tmp_path / "void.csv").write_text("")
    (tmp_path / "fake.parquet").write_text("path\n")
    with pytest.raises(KuleshovError) as error:
        list(items.read_items(str(tmp_path / name)))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table(tmp_path: Path):
    (tmp_path / "set.csv").write_bytes(
        "path;id;box;context;label;site\n"
        "a.jpg;1;10 20 30 40;She won.;fear;Köln\n"
        'b.jpg;2;"[[1,2,3,4],[5,6,7,8]]";;{"anger": 0.5, "joy": 0.5};\n'
        "c.jpg;3;4 3 2 1;;;\n"
        ";4;;;;\n"
        "d.jpg;5\n".encode()
        + b"e.jpg;6;;Caf\xe9;;\n"
    )
    found = list(items.read_items(tmp_path / "set.csv"))
    first, second, *bad, last = found
    assert first.source == str(tmp_path / "a.jpg")
    assert (first.key, first.boxes, first.context) == ("1", ((10, 20, 30, 40),), ("She won.",))
    assert (first.item.label, first.item.extra) == ("fear", {"site": "Köln"})
    assert len(second.boxes) == 2
    assert second.item.label == {"anger": 0.5, "joy": 0.5}
    assert [work.problem for work in bad] == [
        "row 3: the box ['4', '3', '2', '1'] is not x0 < x1, y0 < y1 in pixels.",
        "row 4: no path.",
        "row 5: 2 cells for 6 columns.",
    ]
    assert last.context == ("Café",)
    assert last.notes == ("line 7 of the manifest is not UTF-8: read as Windows-1252",)


def test_json_lines_and_parquet_say_the_same(tmp_path: Path):
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"path": "a.jpg", "id": "x", "context": ["one", "two"], "label": "fear", "age": 3},
        {"path": "b.jpg", "id": "y", "context": [], "label": None, "age": None},
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "set.jsonl").write_text("\n".join([lines[0], "", lines[1]]) + "\n{half\n[]\n")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "set.parquet")
    *told, half, array = items.read_items(tmp_path / "set.jsonl")
    stored = list(items.read_items(tmp_path / "set.parquet"))
    assert [(w.key, w.context, w.item) for w in told] == [
        (w.key, w.context, w.item) for w in stored
    ]
    assert told[0].item.extra == {"age": 3}
    assert half.problem.startswith("row 4 is not a JSON object")
    assert array.problem.startswith("row 5 is not a JSON object")


def test_tars_of_webdataset(tmp_path: Path, feat_data: Path):
    picture = (feat_data / "single_face.jpg").read_bytes()

    def write(name: str, files: dict[str, bytes]) -> None:
        with tarfile.open(tmp_path / name, "w") as tar:
            for member, data in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    write("s-0.tar", {"a.jpg": picture, "a.txt": b"She won.", "a.cls": b"joy", "b.txt": b"no"})
    write("s-1.tar", {"c.json": b'{"id": "seven", "who": "X"}', "c.jpg": picture})
    found = list(items.read_items(str(tmp_path / "s-{0..1}.tar")))
    assert [work.key for work in found] == ["a", "b", "seven"]
    assert found[0].source == picture
    assert (found[0].context, found[0].item.label) == (("She won.",), "joy")
    assert "holds no picture or clip" in found[1].problem
    assert found[2].item.extra == {"who": "X"}
    whole = (tmp_path / "s-0.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 3])
    assert "is damaged or cut off" in list(items.read_items(str(tmp_path / "cut.tar")))[-1].problem


def test_a_saved_data_set(tmp_path: Path, feat_data: Path):
    import datasets

    picture = str(feat_data / "single_face.jpg")
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["anger", "joy"])
    )
    made = datasets.Dataset.from_dict({"image": [picture] * 2, "label": [1, 0]}, features)
    made.save_to_disk(tmp_path / "set")
    found = list(items.read_items(tmp_path / "set"))
    assert [(work.key, work.item.label) for work in found] == [("0", "joy"), ("1", "anger")]
    assert found[0].source == Path(picture).read_bytes() or found[0].source == picture
    assert items.count_items(tmp_path / "set") == 2
