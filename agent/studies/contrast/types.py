"""What a contrast yields: readings alone and in pairs, and the shares of variance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from kuleshov.tools.types import EmotionScores, Face, Record
from kuleshov.types import Gap, Influence


class Context(Record):
    """One context: a vignette in words, or the picture of a scene."""

    name: str = Field(min_length=1)
    text: str | None = None
    picture: str | None = None


class FaceAlone(Record):
    name: str
    face: Face
    emotions: EmotionScores


class ContextAlone(Record):
    name: str
    seen: str | None = Field(None, description="the picture in the model's words")
    emotions: EmotionScores


class Pair(Record):
    """One face under one context."""

    face: str
    context: str
    influence: Influence


class Effect(Record):
    """Of a label's variance over all pairs, the shares that face, context and both together make.

    The additive decomposition of a two-way table without repetition: with the grand mean m, the
    face's part is Σ (face mean − m)², the context's Σ (context mean − m)², the rest is their
    interaction. The shares sum to 1; None where the label does not vary.
    """

    label: str
    face: float | None = None
    context: float | None = None
    interaction: float | None = None


class Contrast(Record):
    """The whole experiment."""

    faces: tuple[FaceAlone, ...]
    contexts: tuple[ContextAlone, ...]
    pairs: tuple[Pair, ...]
    effects: tuple[Effect, ...]
    gaps: tuple[Gap, ...] = ()
    fusion: str
    unit: str = Field("", description="what a figure is of, how many, and what its error is")
    provenance: dict[str, Any] = {}

    def rows(self) -> Iterator[dict[str, str | float]]:
        """Tidy: one row a face, context and label; p_face, p_context, p_both, shift = both − face.

        p_computed is what the rule makes of the two alone. shift_log_odds: the pair's shift towards
        the context, of shift_whole (see `Influence`).

        both_is says what p_both is: fused by a rule, or the model's from both (see `Influence`).
        With the pair's influence index and divergences (bits) repeated on each of its rows.
        """
        for pair in self.pairs:
            found = pair.influence
            assert found.face is not None
            assert found.context is not None
            assert found.both is not None
            for label, p in found.both.probabilities.items():
                before = found.face.probabilities[label]
                yield {
                    "face": pair.face,
                    "context": pair.context,
                    "label": label,
                    "p_face": before,
                    "p_context": found.context.probabilities[label],
                    "p_both": p,
                    "both_is": found.both_is or "",
                    "p_computed": found.computed.probabilities[label] if found.computed else "",
                    "shift": p - before,
                    "shift_log_odds": "" if found.shift is None else found.shift,
                    "shift_computed": "" if found.shift_computed is None else found.shift_computed,
                    "shift_whole": "" if found.shift_whole is None else found.shift_whole,
                    "influence": "" if found.index is None else found.index,
                    "js_face_context": found.js_face_context or 0.0,
                    "js_face_both": found.js_face_both or 0.0,
                    "js_context_both": found.js_context_both or 0.0,
                }

    def margins(self) -> Iterator[dict[str, str | float]]:
        """Tidy: per face and per context, means over the other: how far readings were moved.

        Each mean of pairs has its standard error (`se_…`), the spread of the pairs over the root of
        their number: of a context over the faces, of a face over the contexts. Empty with one pair.
        """
        for kind, names in (
            ("face", [face.name for face in self.faces]),
            ("context", [context.name for context in self.contexts]),
        ):
            for name in names:
                own = [pair for pair in self.pairs if getattr(pair, kind) == name]
                if not own:
                    continue
                indices = [p.influence.index for p in own if p.influence.index is not None]
                shifts = [p.influence.shift for p in own if p.influence.shift is not None]
                moves = [pair.influence.js_face_both or 0.0 for pair in own]
                row: dict[str, str | float] = {
                    "kind": kind,
                    "name": name,
                    "pairs": len(own),
                    "unit": f"pair, over {'contexts' if kind == 'face' else 'faces'}",
                    "mean_shift_log_odds": float(np.mean(shifts)) if shifts else "",
                    "se_shift_log_odds": _standard_error(shifts),
                    "mean_js_face_both": float(np.mean(moves)),
                    "se_js_face_both": _standard_error(moves),
                    "mean_influence": float(np.mean(indices)) if indices else "",
                    "se_influence": _standard_error(indices),
                }
                for effect in self.effects:
                    changes = [
                        pair.influence.both.probabilities[effect.label]
                        - pair.influence.face.probabilities[effect.label]
                        for pair in own
                        if pair.influence.both and pair.influence.face
                    ]
                    row[f"shift_{effect.label}"] = float(np.mean(changes))
                    row[f"se_shift_{effect.label}"] = _standard_error(changes)
                yield row


def _standard_error(values: Sequence[float]) -> float | str:
    """Of a mean; empty for fewer than two values, whose spread is not known."""
    if len(values) < 2:
        return ""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def unit_text(faces: int, contexts: int) -> str:
    """What the figures are of, and what their error terms are."""
    return (
        f"unit of analysis: the pair of a face and a context, {faces} × {contexts}, each read "
        "once; the standard error of a context's mean is over faces, of a face's over contexts. "
        "With one reading a pair, the interaction holds the error of reading as well, and the "
        "shares of variance describe these faces and contexts, no others"
    )


def decompose_variance(pairs: Sequence[Pair], labels: Sequence[str]) -> list[Effect]:
    """The decomposition of each label's variance; see `Effect`."""
    faces = list(dict.fromkeys(pair.face for pair in pairs))
    contexts = list(dict.fromkeys(pair.context for pair in pairs))
    found = []
    for label in labels:
        table = np.array(
            [pair.influence.both.probabilities[label] for pair in pairs if pair.influence.both]
        ).reshape(len(faces), len(contexts))
        total = float(((table - table.mean()) ** 2).sum())
        if total < 1e-12:
            found.append(Effect(label=label))
            continue
        by_face = len(contexts) * float(((table.mean(1) - table.mean()) ** 2).sum())
        by_context = len(faces) * float(((table.mean(0) - table.mean()) ** 2).sum())
        found.append(
            Effect(
                label=label,
                face=by_face / total,
                context=by_context / total,
                interaction=max(0.0, 1 - (by_face + by_context) / total),
            )
        )
    return found
