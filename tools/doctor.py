"""What is installed, what is missing and which command brings it: the rows of ``kuleshov doctor``.

Nothing is downloaded, no weights are loaded. A part whose own look fails becomes a row that says
so, because a broken installation is what this is for.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Collection, Mapping
from functools import partial

from kuleshov.tools import faces, mllm, pocket, speech
from kuleshov.tools.errors import first_line
from kuleshov.tools.faces import ToolStatus
from kuleshov.tools.mllm import hardware, hub
from kuleshov.tools.mllm.local import weights as mllm_weights
from kuleshov.tools.pocket import weights
from kuleshov.tools.registry import (
    FACES,
    GROUPS,
    PlugIn,
    PlugInGroup,
    find_plug_ins,
    plug_in_trouble,
)

REINSTALL = "pip install --force-reinstall kuleshov"

# Packages that some functions need: distribution, licence, what for, command
EXTRAS = (
    ("bitsandbytes", "MIT", "--quantization 4bit and 8bit", "pip install bitsandbytes"),
    ("captum", "BSD-3-Clause", "--heatmap", "pip install 'kuleshov[explain]'"),
)


def doctor_rows(
    paths: Mapping[str, str] | None = None,
    taken: Mapping[PlugInGroup, Collection[str]] | None = None,
) -> list[ToolStatus]:
    """A row each: this program, the face tools, torch, transformers, the models, the extras.

    `paths`: model files and programs of face tools that the user named, by tool. `taken`: names
    that rooms above have themselves, which plug-ins cannot have. Takes a few
    seconds, most of them for importing torch. Asks nothing of the network.
    """
    rows = [_status_row("kuleshov", _program_row)]
    rows += [_status_row(name, status) for name, status in faces.tool_statuses(paths).items()]
    rows += [_status_row("torch", _torch_row), _status_row("transformers", _transformers_row)]
    rows += [
        _status_row("pocket (LLaVA)", _bundled_row),
        _status_row("default model", _default_row),
    ]
    rows += [_status_row("speech (Whisper)", _speech_row)]
    rows += [_status_row(extra[0], partial(_extra_row, *extra)) for extra in EXTRAS]
    taken = {FACES: faces.tool_statuses(), **(taken or {})}
    for group in GROUPS:
        rows += [
            _status_row(plug_in.name, partial(_plug_in_row, plug_in, taken.get(group, ())))
            for plug_in in find_plug_ins(group)
        ]
    return rows


def _status_row(name: str, look: Callable[[], ToolStatus]) -> ToolStatus:
    try:
        return look()
    except Exception as error:
        return ToolStatus(
            name=name,
            ready=False,
            installed=False,
            weights=f"cannot be examined ({type(error).__name__}: {first_line(error)})",
        )


def _plug_in_row(plug_in: PlugIn, taken: Collection[str]) -> ToolStatus:
    """What a package adds, and why it cannot be used where it cannot."""
    what = f"{plug_in.group.kind} of the package {plug_in.package}"
    trouble = plug_in_trouble(plug_in, taken)
    if trouble is not None:
        return ToolStatus(
            name=plug_in.name,
            ready=False,
            installed=True,
            version=plug_in.version,
            weights=trouble,
            measures=f"plug-in: {what}",
        )
    look = plug_in.load().look() if plug_in.group is FACES else None
    return ToolStatus(
        name=plug_in.name,
        ready=look is None or look.ready,
        installed=look is None or look.installed,
        version=plug_in.version,
        weights=look.weights if look else "",
        licence=look.licence if look else "",
        measures=f"plug-in: {what}{': ' + look.measures if look and look.measures else ''}",
        command=look.command if look else None,
    )


def _installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program_row() -> ToolStatus:
    return ToolStatus(
        name="kuleshov",
        ready=True,
        installed=True,
        version=_installed_version("kuleshov"),
        licence="code Apache-2.0",
        measures=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
    )


def _torch_row() -> ToolStatus:
    version = _installed_version("torch")
    if version is None:
        return _not_installed("torch", "pip install 'torch>=2.6'")
    import torch

    device = hardware.choose_device()
    dtype = hardware.choose_dtype(None, device)
    if device == "cuda":
        count = torch.cuda.device_count()
        names = ", ".join(
            f"{torch.cuda.get_device_name(k)} "
            f"({hardware.format_bytes(torch.cuda.get_device_properties(k).total_memory)})"
            for k in range(count)
        )
        where = f"CUDA {torch.version.cuda}: {names}"
    elif device == "mps":
        where = "Apple GPU (mps)"
    else:
        free = hardware.free_bytes("cpu")
        threads = torch.get_num_threads()
        where = f"CPU only, {threads} thread{'' if threads == 1 else 's'}"
        if free is not None:
            where += f", {hardware.format_bytes(free)} of memory free"
        if dtype == "bfloat16":
            where += "; it computes bfloat16"
            dtype += f", those below {hardware.EXACT_PARAMETERS // 10**6} M parameters in float32"
        else:
            where += "; it only emulates bfloat16, which is slow"
    return ToolStatus(
        name="torch",
        ready=True,
        installed=True,
        version=version,
        licence="BSD-3-Clause",
        measures=f"{where}; models are loaded in {dtype}",
    )


def _transformers_row() -> ToolStatus:
    version = _installed_version("transformers")
    if version is None:
        return _not_installed("transformers", "pip install 'transformers>=5,<6'")
    return ToolStatus(
        name="transformers",
        ready=True,
        installed=True,
        version=version,
        licence="Apache-2.0",
        measures="runs LLaVA models; downloads forbidden (offline)"
        if hub.is_offline()
        else "runs LLaVA models",
    )


def _not_installed(name: str, command: str) -> ToolStatus:
    return ToolStatus(name=name, ready=False, installed=False, command=command)


def _bundled_row() -> ToolStatus:
    try:
        weights.check_weights(
            pocket.weights_folder() / "llava" / "model.safetensors", "llava/model.safetensors"
        )
        text, ready = "bundled, checksum right", True
    except weights.WeightsError as error:
        text, ready = str(error), False
    return ToolStatus(
        name="pocket (LLaVA)",
        ready=ready,
        installed=True,
        weights=text,
        licence=hub.POCKET_LICENCE,
        measures="scenes and emotions, for demonstration",
        command=None if ready else REINSTALL,
    )


def _default_row() -> ToolStatus:
    """The model that is taken where none is named, on this hardware."""
    name = mllm.default_model()
    row = next(row for row in mllm.list_models() if row.id == name)
    ready = row.state == "cached"
    size = "" if row.bytes is None else f" ({hardware.format_bytes(row.bytes)})"
    return ToolStatus(
        name="default model",
        ready=ready,
        installed=ready,
        version=name,
        weights=f"{row.state}{size}" + (f" in {row.path}" if row.path else ""),
        licence=row.licence or "",
        measures=row.note,
        command=None if ready else row.command,
    )


def _speech_row() -> ToolStatus:
    """The Whisper models that are here, for --speech; they need no further package."""
    found = [name for name, folder in hub.cached_models() if mllm_weights.is_whisper(folder)]
    command = f"kuleshov models pull {speech.EXAMPLE}"
    return ToolStatus(
        name="speech (Whisper)",
        ready=bool(found),
        installed=True,
        weights=f"cached: {', '.join(found)}" if found else "not here",
        licence="code Apache-2.0; weights by model, see `kuleshov models`",
        measures="words of clips with their times, --speech MODEL",
        command=None if found else command,
    )


def _extra_row(name: str, licence: str, measures: str, command: str) -> ToolStatus:
    version = _installed_version(name)
    return ToolStatus(
        name=name,
        ready=version is not None,
        installed=version is not None,
        version=version,
        licence=licence,
        measures=f"needed for {measures}",
        command=None if version else command,
    )
