"""What a model folder holds, read from its files alone: no torch, no transformers."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import shorten_text
from kuleshov.tools.mllm.base import MllmError
from kuleshov.tools.structured_text import parse_json

HASHED_WHOLE = 2_000_000_000
"""Weights up to this many bytes are hashed as they are, larger ones by their headers."""


def weight_files(folder: Path) -> list[Path] | None:
    """The safetensors files of a folder, or None if there are none or some are missing."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        return None
    try:
        named = sorted(set(parse_json(index.read_bytes())["weight_map"].values()))
        found = [folder / name for name in named]
        return found if found and all(path.is_file() for path in found) else None
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return None


def check_complete(folder: Path, name: str) -> None:
    """Raises MllmError if config or weights are missing or cut off, saying which."""
    if not (folder / "config.json").is_file():
        raise MllmError(f"{name} has no config.json: give the folder of a transformers model.")
    found = weight_files(folder)
    if found is not None:
        for path in found:
            list_tensors(path)
            check_places(path)
        return
    if (folder / "model.safetensors.index.json").is_file():
        raise MllmError(f"{name} lacks some of the weights its index names; download it again.")
    other = [
        path.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.gguf")
        for path in folder.glob(pattern)
    ]
    if other:
        raise MllmError(
            f"{name} holds {other[0]} but no safetensors weights, and nothing else is loaded; "
            "save it as model.safetensors."
        )
    raise MllmError(f"{name} holds no weights: model.safetensors is missing.")


def folder_size(folder: Path) -> int:
    """Bytes of the folder's files, symbolic links (the Hub cache's) followed."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def read_header(path: Path) -> bytes:
    """The header of a safetensors file: JSON with each tensor's type, shape and place.

    Raises:
        MllmError: the file is not safetensors.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        raw = file.read(length) if 0 < length < 100_000_000 else b""
    if len(raw) != length or not raw.startswith(b"{"):
        raise MllmError(f"the weights file {path} is not safetensors or is cut off.")
    return raw


def list_tensors(path: Path) -> dict[str, Any]:
    """Name → type, shape and place of each tensor of a safetensors file.

    Raises:
        MllmError: the file is not safetensors, or shorter than its header says.
    """
    raw = read_header(path)
    try:
        found: dict[str, Any] = parse_json(raw)
        found.pop("__metadata__", None)
        end = max(_end_of(tensor) for tensor in found.values())
    except (ValueError, LookupError, TypeError, AttributeError):
        raise MllmError(f"the weights file {path} is damaged.") from None
    if path.stat().st_size != 8 + len(raw) + end:
        raise MllmError(f"the weights file {path} is cut off or damaged; get it again.")
    return found


def _end_of(tensor: Any) -> int:
    """Where a tensor of a header ends, in bytes from the first. Raises ValueError and others."""
    begin, end = tensor["data_offsets"]
    numbers = [begin, end, *tensor["shape"]]
    if any(type(number) is not int or number < 0 for number in numbers) or begin > end:
        raise ValueError("a tensor without a place")
    return int(end)


def check_places(path: Path) -> None:
    """Raises MllmError if the header of a safetensors file contradicts itself."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):  # types, shapes and places, no values
            pass
    except (SafetensorError, OSError, ValueError) as error:
        raise MllmError(
            f"the weights file {path} is damaged ({shorten_text(str(error))}); get it again."
        ) from None


def count_parameters(folder: Path) -> int:
    """Numbers held by the weights files (of 4-bit weights the packed bytes)."""
    return sum(
        math.prod(tensor["shape"])
        for path in weight_files(folder) or []
        for tensor in list_tensors(path).values()
    )


def weights_fingerprint(folder: Path) -> str | None:
    """sha256 of the weights, saying of what where it is not the one file's.

    One file up to 2 GB: its sha256. Several: ``files:`` and the sha256 of their lines
    ``sha256  name``. Larger: ``headers:`` and the sha256 of the headers (names, types, shapes
    and places of the tensors, not their values).
    """
    found = weight_files(folder)
    if not found:
        return None
    if sum(path.stat().st_size for path in found) > HASHED_WHOLE:
        hashed = hashlib.sha256()
        for path in found:
            hashed.update(read_header(path))
        return f"headers:{hashed.hexdigest()}"
    sums = []
    for path in found:
        with path.open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(sums) == 1:
        return sums[0]
    lines = "".join(f"{one}  {path.name}\n" for one, path in zip(sums, found, strict=True))
    return f"files:{hashlib.sha256(lines.encode()).hexdigest()}"


def read_licence(folder: Path) -> str | None:
    """The licence that the model card's front matter names, or None."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    text = card.read_text("utf-8", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    if front is None:
        return None
    fields = dict(re.findall(r"^(license|license_name):\s*(\S.*?)\s*$", front[1], re.MULTILINE))
    found = fields.get("license_name") or fields.get("license")
    return found.strip("'\"") if found else None


def read_config(folder: Path) -> dict[str, Any]:
    """config.json, or nothing if it cannot be read."""
    try:
        found = parse_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def reads_images(folder: Path) -> bool:
    """Whether the config is that of a model that answers in text about pictures."""
    found = read_config(folder)
    named = found.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    return "vision_config" in found and architecture.endswith("ForConditionalGeneration")


def is_whisper(folder: Path) -> bool:
    """Whether the config is that of a Whisper model."""
    return read_config(folder).get("model_type") == "whisper"
