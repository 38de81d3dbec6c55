"""Fusing what the face says with what the context says.

`people` is the observer fitted to people's judgements (`kuleshov.evidence.observer`). `bayes` is
cue integration (Ong, Zaki & Goodman 2015, Cognition 143, 141-162): p(e | face, context) ∝
p(e | face) · p(e | context) / p(e), the context's share raised to a weight in 0-1; p(e) is
the face tool's own training prior where it is known, else even. `text` takes the MLLM's reading of
face evidence and scene together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kuleshov.tools.labels import LabelSet, mappings
from kuleshov.tools.types import EmotionScores

WORTH_SAYING = 0.05  # share of a distribution whose leaving out deserves a warning
FLOOR = 1e-6  # keeps a label that one source rules out from being ruled out by rounding


def softmax(logs: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Log-likelihoods in nats, divided by the temperature, to probabilities that sum to 1."""
    top = max(logs)
    weights = [math.exp((value - top) / temperature) for value in logs]
    total = sum(weights)
    return [weight / total for weight in weights]


def normalise_weights(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def map_scores(scores: EmotionScores, labels: LabelSet) -> tuple[EmotionScores | None, str | None]:
    """The same distribution over `labels`, and a note on what that left out.

    Labels correspond by a published table between the two sets, else by the same name. Labels to
    which nothing in `labels` corresponds are left out and the rest is scaled to 1 (the
    distribution given that it is one of these); a label to which nothing in `scores` corresponds
    is unknown, not 0, so that there is no such distribution: (None, why). The method names the
    table and what was left out; there is a note if that was 5 % or more.
    """
    if "multi" in (labels.mode, scores.mode):
        return None, (
            f"the labels of {labels.name if labels.mode == 'multi' else scores.labels} do not "
            "exclude one another, so a distribution does not carry over"
        )
    pairs, table = mappings.map_labels(scores.labels, tuple(scores.probabilities), labels)
    if pairs is None:
        missing = [name for name in labels.names if name not in scores.probabilities]
        return None, f"the face tool does not score {', '.join(missing) or 'free words'}"
    kept = {
        name: sum(scores.probabilities[word] for word in words) for name, words in pairs.items()
    }
    total = sum(kept.values())
    if total < 1e-3:
        return None, f"all the face tool's weight lies outside {labels.name}"
    used = {word for words in pairs.values() for word in words}
    gone = [name for name in scores.probabilities if name not in used]
    by_table = f", from {scores.labels} by {table.source}" if table else ""
    without = f", without {', '.join(gone)}" if gone else ""
    note = None
    if 1 - total >= WORTH_SAYING:
        note = f"{', '.join(gone)} ({100 * (1 - total):.0f} %) is not in {labels.name}: left out"
    return (
        EmotionScores(
            labels=labels.name,
            probabilities=normalise_weights(kept),
            method=scores.method + by_table + without,
        ),
        note,
    )


def fuse_bayes(
    face: EmotionScores,
    context: EmotionScores,
    prior: Mapping[str, float] | None = None,
    weight: float = 1.0,
) -> dict[str, float]:
    """p(e | face) · (p(e | context) / p(e)) ** weight, scaled to sum to 1.

    Args:
        face, context: distributions over the same labels.
        prior: p(e); None is uniform, as it is after the content-free correction.
        weight: 0 leaves the face alone, 1 is full cue integration.
    """
    if "multi" in (face.mode, context.mode):
        raise ValueError("cue integration needs labels that exclude one another")
    if set(face.probabilities) != set(context.probabilities):
        raise ValueError("face and context must be distributions over the same labels")
    fused = {}
    for label, p_face in face.probabilities.items():
        ratio = max(context.probabilities[label], FLOOR) / (prior[label] if prior else 1.0)
        fused[label] = max(p_face, FLOOR) * ratio**weight
    return normalise_weights(fused)
