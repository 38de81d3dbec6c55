"""Where uploads lie: one folder of the server, in it one of each session, and nothing elsewhere.

The server's folder is under the system's folder for temporary files, open to its user only. What
a killed server left behind is removed by the next one.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import unicodedata
from pathlib import Path
from typing import IO

from kuleshov.output import view
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.scratch import ScratchFolder, remove_left_behind

CHUNK = 1 << 20
LONGEST_NAME = 120


class TooLargeError(KuleshovError):
    """An upload above the limit, or no room for it."""


class Folders:
    """The server's folder; `limit` bytes of one upload, `most` of all that lie there."""

    def __init__(self, limit: int, most: int) -> None:
        self.limit, self.most = limit, most
        remove_left_behind()
        self._scratch = ScratchFolder("serve")
        self.root = self._scratch.path
        self._room = threading.Lock()
        self._held: dict[Path, int] = {}

    def new(self, within: Path | None = None) -> Path:
        """An empty folder with a name that nobody can guess."""
        return Path(tempfile.mkdtemp(dir=within or self.root))

    def save(self, source: IO[bytes], name: str | None, folder: Path) -> Path:
        """The upload as a file of its own folder within `folder`; its name is made harmless.

        Raises:
            TooLargeError: more than `limit`, or more than all may hold. Nothing is left of it.
        """
        self._check(folder)
        own = self.new(folder)
        path = own / safe_name(name)
        with self._room:
            self._held[own] = 0
        try:
            with open(path, "xb", opener=_open_private) as file:
                while chunk := source.read(CHUNK):
                    self._count(own, len(chunk))
                    file.write(chunk)
        except BaseException:
            self.remove(own)
            raise
        return path

    def _count(self, own: Path, size: int) -> None:
        with self._room:
            if self._held[own] + size > self.limit:
                raise TooLargeError(too_large(self.limit))
            if sum(self._held.values()) + size > self.most:
                raise TooLargeError(
                    "the server has no room for more uploads now; try again in a few minutes."
                )
            self._held[own] += size

    def remove(self, folder: Path) -> None:
        """The folder and everything in it; it need not be there."""
        self._check(folder)
        shutil.rmtree(folder, ignore_errors=True)
        with self._room:
            for own in [own for own in self._held if own == folder or folder in own.parents]:
                del self._held[own]

    def _check(self, folder: Path) -> None:
        if folder != self.root and self.root not in folder.parents:
            raise ValueError(f"{folder} is not within {self.root}")

    def close(self) -> None:
        self._scratch.remove()


def shown_name(name: str | None) -> str:
    """The file's own name as a person reads it: without folders and control characters."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name or ""))[-1]
    return view.clean_line(last)[:LONGEST_NAME] or "upload"


def safe_name(name: str | None) -> str:
    """The last part of a name that a browser sent, of letters, digits, dots, dashes, underscores.

    Face tools that look a picture up by its file's name find it under this one.
    """
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name or ""))[-1]
    kept = re.sub(r"[^\w.\- ]", "_", last).strip(". ")
    stem, dot, suffix = kept.rpartition(".")
    while len(kept.encode()) > LONGEST_NAME:
        stem = stem[:-1]
        kept = f"{stem}{dot}{suffix}" if stem else kept[:-1]
    return kept or "upload"


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def too_large(limit: int) -> str:
    """The sentence for an upload above `limit` bytes."""
    return (
        f"the file is larger than {limit / 1e6:g} MB, which is the most this server takes "
        "(--max-upload-mb)."
    )
