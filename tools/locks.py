"""One process at a time: a lock of the file system, or a file that stands for it where it has none.

Network drives are often mounted without locks (NFS without its lock service, Lustre without
`-o flock`). There a file is made that names its process; one that a killed process left behind is
taken over on the same machine.
"""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

# what flock answers where it is not to be had, and no other process is to blame
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
SOFT = "-soft"  # after the lock's name: the file that stands for it


class HeldError(Exception):
    """Another process holds the lock. soft: the file by which it does so, if it is one."""

    def __init__(self, soft: Path | None) -> None:
        super().__init__(f"held by another process ({soft})" if soft else "held by another process")
        self.soft = soft


@dataclass(frozen=True)
class Held:
    """A lock that is held. soft: the file that stands for it; None: it is the file system's."""

    lock: BaseFileLock
    soft: Path | None = None

    def release(self) -> None:
        self.lock.release()


def take_lock(path: Path) -> Held:
    """Lock `path` without waiting.

    Raises:
        HeldError: another process has it.
        OSError: its folder cannot be written.
    """
    soft = soft_path(path) if _lacks_locks(path.parent) else None
    lock: BaseFileLock = FileLock(path) if soft is None else SoftFileLock(soft)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HeldError(soft) from None
    return Held(lock, soft)


def soft_path(path: Path) -> Path:
    return path.with_name(path.name + SOFT)


def _lacks_locks(folder: Path) -> bool:
    if os.name == "nt":
        return False
    import fcntl

    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in NO_LOCKS
    return False
