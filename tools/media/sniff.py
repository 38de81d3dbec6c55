"""What a file holds, by its first bytes."""

from __future__ import annotations

from typing import Literal


def sniff_format(head: bytes) -> tuple[Literal["image", "clip"] | None, str]:
    """Kind and format by the first bytes, whatever the suffix says; (None, "a PDF document")."""
    brand = head[8:12]
    others = (
        (head.startswith(b"%PDF"), "a PDF document"),
        (head.startswith(b"version https://git-lfs"), "a git-lfs pointer (run `git lfs pull`)"),
        (head.lstrip()[:5].lower() in (b"<!doc", b"<html"), "a web page (HTML)"),
        (b"<svg" in head[:1024], "an SVG drawing"),
        (head.startswith(b"PK\x03\x04"), "a ZIP archive"),
        (head[:4] == b"OggS", "Ogg sound or video"),
        (head.startswith(b"8BPS"), "a Photoshop document"),
        (head[8:10] == b"CR" and head[:4] == b"II*\0", "a camera's raw picture"),
        (head[4:8] == b"ftyp" and brand == b"crx ", "a camera's raw picture"),
        (head.startswith(b"FUJIFILMCCD-RAW"), "a camera's raw picture"),
        (head.startswith(b"\0\0\0\x0cjP  ") or head.startswith(b"\xff\x0a"), "JPEG 2000 or XL"),
        (head[:4] == b"fLaC" or head[:3] == b"ID3" or brand == b"WAVE", "sound only"),
        (_is_text(head), "text"),
    )
    for is_it, what in others:
        if is_it:
            return None, what
    if head.startswith(b"\xff\xd8\xff"):
        return "image", "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image", "PNG"
    if head[:4] == b"RIFF" and brand == b"WEBP":
        return "image", "WebP"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image", "GIF"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "image", "TIFF"
    if head[:2] == b"BM":
        return "image", "BMP"
    if head[:4] == b"RIFF" and brand == b"AVI ":
        return "clip", "AVI"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "clip", "WebM" if b"webm" in head[:64] else "MKV"
    if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
        return "clip", "WMV"
    if head.startswith(b"FLV\x01"):
        return "clip", "FLV"
    if head.startswith(b"\0\0\x01\xba"):
        return "clip", "MPEG"
    if _is_transport_stream(head):
        return "clip", "MPEG-TS"
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in (8, *range(16, _box_end(head), 4))}
        if brands & {b"avif"} and brand in (b"avif", b"avis", b"mif1", b"miaf"):
            return "image", "AVIF"
        if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
            return "image", "HEIC"
        return "clip", "MOV" if brand == b"qt  " else "MP4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "clip", "MOV"  # QuickTime files from before there was an ftyp atom
    return None, "nothing that is known here"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else the head ends within a character
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t\f\ufeff" for letter in text)


def _box_end(head: bytes) -> int:
    """Where the first box (ISO/IEC 14496-12) ends, within the head."""
    return min(int.from_bytes(head[:4], "big"), len(head) - 3, 256)


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes (ISO/IEC 13818-1), or of 192 with a time code (BDAV: M2TS, MTS)."""
    for first, length in ((0, 188), (4, 192)):
        marks = head[first::length]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return True
    return False
