"""The files that settings are read from, and what one that lies beside the data may say.

Data come from others. A `kuleshov.toml` among them may say how they are to be read, but not which
programs run, where pictures and keys go, or how much may be spent on it: what can do harm counts
only where the user wrote it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.home import expand_path, find_home_folder
from kuleshov.tools.structured_text import parse_toml
from kuleshov.types import SettingsFile

NAME = "kuleshov.toml"
MOST_PIXELS = 100_000_000
"""The setting max_pixels where nobody chose another."""


@dataclass(frozen=True)
class Layer:
    """One file, as it was read: `values` are checked by the settings themselves."""

    used: SettingsFile
    values: dict[str, Any]


def read_layers(named: str | os.PathLike[str] | None) -> list[Layer]:
    """The files that hold, the first before the second.

    Args:
        named: the one file that the user named; None: `kuleshov.toml` in this folder, which may
            set what is harmless, before the user's own.

    Raises:
        KuleshovError: a file that is missing or not TOML; one of this folder that sets what counts
            only where the user wrote it.
    """
    if named:
        if not Path(named).is_file():
            raise KuleshovError(f"there is no settings file {os.fspath(named)}.")
        return [_read_layer(Path(named))]
    here, own = Path(NAME), own_file()
    layers = []
    if here.is_file() and not (own is not None and os.path.samefile(here, own)):
        layers.append(_read_layer(here))
        _check_harmless(layers[0].values)
    return [*layers, *([_read_layer(own)] if own is not None else [])]


def own_file() -> Path | None:
    """The user's own, in ~/.config/kuleshov (or XDG_CONFIG_HOME); None: there is none."""
    chosen, home = os.environ.get("XDG_CONFIG_HOME"), find_home_folder()
    if chosen:
        folder = expand_path(chosen)
    elif home is not None:
        folder = home / ".config"
    else:
        return None
    file = folder / "kuleshov" / NAME
    return file if file.is_file() else None


def _read_layer(path: Path) -> Layer:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KuleshovError(f"the settings file {path} cannot be read: {error.strerror}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KuleshovError(f"the settings file {path} is not UTF-8 text.") from None
    values = parse_toml(text.replace("\r\n", "\n"), f"the settings file {path}")
    return Layer(SettingsFile(path=str(path), sha256=hashlib.sha256(data).hexdigest()), values)


# ------------------------------------------------------------------------ the file of this folder


def _accept_any(_: Any) -> bool:
    return True


def _accept_nothing(_: Any) -> bool:
    return False


def _known_model(name: Any) -> bool:
    """Bundled, or a model of the Hub that this program names; no folder, no server."""
    from kuleshov.tools.mllm.catalogue import KNOWN

    return name == "pocket" or _of_hub(name, KNOWN)


def _known_speech(name: Any) -> bool:
    from kuleshov.tools.mllm.catalogue import SPEECH

    return _of_hub(name, SPEECH)


def _of_hub(name: Any, known: Mapping[str, Any]) -> bool:
    """A folder of that name beside the data would be loaded in its place."""
    return isinstance(name, str) and name in known and not os.path.lexists(name)


def _by_name(tool: Any) -> bool:
    """A face tool by its name alone: what it runs and loads is named elsewhere."""
    return isinstance(tool, str) and not set(tool) & {":", "/", "\\"}


def _no_larger(pixels: Any) -> bool:
    """The limit that keeps a small file from filling the memory can be lowered only."""
    return isinstance(pixels, int) and pixels <= MOST_PIXELS


HARMLESS: dict[str, Callable[[Any], bool]] = {
    "model": _known_model,
    "faces": _by_name,
    "paths": _accept_nothing,  # programs
    "tool_timeout_s": _accept_any,
    "labels": _accept_any,
    "fusion": _accept_any,
    "observer": _accept_any,  # a table of numbers
    "context_weight": _accept_any,
    "prompts": _accept_any,
    "examples": _accept_any,
    "shots": _accept_any,
    "shot_selection": _accept_any,
    "shot_seed": _accept_any,
    "scheme": _accept_any,
    "influence": _accept_any,
    "cover": _accept_any,
    "device": _accept_any,
    "dtype": _accept_any,
    "quantization": _accept_any,
    "device_map": _accept_any,
    "temperature": _accept_any,
    "seed": _accept_any,
    "max_new_tokens": _accept_any,
    "prior_correction": _accept_any,
    "calibration": _accept_any,
    "max_people": _accept_any,
    "speech": _known_speech,
    "speech_language": _accept_any,
    "sampling": _accept_any,
    "rate": _accept_any,
    "frames": _accept_any,
    "moments": _accept_any,
    "start_s": _accept_any,
    "max_pixels": _no_larger,
    "picture_pixels": _accept_any,
    "server_timeout_s": _accept_any,
    "server_proxy": _accept_nothing,  # the way that pictures and keys go
    "allow_remote": _accept_nothing,
    "concurrency": _accept_nothing,  # these four: what the user's account at a server is charged
    "requests_per_minute": _accept_nothing,
    "price_in": _accept_nothing,
    "price_out": _accept_nothing,
}
"""By setting, which values a file beside the data may give it. What is not named here, none."""


def _check_harmless(values: Mapping[str, Any]) -> None:
    refused = [name for name in values if name in HARMLESS and not HARMLESS[name](values[name])]
    if not refused:
        return
    what = ", ".join(refused)
    raise KuleshovError(
        f"{NAME} in this folder sets {what}, which could run a program, send pictures elsewhere "
        "or spend money, and so counts only where you wrote it: to allow it, name the file with "
        f"--settings {NAME}, or set {what} in ~/.config/kuleshov/{NAME}."
    )
