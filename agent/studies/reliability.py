"""Does a coder agree with itself and with people, and does it look at the picture at all?

Self-agreement: the same question in other words and with its options in reverse order, each form
being one coder; Krippendorff's alpha (2004, Content Analysis, 2nd ed., ch. 11) for the type's
level of measurement, and the mean Jensen-Shannon divergence between the forms' distributions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean, median_low
from typing import TYPE_CHECKING, Any

from kuleshov.asking.coding.coder import PROBED
from kuleshov.asking.coding.questions import Wording
from kuleshov.asking.coding.scheme import Scheme, Variable
from kuleshov.evidence.influence import js_divergence
from kuleshov.studies.statistics import Code, Level, krippendorff_alpha
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.names import NamedFiles, split_path
from kuleshov.tools.tables import parse_number, read_table
from kuleshov.tools.types import Record
from kuleshov.tools.valid_text import out_of_csv
from kuleshov.types import CodedVariable, Inference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kuleshov.agent import Agent

LEVELS: dict[str, Level] = {
    "yes/no": "nominal",
    "category": "nominal",
    "ordinal": "ordinal",
    "count": "ratio",
    "text": "nominal",
}
Unit = tuple[str, tuple[int, ...]]
"""What was coded: the picture, and the people in it that the variable is about."""


class VariableReliability(Record):
    """One variable over all that was coded. A number is None where it cannot be computed.

    same: share of pairs of codes of one unit that are equal. js: mean divergence in bits.
    """

    name: str
    type: str
    units: int
    forms: int
    same: float | None = None
    alpha: float | None = None
    js: float | None = None
    not_looking: bool | None = None
    why: str | None = None


@dataclass
class Repeats:
    """Codes of every unit in every form: by variable, unit, then one answer a form."""

    found: dict[str, dict[Unit, list[CodedVariable]]] = field(default_factory=dict)

    def add(self, media: str, forms: Sequence[Inference]) -> None:
        """Take up one picture, coded once in each form."""
        for inference in forms:
            for variable in inference.coded or ():
                units = self.found.setdefault(variable.name, {})
                units.setdefault((media, variable.people), []).append(variable)


def list_wordings(variable: Variable) -> list[Wording]:
    """The forms in which a variable is asked: as it stands, options reversed, other words."""
    others = variable.rewordings or (f"Judge by what can be seen. {variable.question}",)
    forms: list[Wording] = [(variable.question, False)]
    if variable.answers:
        forms.append((variable.question, True))
    return [*forms, *((text, False) for text in others)]


def code_versions(agent: Agent, source: Any, said: Sequence[str] = ()) -> list[Inference]:
    """One picture coded once in each form; a variable with fewer forms repeats its first ones."""
    scheme = agent.crew.scheme
    assert scheme is not None
    forms = {variable.name: list_wordings(variable) for variable in scheme.variables}
    most = max(map(len, forms.values()))
    return [
        agent.code(
            source,
            said=said,
            wordings={name: several[k] for name, several in forms.items() if k < len(several)},
        )
        for k in range(most)
    ]


def measure_reliability(repeats: Repeats, scheme: Scheme) -> list[VariableReliability]:
    """Each variable's agreement with itself, in the scheme's order."""
    return [
        _variable_reliability(variable, repeats.found.get(variable.name, {}))
        for variable in scheme.variables
    ]


def _variable_reliability(
    variable: Variable, units: Mapping[Unit, Sequence[CodedVariable]]
) -> VariableReliability:
    told = {unit: [a for a in answers if a.value is not None] for unit, answers in units.items()}
    told = {unit: answers for unit, answers in told.items() if answers}
    facts: dict[str, Any] = {"name": variable.name, "type": variable.type, "units": len(told)}
    if not told:
        reasons = [a.unanswered for answers in units.values() for a in answers if a.unanswered]
        return VariableReliability(
            **facts, forms=0, why=reasons[0] if reasons else "nobody to ask about"
        )
    forms = len(list_wordings(variable))
    first = [answers[0].like_blank for answers in told.values()]
    looked = None if None in first else all(first)
    if any(a.method == PROBED for answers in told.values() for a in answers):
        return VariableReliability(
            **facts, forms=1, not_looking=looked, why="this model was taught one form alone"
        )
    codes = [[answer_code(a) for a in answers[:forms]] for answers in told.values()]
    spread = [
        js_divergence(a.probabilities, b.probabilities)
        for answers in told.values()
        for a, b in combinations(answers[:forms], 2)
        if a.probabilities and b.probabilities
    ]
    value, why = krippendorff_alpha(codes, LEVELS[variable.type])
    return VariableReliability(
        **facts,
        forms=forms,
        same=equal_share(codes),
        alpha=value,
        js=fmean(spread) if spread else None,
        not_looking=looked,
        why=why,
    )


def answer_code(answer: CodedVariable) -> Code:
    """The answer as one code: likeliest option or step, the count, the text in small letters."""
    shares = answer.probabilities
    if shares:
        top = max(shares, key=lambda option: shares[option])
        return float(top) if answer.type == "ordinal" else top
    if answer.type == "count":
        return float(answer.value or 0)
    return str(answer.value).strip().lower()


def equal_share(codes: Sequence[Sequence[Code]]) -> float | None:
    """Share of pairs of codes of one unit that are equal; None without a pair."""
    pairs = [a == b for unit in codes for a, b in combinations(unit, 2)]
    return fmean(pairs) if pairs else None


# ------------------------------------------------------------------------- people's codes


class HumanAgreement(Record):
    """One variable as a model and as people code it; with several people, their median or mode.

    people_alpha: agreement of the people with one another, which bounds what can be expected.
    """

    name: str
    type: str
    units: int
    same: float | None = None
    alpha: float | None = None
    people: int = 0
    people_alpha: float | None = None
    why: str | None = None


HUMAN_COLUMNS = ("media", "variable", "code")


def read_human(path: str, notes: list[str] | None = None) -> dict[str, dict[Unit, dict[str, str]]]:
    """People's codes by variable and unit, one a coder.

    A table (CSV, as programs and spreadsheets write it) with the columns media, variable, code;
    person ("1", or "1 2" for a pair; empty for the scene) and coder may be there. Media are found
    by their path, as far as the table gives it.

    Args:
        notes: is told how the table was read where that had to be guessed.

    Raises:
        KuleshovError: it cannot be read, lacks a column, or codes a unit twice; names the line.
    """
    table = read_table(
        Path(path),
        prefers=lambda names: set(HUMAN_COLUMNS) <= set(names),
        short_rows=True,
        error=KuleshovError,
    )
    if notes is not None:
        notes.extend(table.notes)
    missing = [name for name in HUMAN_COLUMNS if name not in table.columns]
    if missing:
        raise KuleshovError(
            f"{path} lacks the column {missing[0]!r}: it has media, variable, code."
        )
    found: dict[str, dict[Unit, dict[str, str]]] = {}
    for row in table.lines:
        told = out_of_csv(row.text("code") or "")
        if not told:
            continue
        try:
            people = tuple(int(n) for n in (row.text("person") or "").split())
        except ValueError:
            raise KuleshovError(
                f"{path}, line {row.number}: person must be a number, or two for a pair, got "
                f"{row.text('person')!r}."
            ) from None
        media, variable = out_of_csv(row.text("media") or ""), row.text("variable") or ""
        unit = ("/".join(split_path(media)), people)
        coder = row.text("coder") or "coder"
        codes = found.setdefault(variable, {}).setdefault(unit, {})
        if coder in codes:
            raise KuleshovError(
                f"{path}, line {row.number}: {coder} has coded {variable} of {media} before; "
                "name the coders in a column 'coder'."
            )
        codes[coder] = told
    return found


def with_people(
    inferences: Iterable[Inference], human: Mapping[str, Mapping[Unit, Mapping[str, str]]]
) -> list[HumanAgreement]:
    """The model's codes against people's, a row a variable that both coded."""
    machine: dict[str, dict[Unit, CodedVariable]] = {}
    names = NamedFiles(media for units in human.values() for media, _ in units)
    owners: dict[str, str] = {}
    for inference in inferences:
        told = names.find(inference.media.path) if inference.media.path else None
        if told is None:
            continue
        if owners.setdefault(told, inference.media.sha256) != inference.media.sha256:
            raise KuleshovError(
                f"the table of codes names {told}, and nothing tells which of two files that is: "
                "give it paths that tell them apart."
            )
        for variable in inference.coded or ():
            unit = (told, variable.people)
            machine.setdefault(variable.name, {})[unit] = variable
    rows = []
    for name, units in human.items():
        ours = {u: a for u, a in machine.get(name, {}).items() if u in units}
        kind = next(iter(ours.values())).type if ours else "?"
        answered = {u: a for u, a in ours.items() if a.value is not None}
        coders = sorted({coder for several in units.values() for coder in several})
        if not answered:
            reason = next((a.unanswered for a in ours.values()), None)
            rows.append(
                HumanAgreement(
                    name=name,
                    type=kind,
                    units=0,
                    people=len(coders),
                    why=reason or "the model coded none of these",
                )
            )
            continue
        level = LEVELS[kind]
        theirs = {u: [_as_code(c, kind) for c in units[u].values()] for u in answered}
        pairs = [[answer_code(answered[u]), _middle_code(theirs[u], level)] for u in answered]
        value, why = krippendorff_alpha(pairs, level)
        among = [
            [_as_code(units[u][c], kind) if c in units[u] else math.nan for c in coders]
            for u in units
        ]
        rows.append(
            HumanAgreement(
                name=name,
                type=kind,
                units=len(pairs),
                same=equal_share(pairs),
                alpha=value,
                people=len(coders),
                people_alpha=krippendorff_alpha(among, level)[0] if len(coders) > 1 else None,
                why=why,
            )
        )
    return rows


def _as_code(text: str, kind: str) -> Code:
    if kind in ("ordinal", "count"):
        try:
            number = parse_number(text, ",")
        except ValueError:
            number = None
        if number is None:
            raise KuleshovError(f"the code {text!r} of a variable of type {kind} is no number.")
        return number
    return text.lower() if kind == "text" else text


def _middle_code(codes: Sequence[Code], level: str) -> Code:
    if level == "nominal":
        return Counter(codes).most_common(1)[0][0]
    return median_low([float(c) for c in codes])
