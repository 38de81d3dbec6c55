"""How far the context moved the reading of a face: the Kuleshov effect, as a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from kuleshov.tools.types import EmotionScores
from kuleshov.types import FusedScores, Influence

BothIs = Literal["fused", "model"]
TOGETHER: dict[BothIs, str] = {"fused": "fused", "model": "face and context"}
"""What the third reading is called: combined by a rule, or read by the model from both."""
COMPUTED = "computed from the two alone"
"""What the combination of face alone and context alone by a rule is called."""
AGREE = 0.012
"""Bits of Jensen-Shannon divergence below which face and context do not part.

Two halves of the people who judged the same face (Ong, Zaki & Goodman 2015, experiment 3; about
42 in each half) differ by less in 95 of 100 splits: readings that are nearer to each other than
that are one reading to people, and there is nothing to move between."""
FLOOR = 1e-3
"""Least probability in a log-ratio: below one in a thousand labels are not told apart."""


def js_divergence(p: Mapping[str, float], q: Mapping[str, float]) -> float:
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


def log_ratios(p: Mapping[str, float]) -> np.ndarray:
    """Centred log-ratios of a distribution, (labels,) (Aitchison 1986), nats."""
    logs = np.log(np.maximum(list(p.values()), FLOOR))
    return np.asarray(logs - logs.mean())


def context_shift(
    face: Mapping[str, float], context: Mapping[str, float], both: Mapping[str, float]
) -> tuple[float, float]:
    """How far `both` lies from `face` towards `context`, and how far `context` does; log-odds.

    The difference of the centred log-ratios, both less face, projected onto the direction from
    face to context. Of two labels it is the change of the log-odds; 0 is the face, the second
    number the context, and a negative shift is away from the context.

    Args:
        face, context, both: distributions over the same labels; face and context differ.
    """
    names = list(face)
    at_face, at_context, at_both = (
        log_ratios({name: p[name] for name in names}) for p in (face, context, both)
    )
    direction = at_context - at_face
    length = float(np.linalg.norm(direction))
    if not length:
        return 0.0, 0.0
    # √2: on two labels the Aitchison distance is that of the log-odds over √2
    along = float((at_both - at_face) @ direction) / length
    return math.sqrt(2) * along, math.sqrt(2) * length


def measure_influence(
    face: EmotionScores | None,
    context: EmotionScores | None,
    both: EmotionScores | None,
    both_is: BothIs = "model",
    computed: FusedScores | None = None,
) -> Influence:
    """The readings, their divergences, the shift and the index; see `Influence`.

    Args:
        face, context: each alone.
        both: the two together, and `both_is`: fused by a rule, or read by the model.
        computed: what a rule makes of face and context alone; stands beside `both`.
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
    readings |= {"both_is": both_is, "computed": computed}
    if missing:
        return Influence(**readings, unanswered=f"there is no reading of {', '.join(missing)}")
    assert face is not None
    assert context is not None
    assert both is not None
    apart = js_divergence(face.probabilities, context.probabilities)
    from_face = js_divergence(face.probabilities, both.probabilities)
    from_context = js_divergence(context.probabilities, both.probabilities)
    divergences = {
        "js_face_context": apart,
        "js_face_both": from_face,
        "js_context_both": from_context,
    }
    if apart < AGREE:
        why = f"face and context do not part ({apart:.3f} bit): there is nothing to move between"
        return Influence(**readings, **divergences, unanswered=why)
    moved, whole = context_shift(face.probabilities, context.probabilities, both.probabilities)
    by_rule = None
    if computed is not None:
        by_rule = context_shift(face.probabilities, context.probabilities, computed.probabilities)[
            0
        ]
    return Influence(
        **readings,
        **divergences,
        index=from_face / (from_face + from_context),
        shift=moved,
        shift_computed=by_rule,
        shift_whole=whole,
    )
