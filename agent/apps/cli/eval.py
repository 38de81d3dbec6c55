"""`kuleshov eval TASK --data DIR`: how well it reads a labelled data set, and what decides it."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli.options import Commands, add_choices, find_command, load_agent


def add_command(commands: Commands) -> None:
    evaluation = commands.add_parser(
        "eval",
        help="evaluate on a labelled data set, with baselines, intervals and a report",
        description="Evaluates the agent's fusions and baselines on a labelled data set. The "
        "same command again resumes. Without TASK: lists the tasks.",
    )
    evaluation.add_argument("task", metavar="TASK", nargs="?", help="e.g. ferplus, or manifest")
    evaluation.add_argument("--data", metavar="DIR", help="your copy of the data set")
    evaluation.add_argument(
        "--out", metavar="FOLDER", help="folder for the results (default: eval-TASK)"
    )
    evaluation.add_argument("--split", help="part of the data set (default: the task's own)")
    evaluation.add_argument(
        "--results",
        metavar="FILE",
        nargs="+",
        help="data sets of coded units (disfa, disfa-plus, bp4d, gft, ck-plus): a toolbox's result "
        "files, FORMAT:FILE, or records (.jsonl) (default: the face tool reads the pictures)",
    )
    evaluation.add_argument(
        "--limit", type=int, metavar="N", help="N samples, in proportion to the labels (--seed)"
    )
    evaluation.add_argument(
        "--systems",
        metavar="LIST",
        help="face, context, people, bayes, text, mllm, clip, majority, chance, with commas "
        "between (default: all that the models allow, without mllm and clip)",
    )
    # the name of 0.1.0
    evaluation.add_argument("--strategy", dest="systems", help=argparse.SUPPRESS)
    evaluation.add_argument(
        "--protocol", metavar="NAME", help="an experiment on top; see `kuleshov eval --list`"
    )
    evaluation.add_argument("--list", action="store_true", help="list tasks and protocols")
    evaluation.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two systems, FOLDER:SYSTEM each, on the same samples: a paired test",
    )
    evaluation.add_argument("--metrics", metavar="LIST", help="metrics (default: the task's own)")
    evaluation.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap resamples (default: 1000)",
    )
    evaluation.add_argument("--wheels", metavar="DIR", help="emotion wheels, for metrics on them")
    evaluation.add_argument(
        "--judge", metavar="MODEL", help="reads descriptions against people's (EMER); recorded"
    )
    evaluation.add_argument("--clip", metavar="MODEL", help="the baseline clip: Hub id or folder")
    evaluation.add_argument(
        "--examples", metavar="SHOTS", help="few-shot examples: a folder per label, or a manifest"
    )
    evaluation.add_argument(
        "--shots", metavar="LIST", help="examples shown; protocol shots: e.g. 0,1,2,4,8"
    )
    evaluation.add_argument("--shot-selection", help="fixed, balanced, nearest-units …")
    evaluation.add_argument("--shot-seed", type=int, help="shuffles the order of the examples")
    add_choices(evaluation, without=("--examples",))
    evaluation.add_argument("--workers", type=int, metavar="N", help="samples at once")
    evaluation.add_argument(
        "--batch", type=int, metavar="N", help="most answers the model writes at once"
    )
    evaluation.add_argument("--retry-failed", action="store_true", help="retry what failed before")
    evaluation.add_argument(
        "--progress", choices=["bar", "json", "quiet"], help="progress on stderr"
    )
    evaluation.add_argument(
        "--inspect", metavar="FILE.json", help="also write a log for `inspect view` (inspect_ai)"
    )
    evaluation.add_argument("--json", action="store_true", help="results as JSON on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    return int(find_command("eval")(arguments, load_agent))
