"""What a person is shown of coded variables: groupings and words that card and report share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kuleshov.output import view
from kuleshov.tools.types import EmotionScores
from kuleshov.types import CodedVariable, FaceContexts, Inference

LIKE_BLANK = "as for a blank picture"


@dataclass(frozen=True)
class CodedRow:
    """One answered variable. share: of the likeliest option, or of the scale; None without."""

    name: str
    answer: str
    share: float | None
    evidence: int | None
    note: str


@dataclass(frozen=True)
class Group:
    """The scene, a person or a pair: what was answered, and why the rest was not."""

    title: str
    rows: tuple[CodedRow, ...]
    missing: tuple[tuple[str, tuple[str, ...]], ...]


def group_variables(inference: Inference) -> list[Group]:
    """Coded variables by whom they are about, in the scheme's order."""
    found: dict[tuple[int, ...], list[CodedVariable]] = {}
    for variable in inference.coded or ():
        found.setdefault(variable.people, []).append(variable)
    shown: list[Group] = []
    for people, variables in found.items():
        group = _make_group(people, variables)
        last = shown[-1] if shown else None
        if last and not group.rows and not last.rows and group.missing == last.missing:
            each = "Each person" if len(people) == 1 else "Each pair"
            shown[-1] = replace(last, title=each)
            continue
        shown.append(group)
    return shown


def _make_group(people: tuple[int, ...], variables: list[CodedVariable]) -> Group:
    missing: dict[str, list[str]] = {}
    rows = []
    for variable in variables:
        name = view.clean_line(variable.name.replace("_", " "))
        if variable.value is None:
            reason = view.clean_line(variable.unanswered or "no reason given")
            missing.setdefault(reason, []).append(name)
            continue
        note = LIKE_BLANK if variable.like_blank else ""
        rows.append(
            CodedRow(name, _answer_text(variable), _answer_share(variable), variable.evidence, note)
        )
    title = {0: "Scene", 1: "Person"}.get(len(people), "Persons")
    return Group(
        title=f"{title} {' and '.join(map(str, people))}".strip(),
        rows=tuple(rows),
        missing=tuple((reason, tuple(names)) for reason, names in missing.items()),
    )


def _answer_text(variable: CodedVariable) -> str:
    if variable.type == "ordinal":
        return f"{variable.value:.1f} of {len(variable.probabilities or {})}"
    if variable.probabilities is None:
        return view.clean_line(variable.value)
    scores = EmotionScores(labels="", probabilities=variable.probabilities, method="")
    return view.brief_scores(scores, 1 if variable.type == "yes/no" else 3)


def _answer_share(variable: CodedVariable) -> float | None:
    if variable.type == "ordinal":
        return (float(variable.value or 1) - 1) / (len(variable.probabilities or "12") - 1)
    return (variable.probabilities or {}).get(str(variable.value))


def situation_lines(found: FaceContexts) -> list[tuple[str, str]]:
    """The way back from a face, as names and lines."""
    rows = []
    if found.situations is not None:
        rows.append(("method", view.clean_line(found.method or "")))
    else:
        rows.append(("situations", f"unanswered: {view.clean_line(found.unanswered or '')}"))
    for name, text, numbers in (
        ("before", found.before, found.before_evidence),
        ("after", found.after, found.after_evidence),
    ):
        if text:
            cited = " ".join(f"[{n}]" for n in numbers)
            rows.append((name, f"{view.clean_line(text)} {cited}".strip()))
    if found.untold:
        rows.append(("before, after", view.clean_line(found.untold)))
    return rows
