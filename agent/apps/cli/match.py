"""`kuleshov match`: the pictures that show the same expression as these."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kuleshov.apps.cli.options import Commands, add_choices, load_agent, tell_passed_over
from kuleshov.output.terminal import FAILED, OK, say
from kuleshov.tools.valid_text import csv_cells

if TYPE_CHECKING:
    from kuleshov.studies.match import Match


def add_command(commands: Commands) -> None:
    match = commands.add_parser(
        "match",
        help="find the pictures that show the same expression as these",
        description="Ranks every face of FOLDER by how near it is to the faces of SHOTS (of each "
        "shot the largest). A CSV goes to stdout, the nearest first.",
    )
    match.add_argument("like", metavar="SHOTS", help="folder, glob or manifest of pictures")
    match.add_argument("folder", metavar="FOLDER", help="folder, glob or manifest to search")
    match.add_argument(
        "--by",
        default="units",
        help="units (default), expression, features (the model's vision), model (its yes or no)",
    )
    match.add_argument("--top", type=int, metavar="N", help="only the N nearest")
    match.add_argument("--json", action="store_true", help="JSON lines instead of CSV")
    match.add_argument("--report", metavar="FILE.html", help="a contact sheet to look at")
    add_choices(match, without=("--examples",))


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.inputs import items
    from kuleshov.output import files as output_files
    from kuleshov.studies import match
    from kuleshov.tools.errors import KuleshovError

    for source in (arguments.like, arguments.folder):
        items.read_items(source)  # a mistake in its name is told before models are loaded
    if arguments.by not in match.BYS:
        raise KuleshovError(
            f"pictures are matched by {', '.join(match.BYS)}, not by {arguments.by!r}."
        )
    if arguments.report:
        output_files.check_path(arguments.report)
    matcher = match.Matcher(load_agent(arguments), arguments.like, arguments.by)
    found, cuts = matcher.rank(arguments.folder)
    for source, passed in matcher.passed.items():
        tell_passed_over(source, passed)
    for problem in matcher.problems:
        say(f"kuleshov: {problem}")
    if not found:
        raise KuleshovError(f"none of the pictures of {arguments.folder} shows a face.")
    shown = found[: arguments.top]
    _print_matches(shown, as_json=arguments.json)
    if arguments.report:
        output_files.write_page(arguments.report, _match_page(matcher, shown, cuts))
        say(f"report: {arguments.report}")
    say(f"ranked by {arguments.by}: {match.BYS[arguments.by]}")
    return FAILED if matcher.problems else OK


def _print_matches(found: Sequence[Match], *, as_json: bool) -> None:
    if as_json:
        for match in found:
            sys.stdout.write(match.model_dump_json() + "\n")
        return
    columns = [name for name in type(found[0]).model_fields if name != "box_xyxy"]
    writer = csv.DictWriter(sys.stdout, [*columns, "box_xyxy"], lineterminator="\n")
    writer.writeheader()
    for match in found:
        row = match.model_dump()
        writer.writerow(csv_cells({**row, "box_xyxy": json.dumps(row["box_xyxy"])}))


def _match_page(matcher: Any, found: Sequence[Match], cuts: Any) -> str:
    from importlib.resources import files

    from markupsafe import Markup
    from PIL import Image

    from kuleshov.output import report
    from kuleshov.studies import match

    def thumb(cut: Any) -> str:
        return report.jpeg_address(Image.fromarray(cut), 144)

    return (
        report.page_environment()
        .get_template("match.html.jinja")
        .render(
            shots=[(shot.path, thumb(shot.cut)) for shot in matcher.shots],
            found=[(one, thumb(cuts[one.path, one.person])) for one in found],
            by=matcher.by,
            meaning=match.BYS[matcher.by],
            problems=matcher.problems,
            style=Markup(
                (files("kuleshov.output") / "templates" / "report.css").read_text("utf-8")
            ),
        )
    )
