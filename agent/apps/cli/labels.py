"""`kuleshov labels`: the label sets, what their words mean, and how one maps onto another."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, make_console


def add_command(commands: Commands) -> None:
    labels = commands.add_parser("labels", help="label sets: list, show, map")
    inner = labels.add_subparsers(dest="action", metavar="ACTION")
    show = inner.add_parser("show", help="labels, synonyms, definitions and sources of one set")
    show.add_argument("name", help="a shipped set, or a .toml file of your own")
    table = inner.add_parser("map", help="what corresponds, by a published table")
    table.add_argument("source", metavar="FROM")
    table.add_argument("target", metavar="TO")
    for command in (labels, show, table):
        command.add_argument("--json", action="store_true", help="JSON on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools.labels import LabelSet, mappings, shipped_label_sets

    if arguments.action == "show":
        chosen = LabelSet.load(arguments.name)
        return _print_labels(
            arguments, chosen.model_dump(mode="json"), lambda card: card.label_set(chosen)
        )
    if arguments.action == "map":
        source, target = (LabelSet.load(name) for name in (arguments.source, arguments.target))
        table = mappings.require_mapping(source.name, target.name)
        told = table.model_dump(mode="json", by_alias=True)
        return _print_labels(arguments, told, lambda card: card.mapping(table))
    sets = [LabelSet.load(name) for name in shipped_label_sets()]
    told_sets = [
        {"name": s.name, "labels": len(s.labels), "mode": s.mode, "source": s.source} for s in sets
    ]
    return _print_labels(arguments, told_sets, lambda card: card.label_sets(sets))


def _print_labels(arguments: argparse.Namespace, told: Any, draw: Any) -> int:
    if arguments.json:
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        from kuleshov.output import label_card

        draw(label_card.LabelCard(make_console()))
    return OK
