"""The home folder, which containers and clusters do not give to everybody."""

from __future__ import annotations

import os
from pathlib import Path

from kuleshov.tools.errors import KuleshovError


def expand_path(name: str | os.PathLike[str]) -> Path:
    """The path with `~` and `~user` written out.

    `~name` stays as it is where there is no such user: a file may be called so.

    Raises:
        KuleshovError: it begins with `~` alone and there is no home folder.
    """
    path = os.path.expanduser(os.fspath(name))
    if path == "~" or path.startswith(("~/", f"~{os.sep}")):
        raise KuleshovError(
            f"{path} cannot be found, for there is no home folder here; give the whole path, or "
            "set HOME."
        )
    return Path(path)


def find_home_folder() -> Path | None:
    """The user's home folder; None: there is neither HOME nor an entry in the list of users."""
    try:
        return Path.home()
    except RuntimeError:
        return None
