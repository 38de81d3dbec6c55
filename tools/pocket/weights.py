"""The bundled weights files: are they there, and are they the ones that were released?"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from kuleshov.tools.errors import KuleshovError

CHECKSUMS = Path(__file__).with_name("checksums.json")
"""Name of a bundled file → sha256, hexadecimal."""


class WeightsError(KuleshovError, ValueError):
    """A weights file is missing, damaged, or not what its name says."""


def hash_file(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _released_checksums(path: Path, changed_ns: int) -> dict[str, str]:
    return dict(json.loads(path.read_text("utf-8")))


def check_weights(path: Path, name: str) -> str:
    """Compare the file with the sha256 released for `name`, and return it.

    Raises:
        WeightsError: the file is missing or is not the released one; says what to do.
    """
    if not path.is_file():
        raise WeightsError(
            f"the weights file {path} is missing; "
            "install it again with `pip install --force-reinstall kuleshov`."
        )
    try:
        expected = _released_checksums(CHECKSUMS, CHECKSUMS.stat().st_mtime_ns)[name]
    except (OSError, ValueError, KeyError):
        raise WeightsError(f"no checksum is known for {name} in {CHECKSUMS}.") from None
    found = hash_file(path)
    if found != expected:
        raise WeightsError(
            f"the weights file {path} is damaged (sha256 {found[:8]}…, released {expected[:8]}…); "
            "install it again with `pip install --force-reinstall kuleshov`."
        )
    return found
