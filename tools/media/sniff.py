"""What a file holds, by its first bytes."""

from __future__ import annotations

from typing import Literal


def sniff(head: bytes) -> tuple[Literal["image", "clip"] | None, str]:
    """Kind and format by the first bytes, whatever the suffix says; (None, "a PDF document")."""
    brand = head[8:12]
    others = (
        (head.startswith(b"%PDF"), "a PDF document"),
        (head.startswith(b"version https://git-lfs"), "a git-lfs pointer (run `git lfs pull`)"),
        (head.lstrip()[:5].lower() in (b"<!doc", b"<html"), "a web page (HTML)"),
        (b"<svg" in head[:1024], "an SVG drawing"),
        (head.startswith(b"PK\x03\x04"), "a ZIP archive"),
        (
            head[4:8] == b"ftyp" and brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"),
            "a HEIC picture (save it as JPEG)",
        ),
        (
            head[4:8] == b"ftyp" and brand in (b"avif", b"avis"),
            "an AVIF picture (save it as JPEG)",
        ),
        (head[:4] in (b"OggS", b"fLaC") or head[:3] == b"ID3" or brand == b"WAVE", "sound only"),
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
    if head[4:8] == b"ftyp":
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
