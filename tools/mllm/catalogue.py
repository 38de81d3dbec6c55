"""Models of the Hub that this program names: what they are, how large, under which licence.

The one list behind `kuleshov models`, `kuleshov models suggest` and the table in the README
(`write_table`; a test compares them).
"""

from __future__ import annotations

from dataclasses import dataclass

from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.base import ModelEntry
from kuleshov.tools.mllm.local import families
from kuleshov.tools.registry import MODELS as PLUG_INS
from kuleshov.tools.registry import Registry


@dataclass(frozen=True)
class KnownModel:
    """A model of the Hub by its name.

    parameters: as its card names them, all of them (of Gemma 4's E2B, which computes with 2.3 B,
    the embeddings too). kind: its class in transformers (`model_type`); that class was compared
    with plain forwards here, with random weights. thinks: its template can think aloud, which is
    switched off. stored: gigabytes to download, where they are not two bytes a parameter.
    """

    id: str
    parameters: float
    licence: str
    kind: str
    note: str = ""
    thinks: bool = False
    stored: float | None = None

    @property
    def gigabytes(self) -> float:
        """What is downloaded."""
        return self.stored if self.stored is not None else 2 * self.parameters / 1e9

    @property
    def many_images(self) -> bool:
        """Whether it was trained on several pictures a conversation."""
        return self.kind not in families.ONE_IMAGE or "interleave" in self.id

    @property
    def video(self) -> bool:
        """Whether clips are shown to it as videos, not as a sheet of frames."""
        return self.kind in families.VIDEO

    @property
    def quick(self) -> bool:
        """Whether all answers to all questions about a picture share forwards."""
        return self.kind in families.FAMILY

    def memory_gb(self, quantization: str = "none") -> float:
        """Memory for its weights in bfloat16, or quantized, in gigabytes."""
        return hardware.needed_bytes(int(self.parameters), "bfloat16", quantization) / 1e9


SMALL = hardware.SMALL
LARGE = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
APACHE = "Apache-2.0"

KNOWN = {
    known.id: known
    for known in (
        KnownModel(SMALL, 0.9e9, APACHE, "llava_onevision", "default on a CPU", stored=1.79),
        KnownModel(LARGE, 8.0e9, APACHE, "llava_onevision", "default on a GPU", stored=16.1),
        KnownModel(
            "llava-hf/llava-interleave-qwen-0.5b-hf",
            0.9e9,
            "research, non-commercial",
            "llava",
            stored=1.73,
        ),
        KnownModel("llava-hf/llava-1.5-7b-hf", 7.1e9, "Llama 2", "llava", stored=14.1),
        KnownModel("llava-hf/llava-v1.6-mistral-7b-hf", 7.6e9, APACHE, "llava_next", stored=15.1),
        KnownModel(
            "llava-hf/LLaVA-NeXT-Video-7B-hf", 7.1e9, "Llama 2", "llava_next_video", stored=14.1
        ),
        KnownModel(
            "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
            0.51e9,
            APACHE,
            "smolvlm",
            "extra `smolvlm`",
        ),
        KnownModel(
            "HuggingFaceTB/SmolVLM2-2.2B-Instruct", 2.25e9, APACHE, "smolvlm", "extra `smolvlm`"
        ),
        KnownModel("Qwen/Qwen3.5-0.8B", 0.87e9, APACHE, "qwen3_5", thinks=True),
        KnownModel("OpenGVLab/InternVL3_5-1B-HF", 1.06e9, APACHE, "internvl"),
        KnownModel("Qwen/Qwen3-VL-2B-Instruct", 2.13e9, APACHE, "qwen3_vl"),
        KnownModel("OpenGVLab/InternVL3_5-2B-HF", 2.35e9, APACHE, "internvl"),
        KnownModel("Qwen/Qwen3-VL-4B-Instruct", 4.44e9, APACHE, "qwen3_vl"),
        KnownModel("Qwen/Qwen3.5-4B", 4.66e9, APACHE, "qwen3_5", thinks=True),
        KnownModel("OpenGVLab/InternVL3_5-4B-HF", 4.73e9, APACHE, "internvl"),
        KnownModel(
            "google/gemma-4-E2B-it", 5.1e9, APACHE, "gemma4", "computes with 2.3 B", thinks=True
        ),
        KnownModel(
            "google/gemma-4-E4B-it", 8.0e9, APACHE, "gemma4", "computes with 4.5 B", thinks=True
        ),
        KnownModel("OpenGVLab/InternVL3_5-8B-HF", 8.53e9, APACHE, "internvl"),
        KnownModel("Qwen/Qwen3-VL-8B-Instruct", 8.77e9, APACHE, "qwen3_vl"),
        KnownModel("Qwen/Qwen3.5-9B", 9.65e9, APACHE, "qwen3_5", thinks=True),
    )
}

# Parameters: Radford et al. 2022, table 1; of turbo, the README of github.com/openai/whisper. Sizes
# follow from them: 4 bytes each, of turbo 2
SPEECH = {
    known.id: known
    for known in (
        KnownModel("openai/whisper-base", 74e6, APACHE, "whisper", stored=0.3),
        KnownModel("openai/whisper-small", 244e6, APACHE, "whisper", stored=1.0),
        KnownModel("openai/whisper-large-v3-turbo", 809e6, "MIT", "whisper", stored=1.6),
    )
}

NAMED = {**KNOWN, **SPEECH}
"""All of them by id."""

MODELS: Registry[ModelEntry] = Registry("model", group=PLUG_INS)
"""Models that packages add; those of the Hub and the bundled one are found by `hub.find_model`."""


def describe_model(known: KnownModel) -> str:
    """What it can do here, in one line."""
    if known.id in SPEECH:
        return "words of clips (--speech)"
    parts = [
        known.note,
        "several images" if known.many_images else "one image",
        "clips as video" if known.video else "clips as a sheet of frames",
        "labels in one forward" if known.quick else "prompt read once for all labels",
        "thinking switched off" if known.thinks else "",
        f"memory {known.memory_gb():.1f} GB, 4bit {known.memory_gb('4bit'):.1f} GB",
    ]
    return "; ".join(part.replace("`", "") for part in parts if part)


def write_table() -> str:
    """The README's table of models, Markdown."""
    lines = [
        "| `--model` | memory, 16 bit | 4 bit | licence | images | clips | labels | notes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for known in KNOWN.values():
        notes = [known.note, "thinking off" if known.thinks else ""]
        cells = (
            f"`{known.id}`",
            f"{known.memory_gb():.1f} GB",
            f"{known.memory_gb('4bit'):.1f} GB",
            known.licence,
            "several" if known.many_images else "one",
            "video" if known.video else "sheet",
            "one forward" if known.quick else "prompt once",
            "; ".join(filter(None, notes)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
