"""Opening pictures and clips: every format, mode and way of being broken."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from kuleshov.tools.media import Frame, MediaError, expand_paths, open_media

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 40, height: int = 20) -> np.ndarray[Any, Any]:
    """Red, green over blue, white: every turn and every mirror image looks different."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = RED
    rgb[: height // 2, width // 2 :] = GREEN
    rgb[height // 2 :, : width // 2] = BLUE
    rgb[height // 2 :, width // 2 :] = WHITE
    return rgb


def corners(rgb: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    """The colours of the four quarters, snapped to the nearest of the four; top left first."""
    height, width = rgb.shape[:2]
    colours = np.array([RED, GREEN, BLUE, WHITE])
    found = []
    for y, x in ((1, 1), (1, 3), (3, 1), (3, 3)):
        pixel = rgb[height * y // 4, width * x // 4].astype(int)
        nearest = colours[np.abs(colours - pixel).sum(axis=1).argmin()]
        assert np.abs(nearest - pixel).max() < 60, pixel
        found.append(tuple(int(value) for value in nearest))
    return found


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(MediaError) as caught:
        open_media(source, **options)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


# --------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("suffix", "form", "exact"),
    [
        ("jpg", "JPEG", False),
        ("png", "PNG", True),
        ("webp", "WebP", False),
        ("gif", "GIF", True),
        ("tiff", "TIFF", True),
        ("bmp", "BMP", True),
    ],
)
def test_formats(tmp_path: Path, suffix: str, form: str, exact: bool) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(quarters()).save(path)
    opened = open_media(path)
    (rgb,) = opened.images
    assert (rgb.shape, rgb.dtype) == ((20, 40, 3), np.uint8)
    assert corners(rgb) == [RED, GREEN, BLUE, WHITE]
    if exact:
        np.testing.assert_array_equal(rgb, quarters())
    assert opened.media.model_dump(exclude={"sha256"}) == {
        "path": str(path),
        "kind": "image",
        "size": (40, 20),
        "format": form,
        "notes": (),
        "duration_s": None,
        "frames": (),
        "read": None,
        "cuts_s": (),
        "frame_count": None,
        "full_size": None,
        "orientation": None,
    }
    import hashlib

    assert opened.media.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = quarters()
    # how a camera held so stores the upright picture (EXIF 2.32, tag 274)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    opened = open_media(path)
    assert opened.media.size == (40, 20)
    assert corners(opened.images[0]) == [RED, GREEN, BLUE, WHITE]


def test_broken_exif_is_said_and_the_picture_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.fromarray(quarters()).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    assert corners(open_media(path).images[0]) == [RED, GREEN, BLUE, WHITE]


def grey_ramp() -> np.ndarray[Any, Any]:
    return np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (4, 1))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(grey_ramp()).save(path)
    opened = open_media(path)
    np.testing.assert_array_equal(opened.images[0][0, :, 1], np.arange(256))
    assert opened.media.notes == ("scaled from 16 bit",)


def png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    """A PNG written by hand: Pillow writes no 16-bit colour, and no bombs."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colour_is_scaled(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">6H", 65535, 32768, 0, 257 * 7, 257 * 200, 257 * 99)
    path = tmp_path / "deep.png"
    path.write_bytes(png(2, 1, 16, 2, row))
    assert open_media(path).images[0].tolist() == [[[255, 128, 0], [7, 200, 99]]]


def test_grey_palette_bilevel_and_cmyk(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, dtype=np.uint8), (2, 1))
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(
        open_media(tmp_path / "grey.png").images[0], np.repeat(ramp[..., None], 3, axis=2)
    )
    Image.fromarray(quarters()).quantize(4).save(tmp_path / "palette.png")
    assert corners(open_media(tmp_path / "palette.png").images[0]) == [RED, GREEN, BLUE, WHITE]
    Image.fromarray(ramp > 127).save(tmp_path / "bilevel.png")
    assert open_media(tmp_path / "bilevel.png").images[0][0, [0, 255]].tolist() == [
        [0, 0, 0],
        [255, 255, 255],
    ]
    for suffix in ("jpg", "tiff"):
        path = tmp_path / f"print.{suffix}"
        Image.fromarray(quarters()).convert("CMYK").save(path)
        opened = open_media(path)
        assert corners(opened.images[0]) == [RED, GREEN, BLUE, WHITE]
        assert opened.media.notes == ("converted from CMYK without its colour profile",)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_is_shown_on_white(tmp_path: Path, suffix: str) -> None:
    rgba = np.zeros((4, 3, 4), np.uint8)
    rgba[:, 0] = (200, 0, 0, 255)
    rgba[:, 1] = (0, 0, 0, 0)
    rgba[:, 2] = (0, 0, 0, 128)
    path = tmp_path / f"clear.{suffix}"
    if suffix == "webp":
        Image.fromarray(rgba).save(path, lossless=True)
    else:
        Image.fromarray(rgba).save(path)
    opened = open_media(path)
    assert opened.images[0][0].tolist() == [[200, 0, 0], [255, 255, 255], [127, 127, 127]]
    assert opened.media.notes == ("transparent parts shown on white",)


def test_other_ways_to_be_transparent(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[[0, 0], [50, 255]]], np.uint8), "LA")
    grey.save(tmp_path / "la.png")
    assert open_media(tmp_path / "la.png").images[0][0].tolist() == [[255] * 3, [50] * 3]
    palette = Image.fromarray(quarters()).quantize(4)
    index = palette.getpixel((0, 0))
    palette.save(tmp_path / "p.gif", transparency=index)
    assert open_media(tmp_path / "p.gif").images[0][0, 0].tolist() == [255, 255, 255]
    opaque = np.dstack([quarters(), np.full((20, 40), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    assert open_media(tmp_path / "opaque.png").media.notes == ()


@pytest.mark.parametrize(
    ("suffix", "note"),
    [
        ("gif", "first frame of an animation of 3"),
        ("png", "first frame of an animation of 3"),
        ("webp", "first frame of an animation of 3"),
        ("tiff", "first of 3 pages"),
    ],
)
def test_of_an_animation_the_first_frame_is_read_and_said(
    tmp_path: Path, suffix: str, note: str
) -> None:
    frames = [Image.fromarray(np.roll(quarters(), 20 * k, axis=1)) for k in (0, 1, 0)]
    frames[2] = Image.new("RGB", (40, 20), "black")
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    opened = open_media(path)
    assert len(opened.images) == 1
    assert corners(opened.images[0]) == [RED, GREEN, BLUE, WHITE]
    assert (opened.media.kind, opened.media.notes) == ("image", (note,))


def test_pictures_of_phones_that_hold_two_are_plain_jpegs(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    first, second = Image.fromarray(quarters()), Image.new("RGB", (40, 20))
    first.save(path, format="MPO", save_all=True, append_images=[second])
    opened = open_media(path)
    assert corners(opened.images[0]) == [RED, GREEN, BLUE, WHITE]
    assert (opened.media.format, opened.media.notes) == ("JPEG", ())


def test_what_a_file_holds_counts_not_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.fromarray(quarters()).save(path, format="PNG")
    assert open_media(path).media.format == "PNG"


# ------------------------------------------------------------------------------ bad pictures


def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(40_000, 40_000, 8, 2, b""))
    assert refused(path) == (
        f"{path} has 40000×40000 pixels (1600.0 megapixels), more than the limit of 100.0; "
        "make it smaller or raise max_pixels."
    )
    # with the limit out of the way it is decoded, and found to hold nothing
    assert "cut off or damaged" in refused(png(4_000, 4_000, 8, 0, b""), max_pixels=16_000_000)


def test_the_limit_is_the_callers_not_pillows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(quarters()).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_media(path, max_pixels=800).media.size == (40, 20)
    assert not recwarn.list
    assert "more than the limit" in refused(path, max_pixels=799)
    for source in (quarters(), Image.fromarray(quarters())):
        assert "more than the limit" in refused(source, max_pixels=799)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tiff", "bmp"])
@pytest.mark.parametrize("part", [0.02, 0.6, 0.95])
def test_truncated(tmp_path: Path, suffix: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: max(20, int(len(data) * part))])
    assert refused(path) == f"{path} is cut off or damaged: its picture cannot be read to the end."


def test_missing_empty_and_folders(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.jpg", tmp_path / "empty.jpg"
    empty.touch()
    assert refused(missing) == f"there is no file {missing}."
    assert refused(empty) == f"{empty} is empty (0 bytes)."
    assert refused(b"") == "the data is empty (0 bytes)."
    assert refused(str(tmp_path)) == (
        f"{tmp_path} is a folder, not a file; name its files, e.g. {tmp_path / '*.jpg'}."
    )
    assert refused(empty / "picture.jpg") == f"{empty}/picture.jpg cannot be read: not a directory."
    assert refused("a\0b.jpg") == "a\0b.jpg cannot be read: embedded null byte."


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refused(tmp_path / "pipe.jpg") == f"{tmp_path / 'pipe.jpg'} is not a regular file."


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.jpg"
    Image.fromarray(quarters()).save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def denied(*_: Any, **__: Any) -> Any:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("kuleshov.tools.media.opener.open", denied, raising=False)
    assert refused(path) == f"{path} cannot be read: permission denied."


SUPPORTED = (
    "supported are JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC and AVIF pictures, and MP4, MOV, MKV, "
    "WebM, AVI, MPEG, WMV and FLV clips."
)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document"),
        ("She has just been told … ".encode(), "text"),
        (b"<!DOCTYPE html><title>Not found</title>", "a web page (HTML)"),
        (b"BMW is a make of car\n", "text"),
        (b"PK\x03\x04\x14\0\0\0", "a ZIP archive"),
        (b"8BPS\0\1" + bytes(20), "a Photoshop document"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "sound only"),
        (bytes(range(128, 256)), "nothing that is known here"),
        (b"version https://git-lfs.github.com/spec/v1", "a git-lfs pointer (run `git lfs pull`)"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    assert refused(path) == (
        f"{path} is not a picture or clip that can be read: it holds {what}; {SUPPORTED}"
    )


def test_a_picture_named_as_a_clip_and_a_clip_named_as_a_picture(
    tmp_path: Path, feat_data: Path
) -> None:
    path = tmp_path / "still.mp4"
    Image.fromarray(quarters()).save(path, format="JPEG")
    assert refused(path) == (
        f"{path} is not a clip: it holds a still picture (JPEG); give it the right suffix."
    )
    path = tmp_path / "clip.jpg"
    path.write_bytes((feat_data / "single_face.mp4").read_bytes())
    assert refused(path) == (
        f"{path} is not a picture: it holds a clip (MP4); give it the right suffix."
    )


# -------------------------------------------------------------- bytes, PIL pictures, arrays


def test_all_sources_of_one_picture_agree(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(quarters()).save(path)
    of_file = open_media(str(path)).media
    of_bytes = open_media(path.read_bytes()).media
    assert of_bytes == of_file.model_copy(update={"path": None})
    of_pil = open_media(Image.open(path)).media
    of_array = open_media(quarters()).media
    assert (of_pil.format, of_array.format) == ("PNG", None)
    assert of_pil.sha256 == of_array.sha256 != of_file.sha256
    assert open_media(quarters(20, 40)).media.sha256 != of_array.sha256
    black, turned = np.zeros((2, 8, 3), np.uint8), np.zeros((8, 2, 3), np.uint8)
    assert open_media(black).media.sha256 != open_media(turned).media.sha256


def test_a_pil_image_is_turned_upright_and_left_as_it_was() -> None:
    exif = Image.Exif()
    exif[274] = 6
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(quarters()))).save(file, "PNG", exif=exif)
    picture = Image.open(file)
    opened = open_media(picture)
    assert opened.media.size == (40, 20)
    assert corners(opened.images[0]) == [RED, GREEN, BLUE, WHITE]
    assert picture.size == (20, 40)
    data = file.getvalue()
    assert refused(Image.open(io.BytesIO(data[:-60]))) == (
        "the PIL image is cut off or damaged: its picture cannot be read to the end."
    )


def test_arrays_of_every_shape_and_dtype() -> None:
    rgb = quarters()
    grey = rgb[..., 0]
    three = np.repeat(grey[..., None], 3, axis=2)
    cases: list[tuple[Any, Any, tuple[str, ...]]] = [
        (rgb, rgb, ()),
        (grey, three, ()),
        (grey[..., None], three, ()),
        (rgb.astype(np.float64) / 255, rgb, ("scaled from float64 0-1",)),
        (rgb.astype(np.float16) / 255, rgb, ("scaled from float16 0-1",)),
        (rgb.astype(np.uint16) * 257, rgb, ("scaled from 16 bit",)),
        (rgb.astype(np.int64), rgb, ("converted from int64",)),
        (rgb > 127, rgb, ("scaled from bool",)),
        (np.dstack([rgb, np.full_like(grey, 255)]), rgb, ()),
        (
            np.dstack([rgb, np.zeros_like(grey)]),
            np.full_like(rgb, 255),
            ("transparent parts shown on white",),
        ),
        (rgb[:, ::-1], rgb[:, ::-1], ()),
    ]
    for array, expected, notes in cases:
        opened = open_media(array)
        np.testing.assert_array_equal(opened.images[0], expected)
        assert opened.images[0].flags.c_contiguous
        assert opened.media.notes == notes
    mine = rgb.copy()
    opened = open_media(mine)
    mine[:] = 0
    np.testing.assert_array_equal(opened.images[0], rgb)


def test_arrays_that_could_mean_anything_are_refused() -> None:
    hint = "give uint8 (0-255), uint16 (0-65535) or floats in 0-1."
    assert refused(np.full((2, 2, 3), 200.0)) == (
        f"the array holds float64 values from 200 to 200; {hint}"
    )
    assert refused(np.full((2, 2), np.nan)) == (
        f"the array holds float64 values from nan to nan; {hint}"
    )
    assert refused(np.full((2, 2), -1)) == f"the array holds int64 values from -1 to -1; {hint}"
    assert refused(np.zeros((3, 10, 10), np.uint8)) == (
        "an array must be (height, width), or (height, width, channels) with 1, 3 or 4 channels, "
        "but got shape (3, 10, 10); move its channels to the end."
    )
    assert "but got shape (0, 4, 3)." in refused(np.zeros((0, 4, 3), np.uint8))
    assert refused(42) == (
        "cannot open an object of type int: give a path, a file's bytes, "
        "a PIL image or a numpy array."
    )
    assert "at least 1" in refused(quarters(), frames=0)


# ------------------------------------------------------------------------------------ clips


def make_clip(
    path: Path,
    *,
    frames: int = 30,
    rate: int = 10,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 32),
    times: list[float] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A clip whose frame k is grey 5·k + 20 with the four quarters' colours in its corners."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        tick = Fraction(1, 1000) if times else Fraction(1, rate)
        stream.time_base = stream.codec_context.time_base = tick
        for k in range(frames):
            rgb = quarters(*size)
            height, width = rgb.shape[:2]
            rgb[height // 2 - 6 : height // 2 + 6, width // 2 - 8 : width // 2 + 8] = 5 * k + 20
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = round(1000 * times[k]) if times else k
            frame.time_base = tick
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def number(rgb: np.ndarray[Any, Any]) -> int:
    """Which frame of `make_clip` this is, read from its pixels."""
    height, width = rgb.shape[:2]
    middle = rgb[height // 2 - 3 : height // 2 + 3, width // 2 - 4 : width // 2 + 4]
    return round((float(middle.mean()) - 20) / 5)


def test_a_real_clip(feat_data: Path) -> None:
    opened = open_media(feat_data / "WolfgangLanger_Pexels.mp4", frames=4)
    found = opened.media
    assert (found.kind, found.size, found.format, found.notes) == ("clip", (640, 360), "MP4", ())
    # 472 frames at 24000/1001 per second; the middles of four equal parts
    assert found.duration_s == pytest.approx(472 * 1001 / 24000, abs=1e-3)
    assert [frame.index for frame in found.frames] == [59, 177, 295, 413]
    for frame in found.frames:
        assert frame.time_s == pytest.approx(frame.index * 1001 / 24000, abs=1e-5)
    assert [image.shape for image in opened.images] == [(360, 640, 3)] * 4
    # the very pixels that decoding from the start gives
    with av.open(str(feat_data / "WolfgangLanger_Pexels.mp4")) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k == 59:
                np.testing.assert_array_equal(opened.images[0], frame.to_ndarray(format="rgb24"))
                break


def test_variable_frame_rate_has_real_times(feat_data: Path) -> None:
    found = open_media(feat_data / "face_noface.mov").media
    with av.open(str(feat_data / "face_noface.mov")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len({round(b - a, 4) for a, b in pairwise(times)}) > 1
    assert len(found.frames) == 8
    for frame in found.frames:
        assert frame.time_s == pytest.approx(times[frame.index], abs=1e-6)


@pytest.mark.parametrize(
    ("suffix", "codec", "form"),
    [
        ("mp4", "libx264", "MP4"),
        ("mov", "libx264", "MOV"),
        ("mkv", "libx264", "MKV"),
        ("webm", "libvpx-vp9", "WebM"),
        ("avi", "mpeg4", "AVI"),
        ("avi", "libx264", "AVI"),
    ],
)
def test_containers(tmp_path: Path, suffix: str, codec: str, form: str) -> None:
    path = make_clip(tmp_path / f"clip.{suffix}", codec=codec, options={"g": "7"})
    opened = open_media(path, frames=5)
    assert opened.media.format == form
    assert opened.media.notes == ()
    assert opened.media.duration_s == pytest.approx(3, abs=0.15)
    assert [frame.index for frame in opened.media.frames] == [3, 9, 15, 21, 27]
    assert [number(image) for image in opened.images] == [3, 9, 15, 21, 27]
    assert [frame.time_s for frame in opened.media.frames] == pytest.approx(
        [0.3, 0.9, 1.5, 2.1, 2.7], abs=0.11 if form == "AVI" else 1e-3
    )
    assert open_media(path.read_bytes(), frames=5).media == opened.media.model_copy(
        update={"path": None}
    )


def test_a_clip_of_few_frames_and_of_one(tmp_path: Path) -> None:
    opened = open_media(make_clip(tmp_path / "two.mp4", frames=2))
    assert opened.media.frames == (Frame(index=0, time_s=0), Frame(index=1, time_s=0.1))
    opened = open_media(make_clip(tmp_path / "one.mp4", frames=1))
    assert (opened.media.kind, len(opened.images)) == ("clip", 1)
    assert number(opened.images[0]) == 0


def test_sampling_is_even_in_time_not_in_count(tmp_path: Path) -> None:
    times = [k / 100 for k in range(20)] + [0.2 + k for k in range(4)]
    path = make_clip(tmp_path / "uneven.mp4", frames=24, times=times)
    found = open_media(path, frames=4).media
    # the last frame stays for a second, as the file says; the clip's average rate would say 0.14 s
    assert found.duration_s == pytest.approx(4.2)
    assert [frame.time_s for frame in found.frames] == [0.2, 1.2, 2.2, 3.2]


ROTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[Any], Any]]] = {
    "quarter right": ((0, 1, -1, 0), lambda rgb: np.rot90(rgb, -1)),
    "half": ((-1, 0, 0, -1), lambda rgb: np.rot90(rgb, 2)),
    "quarter left": ((0, -1, 1, 0), lambda rgb: np.rot90(rgb, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda rgb: rgb[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda rgb: rgb[::-1]),
}


@pytest.mark.parametrize("name", ROTATIONS)
def test_rotation_is_applied(tmp_path: Path, name: str) -> None:
    (a, b, c, d), turn = ROTATIONS[name]
    path = make_clip(tmp_path / "turned.mp4", frames=3)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a track header, ISO/IEC 14496-12, 8.3.2
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    opened = open_media(path, frames=1)
    expected = turn(quarters(64, 32))
    assert opened.media.size == (expected.shape[1], expected.shape[0])
    assert corners(opened.images[0]) == corners(expected)


def test_wide_pixels_are_made_square(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "wide.mkv", frames=2, options={"x264-params": "sar=2/1"})
    assert open_media(path).media.size == (128, 32)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("mp4", {"movflags": "faststart"}), ("mkv", {}), ("avi", {})],
)
def test_a_clip_that_is_cut_off_is_read_as_far_as_it_goes(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    path = make_clip(
        tmp_path / f"cut.{suffix}",
        frames=40,
        container_options=options,
        codec="mpeg4" if suffix == "avi" else "libx264",
        options={"g": "5", "bf": "0"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    opened = open_media(path, frames=4)
    found = opened.media
    assert found.duration_s is not None
    assert 0.5 < found.duration_s < 3.6
    assert found.notes == (f"the clip is cut off: it ends at {found.duration_s:.2f} s of 4.00 s",)
    assert [frame.index for frame in found.frames] == [number(image) for image in opened.images]
    assert found.frames[-1].time_s < found.duration_s


def test_clips_that_cannot_be_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "headless.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])  # the index of a plain MP4 is at its end
    assert refused(path) == (
        f"{path} is cut off or damaged: its index cannot be read, so neither can its frames."
    )
    path.write_bytes(b"#EXTM3U\n#EXTINF:1,\nhttp://example.org/a.ts\n")
    assert "it holds text" in refused(path)
    path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    assert "cut off or damaged" in refused(path)


def test_sound_only_and_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    assert refused(path) == f"{path} has no video stream: it holds only sound."
    path = make_clip(tmp_path / "none.avi", frames=1, codec="mpeg4")
    data = path.read_bytes()
    at = data.index(b"movi00dc") + 12
    size = struct.unpack("<I", data[at - 4 : at])[0]
    path.write_bytes(data[:at] + bytes(size) + data[at + size :])
    assert refused(path) == f"{path} has a video stream but no frame that can be read."


def test_a_damaged_stretch_is_passed_over(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "holes.mkv", frames=40, options={"g": "4", "bf": "0"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    path.write_bytes(data)
    opened = open_media(path, frames=4)
    assert 2 <= len(opened.images) <= 4
    assert number(opened.images[0]) == opened.media.frames[0].index


def test_the_limit_holds_for_clips(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=1)
    assert f"{path} has 64×32 pixels" in refused(path, max_pixels=2047)


# ----------------------------------------------------------------------------- the rest of it


def test_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "notes.txt", "clip.mp4", "odd[1].jpg", "sub/c.webp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert expand_paths(["b.jpg", "*"]) == ["b.jpg", "a.PNG", "clip.mp4", "odd[1].jpg"]
    assert expand_paths(["**/*.webp", "odd[1].jpg", "notes.txt"]) == [
        os.path.join("sub", "c.webp"),
        "odd[1].jpg",
        "notes.txt",
    ]
    for paths, sentence in (
        (["*.tiff"], "no picture or clip matches *.tiff."),
        (["*.txt"], "no picture or clip matches *.txt."),
        (["gone.jpg"], "there is no file gone.jpg."),
        (
            ["sub"],
            f"sub is a folder, not a file; name its files, e.g. {os.path.join('sub', '*.jpg')}.",
        ),
    ):
        with pytest.raises(MediaError) as caught:
            expand_paths(paths)
        assert str(caught.value) == sentence


def test_a_name_that_is_not_utf8_can_be_written_to_a_record(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(path, "wb") as file:
            Image.fromarray(quarters()).save(file, "PNG")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = open_media(os.fsdecode(path)).media
    assert "caf\N{REPLACEMENT CHARACTER}.png" in found.model_dump_json()


def test_importing_it_leaves_the_readers_out() -> None:
    code = (
        "import sys, kuleshov.tools.media;"
        "print(sorted({'av', 'cv2', 'PIL', 'torch', 'feat'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
