"""Coded variables as a long table: one row per option with its probability, or one per person."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.valid_text import csv_cells
from kuleshov.types import CodedVariable, Inference, Person

LONG = (
    "media",
    "sha256",
    "item",
    "scheme",
    "variable",
    "type",
    "scope",
    "person",
    "other_person",
    "option",
    "probability",
    "value",
    "unanswered",
    "like_blank",
    "method",
)


def long_rows(inference: Inference) -> Iterator[dict[str, Any]]:
    """A row an option of each closed question, a row for each count, text or missing answer.

    `value` is the answer (likeliest option, mean step, count, text) and stands in every row of a
    variable; what is unknown is empty, never 0.
    """
    for variable in inference.coded or ():
        row: dict[str, Any] = {
            "media": inference.media.path or "",
            "sha256": inference.media.sha256,
            "item": inference.item.id if inference.item else "",
            "scheme": variable.scheme,
            "variable": variable.name,
            "type": variable.type,
            "scope": variable.scope,
            "person": variable.people[0] if variable.people else "",
            "other_person": variable.people[1] if len(variable.people) > 1 else "",
            "value": "" if variable.value is None else variable.value,
            "unanswered": variable.unanswered or "",
            "like_blank": "" if variable.like_blank is None else int(variable.like_blank),
            "method": variable.method or "",
        }
        if variable.probabilities is None:
            yield {**row, "option": "", "probability": ""}
        for option, share in (variable.probabilities or {}).items():
            yield {**row, "option": option, "probability": round(share, 6)}


def write_long(inferences: Iterable[Inference], file: IO[str]) -> int:
    """Write the rows as CSV; returns how many."""
    writer = csv.DictWriter(file, LONG, lineterminator="\n")
    writer.writeheader()
    count = 0
    for inference in inferences:
        for row in long_rows(inference):
            writer.writerow(csv_cells(row))
            count += 1
    return count


def open_csv(path: str) -> IO[str]:
    """The file for writing. Raises KuleshovError if it cannot be written."""
    try:
        return Path(path).open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise KuleshovError(f"cannot write {path}: {error.strerror}.") from None


def variable_numbers(variable: CodedVariable) -> dict[str, float]:
    """The variable as numbers, by column: p(yes), p of each option, the mean step, the count.

    Empty where it is unanswered, and for texts.
    """
    if variable.value is None or variable.type == "text":
        return {}
    if variable.type == "yes/no" and variable.probabilities:
        return {variable.name: variable.probabilities["yes"]}
    if variable.type == "category" and variable.probabilities:
        return {f"{variable.name}: {o}": p for o, p in variable.probabilities.items()}
    return {variable.name: float(variable.value)}


def of_person(inference: Inference, person: Person) -> dict[str, float]:
    """Context columns of one person: the scene's and the person's own; of pairs the mean."""
    found: dict[str, float] = {}
    pairs: dict[str, list[float]] = {}
    for variable in inference.coded or ():
        if variable.scope == "pair":
            if person.id in variable.people:
                for column, value in variable_numbers(variable).items():
                    pairs.setdefault(column, []).append(value)
        elif not variable.people or variable.people == (person.id,):
            found |= variable_numbers(variable)
    return found | {column: sum(values) / len(values) for column, values in pairs.items()}
