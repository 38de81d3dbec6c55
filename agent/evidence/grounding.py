"""Grounding: does what a cue says of the face agree with the units that were measured?

A cue that names a facial movement ("a broad smile", "AU4", "no frown") is *confirmed* when the
unit was measured and agrees, *contradicted* when it was measured and disagrees, and *unconfirmed*
when no measured unit bears on it: a unit that the tool cannot measure confirms nothing. A side
("the left lip corner") is the person's own, as in FACS; where the tool measured the unit for both
sides together, a claim about one side stays unconfirmed unless the unit is absent altogether.
"""

# ruff: noqa: E501 - a regular expression is read whole

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kuleshov.evidence import negation
from kuleshov.tools.faces import directions, facs
from kuleshov.tools.types import NO_SIGN, Face, Side
from kuleshov.types import Cue, Evidence

Status = Literal["confirmed", "unconfirmed", "contradicted"]

_BE = (
    r"\s+(?:(?:is|are|was|were|being|look\w*|seem\w*|remain\w*|hangs?|stays?|held)(?:n['’]t)?\s+)?"
    r"(?:(?:not|no longer|never|\w+ly|very|both|all|a (?:little|bit)|wide)\s+)*"
)
_BROWS = r"(?:eye)?brows?"
_UP = r"(?:raised|lifted|up|arched|elevated|high)"
_CORNERS = r"(?:lip corners?|mouth corners?|corners? of (?:the |her |his |their )?(?:mouth|lips))"
_OPEN = r"(?:open\w*|agape|ajar)"

# Everyday words for facial movements. AU numbers and their FACS names are understood besides.
# Words after Ekman, Friesen & Hager (2002), descriptions of appearance changes.
WORDS: dict[str, tuple[int, ...]] = {
    rf"(?:un)?smil(?!eys?\b)\w*|grin\w*|laugh\w*|beam(?:s|ing)|{_CORNERS}{_BE}(?:pulled |turned |drawn )?"
    r"(?:up\w*|raised|lifted)|(?:pulled|turned)[- ]up (?:lip|mouth) corners?": (12,),
    rf"frown\w*(?!-shaped)(?!\w)|scowl\w*|glower\w*|(?:un)?furrowed(?: {_BROWS})?|furrow(?:s|ing) (?:\w+ )?{_BROWS}|"
    rf"{_BROWS}{_BE}(?:drawn|pulled|lowered|knit\w*|furrowed|down|together)(?: (?:down|together))*|"
    rf"(?:lowered|knit\w*|drawn|contracted)(?:[- ]together)? {_BROWS}|"
    rf"furrows? between (?:the |her |his |their )?{_BROWS}": (4,),
    r"frown\w*,? (?:of the )?(?:mouth|lips)|(?:mouth|lips?)" + _BE + r"frown\w*|(?:mouth|lips?) "
    r"(?:\w+ )?(?:in|into) a frown|frown \((?:the )?(?:mouth|lip) corners? (?:are )?"
    rf"(?:turned |pulled |drawn )?down\w*|{_CORNERS}{_BE}(?:pulled |turned |drawn )?"
    r"(?:turn(?:s|ing)? )?(?:down\w*|lowered|depressed|droop\w*)|"
    + r"(?:mouth|lips)"
    + _BE
    + r"(?:turned|pulled|drawn) down(?: at the corners)?|"
    + r"(?:pulled|turned|drawn)[- ]down (?:lip|mouth) corners?|"
    r"(?:turned[- ]down|down[- ]?turned|drooping) (?:mouth|lips)|mouth"
    + _BE
    + r"(?:turned[- ]down|down[- ]?turned)": (15,),
    rf"inner {_BROWS}{_BE}(?:(?:drawn|pulled) )?{_UP}|{_UP} inner {_BROWS}|"
    rf"inner (?:corners?|ends?|parts?) of (?:the |her |his |their )?{_BROWS}{_BE}{_UP}": (1,),
    rf"outer {_BROWS}{_BE}{_UP}|{_UP} outer {_BROWS}": (2,),
    rf"{_UP} {_BROWS}|{_BROWS}{_BE}{_UP}|brow raise|{_BROWS} (?:shoot|go|fly|rise|rose)\w*(?: up)?|rais(?:es|ing) (?:\w+ )?{_BROWS}": (
        1,
        2,
    ),
    r"wide(?:ned|ning)?(?:[- ]open)? eyes|wide[- ]eyed|eyes" + _BE + r"(?:wide\w*|opened wide|"
    r"open wide)(?: open)?|eyes wide(?:ned)?(?: open)?|raised upper (?:eye)?lids?|upper (?:eye)?lids?"
    + _BE
    + r"raised|eyes (?:have |has )?widen\w*": (5,),
    rf"{_UP} cheeks?|cheeks?{_BE}{_UP}|crow['’]?s['’]? feet|"
    r"(?:crinkles|wrinkles) (?:at|around|beside) (?:the )?(?:corners of )?(?:the |her |his |their )?eyes": (
        6,
    ),
    r"narrow eyes|narrow(?:s|ed|ing) (?:(?:her|his|their|the) )?eyes|tens\w+ (?:lower )?(?:eye)?lids|eyes"
    + _BE
    + r"(?:narrow\w*|squint\w*)|squint\w*|tight\w* "
    r"(?:eye)?lids|(?:eye)?lids" + _BE + "tight\\w*": (7,),
    rf"wrinkled nose|nose{_BE}(?:wrinkl|scrunch|crinkl)\w*|wrinkl(?:es|ing) (?:\w+ )?nose|"
    r"(?:scrunched|crinkled)(?:[- ]up)? nose": (9,),
    rf"{_UP} upper lip|upper lip{_BE}(?:{_UP}|curled)|curled (?:upper )?lip|"
    r"curl(?:s|ing) (?:\w+ )?(?:upper )?lip": (10,),
    r"lip" + _BE + r"curled(?! up)": (10,),
    r"sneer\w*": (9, 10),
    r"pout\w*": (17, 18, 22),
    r"pucker\w*(?: (?:mouth|lips))?|pursed (?:mouth|lips)|(?:lips|mouth)"
    + _BE
    + r"(?:pucker\w*|pursed)": (18,),
    rf"open[- ]mouth(?:ed)?|mouth{_BE}{_OPEN}|parted lips|lips{_BE}(?:parted|apart)|jaw(?:s)?{_BE}"
    rf"(?:dropp\w*|{_OPEN})|dropped jaw|jaw (?:has |had )?drop\w*|gaping mouth|mouth agape": (
        25,
        26,
        27,
    ),
    r"tight(?:ened|ly closed)? lips|lips"
    + _BE
    + "tight\\w*|thin(?:ned)? lips|lips"
    + _BE
    + r"thin and tight": (23, 24),
    r"pressed(?:[- ]together)? lips|lips"
    + _BE
    + r"pressed|lips pressed|press(?:es|ing) (?:\w+ )?lips(?: together)?": (24,),
    r"clenched (?:jaw|teeth)|(?:jaw|teeth)" + _BE + r"clenched|clench\w* (?:\w+ )?(?:jaw|teeth)": (
        31,
    ),
    r"bared teeth|teeth" + _BE + "bared|bar(?:es|ing) (?:\\w+ )?teeth": (10, 16, 25),
    r"dimpl\w+": (14,),
    r"raised chin boss|chin (?:is )?(?:bunched|dimpled|wrinkled)|trembling chin|quivering chin": (
        17,
    ),
    r"bit(?:es|ing)? (?:\w+ ){0,2}lips?|bitten lips?": (32,),
    r"puffed(?:[- ]out)? cheeks|cheeks" + _BE + "puffed": (34,),
    r"closed eyes|eyes" + _BE + r"(?:closed|shut)|shut eyes": (43,),
    r"(?:looks?|looking|gaz(?:es?|ing)|eyes (?:are )?)(?: turned| cast)? ?down(?:ward)?(?! (?:on|at "
    r"upon)\b)|downcast (?:eyes|gaze)|lowered (?:eyes|gaze)|"
    + r"gaze"
    + _BE
    + r"(?:lowered|cast down|turned down\w*)|eyes"
    + _BE
    + r"downcast": (64,),
    r"(?:looks?|looking|gaz(?:es?|ing))(?: turned)? up(?:ward)?|upturned (?:eyes|gaze)": (63,),
}
# What the labels of a toolbox's expression are called besides their names.
OF_FACE = r"(?:face|faces|expression|features|eyes|brows?|mouth)\b"
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
    "smile",
    "head",
    "gaze",
    "affect",
    "event",
    "blinks",
    "speech_movement",
    "missing",
)
_PARTS = (
    r"(?:side|half|part|corner|lip|mouth|brow|eyebrow|eye|eyelid|lid|cheek|nostril|face|upper|"
    r"lower|inner|outer|dimpl\w+|jaw|temple|AU ?\d+)"
)
_PICTURE = (
    r"(?!(?: (?:side|half|part|corner))? (?:in|of) (?:the )?(?:picture|image|frame|photo\w*|scene))"
)
# "right at the camera" and "he left" are no sides
SIDED = re.compile(
    rf"\b(left|right)(?=[- ](?:sided|hand side|{_PARTS})\b)(?! (?:side|half|part) of the "
    rf"(?:picture|image|frame|photo\w*|scene)\b)|"
    rf"\b(?:on|to|at|from|of) (?:the|her|his|their|its) (?:own |person's )?(left|right)\b{_PICTURE}|"
    r"\b(left|right)(?= and (?:the )?(?:left|right)\b)|(?<=left and )(right)\b|(?<=right and )(left)\b|"
    r"\bAU ?\d+ \(?(left|right)\b|\((left|right)\)|\b(left|right)(?= (?:"
    + "|".join(facs.UNITS.values())
    + r")\b)",
    re.I,
)
STOPWORDS = frozenset(
    [
        "the",
        "and",
        "that",
        "this",
        "with",
        "her",
        "his",
        "their",
        "she",
        "they",
        "person",
        "who",
        "which",
        "from",
        "shown",
        "not",
        "for",
        "are",
        "was",
        "has",
        "have",
        "there",
        "very",
        "over",
        "time",
        "said",
        "about",
        "into",
        "than",
        "then",
        "also",
        "one",
        "two",
        "its",
        "it",
        "is",
    ]
)
FACE_WORDS = re.compile(
    r"\b(?:face|facial|expressions?|mouth|lips?|eyes?|eyebrows?|brows?|cheeks?|nose|jaw|eyelids?|gaze|"
    r"forehead|chin|teeth|look(?:s|ing)?|blink\w*|valence|arousal|pleasant\w*|unpleasant\w*)\b",
    re.I,
)


@dataclass(frozen=True)
class Claim:
    """A facial movement that a text names: any of the units would show it."""

    units: tuple[int, ...]
    shown: bool
    side: Side = "both"


def find_claims(text: str) -> list[Claim]:
    """The facial movements that `text` names, in order.

    What is denied (`kuleshov.evidence.negation`) makes a claim of absence; what is said not to have been
    measured makes none. "left" or "right" in the same clause makes it
    one about the person's own left or right side; both words, one about both.
    """
    found = find_mentions(text)
    spans = [(start, end) for start, end, _ in found]
    seen: dict[Claim, None] = {}
    for start, end, units in found:
        if negation.is_unmeasured(text, (start, end), spans):
            continue
        denied = negation.is_denied(text, (start, end), spans)
        begin = max(text.rfind(mark, 0, start) for mark in ",.;") + 1
        stop = min((i for mark in ",.;" if (i := text.find(mark, end)) >= 0), default=len(text))
        sides = {
            word.lower() for groups in SIDED.findall(text[begin:stop]) for word in groups if word
        }
        side: Side = "both" if len(sides) != 1 else "left" if "left" in sides else "right"
        seen[Claim(units, not denied, side)] = None
    return list(seen)


def find_mentions(text: str) -> list[tuple[int, int, tuple[int, ...]]]:
    """Begin, end and units of every movement that `text` names; of two that overlap the longer."""
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for match in re.finditer(r"\bAU ?0?(\d{1,2})\b", text, re.I):
        found.append((match.start(), match.end(), (int(match[1]),)))
    for number, name in facs.UNITS.items():
        for match in re.finditer(rf"\b{name}s?\b", text, re.I):
            found.append((match.start(), match.end(), (number,)))
    for pattern, units in WORDS.items():
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.I):
            found.append((match.start(), match.end(), units))
    kept: list[tuple[int, int, tuple[int, ...]]] = []
    for one in sorted(found, key=lambda one: (one[0] - one[1], one[0])):
        if all(one[1] <= start or one[0] >= end for start, end, _ in kept):
            kept.append(one)
    return sorted(kept)


def find_feelings(text: str) -> set[str]:
    """The labels that `text` gives a face, by name or adjective; not those that it denies."""
    return named_labels(text, FEELINGS)


def named_labels(text: str, words: Mapping[str, str], *, of_faces: bool = True) -> set[str]:
    """The labels whose words, a regular expression each, `text` says and does not deny.

    of_faces: count "a calm face", too; else "the calm face fits anger" names anger alone: how a
    face looks is a cue, not what it comes to.
    """
    left_out = "" if of_faces else rf"(?!\s+{OF_FACE})"
    spans = {
        match.span(): label
        for label, pattern in words.items()
        for match in re.finditer(rf"\b(?:{pattern})\b{left_out}", text, re.I)
    }
    return {
        label for span, label in spans.items() if not negation.is_denied(text, span, list(spans))
    }


def is_measured(face: Face | None, units: Sequence[int], side: Side = "both") -> bool | None:
    """Whether any of `units` is shown: True, False (all measured, none shown), None (unknown)."""
    states = [_is_shown(face, unit, side) for unit in units]
    if True in states:
        return True
    return None if None in states else False


def _is_shown(face: Face | None, unit: int, side: Side) -> bool | None:
    found = [au for au in face.action_units if au.unit == unit and not au.weak] if face else []
    if not found:
        turned = directions.is_turned(face, unit) if face and unit in directions.UNITS else None
        return turned if side == "both" else None
    known = {au.side: au.is_shown for au in found}
    if side == "both":
        if True in known.values():
            return True
        return None if None in known.values() else False
    if side in known:
        return known[side]
    # shown on the face as a whole says nothing of one side; absent as a whole says it of both
    return False if known.get("both") is False else None


def check_cue(text: str, cited: Evidence, face: Face | None) -> Cue:
    """The cue with its status, from every facial claim that it makes.

    A cue without a claim in words stands for the evidence it cites: measured evidence confirms
    itself, if the cue speaks of it or of a face at all; a scene or a note is not something that a
    face tool could confirm. A feeling that it names must be one that the cited expression names;
    units do not name any.
    """
    made = find_claims(text)
    if not made:
        own = cited.kind in MEASURED
        felt = find_feelings(text)
        called = {label for label in FEELINGS if re.search(rf"\b{label}\b", cited.text)}
        if cited.kind == "expression" and called and not felt <= called:
            return Cue(evidence=cited.n, text=text, status="contradicted")
        if cited.kind in ("action_unit", "absent_units", "event") and felt:
            return Cue(evidence=cited.n, text=text, status="unconfirmed", elsewhere=True)
        # what is no sign (reached by many calm faces, merely possible) bears nothing out
        bears = own and cited.shown not in NO_SIGN and _bears_on(text, cited)
        return Cue(
            evidence=cited.n,
            text=text,
            status="confirmed" if bears else "unconfirmed",
            elsewhere=own and not _bears_on(text, cited),
        )
    verdicts = []
    for claim in made:
        # a movement that was measured at its own time is not undone by the face of another
        moved = cited.kind == "event" and cited.unit in claim.units
        known = True if moved else is_measured(face, claim.units, claim.side)
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


def _bears_on(text: str, cited: Evidence) -> bool:
    """Whether the cue speaks of a face, names a unit of the item or shares a word with it."""
    if FACE_WORDS.search(text):
        return True
    told = {cited.unit, *cited.units} - {None}
    if any(told & set(units) for _, _, units in find_mentions(text)):
        return True
    ours, theirs = (
        {word for word in re.findall(r"[a-z]{3,}", part.lower()) if word not in STOPWORDS}
        for part in (text, cited.text)
    )
    return bool(ours & theirs) or bool(find_feelings(text) & find_feelings(cited.text))


def left_out(cues: Sequence[Cue], evidence: Mapping[int, Evidence]) -> tuple[int, ...]:
    """Numbers of the shown units that no cue cites or names."""
    cited = {cue.evidence for cue in cues}
    named = {
        unit
        for cue in cues
        for claim in find_claims(cue.text)
        if claim.shown
        for unit in claim.units
    }
    return tuple(
        n
        for n, item in evidence.items()
        if item.kind == "action_unit"
        and item.shown not in NO_SIGN
        and n not in cited
        and item.unit not in named
    )
