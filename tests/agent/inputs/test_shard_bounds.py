"""Shards that hold more than they seem to: what is read of them is bounded, the rest is told."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from kuleshov.inputs import shards

KB = 1 << 10


def picture() -> bytes:
    return cv2.imencode(".png", np.full((40, 40, 3), 90, np.uint8))[1].tobytes()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def sparse_header(name: str, size: int) -> bytes:
    """A member of GNU tar that takes 512 bytes and is read as `size`."""
    info = tarfile.TarInfo(name)
    info.size = 512
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[156:157] = b"S"
    block[386:410] = b"%011o\0%011o\0" % (0, 512)
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(512)


def test_the_files_of_one_sample_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "MOST_BYTES", 1000 * KB)
    path = tmp_path / "s.tar"
    parts = [sparse_header(f"s1.v{k}.jpg", 400 * KB) for k in range(5)]
    with io.BytesIO() as rest:
        with tarfile.open(fileobj=rest, mode="w") as tar:
            add(tar, "s2.png", picture())
        path.write_bytes(b"".join(parts) + rest.getvalue())
    rows = list(shards.read_tars([str(path)]))
    held = sum(len(row.source) for row in rows[:5] if isinstance(row.source, bytes))
    assert held <= 1000 * KB
    assert [row.problem is None for row in rows] == [True, True, False, False, False, True]
    assert "s1.v2.jpg: the files of the sample are larger than" in str(rows[2].problem)
    assert rows[5].source == picture()


def test_the_members_of_a_shard_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LEAST_BOUND", 300 * KB)
    monkeypatch.setattr(shards, "TIMES", 1)
    path = tmp_path / "s.tar"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    big = cv2.imencode(".png", noise)[1].tobytes()
    with tarfile.open(path, "w") as tar:
        add(tar, "first.png", big)
        for k in range(6):
            link = tarfile.TarInfo(f"again{k}.png")
            link.type, link.linkname = tarfile.LNKTYPE, "first.png"
            tar.addfile(link)
    rows = list(shards.read_tars([str(path)]))
    assert len(rows) == 7
    assert [row.problem is None for row in rows[:2]] == [True, True]
    assert "the shard's members are larger than" in str(rows[-1].problem)
    assert sum(len(row.source) for row in rows if isinstance(row.source, bytes)) <= 300 * KB


def test_what_is_no_picture_text_or_json_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with io.BytesIO() as rest:
        with tarfile.open(fileobj=rest, mode="w") as tar:
            add(tar, "s1.png", picture())
        path.write_bytes(sparse_header("s1.npy", 5 << 30) + rest.getvalue())
    (row,) = shards.read_tars([str(path)])
    assert row.problem is None
    assert row.source == picture()
    assert row.notes == ("not read from the shard: s1.npy",)


def test_members_without_end_are_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LEAST_MEMBERS", 20)
    path = tmp_path / "s.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "first.png", picture())
        for k in range(2000):
            add(tar, f"{k}.txt", b"")
    assert path.stat().st_size < 2000 * shards.BYTES_OF_MEMBER
    rows = list(shards.read_tars([str(path)]))
    assert rows[0].problem is None
    assert "it holds more than" in str(rows[-1].problem)
    assert len(rows) < 1000


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_name_or_comment_without_end_is_not_read(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "first.png", picture())
        info = tarfile.TarInfo("long")
        info.type, info.size = kind, 3 << 30
        end = tar.fileobj.tell()
    with path.open("r+b") as file:
        file.seek(end)
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(end + (4 << 30))  # a hole: it takes no room on the disk
    rows = list(shards.read_tars([str(path)]))
    assert rows[0].source == picture()
    assert "a member's name or comment has 3,072 MB" in str(rows[-1].problem)


def test_names_longer_than_a_header_are_read(tmp_path: Path) -> None:
    path, name = tmp_path / "s.tar", f"{'folder/' * 40}s1.png"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(path, "w", format=form) as tar:
            add(tar, name, picture())
        (row,) = shards.read_tars([str(path)])
        assert row.problem is None
        assert row.id == name.removesuffix(".png")
