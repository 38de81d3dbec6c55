"""The computed readings: face and context combined by the rule of the strategy.

`people` is the observer that was fitted to people's judgements (`kuleshov.evidence.observer`),
`bayes` cue integration (`kuleshov.evidence.fusion`). What each cue weighed, and on which scale it
was taken, goes into the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kuleshov.asking.parts import Crew
from kuleshov.evidence import fusion
from kuleshov.tools.types import EmotionScores
from kuleshov.types import CueWeight, FusedScores, Judgement

COMPUTED = ("people", "bayes")
"""Strategies whose reading is computed from face alone and context alone."""


@dataclass(frozen=True)
class ContextPart:
    """A reading of the context, or of a part of it.

    told: it goes by what the user or the words of a clip say, and by nothing that the model saw.
    """

    scores: EmotionScores
    told: bool

    @property
    def name(self) -> str:
        return "told" if self.told else "seen"


def context_parts(judgements: Mapping[str, Judgement], told: bool) -> list[ContextPart]:
    """The readings of the context that count: what was told and seen apart, else the one there is.

    Args:
        judgements: by `context`, and where they were read apart `told` and `seen`.
        told: the one reading goes by what was told alone.
    """
    apart = [
        ContextPart(found.emotions, name == "told")
        for name in ("told", "seen")
        if (found := judgements.get(name)) is not None and found.emotions is not None
    ]
    if len(apart) == 2:
        return apart
    whole = judgements.get("context")
    if whole is None or whole.emotions is None:
        return []
    return [ContextPart(whole.emotions, told)]


def combine_scores(
    crew: Crew,
    face: EmotionScores,
    contexts: Sequence[ContextPart],
    *,
    by_model: bool = False,
    rule: str | None = None,
    context_temperature: float | None = None,
) -> FusedScores:
    """One distribution computed from the two alone.

    Args:
        face, contexts: distributions over the crew's labels; at least one context.
        by_model: the face was read by the model, not by the face tool.
        rule: people or bayes; None: the strategy's, `people` where that is not computed.
        context_temperature: of the contexts, instead of the one that was fitted.
    """
    rule = rule or rule_of(crew)
    if rule == "bayes":
        return _combine_bayes(crew, face, contexts, context_temperature)
    return _combine_people(crew, face, contexts, by_model, context_temperature)


def rule_of(crew: Crew) -> str:
    """The rule that face alone and context alone are combined by: the strategy's, else people's."""
    return crew.fusion if crew.fusion in COMPUTED else "people"


def _combine_bayes(
    crew: Crew,
    face: EmotionScores,
    contexts: Sequence[ContextPart],
    temperature: float | None,
) -> FusedScores:
    (context,) = (part.scores for part in contexts[:1])
    if temperature is not None:
        context = temper_scores(context, temperature)
    return FusedScores(
        labels=crew.labels.name,
        probabilities=fusion.fuse_bayes(face, context, crew.prior, weight=crew.context_weight),
        method=f"face: {face.method}; context: {context.method}",
        fusion="bayes",
        context_weight=crew.context_weight,
        prior=crew.prior,
        prior_source=crew.prior_source,
    )


def _combine_people(
    crew: Crew,
    face: EmotionScores,
    contexts: Sequence[ContextPart],
    by_model: bool,
    temperature: float | None,
) -> FusedScores:
    of_face, why_face = _cue_temperature(crew, "face") if by_model else (1.0, _face_scale(crew))
    of_context, why_context = _cue_temperature(crew, "context")
    if temperature is not None:
        of_context, why_context = temperature, "temperature given"
    shares = [share_of(crew, part) for part in contexts]
    exponents = crew.observer.exponents([share for share, _ in shares])
    cues = [
        CueWeight(
            cue="face", weight=_round_exponent(exponents[0]), temperature=of_face, why=why_face
        )
    ]
    for part, (_, why), exponent in zip(contexts, shares, exponents[1], strict=True):
        cues.append(
            CueWeight(
                cue="context",
                part=None if crew.seeing >= 1 else part.name,
                weight=_round_exponent(exponent),
                temperature=of_context,
                why=f"{why}; {why_context}",
            )
        )
    methods = "; ".join(
        f"context {part.name}: {part.scores.method}"
        if len(contexts) > 1
        else f"context: {part.scores.method}"
        for part in contexts
    )
    return FusedScores(
        labels=crew.labels.name,
        probabilities=crew.observer.combine_cues(
            temper_scores(face, of_face).probabilities,
            [temper_scores(part.scores, of_context).probabilities for part in contexts],
            [share for share, _ in shares],
        ),
        method=f"face: {face.method}; {methods}",
        fusion="people",
        observer=crew.observer.name,
        cues=tuple(cues),
    )


def share_of(crew: Crew, part: ContextPart) -> tuple[float, str]:
    """How far a part of the context counts for `people`, 0-1, and why."""
    given = crew.settings.context_weight
    share, why = 1.0, "as people weigh a context"
    if not part.told and crew.seeing < 1:
        share = crew.seeing
        why = f"{share:g} of a context: what {crew.mllm.info.id} sees is that reliable"
    elif crew.seeing < 1:
        why = "what is told weighs as people weigh a context"
    if given is not None:
        share, why = share * given, f"{why}, times the setting context_weight {given:g}"
    return share, why


def temper_scores(scores: EmotionScores, temperature: float) -> EmotionScores:
    """The distribution at a temperature: above 1 flatter, below 1 sharper."""
    if temperature == 1:
        return scores
    names = list(scores.probabilities)
    logs = np.log(np.maximum([scores.probabilities[name] for name in names], 1e-300)) / temperature
    weights = np.exp(logs - logs.max())
    return scores.model_copy(
        update={
            "probabilities": dict(zip(names, (weights / weights.sum()).tolist(), strict=True)),
            "method": f"{scores.method}, temperature {temperature:.3g}",
        }
    )


def _cue_temperature(crew: Crew, cue: str) -> tuple[float, str]:
    """The temperature that brings the model's reading of a cue to people's scale, and why."""
    if "direct" in crew.temperatures:
        return 1.0, "on the scale of the calibration file"
    fitted = crew.mllm.info.scale
    if fitted is None:
        return 1.0, f"no temperature was fitted for {crew.mllm.info.id}: taken as it is"
    source = (crew.mllm.info.scale_source or {}).get(cue, "source not told")
    return fitted[cue], f"temperature fitted to people's labels ({source})"


def _face_scale(crew: Crew) -> str:
    told = crew.faces.info.calibrated
    if told is None:
        return f"{crew.faces.info.name}'s probabilities, taken as they are"
    return f"{crew.faces.info.name}'s probabilities, {told}"


def _round_exponent(exponent: float) -> float:
    return round(exponent, 4)
