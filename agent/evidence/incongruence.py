"""Where face and context part: patterns of the literature that fit, as candidates to look at.

Nothing here says what a person feels or means. A candidate names the pattern that was found, the
evidence for it and where the pattern is described.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kuleshov.evidence import words
from kuleshov.evidence.influence import js_divergence
from kuleshov.tools.labels import SIGNED as SIGNED  # the threshold that the patterns go by
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import EmotionScores, Face
from kuleshov.types import Evidence, Incongruence

PARTING = 0.2
"""Bits of Jensen-Shannon divergence from which face and context count as parting: a choice of
ours, about that between 80/20 and 30/70 on two labels."""
HALF = 0.5  # share of a distribution that must lie on one side
LEAST_TOP = 2.0
"""A distribution says something where its first label has this many times an even share."""
SECOND = 0.25  # share of the second label in a mixed reading

DAMPING = (14, 15, 17, 23, 24)  # Ekman & Friesen 1982; 15 as in Bian et al. 2024
DISTRESS = (1, 4)

SMILES = "Ekman & Friesen (1982), Felt, false, and miserable smiles, J. Nonverbal Behavior 6"
SARCASM = "Attardo et al. (2003), Multimodal markers of irony and sarcasm, Humor 16"
MALICE = "Boecker et al. (2015), The face of schadenfreude, Cognition & Emotion 29"
SUPPRESSION = "Gross & Levenson (1993), Emotional suppression, J. Pers. Soc. Psychol. 64"
MIXED = "Du, Tao & Martinez (2014), Compound facial expressions of emotion, PNAS 111"
REVIEW = "Bian et al. (2024), Sensors 24, 126"


@dataclass(frozen=True)
class Parted:
    """What the rules look at: both readings, the face's units, and the numbered evidence."""

    face: Face | None
    face_scores: EmotionScores
    context_scores: EmotionScores
    evidence: Sequence[Evidence]
    labels: LabelSet
    several: bool
    in_turn: Sequence[str] = ()
    """Labels that led on the face one after another, in a clip: a change, not a mixture."""

    @property
    def apart(self) -> float:
        return js_divergence(self.face_scores.probabilities, self.context_scores.probabilities)

    @property
    def signs(self) -> dict[str, int | None]:
        """Label to its side; see `Label.sign`."""
        return {label.name: label.sign for label in self.labels.labels}

    def share(self, scores: EmotionScores, sign: int) -> float:
        """The share of labels of one side: pleasant (+1), unpleasant (-1), neither (0).

        Of labels that may hold together it is the probability of the likeliest of them.
        """
        found = [p for name, p in scores.probabilities.items() if self.signs.get(name) == sign]
        if self.labels.mode == "multi":
            return max(found, default=0.0)
        return sum(found)

    def says(self, scores: EmotionScores) -> bool:
        """Whether a distribution is more than a flat one, in which four unpleasant labels of
        seven would make a share of .57 without anything that is unpleasant."""
        many = len(scores.probabilities)
        least = HALF if self.labels.mode == "multi" else min(LEAST_TOP / many, (1 + 1 / many) / 2)
        return max(scores.probabilities.values()) >= least

    def leans(self, scores: EmotionScores, sign: int) -> bool:
        """Whether at least half lies on one side, more than an even distribution has there."""
        if self.labels.mode == "multi":
            return self.share(scores, sign) >= max(HALF, self.share(scores, -sign) + PARTING)
        on_side = sum(self.signs.get(name) == sign for name in scores.probabilities)
        base = on_side / len(scores.probabilities)
        return self.share(scores, sign) >= max(HALF, base + (1 - base) / 4)

    def is_calm(self, scores: EmotionScores) -> bool:
        """Whether what leads is neither pleasant nor unpleasant by its definition (neutral)."""
        return self.signs.get(scores.top) == 0

    @property
    def said(self) -> list[Evidence]:
        return [item for item in self.evidence if item.kind == "transcript"]

    def shown(self, unit: int) -> bool | None:
        """Whether a unit is shown; None: not measured, or measured poorly."""
        found = self.face.unit(unit) if self.face else None
        return None if found is None or found.weak else found.is_shown

    def which(self, units: Iterable[int]) -> list[int]:
        return [unit for unit in units if self.shown(unit)]

    def numbers(self, *units: int) -> tuple[int, ...]:
        """Evidence of these units, and all that the context consists of."""
        return tuple(
            item.n
            for item in self.evidence
            # coded variables would be cited by the dozen
            if item.unit in units or (item.source != self._face_tool and item.kind != "coded")
        )

    @property
    def _face_tool(self) -> str:
        return f"faces:{self.face.tool}" if self.face else ""


def find_incongruences(parted: Parted) -> tuple[Incongruence, ...]:
    """Every pattern that fits, most specific first; empty where face and context agree."""
    if not (parted.says(parted.face_scores) and parted.says(parted.context_scores)):
        found = [mixed_pattern(parted)]  # of the face alone
        return tuple(candidate for candidate in found if candidate is not None)
    found = [
        rule(parted)
        for rule in (
            smile_pattern,
            malice_pattern,
            sarcasm_pattern,
            suppressed_pattern,
            mixed_pattern,
        )
    ]
    fitting = [candidate for candidate in found if candidate is not None]
    # a face that is moved while nothing special goes on parts from nothing
    if not fitting and parted.apart >= PARTING and not parted.is_calm(parted.context_scores):
        fitting.append(
            _make_candidate(
                parted,
                "unexplained",
                f"the face reads as {parted.face_scores.top}, the context as "
                f"{parted.context_scores.top}, and no pattern of the list fits",
                parted.numbers(),
                REVIEW,
            )
        )
    return tuple(fitting)


def smile_pattern(parted: Parted) -> Incongruence | None:
    """A smile where the context is unpleasant."""
    if not parted.shown(12) or not _pleasant_face_unpleasant_context(parted):
        return None
    against = parted.which((*DISTRESS, *DAMPING))
    told = ["AU12 is shown while the context reads as unpleasant"]
    cheeks = parted.shown(6)
    if cheeks is None:
        told.append("AU6 was not measured, so whether the smile is a Duchenne one cannot be told")
    elif cheeks:
        told.append("AU6 is shown (a Duchenne smile), which does not rule out a posed one")
    else:
        told.append("AU6 is absent, as in a polite smile")
    if against:
        told.append(
            f"{_units_text(against)} beside it, as when a smile covers or dampens something"
        )
    return _make_candidate(
        parted,
        "polite or masking smile",
        "; ".join(told),
        parted.numbers(12, 6, *against),
        SMILES,
    )


def malice_pattern(parted: Parted) -> Incongruence | None:
    """An undampened smile at something unpleasant that befalls somebody else who is there."""
    if not parted.shown(12) or parted.shown(6) is False or not parted.several:
        return None
    if not _pleasant_face_unpleasant_context(parted) or parted.which((*DISTRESS, *DAMPING)):
        return None
    return _make_candidate(
        parted,
        "Schadenfreude",
        "AU12 without a sign of distress while the context reads as unpleasant and others are "
        "there; on the face it cannot be told from joy",
        parted.numbers(12, 6),
        MALICE,
    )


def sarcasm_pattern(parted: Parted) -> Incongruence | None:
    """Words that say one thing while the face or the situation says the other."""
    sign = words.find_sign(item.text for item in parted.said)
    if sign is None:
        return None
    face, context = (
        parted.leans(scores, -sign) for scores in (parted.face_scores, parted.context_scores)
    )
    if not (face or context):
        return None
    against = [f"the face ({parted.face_scores.top})"] if face else []
    against += [f"the context ({parted.context_scores.top})"] if context else []
    side = "pleasant" if sign > 0 else "unpleasant"
    return _make_candidate(
        parted,
        "sarcasm",
        f"the words are {side} by {words.NAMED}, against {' and '.join(against)}; they may be "
        "meant as they are said",
        parted.numbers(4, 9, 10, 12, 14),
        SARCASM,
    )


def suppressed_pattern(parted: Parted) -> Incongruence | None:
    """A still face where the context speaks of a strong feeling."""
    stirred = any(parted.leans(parted.context_scores, sign) for sign in (1, -1))
    stirred = stirred and not parted.is_calm(parted.context_scores)
    # "no pain" is calm too, and a face of which it is said may smile
    still = parted.share(parted.face_scores, 0) >= HALF and not parted.shown(12)
    if not still or not stirred or parted.apart < PARTING:
        return None
    held = parted.which(DAMPING)
    how = (
        f"with {_units_text(held)}, as when it is held still"
        if held
        else "and no unit holds it still"
    )
    return _make_candidate(
        parted,
        "suppressed emotion",
        f"the face reads as neutral, {how}, while the context reads as {parted.context_scores.top}",
        parted.numbers(*held),
        SUPPRESSION,
    )


def mixed_pattern(parted: Parted) -> Incongruence | None:
    """Two feelings of opposite sign on one face."""
    scores = parted.face_scores
    first, second = scores.ranked()[:2]
    if {first[0], second[0]} <= set(parted.in_turn):
        return None
    both_signs = all(parted.share(scores, sign) >= SECOND for sign in (1, -1))
    against = parted.which((*DISTRESS, 15)) if parted.shown(12) else []
    if second[1] >= SECOND and both_signs:
        told = f"the face reads as {first[0]} and {second[0]} at once"
    elif against and both_signs:
        told = f"AU12 is shown with {_units_text(against)}"
    else:
        return None
    return _make_candidate(parted, "mixed emotion", told, parted.numbers(12, *against), MIXED)


def _pleasant_face_unpleasant_context(parted: Parted) -> bool:
    """Pleasant by its label, or, where the set has no word for it, by neither side."""
    has_word = 1 in parted.signs.values()
    return (
        (parted.leans(parted.face_scores, 1) if has_word else parted.is_calm(parted.face_scores))
        and parted.leans(parted.context_scores, -1)
        and parted.apart >= PARTING
    )


def _make_candidate(
    parted: Parted, kind: str, pattern: str, evidence: tuple[int, ...], source: str
) -> Incongruence:
    return Incongruence.model_validate(
        {
            "kind": kind,
            "pattern": pattern,
            "evidence": evidence,
            "js_face_context": parted.apart,
            "source": source,
        }
    )


def _units_text(units: Sequence[int]) -> str:
    return ", ".join(f"AU{unit}" for unit in units)
