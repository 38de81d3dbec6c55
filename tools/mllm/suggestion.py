"""Which model for this machine, and why.

LLaVA-OneVision is named where it fits: the prompts, the scale of its likelihoods and the clips were
worked out with it, and no other model has been measured to be better at this task here. What else
fits is named beside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.catalogue import KNOWN, LARGE, SMALL, KnownModel
from kuleshov.tools.mllm.hub import SPARE_BYTES, find_snapshot

WAYS = (("none", LARGE), ("8bit", LARGE), ("4bit", LARGE), ("none", SMALL))
"""Quantization and model in the order in which they are tried on a GPU."""
MOST_OTHERS = 6


@dataclass(frozen=True)
class Suggestion:
    """A model for this machine.

    reasons: sentences. others: ids of models that fit as well, the largest first, each with the
    quantization it needs.
    """

    model: str
    quantization: str
    device: str
    dtype: str
    free_bytes: int | None
    here: bool
    reasons: tuple[str, ...]
    others: dict[str, str]

    @property
    def options(self) -> str:
        """As they are given to a command."""
        quantized = "" if self.quantization == "none" else f" --quantization {self.quantization}"
        return f"--model {self.model}{quantized}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def suggest_model(device: str | None = None) -> Suggestion:
    """The model to begin with on this machine.

    Args:
        device: cpu, cuda, cuda:1, mps; None: the best there is.

    Raises:
        MllmError: the device is not known or not here.
    """
    place = hardware.choose_device(device)
    free = hardware.free_bytes(place)
    gpu = place.startswith("cuda")
    reasons = []
    for quantization, name in WAYS if gpu else WAYS[-1:]:
        dtype = hardware.choose_dtype(None, place, int(KNOWN[name].parameters))
        needed = hardware.needed_bytes(int(KNOWN[name].parameters), dtype, quantization)
        told = dtype if quantization == "none" else quantization
        size = f"{name} in {told} takes {hardware.format_bytes(needed)}"
        if free is None:
            reasons.append(f"{size}; how much memory is free on {place} cannot be told.")
            break
        beside = f"{hardware.format_bytes(SPARE_BYTES)} beside it for what is computed"
        if needed + SPARE_BYTES <= free:
            reasons.append(f"{size}, and {hardware.format_bytes(free)} are free on {place}.")
            break
        reasons.append(
            f"{size} and {beside}, more than the {hardware.format_bytes(free)} that are free on "
            f"{place}."
        )
    else:
        return _bundled(place, free, reasons)
    if not gpu:
        reasons.append("Without a GPU the time for a picture grows with the size of the model.")
    reasons.append("No other model has been measured to be better at reading emotion here.")
    others = _others_that_fit(name, place, free) if gpu else {}
    here = find_snapshot(name) is not None
    return Suggestion(name, quantization, place, dtype, free, here, tuple(reasons), others)


def _bundled(place: str, free: int | None, reasons: list[str]) -> Suggestion:
    reasons = [*reasons, "The bundled model fits anywhere, and is for demonstration only."]
    return Suggestion("pocket", "none", place, "float32", free, True, tuple(reasons), {})


def _others_that_fit(chosen: str, place: str, free: int | None) -> dict[str, str]:
    found = {}
    for known in sorted(KNOWN.values(), key=lambda known: -known.parameters):
        way = _way_that_fits(known, place, free)
        if way is not None and known.id != chosen and not known.id.startswith("llava-hf/"):
            found[known.id] = way
    return dict(list(found.items())[:MOST_OTHERS])


def _way_that_fits(known: KnownModel, place: str, free: int | None) -> str | None:
    dtype = hardware.choose_dtype(None, place, int(known.parameters))
    for quantization in ("none", "4bit"):
        needed = hardware.needed_bytes(int(known.parameters), dtype, quantization)
        if free is not None and needed + SPARE_BYTES <= free:
            return quantization
    return None
