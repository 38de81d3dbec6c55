"""`kuleshov annotate`: a data set into a run directory, resumable."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from kuleshov.apps.cli import resume
from kuleshov.apps.cli.options import Commands, add_choices, load_agent
from kuleshov.output.terminal import FAILED, OK, make_console, say


def add_command(commands: Commands) -> None:
    annotate = commands.add_parser(
        "annotate",
        help="annotate a data set; run the same command again to resume",
        description="Annotates a data set into a run directory: annotations.jsonl (one record "
        "per line), failures.jsonl, run.json. Run the same command again to resume.",
    )
    annotate.add_argument(
        "input",
        metavar="INPUT",
        help="folder, glob, manifest (.csv, .tsv, .jsonl, .parquet with a column path), a saved "
        "Hugging Face data set, or WebDataset .tar",
    )
    annotate.add_argument("--out", required=True, metavar="RUN/", help="the run directory")
    add_choices(annotate)
    annotate.add_argument(
        "--context",
        action="append",
        default=[],
        metavar="TEXT",
        help="what you know of every item; may be repeated",
    )
    annotate.add_argument(
        "--engine",
        default="local",
        help="local or ray, which needs the extra [ray] (default: local)",
    )
    annotate.add_argument(
        "--workers", type=int, metavar="N", help="items at once; ray: actors (default: by hardware)"
    )
    annotate.add_argument(
        "--batch", type=int, metavar="N", help="most answers the model writes at once"
    )
    annotate.add_argument(
        "--retry-failed",
        action="store_true",
        help="try again all that failed before; what failed for a passing cause, such as a server "
        "that was down, is tried again by every call",
    )
    annotate.add_argument(
        "--redo",
        choices=["changed"],
        help="redo items whose row or file has changed since",
    )
    annotate.add_argument(
        "--progress",
        choices=["bar", "json", "quiet"],
        help="progress on stderr (default: bar on a terminal, else json)",
    )


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.inputs import items
    from kuleshov.output import exports
    from kuleshov.runs import progress, store, summary
    from kuleshov.tools import scratch

    # mistakes in names are told before models are loaded
    items.read_items(arguments.input)
    store.check_folder(Path(arguments.out))
    agent = load_agent(arguments)
    kind = arguments.progress or ("bar" if sys.stderr.isatty() else "json")
    try:
        with progress.ProgressDisplay(kind) as watch:
            ended = agent.annotate(
                arguments.input,
                arguments.out,
                context=arguments.context,
                engine=arguments.engine,
                workers=arguments.workers,
                batch=arguments.batch,
                retry_failed=arguments.retry_failed,
                redo=arguments.redo,
                watch=watch,
            )
    except KeyboardInterrupt:
        say("kuleshov: interrupted; what is done is safe. Run the same command again to resume.")
        sys.stderr.flush()
        scratch.remove_own()
        os._exit(130)  # items in hand would be waited for at a normal exit
    told = list(ended.notes)
    if kind != "quiet" and ended.skipped and not ended.done + ended.failed + ended.changed.items:
        told.append(f"all {ended.skipped:,} were done before, nothing was left to do")
    for note in told:
        as_json = json.dumps({"event": "note", "text": note}, ensure_ascii=False)
        say(as_json if kind == "json" else f"kuleshov: {note}")
    found = summary.summarise_run(arguments.out)
    (page,) = exports.export(arguments.out, "html")
    if kind == "json":
        sys.stderr.write(json.dumps({"event": "summary", **found.to_dict()}) + "\n")
    elif kind == "bar":
        summary.print_summary(found, make_console(stderr=True))
        folder = shlex.quote(arguments.out)
        say(f"records:  {Path(arguments.out) / store.ANNOTATIONS}")
        say(f"browse:   {page}")
        say(f"table:    kuleshov export {folder} --to csv    (xlsx for Excel, parquet, …)")
        if found.failed:
            say(f"retry:    {resume.retry_command(arguments.argv)}")
    return FAILED if found.failed else OK
