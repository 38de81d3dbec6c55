"""`kuleshov study`: a rating study with people, as a page; and its answers as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from kuleshov.apps.cli.options import Commands, add_pictures, make_folder, take_old_names
from kuleshov.output.terminal import OK, say


def add_command(commands: Commands) -> None:
    study = commands.add_parser(
        "study",
        help="make a rating study of faces, contexts and both, or collect its answers",
        description="Writes a study that runs in any browser without a server: people rate faces "
        "alone, contexts alone and both together. With --collect, joins the answers into "
        "ratings.csv for kuleshov integrate.",
    )
    add_pictures(study, "folder of pictures, one face each")
    study.add_argument("--faces", metavar="DIR", help=argparse.SUPPRESS)  # its old name
    study.add_argument(
        "--contexts",
        metavar="FILE.toml|DIR",
        help="[[contexts]] with name and text (or picture), as for contrast, or a folder",
    )
    study.add_argument("--out", metavar="STUDY", help="the folder of the study")
    study.add_argument(
        "--labels",
        metavar="SET|A,B,…",
        default="ekman-6",
        help="labels that are rated (default: ekman-6)",
    )
    study.add_argument(
        "--answer",
        choices=("sliders", "choice"),
        default="sliders",
        help="how people answer (default: sliders)",
    )
    study.add_argument(
        "--scale", metavar="LOW-HIGH", default="1-9", help="ends of the sliders (default: 1-9)"
    )
    study.add_argument(
        "--order",
        choices=("blocks", "mixed"),
        default="blocks",
        help="order of conditions (default: blocks)",
    )
    study.add_argument(
        "--pairs",
        type=int,
        metavar="N",
        help="pairs that each participant judges, drawn at random (default: all)",
    )
    study.add_argument(
        "--checks", type=int, metavar="N", help="attention checks (default: one per 20 trials)"
    )
    study.add_argument(
        "--title",
        default="How do people seem to feel?",
        help="heading of the page (default: How do people seem to feel?)",
    )
    study.add_argument("--consent", metavar="FILE.txt", help="text of the consent form")
    study.add_argument("--instructions", metavar="FILE.txt", help="text before the first trial")
    study.add_argument(
        "--completion", metavar="ADDRESS", help="address that the last page links to"
    )
    study.add_argument("--collect", metavar="STUDY", help="join the answers of a study")
    study.add_argument(
        "--most-failed",
        type=int,
        metavar="N",
        help="with --collect: leave out participants who failed more attention checks "
        "(default: keep all)",
    )
    study.add_argument(
        "files", nargs="*", metavar="FILE.csv", help="with --collect: files that participants saved"
    )


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools.errors import KuleshovError

    if arguments.collect:
        return _collect(arguments)
    take_old_names(arguments)
    missing = [name for name in ("pictures", "contexts", "out") if not getattr(arguments, name)]
    if missing or arguments.files:
        what = " and ".join(f"--{name}" for name in missing) or "--collect STUDY with files"
        raise KuleshovError(f"a study needs {what}.")
    return _make(arguments)


def _make(arguments: argparse.Namespace) -> int:
    from kuleshov.studies.rating_study.design import design_study, write_study
    from kuleshov.tools.labels import LabelSet

    given = arguments.labels
    labels = given.split(",") if "," in given else LabelSet.load(given).names
    low, high = _scale(arguments.scale)
    design = design_study(
        arguments.pictures,
        arguments.contexts,
        labels,
        title=arguments.title,
        answer=arguments.answer,
        order=arguments.order,
        scale=(low, high),
        pairs=arguments.pairs,
        checks=_at_least(arguments.checks, "--checks"),
        consent=_read(arguments.consent, "consent"),
        instructions=_read(arguments.instructions, "instructions"),
        completion=_address(arguments.completion),
    )
    out = make_folder(arguments.out)
    page, _, sheet = write_study(design, out)
    say(
        f"{len(design.faces)} faces, {len(design.contexts)} contexts, {design.trials} trials a "
        f"participant, {design.checks} attention check{'s'[: design.checks != 1]}."
    )
    if not arguments.consent:
        say("The consent is a text to fill in: give it with --consent FILE.txt.")
    say(f"Written: {page} (open it in a browser), {sheet}.")
    say(f"To store answers:  kuleshov serve --study {arguments.out}")
    say(f"To join them:      kuleshov study --collect {arguments.out}")
    return OK


def _collect(arguments: argparse.Namespace) -> int:
    from kuleshov.studies.rating_study.answers import collect_answers

    found = collect_answers(
        Path(arguments.collect),
        arguments.files,
        most_failed=_at_least(arguments.most_failed, "--most-failed"),
    )
    told = f"{len(found.participants):,} participants, {found.judgements:,} judgements"
    if found.unfinished:
        told += f"; {len(found.unfinished)} did not finish"
    if found.doubled:
        told += f"; {found.doubled} trials came twice and count once"
    say(f"{told}.")
    for line in found.damaged:
        say(f"left out: {line}")
    if found.failed:
        names = ", ".join(f"{who} ({count})" for who, count in found.failed.items())
        kept = f"left out: {', '.join(found.left_out)}" if found.left_out else "all are kept"
        say(f"Attention checks failed: {names}; {kept}.")
    say(f"Written: {found.path}. Next:  kuleshov integrate {found.path} --out RESULT")
    return OK


def _at_least(value: int | None, name: str) -> int | None:
    from kuleshov.tools.errors import KuleshovError

    if value is not None and value < 0:
        raise KuleshovError(f"{name} must be 0 or more.")
    return value


def _scale(text: str) -> tuple[int, int]:
    from kuleshov.tools.errors import KuleshovError

    low, _, high = text.strip().rpartition("-")
    try:
        return int(low), int(high)
    except ValueError:
        raise KuleshovError(
            f"--scale {text}: give the lowest and highest rating, e.g. 1-9."
        ) from None


def _read(path: str | None, what: str) -> str | None:
    from kuleshov.tools.structured_text import read_text

    return None if path is None else read_text(Path(path), f"text of the {what}")


def _address(text: str | None) -> str | None:
    from urllib.parse import urlsplit

    from kuleshov.tools.errors import KuleshovError

    if text is not None and urlsplit(text).scheme not in ("https", "http"):
        raise KuleshovError("--completion takes an address that begins with https://.")
    return text
