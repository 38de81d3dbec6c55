"""`kuleshov contrast`: every face under every context."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuleshov.apps.cli.options import (
    Commands,
    add_choices,
    add_pictures,
    load_agent,
    make_folder,
    take_old_names,
    tell_passed_over,
)
from kuleshov.output.terminal import FAILED, OK, say
from kuleshov.tools.valid_text import csv_row

if TYPE_CHECKING:
    from kuleshov.studies.contrast import Contrast


def add_command(commands: Commands) -> None:
    contrast = commands.add_parser(
        "contrast",
        help="the Kuleshov experiment: every face under every context",
        description="Reads every face under every context and writes readings.csv (one row per "
        "face, context and label), margins.csv (per face and per context), effects.csv (shares "
        "of variance), contrast.json and contrast.html into the folder --out.",
    )
    add_pictures(contrast, "folder of pictures; of each the largest face is read")
    contrast.add_argument(
        "--contexts",
        required=True,
        metavar="FILE.toml|DIR",
        help="[[contexts]] with name and text (or picture), or a folder of scenes",
    )
    contrast.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    add_choices(contrast)
    contrast.add_argument("--face-tool", dest="old_tool", metavar="TOOL", help=argparse.SUPPRESS)


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.studies.contrast import Experiment, read_contexts
    from kuleshov.studies.contrast.contexts import list_pictures
    from kuleshov.studies.contrast.page import write_contrast
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.media import PassedOver

    take_old_names(arguments)
    if not arguments.pictures:
        raise KuleshovError("--pictures DIR is missing. See kuleshov contrast --help.")
    passed = {name: PassedOver() for name in (arguments.contexts, arguments.pictures)}
    contexts = read_contexts(arguments.contexts, passed[arguments.contexts])
    faces = list_pictures(arguments.pictures, passed[arguments.pictures])
    for name, others in passed.items():
        tell_passed_over(name, others)
    out = make_folder(arguments.out)
    experiment = Experiment(load_agent(arguments))
    found = experiment.run(faces, contexts, _watch_pairs if sys.stderr.isatty() else None)
    try:
        _write_rows(out / "readings.csv", found.rows())
        _write_rows(out / "margins.csv", found.margins())
        _write_rows(out / "effects.csv", (effect.model_dump() for effect in found.effects))
        (out / "contrast.json").write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    except OSError as error:
        raise KuleshovError(f"cannot write to the folder {out}: {error.strerror}.") from None
    write_contrast(out / "contrast.html", found, experiment.cuts)
    _print_summary(found)
    say(f"written: {out / 'contrast.html'}, readings.csv, margins.csv, effects.csv, contrast.json")
    return FAILED if found.gaps else OK


def _watch_pairs(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done} of {total} pairs" + ("\n" if done == total else ""))
    sys.stderr.flush()


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(csv_row([*rows[0]]))
        writer.writerows(csv_row([row[name] for name in rows[0]]) for row in rows)


def _print_summary(found: Contrast) -> None:
    """A line a context: how the faces read under it, and what moved against the face alone."""
    from kuleshov.output import view

    for gap in found.gaps:
        say(f"kuleshov: {gap.reason}")
    say(found.unit)
    for context in found.contexts:
        own = [pair.influence.both for pair in found.pairs if pair.context == context.name]
        tops = [scores.top for scores in own if scores is not None]
        counted = sorted({(tops.count(top), top) for top in tops}, reverse=True)
        told = ", ".join(f"{top} {count}" for count, top in counted)
        shifts = [
            pair.influence.shift
            for pair in found.pairs
            if pair.context == context.name and pair.influence.shift is not None
        ]
        moved = "face and context do not part"
        if shifts:
            mean = sum(shifts) / len(shifts)
            moved = f"moved {view.format_signed(mean)} log-odds towards it, mean of {len(shifts)}"
        sys.stdout.write(f"{view.clean_line(context.name)}: {told} of {len(tops)} faces; {moved}\n")
