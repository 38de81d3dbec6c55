"""Exports of a run directory, by name: `kuleshov export RUN/ --to NAME`.

A module `name` has `write_export(run, out)`, which writes and returns what it wrote and what it
changed on the way, in one line each.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError, suggest_word

FORMATS = {
    "csv": ("table", "annotations.csv"),
    "xlsx": ("workbook", "annotations.xlsx"),
    "parquet": ("table", "annotations.parquet"),
    "datasets": ("hf_dataset", "dataset"),
    "fex": ("fex", "fex.csv"),
    "clips": ("clip", "clips"),
    "eaf": ("clip", "clips"),  # ELAN's form is among those of a clip
    "html": ("page", "index.html"),
    "label-studio": ("label_studio", "label-studio.json"),
}
"""Format to its module and what it writes in the run directory where nothing else is said."""


def export(
    run: str | os.PathLike[str], to: str, out: str | os.PathLike[str] | None = None
) -> list[str]:
    """Write a run in another form; returns what was written, and what was changed, in lines.

    Raises:
        KuleshovError: no run directory, an unknown format, a missing library, no room.
    """
    if to not in FORMATS:
        raise KuleshovError(
            f"there is no export {to!r}{suggest_word(to, list(FORMATS))}; known: "
            f"{', '.join(FORMATS)}."
        )
    store.read_description(run)
    module, name = FORMATS[to]
    target = Path(out) if out is not None else Path(run) / name
    if not target.parent.is_dir():
        raise KuleshovError(f"there is no folder {target.parent}.")
    try:
        lines = importlib.import_module(f"kuleshov.output.exports.{module}").write_export(
            Path(run), target
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise KuleshovError(f"{target} cannot be written: {why[:1].lower()}{why[1:]}.") from None
    return [*lines, *store.damaged_lines(run)]
