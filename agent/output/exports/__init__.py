"""Exports of a run directory, by name: `kuleshov export RUN/ --to NAME`.

A module `name` has `write_export(run, out)`, which writes and returns what it wrote and what it
changed on the way, in one line each. Packages add forms by the entry-point group
``kuleshov.exports``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.registry import EXPORTS, Registry


@dataclass(frozen=True)
class ExportForm:
    """A form that runs can be written in; what a plug-in of ``kuleshov.exports`` is.

    write: takes the run directory and where to write, and returns what it wrote, and what it
    changed on the way, in one line each. file: what it writes in the run directory where nothing
    else is said.
    """

    write: Callable[[Path, Path], list[str]]
    file: str


def _write_by(module: str, run: Path, out: Path) -> list[str]:
    lines: list[str] = importlib.import_module(f"kuleshov.output.exports.{module}").write_export(
        run, out
    )
    return lines


FORMS: Registry[ExportForm] = Registry(
    "export",
    {
        name: ExportForm(partial(_write_by, module), file)
        for name, module, file in (
            ("csv", "table", "annotations.csv"),
            ("long", "long_table", "annotations-long.csv"),
            ("xlsx", "workbook", "annotations.xlsx"),
            ("parquet", "table", "annotations.parquet"),
            ("datasets", "hf_dataset", "dataset"),
            ("fex", "fex", "fex.csv"),
            ("clips", "clip", "clips"),
            ("eaf", "clip", "clips"),  # ELAN's form is among those of a clip
            ("html", "page", "index.html"),
            ("label-studio", "label_studio", "label-studio.json"),
        )
    },
    group=EXPORTS,
)


def export(
    run: str | os.PathLike[str], to: str, out: str | os.PathLike[str] | None = None
) -> list[str]:
    """Write a run in another form; returns what was written, and what was changed, in lines.

    Raises:
        KuleshovError: no run directory, an unknown form, a missing library, no room, a plug-in
            that fails.
    """
    form = FORMS.find(to)
    store.read_description(run)
    target = Path(out) if out is not None else Path(run) / form.file
    if not target.parent.is_dir():
        raise KuleshovError(f"there is no folder {target.parent}.")
    try:
        with FORMS.telling_whose(to):
            lines = form.write(Path(run), target)
    except OSError as error:
        why = error.strerror or str(error)
        raise KuleshovError(f"{target} cannot be written: {why[:1].lower()}{why[1:]}.") from None
    return [*lines, *store.damaged_lines(run)]
