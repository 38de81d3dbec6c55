"""Grounding: does what a cue says of the face agree with the units that were measured?

A cue that names a facial movement ("a broad smile", "AU4", "no frown") is *confirmed* when the
unit was measured and agrees, *contradicted* when it was measured and disagrees, and *unconfirmed*
when no measured unit bears on it: a unit that the tool cannot measure confirms nothing. A side
("the left lip corner") is the person's own, as in FACS; where the tool measured the unit for both
sides together, a claim about one side stays unconfirmed unless the unit is absent altogether.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kuleshov.tools.faces import facs
from kuleshov.tools.types import Face, Side
from kuleshov.types import Cue, Evidence

Status = Literal["confirmed", "unconfirmed", "contradicted"]

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
# What the labels of a toolbox's expression are called besides their names.
FEELINGS: dict[str, str] = {
    "anger": r"anger|angry|furious",
    "disgust": r"disgust(?:ed)?",
    "fear": r"fear(?:ful)?|afraid|scared|frightened",
    "happiness": r"happ(?:y|iness)|joy(?:ful)?",
    "sadness": r"sad(?:ness)?",
    "surprise": r"surprised?",
    "contempt": r"contempt(?:uous)?",
    "neutral": r"neutral|calm",
}
MEASURED = (
    "expression",
    "action_unit",
    "absent_units",
    "affect",
    "event",
    "blinks",
    "speech_movement",
    "missing",
)
NEGATION = re.compile(
    r"\b(?:no|not|without|lack\w*|absen\w+|isn't|aren't|doesn't|never|neither|nor)\b[^,.;]*$", re.I
)
AFTER = re.compile(r"^[^,.;]{0,20}\b(?:is|are)? ?(?:absent|not shown|missing)\b", re.I)


SIDED = re.compile(r"\b(left|right)\b(?! in (?:the )?(?:picture|image|frame))", re.I)


@dataclass(frozen=True)
class Claim:
    """A facial movement that a text names: any of the units would show it."""

    units: tuple[int, ...]
    shown: bool
    side: Side = "both"


def claims(text: str) -> list[Claim]:
    """The facial movements that `text` names, in order.

    A sign of negation before the word in its clause ("no smile", "not shown: AU4"), or "absent"
    right after it, makes the claim one of absence. "left" or "right" in the same clause makes it
    one about the person's own left or right side; both words, one about both.
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
    seen: dict[Claim, None] = {}
    for start, end, units in sorted(found):
        denied = bool(NEGATION.search(text[:start]) or AFTER.search(text[end:]))
        begin = max(text.rfind(mark, 0, start) for mark in ",.;") + 1
        stop = min((i for mark in ",.;" if (i := text.find(mark, end)) >= 0), default=len(text))
        sides = {word.lower() for word in SIDED.findall(text[begin:stop])}
        side: Side = "both" if len(sides) != 1 else "left" if "left" in sides else "right"
        seen[Claim(units, not denied, side)] = None
    return list(seen)


def feelings(text: str) -> set[str]:
    """The labels that `text` gives a face, by name or adjective; not those that it denies."""
    return {
        label
        for label, words in FEELINGS.items()
        for match in re.finditer(rf"\b(?:{words})\b", text, re.I)
        if not NEGATION.search(text[: match.start()])
    }


def measured(face: Face | None, units: Sequence[int], side: Side = "both") -> bool | None:
    """Whether any of `units` is shown: True, False (all measured, none shown), None (unknown)."""
    states = [_shown(face, unit, side) for unit in units]
    if True in states:
        return True
    return None if None in states else False


def _shown(face: Face | None, unit: int, side: Side) -> bool | None:
    known = {
        au.side: au.shown != "absent"
        for au in (face.action_units if face else ())
        if au.unit == unit and not au.weak and au.shown is not None
    }
    if side == "both":
        return any(known.values()) if known else None
    if side in known:
        return known[side]
    # shown on the face as a whole says nothing of one side; absent as a whole says it of both
    return False if known.get("both") is False else None


def check(text: str, cited: Evidence, face: Face | None) -> Cue:
    """The cue with its status, from every facial claim that it makes.

    A cue without a claim in words stands for the evidence it cites: measured evidence confirms
    itself; a scene or a note is not something that a face tool could confirm. A feeling that it
    names must be one that the cited expression names; units do not name any.
    """
    made = claims(text)
    if not made:
        own = cited.kind in MEASURED
        felt = feelings(text)
        called = {label for label in FEELINGS if re.search(rf"\b{label}\b", cited.text)}
        if cited.kind == "expression" and called and not felt <= called:
            return Cue(evidence=cited.n, text=text, status="contradicted")
        if cited.kind in ("action_unit", "absent_units", "event") and felt:
            return Cue(evidence=cited.n, text=text, status="unconfirmed", elsewhere=True)
        return Cue(evidence=cited.n, text=text, status="confirmed" if own else "unconfirmed")
    verdicts = []
    for claim in made:
        # a movement that was measured at its own time is not undone by the face of another
        moved = cited.kind == "event" and cited.unit in claim.units
        known = True if moved else measured(face, claim.units, claim.side)
        verdicts.append(None if known is None else known == claim.shown)
    named = {unit for claim in made for unit in claim.units}
    told = {cited.unit} if cited.kind in ("action_unit", "event") else set(cited.units)
    # an expression or a clip's summary stands for the face as a whole
    elsewhere = cited.kind not in ("expression", "affect") and not named & told
    status: Status = "confirmed"
    if False in verdicts:
        status = "contradicted"
    elif None in verdicts:
        status = "unconfirmed"
    return Cue(evidence=cited.n, text=text, status=status, elsewhere=elsewhere)


def left_out(cues: Sequence[Cue], evidence: Mapping[int, Evidence]) -> tuple[int, ...]:
    """Numbers of the shown units that no cue cites or names."""
    cited = {cue.evidence for cue in cues}
    named = {
        unit for cue in cues for claim in claims(cue.text) if claim.shown for unit in claim.units
    }
    return tuple(
        n
        for n, item in evidence.items()
        if item.kind == "action_unit" and n not in cited and item.unit not in named
    )
