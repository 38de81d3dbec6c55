"""Folders for pictures and files that are not to stay: private, removed when they are done with.

What a killed program left behind is removed by the next one that makes such a folder, or by
`kuleshov forget`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kuleshov.tools.locks import HeldError, soft_path, take_lock

PREFIX = "kuleshov-"
LOCK = ".lock"
_looked = False
_own: set[ScratchFolder] = set()


class ScratchFolder:
    """A folder `path` under the system's folder for temporary files, open to its user only.

    It is locked as long as its program runs, which tells it from those that were left behind.
    """

    def __init__(self, purpose: str) -> None:
        """Make it; `purpose` becomes a part of its name."""
        global _looked
        if not _looked:
            _looked = True
            remove_left_behind()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
        self._lock = take_lock(self.path / LOCK)
        _own.add(self)

    def remove(self) -> None:
        """With everything in it."""
        _own.discard(self)
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def remove_own() -> None:
    """Remove all of this process, which is about to end without waiting for those who use them."""
    for folder in list(_own):
        folder.remove()


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """The path of a scratch folder, which is removed at the end."""
    folder = ScratchFolder(purpose)
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_left_behind() -> list[Path]:
    """Remove this user's scratch folders whose programs were killed; returns what was removed."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError, HeldError):
            if folder.is_symlink() or not _is_own(folder):
                continue
            lock = folder / LOCK
            if not (lock.exists() or soft_path(lock).exists()):
                continue  # another program is just making it
            held = take_lock(lock)
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                held.release()
            removed.append(folder)
    return removed


def _is_own(folder: Path) -> bool:
    user = getattr(os, "getuid", None)  # Windows gives each user a folder of their own
    return user is None or folder.stat().st_uid == user()
