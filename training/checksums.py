"""The checksums of the bundled weights, as the training scripts enter them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from kuleshov.tools.pocket.weights import CHECKSUMS, hash_file


def enter(name: str, path: Path) -> str:
    """Write the sha256 of `path` under `name`, whole or not at all; other entries stay.

    Returns the checksum, hexadecimal.
    """
    known = json.loads(CHECKSUMS.read_text("utf-8")) if CHECKSUMS.is_file() else {}
    known[name] = hash_file(path)
    beside = CHECKSUMS.with_suffix(".tmp")
    beside.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", "utf-8")
    os.replace(beside, CHECKSUMS)
    return known[name]
