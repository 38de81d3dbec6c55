"""Which device, which number format, and whether a model fits; torch is imported when asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import suggest_word
from kuleshov.tools.mllm.base import MllmError

SMALL = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"
"""The smallest model that is recommended for real work."""

DTYPES = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
}
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
EXACT_PARAMETERS = 100_000_000
"""Models with fewer compute in float32 on a CPU: bfloat16 would save them nothing, and its rounding
would let their numbers depend on who else is in a batch."""
QUANTIZED_BYTES = {"8bit": 1.2, "4bit": 0.8}
"""Bytes a parameter on the whole: embeddings, vision tower and head are not quantized."""


def choose_device(device: str | None = None) -> str:
    """The device asked for, or the best there is: cuda, mps, cpu.

    Raises:
        MllmError: the device is not known or not here.
    """
    if device is None and not _may_have_gpu():
        return "cpu"
    import torch

    if device is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        hint = suggest_word(device, ["cpu", "cuda", "mps"])
        raise MllmError(
            f"there is no device {device!r}{hint}; use cpu, cuda, cuda:1 or mps."
        ) from None
    if kind == "cuda":
        number = torch.device(device).index or 0
        if not torch.cuda.is_available():
            raise MllmError("torch sees no CUDA GPU on this machine; use --device cpu.")
        if number >= torch.cuda.device_count():
            raise MllmError(
                f"there is no device {device}: torch sees {torch.cuda.device_count()} CUDA GPU(s), "
                "counted from 0."
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise MllmError("torch sees no Apple GPU (mps) on this machine; use --device cpu.")
    return device


def _may_have_gpu() -> bool:
    """False where it is certain, without the seconds that importing torch takes.

    A GPU on Linux has a device file: NVIDIA's, Jetson's, AMD's (kfd), or WSL's (dxg).
    """
    if not sys.platform.startswith("linux"):
        return True
    places = ("nvidia*", "nvhost*", "nvmap", "kfd", "dxg")
    return any(next(Path("/dev").glob(place), None) is not None for place in places)


def choose_dtype(dtype: str | None, device: str, parameters: int | None = None) -> str:
    """The number format asked for, or bfloat16 where the device is fast at it.

    A CPU without bfloat16 instructions emulates them: 60 times slower than float32 on AVX2, 3.5
    times on AVX-512. A small model (`parameters` below `EXACT_PARAMETERS`) computes in float32 on
    every CPU.

    Raises:
        MllmError: the format is not known.
    """
    import torch

    if dtype is not None:
        if dtype not in DTYPES:
            raise MllmError(
                f"there is no dtype {dtype!r}{suggest_word(dtype, list(DTYPES))}; "
                "use float32, bfloat16 or float16."
            )
        return DTYPES[dtype]
    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if fast else "float16"
    if kind == "cpu":
        small = parameters is not None and parameters < EXACT_PARAMETERS
        return "bfloat16" if _cpu_has_bfloat16() and not small else "float32"
    return "float16"


def _cpu_has_bfloat16() -> bool:
    """Whether it multiplies bfloat16 matrices (AVX512-BF16 or AMX).

    oneDNN's own answer does not tell: it says yes to every AVX-512, where bfloat16 is emulated and
    a prompt is read 3.5 times slower than in float32.
    """
    import torch

    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    try:
        return any(bool(getattr(torch.cpu, name)()) for name in asked if hasattr(torch.cpu, name))
    except RuntimeError:  # a build without them, e.g. for ARM
        return False


def free_bytes(device: str) -> int | None:
    """Memory that is free on the device, or None if it cannot be told."""
    import torch

    chosen = torch.device(device)
    if chosen.type == "cuda":
        return int(torch.cuda.mem_get_info(chosen)[0])
    if chosen.type == "cpu":
        import psutil  # accelerate needs it, so it is there

        return int(psutil.virtual_memory().available)
    return None


def needed_bytes(parameters: int, dtype: str, quantization: str) -> int:
    """Memory for a model's weights, roughly."""
    return int(parameters * QUANTIZED_BYTES.get(quantization, BYTES[dtype]))


def check_fits(name: str, parameters: int, *, device: str, dtype: str, quantization: str) -> None:
    """Weights that cannot fit are told of before minutes of loading (or the kernel's OOM killer).

    Raises:
        MllmError: the weights alone are larger than the free memory.
    """
    free = free_bytes(device)
    needed = needed_bytes(parameters, dtype, quantization)
    if free is not None and needed > free:
        raise MllmError(
            f"{name} needs about {format_bytes(needed)} on {device} "
            f"({_format_name(dtype, quantization)}) "
            f"and {format_bytes(free)} are free; {memory_advice(name, device, quantization)}."
        )


def _format_name(dtype: str, quantization: str) -> str:
    return dtype if quantization == "none" else quantization


def memory_advice(name: str, device: str, quantization: str) -> str:
    """What to choose instead when memory is short."""
    ways = ["--quantization 4bit"] if quantization != "4bit" else []
    ways.append(f"a smaller model (--model {'pocket' if name == SMALL else SMALL})")
    if not device.startswith("cpu"):
        ways.append("--device cpu")
    return "use " + ", or ".join(ways)


def format_bytes(number: float) -> str:
    """'1.8 GB', '12 MB': decimal units, as the Hub shows them."""
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"


def is_out_of_memory(error: BaseException) -> bool:
    """torch has one error for GPUs and only words for the CPU."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


@contextmanager
def telling_what_to_choose(name: str, device: str, quantization: str) -> Iterator[None]:
    """Turns running out of memory into an MllmError that says what to choose instead."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        _release_memory(device)
        raise MllmError(
            f"{name} ran out of memory on {device}; {memory_advice(name, device, quantization)}."
        ) from error


def _release_memory(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, name)
