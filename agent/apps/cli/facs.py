"""`kuleshov facs`: what a unit is, which expressions it belongs to, who measures it."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from typing import TYPE_CHECKING, Any

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK
from kuleshov.tools.valid_text import csv_row

if TYPE_CHECKING:
    from kuleshov.tools.faces.facs import Smile

ORDER = {"prototype": 0, "variant": 1, "posed": 2, "compound": 3, "display": 4}


def add_command(commands: Commands) -> None:
    facs = commands.add_parser("facs", help="explain an action unit or an expression's units")
    facs.add_argument(
        "unit",
        nargs="?",
        metavar="UNIT|WORDS",
        help="FACS number (12, AU12), or what is seen or felt: smile, raised brows, joy",
    )
    facs.add_argument("--emotion", metavar="NAME", help="e.g. fear, happily surprised, pain")
    facs.add_argument(
        "--table",
        metavar="FILE",
        help="a toolbox's table of units (OpenFace, Py-Feat …), or FORMAT:FILE: the expression of "
        "each row by rules, as CSV on stdout; needs neither pictures nor a model",
    )
    facs.add_argument("--json", action="store_true", help="JSON on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.faces import facs

    if arguments.table is not None and arguments.unit is None and arguments.emotion is None:
        return _read_table(arguments.table, as_json=arguments.json)
    if arguments.table is not None or (arguments.unit is None) == (arguments.emotion is None):
        raise KuleshovError("give one of: a unit (kuleshov facs 12), --emotion NAME, --table FILE.")
    found: list[dict[str, Any]] = []
    if arguments.unit is None:
        found.append(explain_emotion(_expression_of(arguments.emotion)))
    elif (number := _number_of(arguments.unit)) is not None:
        if number not in facs.UNITS and number not in facs.FURTHER:
            known = ", ".join(str(unit) for unit in sorted({*facs.UNITS, *facs.FURTHER}))
            raise KuleshovError(f"there is no action unit {number}; known: {known}.")
        found.append(explain_unit(number))
    elif units := _units_of(arguments.unit):
        found += [explain_unit(unit) for unit in units]
    else:
        found.append(explain_emotion(_expression_of(arguments.unit)))
    for told in found:
        told["sources"] = _source_lines(told)
    if arguments.json:
        told_all = found[0] if len(found) == 1 else found
        sys.stdout.write(json.dumps(told_all, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(map(_unit_text, found)))
    return OK


def _number_of(text: str) -> int | None:
    """12 of "12", "AU12" or "au 12"; None: it is no number."""
    from kuleshov.tools.structured_text import parse_count

    return parse_count(text.strip().lower().removeprefix("au"))


def _units_of(words: str) -> list[int]:
    """The units that words for a face mean, as grounding reads them; none: they mean none."""
    from kuleshov.evidence.grounding import find_mentions

    return list(dict.fromkeys(unit for _, _, units in find_mentions(words) for unit in units))


def _expression_of(name: str) -> str:
    """The expression by another word for it: happiness of joy."""
    from kuleshov.tools.faces import facs
    from kuleshov.tools.labels import LabelSet

    known = facs.list_expressions()
    if name.lower().strip() not in known:
        same = LabelSet.load("ekman-8").read_label(name).name
        if same in known:
            return str(same)
    return name


def explain_unit(unit: int) -> dict[str, Any]:
    """Everything known of a unit, headings to lines."""
    from kuleshov.tools.faces import facs

    patterns = sorted((p for p in facs.PATTERNS if unit in p.units), key=lambda p: ORDER[p.kind])
    shapes = facs.BLENDSHAPES.get(unit)
    return {
        "title": f"AU{unit} {facs.unit_name(unit)}",
        "part of": [f"{p.expression}: {p.text()} ({facs.SOURCES[p.source]})" for p in patterns],
        "speaks against": [
            f"{label} ({_evidence_against(label, unit)})"
            for label, units in facs.AGAINST.items()
            if unit in units
        ],
        "smiles": [
            f"{smile.name}: {_smile_text(smile)}; {smile.meaning} ({facs.SOURCES[smile.source]})"
            for smile in facs.SMILES
            if unit in (*smile.units, *smile.any_of)
        ],
        "pain": [f"PSPI = {facs.PSPI}, on intensities 0-5 only ({facs.SOURCES['pspi']})"]
        if unit in (*facs.PSPI_UNITS, 43)
        else [],
        "blendshapes": [f"{', '.join(shapes)} ({facs.SOURCES['arkit']})"] if shapes else [],
        "measured by": [f"{tool}: {scale}" for tool, scale in facs.measured_by(unit)]
        or ["no tool that Kuleshov reads: it can only come from words"],
    }


def explain_emotion(emotion: str) -> dict[str, Any]:
    """The patterns of an expression. Raises KuleshovError if it is unknown."""
    from kuleshov.tools.faces import facs

    patterns = facs.expression_patterns(emotion)
    label = patterns[0].expression
    units = sorted({unit for pattern in patterns for unit in pattern.units})
    return {
        "title": label,
        "patterns": [f"{p.kind}: {p.text()} ({facs.SOURCES[p.source]})" for p in patterns],
        "units": [f"AU{unit} {facs.unit_name(unit)}" for unit in units],
        "speaks against it": [
            f"AU{unit} {facs.unit_name(unit)} ({_evidence_against(label, unit)})"
            for unit in facs.AGAINST.get(label, ())
        ],
        "note": [
            "Prototypes and posed faces: who shows them need not feel it, and who feels it need "
            "not show them (Barrett et al. 2019)."
        ],
    }


def _evidence_against(label: str, unit: int) -> str:
    from kuleshov.tools.faces import facs

    # the review names this very case
    return str(facs.SOURCES["review" if (label, unit) == ("happiness", 15) else "affdex"])


def _source_lines(told: dict[str, Any]) -> list[str]:
    """What the short names in the entries stand for."""
    from kuleshov.tools.faces import facs

    said = " ".join(entry for entries in told.values() for entry in entries)
    used = [source for source in facs.SOURCES.values() if f"({source})" in said]
    lines = [source.text + ("" if source.checked else f" {facs.UNCHECKED}") for source in used]
    return lines + ([facs.UNCHECKED_MEANS] if any(not s.checked for s in used) else [])


def _smile_text(smile: Smile) -> str:
    units = [f"AU{unit}" for unit in smile.units]
    if smile.any_of:
        units.append("|".join(f"AU{unit}" for unit in smile.any_of))
    return "+".join(units)


def _unit_text(told: dict[str, Any]) -> str:
    lines = [told["title"]]
    for heading, entries in told.items():
        if heading != "title" and entries:
            lines += [f"  {heading}", *(f"    {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def _read_table(source: str, *, as_json: bool) -> int:
    from kuleshov.studies.unit_readings import read_units

    rows = list(read_units(source))
    if as_json:
        sys.stdout.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return OK
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(csv_row(list(row.values())) for row in rows)
    return OK
