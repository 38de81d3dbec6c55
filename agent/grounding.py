"""Grounding: does what a cue says of the face agree with the units that were measured?

A cue that names a facial movement ("a broad smile", "AU4", "no frown") is *confirmed* when the
unit was measured and agrees, *contradicted* when it was measured and disagrees, and *unconfirmed*
when no measured unit bears on it: a unit that the tool cannot measure confirms nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kuleshov.tools.faces import facs
from kuleshov.tools.types import Face, Shown
from kuleshov.types import Cue, Evidence

# Everyday words for facial movements. AU numbers and their FACS names are understood besides.
# Words after Ekman, Friesen & Hager (2002), descriptions of appearance changes.
WORDS: dict[str, tuple[int, ...]] = {
    r"smil\w*|grin\w*|lip corners? (?:pulled )?up|laugh\w*": (12,),
    r"frown\w*|furrowed|brows? (?:drawn|lowered|knit\w*)|lowered brows?|scowl\w*": (4,),
    r"inner brows? (?:raised|up)|raised inner brows?": (1,),
    r"raised (?:eye)?brows|(?:eye)?brows (?:are )?raised|brow raise": (1, 2),
    r"wide(?:ned)? eyes|eyes (?:are )?wide\w*": (5,),
    r"raised cheeks?|cheeks? (?:are )?raised": (6,),
    r"wrinkled nose|nose (?:is )?wrinkl\w*": (9,),
    r"(?:lip|mouth) corners? (?:pulled )?down|turned[- ]down mouth|pout\w*": (15,),
    r"open mouth|mouth (?:is |hangs? )?open|parted lips|jaw drop\w*|dropped jaw": (25, 26, 27),
    r"pressed lips|lips (?:are )?pressed": (24,),
    r"closed eyes|eyes (?:are )?closed": (43,),
}
NEGATION = re.compile(
    r"\b(?:no|not|without|lack\w*|absen\w+|isn't|aren't|doesn't|never|neither|nor)\b[^,.;]*$", re.I
)
AFTER = re.compile(r"^[^,.;]{0,20}\b(?:is|are)? ?(?:absent|not shown|missing)\b", re.I)


def claims(text: str) -> list[tuple[tuple[int, ...], bool]]:
    """Facial movements that `text` names: (units any of which would show it, claimed shown?).

    A sign of negation before the word in its clause ("no smile", "not shown: AU4"), or "absent"
    right after it, makes the claim one of absence.
    """
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for match in re.finditer(r"\bAU ?0?(\d{1,2})\b", text, re.I):
        found.append((match.start(), match.end(), (int(match[1]),)))
    for number, name in facs.UNITS.items():
        for match in re.finditer(rf"\b{name}s?\b", text, re.I):
            found.append((match.start(), match.end(), (number,)))
    for pattern, units in WORDS.items():
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.I):
            found.append((match.start(), match.end(), units))
    seen: dict[tuple[tuple[int, ...], bool], None] = {}
    for start, end, units in sorted(found):
        denied = bool(NEGATION.search(text[:start]) or AFTER.search(text[end:]))
        seen[(units, not denied)] = None
    return list(seen)


def measured(face: Face | None, units: Sequence[int]) -> bool | None:
    """Whether any of `units` is shown: True, False (all measured, none shown), None (unknown)."""
    states: list[Shown | None] = []
    for unit in units:
        found = face.unit(unit) if face else None
        states.append(found.shown if found and not found.weak else None)
    if any(state in ("slight", "clear", "strong") for state in states):
        return True
    return None if None in states else False


def check(text: str, cited: Evidence, face: Face | None) -> Cue:
    """The cue with its status, from every facial claim that it makes.

    A cue without a claim in words stands for the evidence it cites: measured evidence confirms
    itself; a scene or a note is not something that a face tool could confirm.
    """
    made = claims(text)
    if not made:
        own = cited.kind in ("expression", "action_unit", "absent_units", "affect")
        return Cue(evidence=cited.n, text=text, status="confirmed" if own else "unconfirmed")
    verdicts = []
    for units, claimed in made:
        known = measured(face, units)
        verdicts.append(None if known is None else known == claimed)
    if False in verdicts:
        return Cue(evidence=cited.n, text=text, status="contradicted")
    return Cue(
        evidence=cited.n, text=text, status="unconfirmed" if None in verdicts else "confirmed"
    )


def left_out(cues: Sequence[Cue], evidence: Mapping[int, Evidence]) -> tuple[int, ...]:
    """Numbers of the shown units that no cue cites or names."""
    cited = {cue.evidence for cue in cues}
    named = {unit for cue in cues for units, shown in claims(cue.text) if shown for unit in units}
    return tuple(
        n
        for n, item in evidence.items()
        if item.kind == "action_unit" and n not in cited and item.unit not in named
    )
