"""Two readings of the same people side by side."""

from __future__ import annotations

from collections.abc import Mapping

from kuleshov.evidence.influence import js_divergence
from kuleshov.tools.types import Record
from kuleshov.types import Inference, Person


class Shift(Record):
    """How the reading of one person moved.

    `rows`: label, probability before, after; None where a reading has no such label or is
    unanswered. `js`: Jensen-Shannon divergence to base 2, 0-1; None where the labels differ or do
    not exclude one another.
    """

    person: int
    rows: tuple[tuple[str, float | None, float | None], ...]
    top_before: str | None
    top_after: str | None
    js: float | None = None


class ReadingComparison(Record):
    """Before and after, person by person, in the order of the later reading."""

    what: str
    supposed: bool = False
    shifts: tuple[Shift, ...] = ()


def compare_readings(
    before: Inference, after: Inference, what: str, *, supposed: bool = False
) -> ReadingComparison:
    """Args: what: what was changed, in words; supposed: it is a what-if."""
    earlier = {person.id: person for person in before.people}
    return ReadingComparison(
        what=what,
        supposed=supposed,
        shifts=tuple(_person_shift(earlier.get(person.id), person) for person in after.people),
    )


def _person_shift(before: Person | None, after: Person) -> Shift:
    old = before.emotions if before is not None else None
    new = after.emotions
    p: Mapping[str, float] = old.probabilities if old else {}
    q: Mapping[str, float] = new.probabilities if new else {}
    labels = sorted(
        dict.fromkeys([*p, *q]), key=lambda label: -max(p.get(label, 0.0), q.get(label, 0.0))
    )
    same = bool(old and new and old.mode == new.mode == "single" and set(p) == set(q))
    return Shift(
        person=after.id,
        rows=tuple((label, p.get(label), q.get(label)) for label in labels),
        top_before=old.top if old else None,
        top_after=new.top if new else None,
        js=js_divergence(p, q) if same else None,
    )
