"""Pages are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from kuleshov.tools.errors import KuleshovError


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Write a page to `path`; the file is complete or not there at all.

    Raises:
        KuleshovError: the path cannot be written; its text is one sentence.
    """
    target = check_path(path)
    part = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        if target.exists() and not target.is_file():  # /dev/stdout, a pipe: nothing to replace
            target.write_text(page, "utf-8")
            return
        try:
            part.write_text(page, "utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable_error(path, error.strerror or str(error)) from None


def check_path(path: str | os.PathLike[str]) -> Path:
    """Where a report at `path` will be written; a link keeps pointing to what is written.

    Raises:
        KuleshovError: it cannot be written there; found out before anything is read.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise _unwritable_error(path, "it is a folder")
        if not target.parent.is_dir():
            raise _unwritable_error(path, f"there is no folder {target.parent}")
        if not os.access(target if target.exists() else target.parent, os.W_OK):
            raise _unwritable_error(path, "permission denied")
    except OSError as error:  # a name that the file system does not take
        raise _unwritable_error(path, error.strerror or str(error)) from None
    return target


def _unwritable_error(path: str | os.PathLike[str], why: str) -> KuleshovError:
    return KuleshovError(
        f"cannot write the report to {os.fspath(path)}: {why[:1].lower()}{why[1:]}."
    )
