"""Result files of programs that ignored how a phone says its pixels are to be turned."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from tracks import write_clip

from kuleshov.apps.cli.main import main

POCKET = ["--model", "pocket", "--json"]
PHOTO = (320, 240)  # shown; a quarter turn stores it as 240×320
LEFT, RIGHT = (10, 40, 70, 140), (250, 40, 310, 140)
BOTH = (40, 40, 120, 140)  # fits the stored and the shown picture


def photo(path: Path, code: int) -> Path:
    """A grey photo that is shown as 320×240 and stored otherwise."""
    from PIL import Image

    image = Image.new("RGB", PHOTO, (90, 90, 90))
    undo = {3: 3, 6: 2, 8: 4}  # PIL: ROTATE_180, ROTATE_90, ROTATE_270
    image = image.transpose(Image.Transpose(undo[code]))
    exif = Image.Exif()
    exif[274] = code
    image.save(path, exif=exif)
    return path


def stored(box: tuple[float, ...], code: int) -> tuple[float, ...]:
    """A box of the shown picture as a program that does not turn it has it."""
    x0, y0, x1, y1 = box
    if code == 3:
        return 320 - x1, 240 - y1, 320 - x0, 240 - y0
    if code == 6:  # shown = stored, turned clockwise
        return y0, 320 - x1, y1, 320 - x0
    return 240 - y1, x0, 240 - y0, x1


def fex(path: Path, box: tuple[float, ...], size: tuple[int, int] | None = None) -> Path:
    head = "input,frame,FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU01,AU12"
    row = f"p.jpg,0,{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]},0.9,0.1,0.9"
    if size:
        head, row = head + ",FrameHeight,FrameWidth", f"{row},{size[1]},{size[0]}"
    path.write_text(f"{head}\n{row}\n")
    return path


def landmarks(path: Path, box: tuple[float, ...], down: tuple[float, float]) -> Path:
    """OpenFace's table of one picture: eyes and mouth on both sides of the box's middle."""
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    points = [(box[0], box[1]), (box[2], box[3])] + [middle] * 34
    for count, sign in ((12, -0.25), (20, 0.25)):
        at = [m + sign * d for m, d in zip(middle, down, strict=True)]
        points += [(at[0], at[1])] * count
    names = [f"{axis}_{k}" for axis in "xy" for k in range(68)]
    values = [*(x for x, _ in points), *(y for _, y in points)]
    path.write_text(
        f"face,confidence,pose_Rx,pose_Ry,pose_Rz,{','.join(names)},AU12_r\n"
        f"0,0.9,0.1,0.1,0.1,{','.join(str(value) for value in values)},2.5\n"
    )
    return path


def read(source: Path, faces: str, capsys) -> dict:
    assert main(["infer", str(source), *POCKET, "--faces", faces]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("code", [6, 8])
@pytest.mark.parametrize("ignored", [True, False])
def test_boxes_that_fit_one_picture_alone(tmp_path, capsys, code, ignored) -> None:
    source = photo(tmp_path / "p.jpg", code)
    box = LEFT if code == 6 and ignored else RIGHT  # beyond 240 of the longer side
    table = fex(tmp_path / "t.csv", stored(box, code) if ignored else box)
    told = read(source, f"pyfeat:{table}", capsys)
    assert told["media"]["orientation"] == code
    assert told["people"][0]["face"]["xyxy"] == list(box)
    assert any("as it is stored" in gap["reason"] for gap in told["gaps"]) == ignored


@pytest.mark.parametrize(("size", "by"), [((240, 320), 1), ((120, 160), 2), ((320, 240), 0)])
def test_the_size_that_the_table_gives(tmp_path, capsys, size, by) -> None:
    source = photo(tmp_path / "p.jpg", 6)
    box = tuple(v / by for v in stored(BOTH, 6)) if by else BOTH
    told = read(source, f"pyfeat:{fex(tmp_path / 't.csv', box, size)}", capsys)
    assert told["people"][0]["face"]["xyxy"] == list(BOTH)


@pytest.mark.parametrize("code", [3, 6, 8])
@pytest.mark.parametrize("ignored", [True, False])
def test_landmarks_tell_which_way_is_up(tmp_path, capsys, code, ignored) -> None:
    source = photo(tmp_path / "p.jpg", code)
    # the way down in the shown picture, as the stored one has it
    down = {3: (0, -80), 6: (80, 0), 8: (-80, 0)}[code] if ignored else (0, 80)
    table = landmarks(tmp_path / "t.csv", stored(BOTH, code) if ignored else BOTH, down)
    told = read(source, f"openface:{table}", capsys)
    face = told["people"][0]["face"]
    assert face["xyxy"] == list(BOTH)
    assert (face["pose"] is None) == ignored


def test_where_nothing_tells_it_is_refused(tmp_path, capsys) -> None:
    source = photo(tmp_path / "p.jpg", 6)
    table = fex(tmp_path / "t.csv", BOTH)
    assert main(["infer", str(source), *POCKET, "--faces", f"pyfeat:{table}"]) == 2
    said = capsys.readouterr().err
    assert "is stored turned by 90°, and nothing tells whether the boxes" in said


@pytest.mark.parametrize("ignored", [True, False])
def test_a_phones_clip_that_is_stored_on_its_side(tmp_path, capsys, ignored) -> None:
    source = write_clip(tmp_path / "p.mp4", [np.full((240, 320, 3), 90, np.uint8)] * 20)
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a track header, ISO/IEC 14496-12, 8.3.2
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    source.write_bytes(data)
    box = (10, 250, 90, 310) if not ignored else (250, 100, 310, 180)
    names = ",".join(f"{axis}_{k}" for axis in "xy" for k in range(68))
    xs, ys = [box[0], box[2]] * 34, [box[1], box[3]] * 34
    numbers = ",".join(str(value) for value in [*xs, *ys])
    rows = [f"{k + 1},0,{k / 10},0.9,1,{numbers},2.5" for k in range(20)]
    head = f"frame,face_id,timestamp,confidence,success,{names},AU12_r"
    (tmp_path / "t.csv").write_text("\n".join([head, *rows]))
    told = read(source, f"openface:{tmp_path / 't.csv'}", capsys)
    assert (told["media"]["size"], told["media"]["orientation"]) == ([240, 320], 6)
    # turned clockwise: what was at the right is at the bottom
    shown = [60, 250, 140, 310] if ignored else list(box)
    assert told["people"][0]["face"]["xyxy"] == shown
