"""Colours of clips and pictures that are not sRGB, made so: HDR (PQ, HLG) and wide gamuts.

Codes are those of ITU-T H.273 (CICP), as MP4, MKV, HEIC, AVIF and PNG store them. Curves: ITU-R
BT.2100-2 (PQ and HLG). Levels: ITU-R BT.2408, a diffuse white of 203 cd/m² (75 % of the HLG
signal) becomes the white of SDR. HLG is mapped by scene light, PQ by display light; what is
brighter than white is rolled off into the last tenth of light instead of being clipped.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.media.types import Rgb

LINEAR, PQ, HLG = 8, 16, 18
ADOBE_RGB = "Adobe RGB (1998)"
ADOBE_GAMMA = 563 / 256  # Adobe RGB (1998) Color Image Encoding, 4.3.1.2
WHITE_NITS = 203.0
KNEE = 0.9
# Chromaticities of red, green, blue and white (x, y); ITU-T H.273, table 2, and Adobe RGB (1998)
_D65 = (0.3127, 0.3290)
Chromaticities = tuple[tuple[float, float], ...]
_PRIMARIES: dict[int | str, Chromaticities] = {
    ADOBE_RGB: ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65),
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
SRGB_PRIMARIES = _PRIMARIES[1]
_NAMES: dict[Any, str] = {
    ADOBE_RGB: ADOBE_RGB,
    1: "BT.709",
    9: "BT.2020",
    11: "DCI-P3",
    12: "Display P3",
}


# a code of H.273, the name of a space that has none, or chromaticities of R, G, B, white
Primaries = int | str | Chromaticities
# a code of H.273, or the exponent that takes a signal to light
Transfer = int | float


def needs_conversion(primaries: Primaries, transfer: Transfer) -> bool:
    """Whether pixels with these colours look wrong when they are read as sRGB."""
    if isinstance(transfer, float):
        return not 2.1 <= transfer <= 2.3 or primaries != 1
    if not isinstance(primaries, int):
        return True
    return transfer in (LINEAR, PQ, HLG) or primaries in (9, 11, 12)


def note_of(primaries: Primaries, transfer: Transfer) -> str:
    """What `to_srgb` does to pixels with these colours, for the record."""
    own = isinstance(primaries, tuple)
    gamut = "the file's own primaries" if own else _NAMES.get(primaries, "BT.709")
    if primaries == ADOBE_RGB:
        return f"colours converted from {gamut} to sRGB"
    if isinstance(transfer, float):
        return f"colours converted from {gamut} and a gamma of {transfer:.3g} to sRGB"
    if transfer == LINEAR:
        return f"colours converted from {gamut} in linear light to sRGB"
    if transfer in (PQ, HLG):
        name = "PQ" if transfer == PQ else "HLG"
        return f"HDR ({name}, {gamut}) converted to SDR (ITU-R BT.2408, white at 203 cd/m²)"
    return f"colours converted from {gamut} to sRGB"


def to_srgb(values: NDArray[np.uint16], primaries: Primaries, transfer: Transfer) -> Rgb:
    """(H, W, 3) of 16-bit R'G'B' in full range as 8-bit sRGB."""
    known = isinstance(transfer, float) or transfer in (LINEAR, PQ, HLG)
    light = _linear_codes(transfer if known else 0)[values]
    matrix = _to_709(primaries if isinstance(primaries, tuple) or primaries in _PRIMARIES else 1)
    if matrix is not None:
        light = light @ matrix
    if transfer in (PQ, HLG):
        most = light.max(axis=2)
        over = most > KNEE
        if over.any():
            bright = most[over]
            rolled = KNEE + (1 - KNEE) * (1 - np.exp(-(bright - KNEE) / (1 - KNEE)))
            light[over] *= (rolled / bright)[:, None]
    np.clip(light, 0, 1, out=light)
    encoded = _srgb_codes()[(light * 65535 + 0.5).astype(np.uint16)]
    return np.asarray(encoded, np.uint8)


@functools.cache
def _linear_codes(transfer: Transfer) -> NDArray[np.float32]:
    """Light of each of the 65,536 codes; 1 is diffuse white."""
    signal = np.arange(65536) / 65535
    if isinstance(transfer, float):
        light = signal**transfer
    elif transfer == LINEAR:
        light = signal
    elif transfer == PQ:  # SMPTE ST 2084, BT.2100-2 table 4
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10000 / WHITE_NITS
    elif transfer == HLG:  # ARIB STD-B67, BT.2100-2 table 5: the inverse of the OETF
        light = _hlg_scene(signal) / float(_hlg_scene(np.array([0.75]))[0])
    else:  # IEC 61966-2-1
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return np.asarray(light, np.float32)


def _hlg_scene(signal: NDArray[Any]) -> NDArray[Any]:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


@functools.cache
def _srgb_codes() -> NDArray[np.uint8]:
    """The sRGB code (IEC 61966-2-1) of each of 65,536 steps of light."""
    light = np.arange(65536) / 65535
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    codes: NDArray[np.uint8] = np.rint(255 * signal).astype(np.uint8)
    return codes


@functools.cache
def _to_709(primaries: Primaries) -> NDArray[np.float32] | None:
    """The matrix that takes rows of linear light to BT.709's; None: they are."""
    if primaries == 1:
        return None
    own = primaries if isinstance(primaries, tuple) else _PRIMARIES[primaries]
    # white becomes white: by the cone responses of Bradford (Lam 1985, as in ICC.1:2022, annex E)
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.03]]
    )
    white, theirs = (cones @ np.array([x / y, 1, (1 - x - y) / y]) for x, y in (_D65, own[3]))
    adapted = np.linalg.inv(cones) @ np.diag(white / theirs) @ cones
    return np.asarray(
        (np.linalg.inv(_to_xyz(_PRIMARIES[1])) @ adapted @ _to_xyz(own)).T, np.float32
    )


def _to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """Linear RGB to XYZ by chromaticities, SMPTE RP 177."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return np.asarray(columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3]), np.float64)
