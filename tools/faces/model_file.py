"""A model file that a face tool needs and that is not bundled: given by path, or downloaded once.

Downloaded files lie in ``$XDG_CACHE_HOME/kuleshov`` (``~/.cache/kuleshov``) and are kept only if
their SHA-256 is the published one. A file that the user names is taken as it is; its SHA-256 goes
into the record.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kuleshov.tools.errors import first_line
from kuleshov.tools.faces.base import ToolError
from kuleshov.tools.home import expand_path, find_home_folder

PATIENCE_S = 10
"""How long a server may keep silent before a download counts as failed."""


def cache_folder() -> Path | None:
    """Where downloads are kept; None: there is neither XDG_CACHE_HOME nor a home folder."""
    chosen, home = os.environ.get("XDG_CACHE_HOME"), find_home_folder()
    if chosen:
        return expand_path(chosen) / "kuleshov"
    return None if home is None else home / ".cache" / "kuleshov"


@dataclass(frozen=True)
class ModelFile:
    """Where a file comes from.

    tool: the face tool, as the setting `paths` names it. variable: an environment variable that
    may hold the path of the file.
    """

    tool: str
    name: str
    url: str
    sha256: str
    size: int
    licence: str
    variable: str

    @property
    def cached(self) -> Path | None:
        folder = cache_folder()
        return None if folder is None else folder / self.name

    @property
    def command(self) -> str:
        """Downloads the file to where it is looked for."""
        cached = self.cached
        where, also = (self.name, "and") if cached is None else (str(cached), "or")
        return (
            f"curl -L --create-dirs -o {shlex.quote(where)} {self.url}"
            f"  ({also} set {self.variable} to its path)"
        )

    def find(self, given: str | os.PathLike[str] | None = None) -> Path | None:
        """The file: `given`, else what the environment names, else the cached one, else None.

        Raises:
            ToolError: a path that the user named holds no file.
        """
        named = given or os.environ.get(self.variable)
        if named:
            path = expand_path(named)
            if not path.is_file():
                whose = "the settings" if given else self.variable
                raise ToolError(f"there is no file {path}, which {whose} names for {self.tool}.")
            return path
        cached = self.cached
        return cached if cached is not None and cached.is_file() else None

    def get(self, given: str | os.PathLike[str] | None = None) -> Path:
        """The file, downloaded and checked if it is not here.

        Raises:
            ToolError: it is not here and cannot be downloaded, or is not what was published.
        """
        path = self.find(given)
        if path is None:
            return self._download()
        if path == self.cached:
            self._check(path, f"{path}", f"delete it and run `{self.command}`")
        return path

    def _check(self, path: Path, what: str, remedy: str) -> None:
        if hash_file(path) != self.sha256:
            raise ToolError(
                f"{what} is not the published {self.name}: its SHA-256 differs; {remedy}."
            )

    def _download(self) -> Path:
        what = f"{self.name} ({self.size / 1e6:.1f} MB, {self.licence}), the model of {self.tool},"
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            raise ToolError(
                f"{what} is not here and HF_HUB_OFFLINE forbids downloads; "
                f"with a network run `{self.command}`."
            )
        cached = self.cached
        if cached is None:
            raise ToolError(
                f"{what} is not here, and there is no home folder to keep it in; set "
                f"XDG_CACHE_HOME to a folder, or run `{self.command}`."
            )
        part = cached.with_name(f"{self.name}.part{os.getpid()}")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            with urllib.request.urlopen(self.url, timeout=PATIENCE_S) as answer:
                # one byte more than there should be tells a wrong file from the right one
                part.write_bytes(answer.read(self.size + 1))
            self._check(part, self.url, f"try again later, or set {self.variable} to a good copy")
            part.replace(cached)
        except (OSError, ValueError) as error:
            raise ToolError(
                f"{what} is not here and could not be downloaded "
                f"({type(error).__name__}: {first_line(error)}); run `{self.command}`."
            ) from None
        finally:
            with suppress(OSError):
                part.unlink()
        return cached


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
