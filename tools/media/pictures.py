"""Still pictures: upright 8-bit RGB from files, PIL images and arrays."""

from __future__ import annotations

import importlib
import io
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.media import colour, isobmff
from kuleshov.tools.media.types import MediaError, Rgb, check_pixels, damaged_error

if TYPE_CHECKING:
    import PIL.Image

# Pillow's own classes instead of Image.open: that one compares with a limit that is global to the
# process, so it would refuse what `max_pixels` allows and hide the size of what it refuses.
_READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "jpeg_factory"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif.as_plugin", "HeifImageFile"),
}


def from_file(
    file: IO[bytes], form: str, name: str, max_pixels: int
) -> tuple[Rgb, list[str], int | None]:
    """An upright RGB array of a file of a known format, notes, and by what code it was turned.

    Raises MediaError.
    """
    module, reader = _READERS[form]
    head = file.read(1 << 16)
    file.seek(0)
    try:
        picture = getattr(importlib.import_module(module), reader)(file, None)
    except Exception:  # Pillow's readers raise anything from SyntaxError to struct.error
        raise damaged_error(name) from None
    with picture:
        check_pixels(name, picture.width, picture.height, max_pixels)
        # Pillow turns a TIFF as it loads it; a PNG tells only after its pixels
        before = _orientation(picture) if form == "TIFF" else None
        rgb, notes = _converted(file, picture, form, name, max_pixels, head)
        return rgb, notes, before or _orientation(picture)


def _orientation(picture: PIL.Image.Image) -> int | None:
    """EXIF's code where the pixels are stored otherwise than upright."""
    try:
        code = picture.getexif().get(274)
    except Exception:  # `from_pil` says that it cannot be read
        return None
    return code if code in range(2, 9) else None


def _converted(
    file: IO[bytes],
    picture: PIL.Image.Image,
    form: str,
    name: str,
    max_pixels: int,
    head: bytes,
) -> tuple[Rgb, list[str]]:
    """By all bits of a deep file, by its colour codes, else as Pillow reads it."""
    codes = _colour_codes(head)
    if form == "PNG" and codes is not None:
        picture.info.pop("icc_profile", None)  # codes go before it
    if form == "PNG" and head[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):
        # 16 bit, RGB, or with an alpha: Pillow keeps 8 of them
        deep = _read_deep(file, picture, name, _significant_bits(head), codes)
        if deep is not None:
            return deep
        file.seek(0)
    if form == "TIFF" and _bits_per_value(picture) > 8 and picture.mode in ("RGB", "RGBA"):
        deep = _read_deep(file, picture, name, _tiff_bits(picture), None)
        if deep is not None:
            return deep
        file.seek(0)
    return from_pil(picture, name, max_pixels, depth=_significant_bits(head), codes=codes)


def from_pil(
    picture: PIL.Image.Image,
    name: str,
    max_pixels: int,
    *,
    depth: int | None = None,
    codes: tuple[int, int] | None = None,
) -> tuple[Rgb, list[str]]:
    """An upright RGB array and what was changed on the way.

    depth: significant bits of a value, codes: of its colours (see `_colour_codes`), where the file
    tells.
    """
    rgb, notes = _from_pil(picture, name, max_pixels, depth)
    return _by_codes(rgb, notes, codes, picture)


def _from_pil(
    picture: PIL.Image.Image,
    name: str,
    max_pixels: int,
    depth: int | None,
) -> tuple[Rgb, list[str]]:
    from PIL import ImageOps

    check_pixels(name, *picture.size, max_pixels)
    notes: list[str] = []
    try:
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            count = getattr(picture, "n_frames", 1)
            if picture.format == "HEIF":
                notes.append(f"the main one of {count} pictures")
            else:
                notes.append(
                    f"first of {count} pages"
                    if picture.format == "TIFF"
                    else f"first frame of an animation of {count}"
                )
                picture.seek(0)
        picture.load()
    except Exception:
        raise damaged_error(name) from None
    try:
        upright = ImageOps.exif_transpose(picture)
    except Exception:
        notes.append("its EXIF data cannot be read, so it may not be upright")
        upright = picture
    if upright.has_transparency_data:
        from PIL import Image

        rgba = upright.convert("RGBA")
        if np.asarray(rgba)[..., 3].min() < 255:
            notes.append("transparent parts shown on white")
        solid, note = _to_srgb(rgba.convert("RGB"), upright)
        if note:
            notes.append(note)
        solid.putalpha(rgba.getchannel("A"))
        white = Image.new("RGBA", rgba.size, "white")
        return np.array(Image.alpha_composite(white, solid).convert("RGB")), notes
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright)
        if upright.mode == "I" and values.min() >= 0 and values.max() <= 65535:
            values = values.astype(np.uint16)  # how Pillow hands over some 16-bit files
        grey, note = _to_bytes(values, name, depth or _tiff_bits(picture))
        return np.repeat(grey[..., None], 3, axis=2), [*notes, note]
    converted, note = _to_srgb(upright, upright)
    if note:
        notes.append(note)
    elif upright.mode == "CMYK":
        notes.append("converted from CMYK without its colour profile")
    try:
        return np.array(converted.convert("RGB")), notes
    except ValueError:
        raise MediaError(
            f"{name} has the colour mode {upright.mode}, which is not read; save it as RGB."
        ) from None


def _to_srgb(
    picture: PIL.Image.Image, owner: PIL.Image.Image
) -> tuple[PIL.Image.Image, str | None]:
    """The picture by the ICC profile of its owner, and what was done; None: nothing."""
    profile = owner.info.get("icc_profile")
    if not profile:
        return picture, None
    from PIL import ImageCms

    if picture.mode in ("P", "1"):
        picture = picture.convert("RGB")
    elif picture.mode == "LA":
        picture = picture.convert("L")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = own.profile.xcolor_space.strip()
        if space == "GRAY" and picture.mode == "RGB":
            picture = picture.convert("L")
        transform = ImageCms.buildTransform(
            own, ImageCms.createProfile("sRGB"), picture.mode, "RGB"
        )
        if picture.mode == "RGB" and _changes_nothing(transform):
            return picture, None
        converted = ImageCms.applyTransform(picture, transform)
        told = ImageCms.getProfileDescription(own).strip() or "unnamed"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture, "its colour profile cannot be applied: the colours are as they are stored"
    assert converted is not None
    told = "".join(letter for letter in told[:60] if letter.isprintable())
    source = "CMYK" if picture.mode == "CMYK" else "colours converted"
    if picture.mode == "CMYK":
        return converted, f"converted from {source} to sRGB by its colour profile ({told})"
    return converted, f"{source} to sRGB by its colour profile ({told})"


def _changes_nothing(transform: Any) -> bool:
    """Whether a profile is sRGB, whatever it is called: colours stay within rounding."""
    from PIL import Image, ImageCms

    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    after = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform))
    return bool(np.abs(after.astype(int) - grid).max() <= 2)


def _colour_codes(head: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer (ITU-T H.273) of HEIC and AVIF (`colr`) and PNG (`cICP`)."""
    if head[4:8] == b"ftyp":
        return isobmff.find_colour_codes(head)
    at = head.find(b"cICP")
    if head.startswith(b"\x89PNG") and at > 0 and len(head) >= at + 6:
        return head[at + 4], head[at + 5]
    return None


def _by_codes(
    rgb: Rgb, notes: list[str], codes: tuple[int, int] | None, picture: PIL.Image.Image
) -> tuple[Rgb, list[str]]:
    """The picture by its colour codes, or by what else tells its colours without a profile.

    Of a PNG the codes go before a profile, and that before gamma and chromaticities (PNG, third
    edition, 13.16); elsewhere a profile, which has been used, goes before all.
    """
    if picture.info.get("icc_profile"):
        return rgb, notes
    told: tuple[colour.Primaries, colour.Transfer] | None = codes
    if told is None:
        told = _png_colours(picture) if picture.format == "PNG" else None
        try:
            space = _exif_space(picture)
        except Exception:  # `from_pil` says that it cannot be read
            space = None
        if space == colour.ADOBE_RGB:
            told = space, colour.ADOBE_GAMMA
        elif space is not None:
            notes = [*notes, space]
    if told is None or not colour.needs_conversion(*told):
        return rgb, notes
    return colour.to_srgb(rgb.astype(np.uint16) * 257, *told), [*notes, colour.note_of(*told)]


def _png_colours(picture: PIL.Image.Image) -> tuple[colour.Primaries, colour.Transfer] | None:
    """By the chunks gAMA and cHRM, where nothing says sRGB; None: nothing is told."""
    info = picture.info
    gamma, told = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or (not gamma and not told):
        return None
    primaries: colour.Primaries = 1
    if told and all(side > 0 for side in told):
        white, *rest = zip(told[::2], told[1::2], strict=True)
        own = (*rest, white)
        if any(
            abs(a - b) > 0.005
            for one, other in zip(own, colour.SRGB_PRIMARIES, strict=True)
            for a, b in zip(one, other, strict=True)
        ):
            primaries = own
    # 0.45455 is how sRGB is written in such a chunk
    if not gamma or gamma <= 0 or abs(gamma - 0.45455) < 0.01:
        return primaries, 13
    return primaries, 1 / gamma


def _exif_space(picture: PIL.Image.Image) -> str | None:
    """Adobe RGB, or the sentence that it is another one than sRGB; None: nothing is told.

    A camera set to Adobe RGB writes "uncalibrated" and the interoperability index R03 (DCF 2.0).
    """
    from PIL import ExifTags

    exif = picture.getexif()
    space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    index = exif.get_ifd(ExifTags.IFD.Interop).get(1)
    index = index.decode("ascii", "replace") if isinstance(index, bytes) else index
    if space == 2 or (isinstance(index, str) and index.strip("\0 ") == "R03"):
        return colour.ADOBE_RGB
    if space == 65535:
        return "its EXIF data says that its colours are not sRGB, and not what they are: as stored"
    return None


def _significant_bits(head: bytes) -> int | None:
    """The bits of a value that a PNG says are meant (sBIT), where there are more than 8."""
    at = head.find(b"sBIT")
    if not head.startswith(b"\x89PNG") or at < 0 or head[24] != 16 or len(head) < at + 5:
        return None
    return head[at + 4] if 8 < head[at + 4] < 16 else None


def _tiff_bits(picture: PIL.Image.Image) -> int | None:
    """The bits of a value that a TIFF's largest value (tag 281) needs."""
    most = getattr(picture, "tag_v2", {}).get(281)
    most = most[0] if isinstance(most, tuple) and most else most
    if not isinstance(most, (int, float)) or not 255 < most < 65535:
        return None
    return int(most).bit_length()


def _bits_per_value(picture: PIL.Image.Image) -> int:
    bits = getattr(picture, "tag_v2", {}).get(258, (8,))
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _read_deep(
    file: IO[bytes],
    picture: PIL.Image.Image,
    name: str,
    depth: int | None,
    codes: tuple[int, int] | None,
) -> tuple[Rgb, list[str]] | None:
    """RGB of 16 bits with all of them, where Pillow keeps 8; None: it must be read otherwise."""
    from PIL import Image, ImageOps

    if getattr(picture, "n_frames", 1) > 1:
        return None
    try:
        picture.load()  # a damaged file is refused as any other
    except Exception:
        raise damaged_error(name) from None
    file.seek(0)
    values = _decoded_deep(file.read())
    if values is None or values.shape[:2] != (picture.height, picture.width):
        return None
    orientation = picture.getexif().get(274)

    def upright(pixels: NDArray[Any]) -> PIL.Image.Image:
        eight = Image.fromarray(pixels)
        eight.info.update(picture.info)
        if orientation:
            eight.getexif()[274] = orientation
        return ImageOps.exif_transpose(eight)

    low, note = _to_bytes(np.ascontiguousarray(values[..., :3]), name, depth)
    colours = upright(low)
    notes = [] if note == "scaled from 16 bit" else [note]
    converted, said = _to_srgb(colours, colours)
    notes += [said] if said else []
    rgb, notes = _by_codes(np.array(converted), notes, codes, picture)
    if values.shape[2] == 4 and values[..., 3].min() < 65535:
        alpha = np.asarray(upright((values[..., 3] >> 8).astype(np.uint8)))[..., None] / 255
        rgb = np.rint(rgb * alpha + 255 * (1 - alpha)).astype(np.uint8)
        notes = ["transparent parts shown on white", *notes]
    return rgb, notes


def _decoded_deep(data: bytes) -> NDArray[Any] | None:
    """(H, W, 3) RGB or (H, W, 4) RGBA, uint16, as it is stored, by OpenCV; None: it cannot."""
    import cv2

    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        return None
    if values.shape[2] not in (3, 4):
        return None
    order = [2, 1, 0, 3][: values.shape[2]]
    return np.ascontiguousarray(values[..., order])


def from_array(values: NDArray[Any], max_pixels: int) -> tuple[Rgb, list[str]]:
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or 0 in values.shape:
        hint = (
            "; move its channels to the end"
            if values.ndim == 3 and values.shape[0] in (1, 3, 4)
            else ""
        )
        raise MediaError(
            "an array must be (height, width), or (height, width, channels) with 1, 3 or 4 "
            f"channels, but got shape {values.shape}{hint}."
        )
    check_pixels("the array", values.shape[1], values.shape[0], max_pixels)
    notes: list[str] = []
    if values.dtype != np.uint8:
        values, note = _to_bytes(values, "the array")
        notes.append(note)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.uint16)
        if alpha.min() < 255:
            notes.append("transparent parts shown on white")
        colour = values[..., :3].astype(np.uint16)
        values = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    elif values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.array(values, dtype=np.uint8, order="C"), notes  # a copy: the caller may go on


def _to_bytes(values: NDArray[Any], name: str, depth: int | None = None) -> tuple[Rgb, str]:
    """Values of another dtype as uint8, and the note that says so. Raises MediaError.

    Cameras store 10, 12 and 14 bits in 16. They are told by `depth`, the significant bits that the
    file names, or by the largest value: a picture of 16 bits that stays below a quarter of its
    range would be black or nearly so. One whose values are all multiples of 257 was made of 8 bits
    and is dark.
    """
    kind, dtype = values.dtype.kind, values.dtype.name
    low, high = float(values.min()), float(values.max())  # NaN fails every comparison below
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255), "scaled from bool"
    deep = kind == "u" and values.dtype.itemsize == 2
    if deep and high >= 257 and not (values % 257).any():
        return (values // 257).astype(np.uint8), "scaled from 16 bit"
    if deep and 0 < high < 16384:
        if depth is None or high >= 1 << depth:
            depth = next(bits for bits in (8, 10, 12, 14) if high < 1 << bits)
        if depth == 8:
            return values.astype(np.uint8), f"8 bit in 16: the largest value is {high:g}"
        most = (1 << depth) - 1
        scaled = (values.astype(np.uint32) * 255 + most // 2) // most
        return scaled.astype(np.uint8), f"{depth} bit in 16: the largest value is {high:g}"
    if kind == "u" and values.dtype.itemsize == 2 and depth is not None and high < 1 << depth:
        most = (1 << depth) - 1
        scaled = (values.astype(np.uint32) * 255 + most // 2) // most
        return scaled.astype(np.uint8), f"{depth} bit in 16: the largest value is {high:g}"
    if kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8), "scaled from 16 bit"
    if kind == "f" and low >= 0 and high <= 1:
        return np.rint(values.astype(np.float32) * 255).astype(np.uint8), f"scaled from {dtype} 0-1"
    if kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8), f"converted from {dtype}"
    raise MediaError(
        f"{name} holds {dtype} values from {low:g} to {high:g}; "
        "give uint8 (0-255), uint16 (0-65535) or floats in 0-1."
    )
