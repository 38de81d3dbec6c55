"""Still pictures: upright 8-bit RGB from files, PIL images and arrays."""

from __future__ import annotations

import importlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.media.types import MediaError, Rgb, check_pixels, damaged

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
}


def from_file(file: IO[bytes], form: str, name: str, max_pixels: int) -> tuple[Rgb, list[str]]:
    """An upright RGB array of a file of a known format. Raises MediaError."""
    module, reader = _READERS[form]
    try:
        picture = getattr(importlib.import_module(module), reader)(file, None)
    except Exception:  # Pillow's readers raise anything from SyntaxError to struct.error
        raise damaged(name) from None
    with picture:
        return from_pil(picture, name, max_pixels)


def from_pil(picture: PIL.Image.Image, name: str, max_pixels: int) -> tuple[Rgb, list[str]]:
    """An upright RGB array and what was changed on the way."""
    from PIL import ImageOps

    check_pixels(name, *picture.size, max_pixels)
    notes: list[str] = []
    try:
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            count = getattr(picture, "n_frames", 1)
            notes.append(
                f"first of {count} pages"
                if picture.format == "TIFF"
                else f"first frame of an animation of {count}"
            )
            picture.seek(0)
        picture.load()
    except Exception:
        raise damaged(name) from None
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
        white = Image.new("RGBA", rgba.size, "white")
        return np.array(Image.alpha_composite(white, rgba).convert("RGB")), notes
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright)
        if upright.mode == "I" and values.min() >= 0 and values.max() <= 65535:
            values = values.astype(np.uint16)  # how Pillow hands over some 16-bit files
        grey, note = _to_bytes(values, name)
        return np.repeat(grey[..., None], 3, axis=2), [*notes, note]
    if upright.mode == "CMYK":
        notes.append("converted from CMYK without its colour profile")
    try:
        return np.array(upright.convert("RGB")), notes
    except ValueError:
        raise MediaError(
            f"{name} has the colour mode {upright.mode}, which is not read; save it as RGB."
        ) from None


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


def _to_bytes(values: NDArray[Any], name: str) -> tuple[Rgb, str]:
    """Values of another dtype as uint8, and the note that says so. Raises MediaError."""
    kind, dtype = values.dtype.kind, values.dtype.name
    low, high = float(values.min()), float(values.max())  # NaN fails every comparison below
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255), "scaled from bool"
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
