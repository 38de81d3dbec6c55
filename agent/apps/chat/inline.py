"""Pictures inside the terminal, for those terminals that can show them.

Protocols: kitty graphics (https://sw.kovidgoyal.net/kitty/graphics-protocol/) and iTerm2 inline
images (https://iterm2.com/documentation-images.html), which carry a PNG in base64, and sixel (DEC
STD 070), which carries columns of six dots. The terminal is recognised by its environment
variables, never by a query; inside tmux or screen nothing is drawn.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kuleshov.types import Person

Protocol = Literal["kitty", "iterm", "sixel"]
CHUNK = 4096  # bytes of base64 in one kitty escape, at most
LONGEST_PX = 800
SIXEL_TERMS = ("foot", "mlterm", "contour", "yaft")
COLUMN_PX = 8  # width of a terminal's column that a sixel picture is sized for
COLOURS = 64


def find_protocol(environ: Mapping[str, str] = os.environ) -> Protocol | None:
    """What this terminal understands, by its environment."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if "TMUX" in environ or term.startswith(("screen", "tmux")):
        return None
    if "KITTY_WINDOW_ID" in environ or term in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if term.startswith(SIXEL_TERMS) or "sixel" in term:
        return "sixel"
    return None


def encode_picture(png: bytes, how: Protocol, columns: int) -> str:
    """The characters that draw a PNG `columns` wide."""
    if how == "sixel":
        return _encode_sixel(png, columns * COLUMN_PX)
    data = base64.standard_b64encode(png).decode("ascii")
    if how == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(png)};width={columns}:{data}\a\n"
    parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    drawn = []
    for place, part in enumerate(parts):
        head = f"a=T,f=100,q=2,c={columns}," if place == 0 else ""
        drawn.append(f"\x1b_G{head}m={int(place < len(parts) - 1)};{part}\x1b\\")
    return "".join(drawn) + "\n"


def draw_png(picture: np.ndarray, people: Iterable[Person] = ()) -> bytes:
    """The picture (H, W, 3, uint8) with each person's box and number, at most 800 px long."""
    image = Image.fromarray(picture)
    scale = min(1.0, LONGEST_PX / max(image.size))
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(12, image.height // 24))
    for person in people:
        if person.box_xyxy is None:
            continue
        x0, y0, x1, y1 = (value * scale for value in person.box_xyxy)
        draw.rectangle((x0, y0, x1, y1), outline="red", width=2)
        draw.text(
            (x0 + 4, y0 + 2),
            str(person.id),
            fill="white",
            font=font,
            stroke_width=2,
            stroke_fill="red",
        )
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def _encode_sixel(png: bytes, width: int) -> str:
    """The picture at most `width` pixels wide, in bands of six rows, one colour after another."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((width, LONGEST_PX))
    reduced = image.quantize(COLOURS)
    numbers = np.asarray(reduced)
    palette = reduced.getpalette() or []
    drawn = [f'\x1bPq"1;1;{image.width};{image.height}']
    for colour in np.unique(numbers):
        parts = (round(100 * palette[3 * colour + i] / 255) for i in range(3))
        drawn.append(f"#{colour};2;{';'.join(map(str, parts))}")
    for top in range(0, image.height, 6):
        band = numbers[top : top + 6]
        bits = (1 << np.arange(len(band)))[:, None]
        for colour in np.unique(band):
            drawn.append(f"#{colour}{_encode_runs(((band == colour) * bits).sum(axis=0))}$")
        drawn.append("-")
    return "".join(drawn) + "\x1b\\\n"


def _encode_runs(columns: np.ndarray) -> str:
    """Sixel characters, runs of more than three written as !N."""
    drawn = []
    for part in np.split(columns, np.flatnonzero(np.diff(columns)) + 1):
        sign = chr(63 + int(part[0]))
        drawn.append(sign * len(part) if len(part) < 4 else f"!{len(part)}{sign}")
    return "".join(drawn)
