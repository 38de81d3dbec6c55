"""Models of the Hub that this program names: what they are, how large, under which licence."""

from __future__ import annotations

from dataclasses import dataclass

from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.base import ModelEntry
from kuleshov.tools.registry import MODELS as PLUG_INS
from kuleshov.tools.registry import Registry


@dataclass(frozen=True)
class KnownModel:
    """A model of the Hub that this program was checked with."""

    id: str
    gigabytes: float
    parameters: float
    licence: str
    many_images: bool
    note: str


SMALL = hardware.SMALL
LARGE = "llava-hf/llava-onevision-qwen2-7b-ov-hf"

KNOWN = {
    known.id: known
    for known in (
        KnownModel(SMALL, 1.79, 0.9e9, "Apache-2.0", True, "default on a CPU; images and clips"),
        KnownModel(LARGE, 16.1, 8.0e9, "Apache-2.0", True, "default on a GPU; images and clips"),
        KnownModel(
            "llava-hf/llava-interleave-qwen-0.5b-hf",
            1.73,
            0.9e9,
            "research, non-commercial",
            True,
            "several images",
        ),
        KnownModel("llava-hf/llava-1.5-7b-hf", 14.1, 7.1e9, "Llama 2", False, "one image"),
        KnownModel(
            "llava-hf/llava-v1.6-mistral-7b-hf", 15.1, 7.6e9, "Apache-2.0", False, "one image"
        ),
        KnownModel(
            "llava-hf/LLaVA-NeXT-Video-7B-hf", 14.1, 7.1e9, "Llama 2", True, "images and clips"
        ),
    )
}

# Parameters: Radford et al. 2022, table 1; of turbo, the README of github.com/openai/whisper. Sizes
# follow from them: 4 bytes each, of turbo 2
SPEECH = {
    known.id: known
    for known in (
        KnownModel(
            "openai/whisper-base", 0.3, 74e6, "Apache-2.0", False, "words of clips (--speech)"
        ),
        KnownModel(
            "openai/whisper-small", 1.0, 244e6, "Apache-2.0", False, "words of clips (--speech)"
        ),
        KnownModel(
            "openai/whisper-large-v3-turbo", 1.6, 809e6, "MIT", False, "words of clips (--speech)"
        ),
    )
}

NAMED = {**KNOWN, **SPEECH}
"""All of them by id."""

MODELS: Registry[ModelEntry] = Registry("model", group=PLUG_INS)
"""Models that packages add; those of the Hub and the bundled one are found by `hub.find_model`."""
