"""The little that is read of HEIC and AVIF by hand: which colours the main picture has.

A phone's HDR photo holds a gain map and the picture that is made with it beside the main one, each
with colours of its own, in any order (ISO/IEC 14496-12 and 23008-12).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

FULL = 4  # bytes of version and flags


def find_colour_codes(head: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer (ITU-T H.273) of the main picture; None: not told.

    head: the file's begin, with all of its `meta` box.
    """
    try:
        meta = dict(_boxes(head))[b"meta"][FULL:]
        boxes = dict(_boxes(meta))
        inner = dict(_boxes(boxes[b"iprp"]))
        properties = list(_boxes(inner[b"ipco"]))
        own = _of_item(inner[b"ipma"], _main_item(boxes[b"pitm"]))
        for place in own:
            kind, data = properties[place - 1]
            if kind == b"colr" and data[:4] == b"nclx":
                primaries, transfer = struct.unpack(">2H", data[4:8])
                return primaries, transfer
    except (KeyError, IndexError, struct.error):  # cut off or otherwise: Pillow's readers tell
        return None
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        if size == 0:
            size = len(data) - at
        if size < begin - at:
            return
        yield kind, data[begin : at + size]
        at += size


def _main_item(pitm: bytes) -> int:
    (number,) = struct.unpack_from(">I" if pitm[0] else ">H", pitm, FULL)
    return int(number)


def _of_item(ipma: bytes, wanted: int) -> list[int]:
    """Places of an item's properties, from 1."""
    version, wide = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, FULL)
    at = FULL + 4
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if version else ">H", ipma, at)
        at += 4 if version else 2
        many = ipma[at]
        at += 1
        places = []
        for _ in range(many):
            (place,) = struct.unpack_from(">H" if wide else ">B", ipma, at)
            at += 2 if wide else 1
            places.append(place & (0x7FFF if wide else 0x7F))
        if item == wanted:
            return places
    return []
