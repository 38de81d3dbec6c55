"""`kuleshov calibrate`: fit temperatures on a labelled sample."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from kuleshov.apps.cli.options import (
    CHOICES,
    Commands,
    add_choices,
    load_agent,
    tell_passed_over,
)
from kuleshov.output.terminal import OK, make_console, say

if TYPE_CHECKING:
    from kuleshov.evidence.temperatures import Calibration


def add_command(commands: Commands) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="fit the model's certainty to a labelled sample of your own",
        description="Reads a labelled sample, fits a temperature for the model's label "
        "likelihoods and writes it to a file for the setting calibration (--calibration FILE). "
        "The figures that it reports are cross-validated.",
    )
    calibrate.add_argument(
        "sample",
        metavar="SAMPLE",
        help="a table (.csv, .jsonl …) with columns path and label, or a folder for each label",
    )
    calibrate.add_argument(
        "--out", required=True, metavar="FILE.toml", help="where to write the calibration"
    )
    calibrate.add_argument(
        "--from",
        dest="mapped_from",
        metavar="SET",
        help="the label set of the sample, carried over by the published table",
    )
    calibrate.add_argument("--json", action="store_true", help="the calibration as JSON on stdout")
    add_choices(calibrate)


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.settings import Settings
    from kuleshov.studies import calibrate
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.labels import LabelSet
    from kuleshov.tools.labels.left_out import LeftOut
    from kuleshov.tools.media import PassedOver

    folder = os.path.dirname(os.path.abspath(arguments.out))
    if not os.path.isdir(folder) or os.path.isdir(arguments.out):
        raise KuleshovError(f"cannot write {arguments.out}: give a file in a folder that is there.")
    given = {name: getattr(arguments, name) for name in CHOICES}
    chosen = Settings.load(arguments.settings, **given)
    if chosen.calibration:
        raise KuleshovError("a calibration is fitted on readings without one: leave it out.")
    labels = LabelSet.load(chosen.labels)
    left_out = LeftOut(labels.name, labels.names)
    passed = PassedOver()
    sample = calibrate.read_sample(
        arguments.sample, labels, arguments.mapped_from, left_out, passed
    )
    tell_passed_over(arguments.sample, passed)
    if left_out.rows:
        say(f"kuleshov: {arguments.sample}: {left_out}.")
    agent = load_agent(arguments)

    def watch(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            say(f"{done} of {total} read")

    found = calibrate.fit_calibration(agent, sample, watch, left_out)
    _write_whole(arguments.out, found.to_toml())
    if arguments.json:
        sys.stdout.write(found.model_dump_json(by_alias=True) + "\n")
    else:
        _show_calibration(found)
    say(f"written: {arguments.out}; use it with --calibration {arguments.out}")
    return OK


def _write_whole(path: str, text: str) -> None:
    """Whole or not at all."""
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)


def _show_calibration(found: Calibration) -> None:
    from kuleshov.evidence.temperatures import ASKED
    from kuleshov.output.terminal_text import Lines

    lines = Lines(make_console())
    total = sum(found.counts.values())
    lines.line((f"{found.model}, {found.labels}", "bold"), f"  {total} items")
    lines.field("labels", ", ".join(f"{name} {n}" for name, n in found.counts.items()), 11)
    missing = [name for name in found.names if name not in found.counts]
    if missing:
        lines.field("no items of", f"{', '.join(missing)}: nothing is known of these", 11)
    named = {**{ASKED[asked]: fit for asked, fit in found.fits.items()}}
    if found.fused:
        named["face and context by cue integration"] = found.fused
    for name, fit in named.items():
        edge = ", at the edge of what is searched" if fit.at_edge else ""
        lines.subheading(f"{name[:1].upper()}{name[1:]}", f"{fit.items} items")
        lines.field("temperature", f"{fit.temperature:.3g}{edge}", 11, indent=4)
        for label, before, after in (
            ("NLL", fit.nll_before, fit.nll_after),
            ("ECE", fit.ece_before, fit.ece_after),
            ("ECE by label", fit.classwise_ece_before, fit.classwise_ece_after),
            ("Brier", fit.brier_before, fit.brier_after),
        ):
            lines.field(
                label, f"{_format_interval(before)} to {_format_interval(after)}", 11, indent=4
            )
        change = fit.nll_change
        verdict = "better" if change.high < 0 else "worse" if change.low > 0 else "not told apart"
        lines.field("NLL change", f"{_format_interval(change)}: {verdict}", 11, indent=4)
    lines.line()
    whole = "" if found.groups is None else f" of {found.groups} persons or videos, none in two"
    lines.wrapped(
        f"Cross-validated in {found.folds} folds{whole}; in brackets the 95 % interval over "
        f"{'items' if found.groups is None else 'these'}. NLL: negative log-likelihood, nats; ECE: "
        "expected calibration error of the first label, and of every label, 0–1; Brier score, 0–2. "
        "The temperature that is written is fitted on all items.",
        style="dim",
    )


def _format_interval(figure: object) -> str:
    from kuleshov.evidence.temperatures import CalibrationFigure

    assert isinstance(figure, CalibrationFigure)
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
