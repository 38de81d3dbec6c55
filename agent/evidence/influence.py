"""How far the context moved the reading of a face: the Kuleshov effect, as a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kuleshov.tools.types import EmotionScores
from kuleshov.types import Influence

BothIs = Literal["fused", "model"]
TOGETHER: dict[BothIs, str] = {"fused": "fused", "model": "face and context"}
"""What the third reading is called: combined by a rule, or read by the model from both."""
AGREE = 1e-6
"""Bits. Readings closer than this are one reading: there is no difference to share out."""


def divergence(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    """Jensen-Shannon divergence to base 2, in 0-1 (Lin 1991, IEEE Trans. Inf. Theory 37, 145-151).

    Args:
        p, q: distributions over the same labels.
    """
    from scipy.spatial.distance import jensenshannon

    if set(p) != set(q):
        raise ValueError("a divergence needs two distributions over the same labels")
    root = float(jensenshannon([p[label] for label in p], [q[label] for label in p], base=2))
    # identical distributions may give the root of a negative rounding error
    return 0.0 if root != root else min(1.0, root * root)


def influence(
    face: EmotionScores | None,
    context: EmotionScores | None,
    both: EmotionScores | None,
    both_is: BothIs = "model",
) -> Influence:
    """The three readings, their divergences and the index; see `Influence`.

    Args:
        face, context: each alone.
        both: the two together, and `both_is`: fused by a rule, or read by the model.
    """
    missing = [
        name
        for name, scores in (
            ("face alone", face),
            ("context alone", context),
            (TOGETHER[both_is], both),
        )
        if scores is None
    ]
    readings: dict[str, Any] = {"face": face, "context": context, "both": both}
    readings["both_is"] = both_is
    if missing:
        return Influence(**readings, unanswered=f"there is no reading of {', '.join(missing)}")
    assert face is not None
    assert context is not None
    assert both is not None
    apart = divergence(face.probabilities, context.probabilities)
    from_face = divergence(face.probabilities, both.probabilities)
    from_context = divergence(context.probabilities, both.probabilities)
    moved = from_face + from_context
    return Influence(
        **readings,
        js_face_context=apart,
        js_face_both=from_face,
        js_context_both=from_context,
        index=from_face / moved if moved > AGREE else None,
        unanswered=None if moved > AGREE else "the three readings are the same",
    )
