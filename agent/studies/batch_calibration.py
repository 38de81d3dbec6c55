"""Categories and ordinals of several pictures, with the mean answer over them divided out.

A model leans to some answers whatever it sees. What it answers on the mean of many other pictures
is the null to compare with (batch calibration: Zhou et al. 2024, Batch Calibration: Rethinking
Calibration for In-Context Learning and Prompt Engineering, ICLR): p(answer) / mean p(answer),
scaled to sum to 1. It holds for pictures among which the answers are spread; of pictures that all
show a street it takes away "street", and so it is asked for by name and recorded by name.

Questions of existence (yes/no) are never corrected: what is rare is not to be made even.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from kuleshov.asking.coding.coder import LIKELIHOOD, SAME, TIE
from kuleshov.graph.context_nodes import number_variables
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import CodedVariable, Inference

LEAST = 10
"""Pictures that a mean is taken of: about ten suffice (Zhou et al. 2024, section 4)."""
FLOOR = 1e-9  # no mean is 0 but by rounding

Key = tuple[str, str, tuple[str, ...]]
Means = dict[Key, tuple[dict[str, float], int]]
"""By variable: the mean probability of each answer, and over how many pictures."""


def calibrate_batch(inferences: Sequence[Inference]) -> list[Inference]:
    """The records with their categories and ordinals corrected; the evidence says the same.

    Args:
        inferences: of `Agent.code`, by one model and scheme. A picture counts once in the mean,
            however many people were asked about in it.

    Returns:
        new records in the same order. A variable that was answered for fewer than `LEAST`
        pictures stays as it is; its method tells.

    Raises:
        KuleshovError: fewer than `LEAST` pictures.
    """
    pictures = {inference.media.sha256 for inference in inferences if inference.coded}
    if len(pictures) < LEAST:
        raise KuleshovError(
            f"batch calibration needs at least {LEAST} coded pictures, and there are "
            f"{len(pictures)}."
        )
    means = _mean_answers(inferences)
    return [_with_variables(inference, means) for inference in inferences]


def _variable_key(variable: CodedVariable) -> Key | None:
    if variable.type not in ("category", "ordinal") or variable.method != LIKELIHOOD:
        return None
    return (
        (variable.scheme, variable.name, tuple(variable.probabilities))
        if variable.probabilities
        else None
    )


def _mean_answers(inferences: Sequence[Inference]) -> Means:
    found: dict[Key, dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for inference in inferences:
        for variable in inference.coded or ():
            key = _variable_key(variable)
            if key is not None:
                assert variable.probabilities is not None
                found[key][inference.media.sha256].append(variable.probabilities)
    return {
        key: (
            {
                option: fmean(fmean(p[option] for p in several) for several in each.values())
                for option in key[2]
            },
            len(each),
        )
        for key, each in found.items()
    }


def _with_variables(inference: Inference, means: Means) -> Inference:
    if inference.coded is None:
        return inference
    coded = tuple(_correct_variable(variable, means) for variable in inference.coded)
    kept = [item for item in inference.evidence if item.kind != "coded"]
    numbers = [item.n for item in kept]
    if numbers != list(range(1, len(kept) + 1)):
        raise KuleshovError("batch calibration is of records that were coded and not judged.")
    told, lines = number_variables(coded, len(kept) + 1)
    return inference.model_copy(update={"coded": tuple(told), "evidence": (*kept, *lines)})


def _correct_variable(variable: CodedVariable, means: Means) -> CodedVariable:
    key = _variable_key(variable)
    if key is None or means[key][1] < LEAST:
        return variable
    mean, pictures = means[key]
    assert variable.probabilities is not None
    shares = {o: p / max(mean[o], FLOOR) for o, p in variable.probabilities.items()}
    whole = sum(shares.values())
    shares = {option: share / whole for option, share in shares.items()}
    first, second = sorted(shares.values(), reverse=True)[:2]
    value: str | float | None = max(shares, key=lambda option: shares[option])
    unanswered = None
    if variable.type == "ordinal":
        value = round(sum(int(step) * p for step, p in shares.items()), 4)
    elif first - second < TIE:
        value, unanswered = None, SAME
    return variable.model_copy(
        update={
            "value": value,
            "evidence": None,  # numbered anew
            "unanswered": unanswered,
            "probabilities": shares,
            "method": f"{LIKELIHOOD}, mean over {pictures} pictures divided out (batch "
            "calibration, Zhou et al. 2024)",
        }
    )
