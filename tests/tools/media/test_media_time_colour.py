"""Clips by their timestamps, streams by FFmpeg's choice, colours as a viewer shows them."""

from __future__ import annotations

import io
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any
from zlib import crc32

import av
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from kuleshov import Agent, Settings
from kuleshov.inputs import items
from kuleshov.tools import faces
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import MediaError, colour, isobmff, open_clip, open_media
from kuleshov.tools.media.sound import open_sound
from kuleshov.tools.mllm import ScriptedMllm


def photo(feat_data: Path, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    picture = Image.open(feat_data / "single_face.jpg").convert("RGB")
    picture.thumbnail(size)
    canvas = Image.new("RGB", size, (90, 90, 90))
    canvas.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return np.asarray(canvas)


def face_agent() -> Agent:
    mllm = ScriptedMllm(
        lambda call: "" if call.schema else "A room.", lambda call: [0.0] * len(call.answers)
    )
    return Agent(mllm, faces.load("pocket"), Settings.load())


def grey(value: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size[1], size[0], 3), value, np.uint8)


def write(
    path: Path,
    frames: list[np.ndarray],
    *,
    times: list[float] | None = None,
    codec: str = "libx264",
    rate: int = 10,
) -> Path:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        tick = Fraction(1, 1000) if times else Fraction(1, rate)
        stream.time_base = stream.codec_context.time_base = tick
        for k, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = (round(times[k] * 1000) if times else k), tick
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


HELD = [k / 10 for k in range(10)] + [9 + k / 10 for k in range(10)]


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("webm", "libvpx")])
def test_a_face_on_a_held_frame_is_one_person_and_never_missing(
    tmp_path: Path, feat_data: Path, suffix: str, codec: str
) -> None:
    path = write(
        tmp_path / f"held.{suffix}", [photo(feat_data)] * 20, times=HELD, codec=codec, rate=25
    )
    found = face_agent().infer(path)
    assert found.media.duration_s == pytest.approx(10.0)
    (person,) = found.people
    assert person.track is not None
    assert person.track.missing == ()
    assert person.track.times_s == pytest.approx([k / 5 for k in range(50)], abs=0.11)
    assert found.media.read == 11  # the held frame is measured once


def test_a_held_frame_is_sampled_while_it_stays(tmp_path: Path) -> None:
    frames = [grey(40)] * 10 + [grey(200)] * 10
    stream = open_clip(write(tmp_path / "held.mp4", frames, times=HELD))
    assert stream is not None
    for sample in stream.samples(rate=2, start_s=5):
        value = float(sample.image.mean())
        assert abs(value - (40 if sample.frame.time_s < 9 else 200)) < 4, sample.frame
    stream.close()


def test_a_clip_of_few_frames_a_second_is_not_made_denser(tmp_path: Path) -> None:
    times = [float(k) for k in range(6)]
    stream = open_clip(write(tmp_path / "slow.mp4", [grey(90)] * 6, times=times))
    assert stream is not None
    assert [s.frame.time_s for s in stream.samples(rate=5)] == times
    stream.close()


def test_the_sound_that_goes_on_holds_the_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = out.add_stream("aac", rate=16000, layout="mono")
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(grey(90), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            out.mux(video.encode(frame))
        for k in range(50):
            part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            part.sample_rate, part.pts, part.time_base = 16000, 1024 * k, Fraction(1, 16000)
            out.mux(sound.encode(part))
        out.mux(video.encode())
        out.mux(sound.encode())
    stream = open_clip(path)
    assert stream is not None
    assert stream.duration_s == pytest.approx(50 * 1024 / 16000, abs=0.15)
    assert any("the sound goes on" in note for note in stream.clip.notes)
    assert [s.frame.index for s in stream.samples(rate=1)][-1] == 9
    stream.close()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_preview_of_one_frame_is_not_the_clip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"two.{suffix}"
    with av.open(str(path), "w") as out:
        small: Any = out.add_stream("mjpeg", rate=10)
        small.width, small.height, small.pix_fmt = 32, 24, "yuvj420p"
        large: Any = out.add_stream("libx264", rate=10)
        large.width, large.height, large.pix_fmt = 64, 48, "yuv420p"
        for k in range(10):
            for stream in (small, large) if not k else (large,):
                rgb = grey(200, (stream.width, stream.height))
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 10)
                out.mux(stream.encode(frame))
        out.mux(small.encode())
        out.mux(large.encode())
    found = open_media(path).media
    assert found.size == (64, 48)
    assert found.duration_s == pytest.approx(1.0, abs=0.02)
    assert found.notes == (
        "of 2 video streams the one of 64×48 pixels (stream 1) is read, not 32×24, 1 frames",
    )


def test_the_default_sound_stream_is_heard_and_named(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        silent: Any = out.add_stream("pcm_s16le", rate=16000, layout="mono")
        loud: Any = out.add_stream("pcm_s16le", rate=16000, layout="mono")
        silent.disposition, loud.disposition = 0, av.stream.Disposition.default
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(grey(90), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            out.mux(video.encode(frame))
            for stream, value in ((silent, 0), (loud, 16000)):
                samples = np.full((1, 1600), value, np.int16)
                part = av.AudioFrame.from_ndarray(samples, "s16", "mono")
                part.sample_rate, part.pts, part.time_base = 16000, 1600 * k, Fraction(1, 16000)
                out.mux(stream.encode(part))
        for stream in (video, silent, loud):
            out.mux(stream.encode())
    with open_sound(path) as pieces:
        assert float(np.abs(np.concatenate(list(pieces))).mean()) > 0.4
    assert "of 2 sound streams stream 2 is heard" in open_media(path).media.notes


def test_a_size_that_changes_midway_is_fitted_and_said(tmp_path: Path) -> None:
    first = write(tmp_path / "a.webm", [grey(200)] * 10, codec="libvpx")
    second = write(tmp_path / "b.webm", [grey(200, (32, 48))] * 10, codec="libvpx")
    path = tmp_path / "both.webm"
    with av.open(str(path), "w") as out, av.open(str(first)) as a, av.open(str(second)) as b:
        stream = out.add_stream_from_template(a.streams.video[0])
        for part, shift in ((a, 0), (b, 1000)):
            for packet in part.demux(video=0):
                if packet.dts is not None:
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    out.mux(packet)
    opened = open_media(path, frames=4)
    assert {image.shape for image in opened.images} == {(48, 64, 3)}
    last = opened.images[-1]
    assert last[24, 32].mean() > 190  # in the middle, as wide as it is
    assert last[24, 4].mean() < 10
    assert opened.media.notes == (
        "the size of the frames changes midway: they are fitted into 64×48",
    )


@pytest.mark.parametrize(
    ("suffix", "codec", "form"),
    [
        ("mts", "libx264", "MPEG-TS"),
        ("m2ts", "libx264", "MPEG-TS"),
        ("mpg", "mpeg2video", "MPEG"),
        ("wmv", "wmv2", "WMV"),
        ("flv", "flv", "FLV"),
    ],
)
def test_clips_of_cameras_and_old_recorders(
    tmp_path: Path, suffix: str, codec: str, form: str
) -> None:
    made = tmp_path / f"clip.{'ts' if form == 'MPEG-TS' else suffix}"
    options = {"mpegts_m2ts_mode": "1"} if suffix == "m2ts" else {}
    with av.open(str(made), "w", options=options) as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 2_000_000
        for k in range(50):
            frame = av.VideoFrame.from_ndarray(grey(40 + 4 * k), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    path = made.rename(tmp_path / f"clip.{suffix}")
    opened = open_media(path, frames=4)
    assert opened.media.format == form
    assert opened.media.duration_s == pytest.approx(2.0, abs=0.1)
    told = [frame.index for frame in opened.media.frames]
    seen = [round((float(image.mean()) - 40) / 4) for image in opened.images]
    assert seen == pytest.approx(told, abs=1)


# ------------------------------------------------------------------------------------ colours


def hdr_clip(path: Path, rgb: np.ndarray, transfer: int) -> Path:
    """sRGB as BT.2020 in PQ or HLG, its white at 203 cd/m²."""
    v = rgb / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    to_2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    light = np.clip(light @ np.array(to_2020).T, 0, 1)
    if transfer == colour.PQ:
        y = (light * 203 / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    else:
        e = light * 0.26496
        signal = np.where(
            e <= 1 / 12,
            np.sqrt(3 * e),
            0.17883277 * np.log(np.maximum(12 * e - 0.28466892, 1e-9)) + 0.55991073,
        )
    y = signal @ np.array([0.2627, 0.6780, 0.0593])
    planes = [
        64 + 876 * y,
        512 + 896 * ((signal[..., 2] - y) / 1.8814)[::2, ::2],
        512 + 896 * ((signal[..., 0] - y) / 1.4746)[::2, ::2],
    ]
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=10)
        stream.height, stream.width = rgb.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        told = stream.codec_context
        told.color_trc, told.color_primaries, told.colorspace, told.color_range = transfer, 9, 9, 1
        frame = av.VideoFrame(stream.width, stream.height, "yuv420p10le")
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
            rows[:, : values.shape[1]] = np.rint(values)
            plane.update(rows.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


PATCHES = np.repeat(
    np.repeat(
        np.array([[(200, 60, 40), (60, 160, 70)], [(130, 130, 130), (226, 180, 160)]], np.uint8),
        64,
        axis=0,
    ),
    64,
    axis=1,
)


@pytest.mark.parametrize("transfer", [colour.PQ, colour.HLG])
def test_hdr_is_converted_and_said(tmp_path: Path, transfer: int) -> None:
    opened = open_media(hdr_clip(tmp_path / "hdr.mkv", PATCHES, transfer), frames=1)
    for y, x in ((32, 32), (32, 96), (96, 32), (96, 96)):
        difference = np.abs(opened.images[0][y, x].astype(int) - PATCHES[y, x].astype(int))
        assert difference.max() <= 6, (opened.images[0][y, x], PATCHES[y, x])
    (note,) = opened.media.notes
    assert note.startswith(f"HDR ({'PQ' if transfer == colour.PQ else 'HLG'}, BT.2020)")


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_a_colour_profile_is_applied_and_said(tmp_path: Path, mode: str) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    own = {"RGB": _swapped(), "CMYK": None, "L": None}[mode]
    if own is None:
        Image.fromarray(PATCHES).convert(mode).save(
            tmp_path / "odd.tiff", icc_profile=lab.tobytes()
        )
        opened = open_media(tmp_path / "odd.tiff")
        assert any("colour profile cannot be applied" in note for note in opened.media.notes)
        return
    Image.fromarray(PATCHES).save(tmp_path / "swapped.png", icc_profile=own)
    opened = open_media(tmp_path / "swapped.png")
    red, green, blue = opened.images[0][32, 32]
    assert (blue > 180, green < 90, red < 90) == (True, True, True)  # as a viewer shows it
    assert any("to sRGB by its colour profile" in note for note in opened.media.notes)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PATCHES).save(tmp_path / "same.png", icc_profile=srgb)
    opened = open_media(tmp_path / "same.png")
    np.testing.assert_array_equal(opened.images[0], PATCHES)
    assert opened.media.notes == ()


def _swapped() -> bytes:
    """sRGB's profile with the names of red and blue exchanged."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return (
        data.replace(b"rXYZ", b"?XYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"?XYZ", b"bXYZ", 1)
    )


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("grey_only", [False, True])
def test_ten_and_twelve_bits_in_sixteen_are_not_black(
    suffix: str, bits: int, grey_only: bool
) -> None:
    import cv2

    ramp = np.linspace(0, 2**bits - 1, 256).astype(np.uint16)
    values = np.repeat(np.tile(ramp, (4, 1))[..., None], 3, axis=2)
    data = cv2.imencode(suffix, values[..., 0] if grey_only else values)[1].tobytes()
    opened = open_media(data)
    difference = opened.images[0][0, :, 1].astype(int) - np.arange(256)
    assert np.abs(difference).max() <= 1
    if bits < 16:
        assert opened.media.notes == (f"{bits} bit in 16: the largest value is {2**bits - 1}",)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_twelve_bits_in_sixteen_beside_an_alpha(suffix: str) -> None:
    import cv2

    values = np.full((8, 8, 4), (500, 1500, 4000, 65535), np.uint16)  # blue, green, red
    opened = open_media(cv2.imencode(suffix, values)[1].tobytes())
    assert opened.images[0][2, 2].tolist() == [249, 93, 31]
    assert opened.media.notes == ("12 bit in 16: the largest value is 4000",)
    values[:4, :, 3] = 0
    opened = open_media(cv2.imencode(suffix, values)[1].tobytes())
    assert opened.images[0][2, 2].tolist() == [255, 255, 255]
    assert opened.images[0][6, 6].tolist() == [249, 93, 31]
    assert "transparent parts shown on white" in opened.media.notes


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_clip_whose_times_begin_later_is_not_cut_off(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"part{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(grey(90), format="rgb24")
            frame.pts, frame.time_base = 50 + k, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    media = open_media(path).media
    assert not any("cut off" in note for note in media.notes)
    assert media.duration_s == pytest.approx(1.0, abs=0.01)


def test_a_dark_picture_of_eight_bits_in_sixteen_stays_dark() -> None:
    import cv2

    values = np.tile(np.arange(12).astype(np.uint16) * 257, (4, 1))
    opened = open_media(cv2.imencode(".png", values)[1].tobytes())
    assert opened.images[0][0, :, 0].tolist() == list(range(12))


# Adobe RGB (1998) to BT.709 in linear light, of the published matrices of both (D65)
ADOBE_TO_709 = np.array([[1.39836, -0.39836, 0.0], [0.0, 1.0, 0.0], [0.0, -0.04293, 1.04293]])


def of_camera(
    path: Path, value: tuple[int, ...], space: int, index: str | None, **more: Any
) -> Any:
    """Opened: a grey or coloured photo whose EXIF data tell a colour space."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = space
    if index is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: index}
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(
        path, exif=exif, quality=100, **more
    )
    return open_media(path)


def test_a_camera_set_to_adobe_rgb_is_told_by_its_exif(tmp_path: Path) -> None:
    path = tmp_path / "_DSC1.jpg"
    opened = of_camera(path, (70, 170, 80), 65535, "R03")
    assert opened.media.notes == ("colours converted from Adobe RGB (1998) to sRGB",)
    light = (ADOBE_TO_709 @ (np.array([70, 170, 80]) / 255) ** (563 / 256)).clip(0, 1)
    told = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(opened.images[0][8, 8] - 255 * told).max() <= 4
    grey = of_camera(path, (128, 128, 128), 65535, "R03").images[0][8, 8]
    assert (np.ptp(grey.astype(int)) <= 2, abs(int(grey[1]) - 128) <= 3) == (True, True)
    unknown = of_camera(path, (9, 9, 9), 65535, None)
    assert any("are not sRGB, and not what they are" in note for note in unknown.media.notes)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for space, index, more in ((65535, "R03", {"icc_profile": srgb}), (1, "R98", {})):
        assert of_camera(path, (9, 9, 9), space, index, **more).media.notes == ()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))


GAMMA_1 = (b"gAMA", struct.pack(">I", 100000))
BT2020 = (b"cHRM", struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600))


@pytest.mark.parametrize(
    ("chunks", "value", "note"),
    [
        ([GAMMA_1], 188, "gamma of 1 to sRGB"),
        ([(b"gAMA", struct.pack(">I", 45455))], 128, None),
        ([GAMMA_1, (b"sRGB", b"\0")], 128, None),
        ([(b"cICP", bytes([1, 8, 0, 1]))], 188, "linear light"),
        ([(b"cICP", bytes([1, 13, 0, 1])), GAMMA_1], 128, None),
        ([BT2020], 128, "own primaries"),
    ],
)
def test_the_colour_chunks_of_a_png(
    chunks: list[tuple[bytes, bytes]], value: int, note: str | None
) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).save(file, "PNG")
    data = file.getvalue()
    more = b"".join(chunk(kind, told) for kind, told in chunks)
    opened = open_media(data[:33] + more + data[33:])  # behind IHDR
    assert np.abs(opened.images[0].astype(int) - value).max() <= 1
    assert [bool(note) and note in said for said in opened.media.notes] == [True] * bool(note)


def test_the_base_of_a_phones_photo_with_a_gain_map(tmp_path: Path) -> None:
    gain = Image.new("L", (64, 32), 255)
    base = Image.fromarray(PATCHES)
    base.save(tmp_path / "ultra.jpg", "MPO", save_all=True, append_images=[gain], quality=95)
    opened = open_media(tmp_path / "ultra.jpg")
    assert np.abs(opened.images[0][32, 32].astype(int) - PATCHES[32, 32]).max() < 12


def test_colours_of_the_main_picture_and_not_of_its_hdr_companion(tmp_path: Path) -> None:
    Image.fromarray(PATCHES).save(tmp_path / "a.avif", quality=95)
    data = (tmp_path / "a.avif").read_bytes()
    # a colour property of PQ that no item has, before the main picture's own
    other = struct.pack(">I", 19) + b"colrnclx" + struct.pack(">3HB", 9, 16, 9, 128)
    at = data.index(b"ipco") + 4
    grown = bytearray(data[:at] + other + data[at:])
    for around in (b"meta", b"iprp", b"ipco"):
        place = grown.index(around) - 4
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", grown, place)[0] + 19)
    entry = grown.index(b"ipma") + 12
    for _ in range(struct.unpack_from(">I", grown, entry - 4)[0]):
        for k in range(many := grown[entry + 2]):
            grown[entry + 3 + k] += 1  # all others moved up by one
        entry += 3 + many
    for head in (data, bytes(grown)):
        assert isobmff.find_colour_codes(head) == (1, 13)


# ------------------------------------------------------------------------- folders and patterns


def test_heic_and_avif_are_read(tmp_path: Path) -> None:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PATCHES)).save(file, quality=95)
    heic = tmp_path / "IMG_1.HEIC"
    heic.write_bytes(file.getvalue())
    Image.fromarray(PATCHES).save(tmp_path / "b.avif", quality=95)
    for path, form in ((heic, "HEIC"), (tmp_path / "b.avif", "AVIF")):
        opened = open_media(path)
        assert opened.media.format == form
        assert np.abs(opened.images[0][32, 32].astype(int) - PATCHES[32, 32]).max() < 12
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(MediaError, match="cut off or damaged"):
            open_media(path)


def test_what_is_passed_over_in_a_folder_is_counted_and_named(
    tmp_path: Path, feat_data: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jfif", "c", "d.jpg_large", "e.JPE", "g.mpo"):
        shutil.copy(feat_data / "single_face.jpg", folder / name)
    (folder / "notes.txt").write_text("x")
    (folder / "drawing.svg").write_text("<svg></svg>")
    (folder / "IMG_7.NEF").write_bytes(b"MM\0*" + bytes(60))
    for source in (folder, str(folder / "*")):
        passed = items.PassedOver()
        found = list(items.read_items(source, passed))
        assert len(found) == 6
        assert dict(passed.kinds) == {".txt": 1, "an SVG drawing": 1, "a camera's raw picture": 1}
    with pytest.raises(MediaError, match="a camera's raw picture"):
        open_media(folder / "IMG_7.NEF")
    agent = face_agent()
    agent.annotate(folder, tmp_path / "run")
    import json

    (session,) = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert session["passed_over"]["an SVG drawing"] == {"files": 1, "first": "drawing.svg"}
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(folder / "IMG_7.NEF", only / "IMG_7.NEF")
    with pytest.raises(KuleshovError) as caught:
        items.read_items(only)
    assert str(caught.value) == (
        f"there is no picture or clip in {only}; passed over: 1 × a camera's raw picture "
        "(IMG_7.NEF)."
    )
