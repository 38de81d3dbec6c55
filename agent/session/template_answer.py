"""An answer put together from the record, for a model that cannot chat.

It names the labels that the question names (or the two most probable ones), what each reading
gives them, and the measured units that speak for and against each by the patterns of `facs`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kuleshov.output import view
from kuleshov.session import record_answer
from kuleshov.tools.faces import facs
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import NO_SIGN
from kuleshov.types import Evidence, Inference, Person

NOTE = "the {model} model cannot chat; this is a summary of the record"
MOST = 2  # labels spoken of
ASKS_WHY = (
    r"\b(?:why|reason|because|against|instead|rather|evidence|speaks?|explain|how come|"
    r"what makes|based on|not|matter|rests?|cues?)\b"
)


def answer_why(question: str, inference: Inference, person: Person | None, labels: LabelSet) -> str:
    """What speaks for and against a reading, where that is asked; else one line of what can be."""
    if not (re.search(ASKS_WHY, question, re.I) or record_answer.named_labels(question, labels)):
        return record_answer.UNKNOWN
    if person is not None or not inference.people:
        return template_answer(question, inference, person, labels)
    told = [template_answer(question, inference, one, labels) for one in inference.people[:MOST]]
    if (more := len(inference.people) - MOST) > 0:
        told.append(f"And {more} more: ask about one, as in 'only person 3'.")
    return " ".join(told)


def template_answer(
    question: str, inference: Inference, person: Person | None, labels: LabelSet
) -> str:
    """A few sentences that cite evidence by number."""
    if person is None:
        return _of_everybody(inference)
    own = [item for item in inference.evidence if item.person in (None, person.id)]
    asked = record_answer.named_labels(question, labels)
    if person.emotions is None:
        return f"Person {person.id} has no reading: {person.unanswered or 'unanswered'}."
    ranked = [label for label, _ in person.emotions.ranked()]
    spoken = (asked or ranked[:MOST])[: max(MOST, len(asked))]
    told = [f"Person {person.id} reads as {_shares_text(person.emotions.probabilities, spoken)}."]
    for judgement in person.judgements:
        if judgement.emotions is not None:
            known = _shares_text(judgement.emotions.probabilities, spoken)
            told.append(f"{_capitalise(view.judgement_text(judgement))} gives {known}.")
    for label in spoken:
        told += _unit_sentences(label, own)
    around = [
        f"{_item_text(item)} [{item.n}]"
        for item in own
        if item.kind in ("scene", "context", "transcript")
    ]
    if around:
        told.append(f"{_capitalise('; '.join(around))}.")
    return " ".join(told)


def _shares_text(probabilities: dict[str, float], labels: Sequence[str]) -> str:
    told = [
        f"{view.clean_line(label)} {view.format_percent(probabilities[label])}"
        for label in labels
        if label in probabilities
    ]
    return ", ".join(told) or "nothing that was asked about"


def _unit_sentences(label: str, evidence: Sequence[Evidence]) -> list[str]:
    """What the measured units say of one label."""
    kinds = ("prototype", "variant")
    known = [p for p in facs.PATTERNS if p.expression == label.lower() and p.kind in kinds]
    wanted = {unit for pattern in known for unit in pattern.units}
    against = set(facs.AGAINST.get(label.lower(), ())) - wanted
    if not wanted:
        return []
    shown = {
        e.unit: e
        for e in evidence
        if e.kind == "action_unit" and e.unit is not None and e.shown not in NO_SIGN
    }
    fits = [f"{_item_text(shown[u])} [{shown[u].n}]" for u in sorted(wanted) if u in shown]
    odds = [f"{_item_text(shown[u])} [{shown[u].n}]" for u in sorted(against) if u in shown]
    for item in evidence:
        missing = [f"AU{unit}" for unit in item.units if unit in wanted]
        if item.kind == "absent_units" and missing:
            odds.append(f"{', '.join(missing)} not shown [{item.n}]")
    name = view.clean_line(label)
    told = [f"For {name}: {'; '.join(fits)}." if fits else f"No measured unit fits {name}."]
    if odds:
        told.append(f"Against {name}: {'; '.join(odds)}.")
    for item in evidence:
        unknown = [f"AU{unit}" for unit in item.units if unit in wanted]
        if item.kind in ("unmeasured_units", "untold_units") and unknown:
            told.append(f"Not measured, so undecided: {', '.join(unknown)} [{item.n}].")
    return told


def _of_everybody(inference: Inference) -> str:
    told = [
        f"Person {person.id} reads as {view.brief_scores(person.emotions)}."
        for person in inference.people
        if person.emotions is not None
    ]
    scene = [
        f"{_item_text(item)} [{item.n}]" for item in inference.evidence if item.kind == "scene"
    ]
    told += [f"The picture shows {'; '.join(scene)}."] if scene else []
    return " ".join(told) or "Nobody was read in this picture, and its scene was not described."


def _item_text(item: Evidence) -> str:
    return view.clean_line(item.text).rstrip(".")


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
