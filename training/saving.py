"""Files of a training that is kept, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save(what: Any, path: Path) -> None:
    """`torch.save` beside `path`, then moved there: a kill while writing loses one step, not the
    run."""
    beside = path.with_suffix(".new")
    torch.save(what, beside)
    os.replace(beside, path)
