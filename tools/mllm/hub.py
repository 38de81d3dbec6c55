"""Models by name: what is known, what is here, how large it is, and how to get the rest.

Nothing is asked of the network unless a model has to be downloaded, and then a short look first
tells whether the Hub answers at all: huggingface_hub alone retries for minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kuleshov.tools import pocket
from kuleshov.tools.errors import first_line, suggest_word
from kuleshov.tools.home import expand_path
from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.base import MllmError
from kuleshov.tools.mllm.catalogue import KNOWN, LARGE, MODELS, NAMED, SMALL, describe_model
from kuleshov.tools.mllm.local import weights
from kuleshov.tools.types import Record

POCKET_LICENCE = "CC BY-NC 4.0 (research use)"
PROBE_S = 3.0
SPARE_BYTES = 3_000_000_000
"""Memory beside the weights: activations, key-value caches."""


class ModelStatus(Record):
    """One line of ``kuleshov models``."""

    id: str
    state: Literal["bundled", "plug-in", "cached", "incomplete", "not here"]
    bytes: int | None = None
    licence: str | None = None
    note: str = ""
    path: str | None = None
    default: bool = False
    command: str | None = None


@dataclass(frozen=True)
class Ways:
    """How a user names a model for some purpose, for messages that say what to do."""

    option: str = "--model"
    example: str = SMALL
    bundled: bool = True

    @property
    def others(self) -> str:
        """What else can be done where a model cannot be downloaded."""
        folder = f"give a local folder ({self.option} FOLDER)"
        return f"{folder}, or use the bundled model (--model pocket)" if self.bundled else folder


LLAVA = Ways()


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from; `folder` is None for a Hub model that is not here."""

    id: str
    kind: Literal["bundled", "folder", "hub"]
    folder: Path | None
    revision: str | None = None


def default_model(device: str | None = None, quantization: str = "none") -> str:
    """The model for this hardware: OneVision 7B on a GPU that can hold it, else 0.5B."""
    place = hardware.choose_device(device)
    if place == "cpu":
        return SMALL
    dtype = hardware.choose_dtype(None, place)
    needed = hardware.needed_bytes(int(KNOWN[LARGE].parameters), dtype, quantization)
    free = hardware.free_bytes(place)
    return LARGE if free is not None and needed + SPARE_BYTES <= free else SMALL


def find_model(name: str, ways: Ways = LLAVA) -> ModelSource:
    """What a name stands for: 'pocket', a local folder, or an id of the Hub.

    Raises:
        MllmError: it is none of these; suggests the nearest known name.
    """
    if name == "pocket":
        return ModelSource(name, "bundled", pocket.weights_folder() / "llava")
    path = expand_path(name)
    if path.is_dir():
        return ModelSource(name, "folder", path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise MllmError(f"there is no folder {name}.")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        hint = _suggest_name(name)
        raise MllmError(
            f"there is no model {name!r}{hint}; give an id of the Hub such as {ways.example}"
            + (", a local folder, or pocket." if ways.bundled else " or a local folder.")
        )
    folder = find_snapshot(name)
    if folder is not None and weights.weight_files(folder) is not None:
        return ModelSource(name, "hub", folder, folder.name)
    return ModelSource(name, "hub", None)


def check_source(
    name: str | None,
    *,
    device: str | None = None,
    quantization: str = "none",
    ways: Ways = LLAVA,
) -> None:
    """Tell at once, and before anything is loaded, that a model cannot be had.

    Args:
        name: as for `load`; None: the default for the device and quantization.
        device, quantization: as for `load`.

    Raises:
        MllmError: unknown, incomplete, or neither here nor to be downloaded now.
    """
    source = find_model(name or default_model(device, quantization), ways)
    if source.folder is None:
        _must_reach(source.id, ways)
    else:
        _must_be_whole(source.id, source.folder)


def fetch_model(source: ModelSource, ways: Ways = LLAVA) -> ModelSource:
    """The source with its files here, downloaded if need be. Raises MllmError if it cannot."""
    if source.folder is not None:
        return source
    folder = download_model(source.id, ways)
    return ModelSource(source.id, "hub", folder, folder.name)


def pull_model(name: str) -> Path:
    """Download a model from the Hub; its folder. What is here already is not asked for again.

    Raises:
        MllmError: no network, no such model, no safetensors weights, no room on the disk.
    """
    source = fetch_model(find_model(name))
    assert source.folder is not None
    _must_be_whole(source.id, source.folder)
    return source.folder


def _must_be_whole(name: str, folder: Path) -> None:
    if name == "pocket" and weights.weight_files(folder) is None:
        raise MllmError(
            "the bundled model's weights are not in this installation; "
            "install it again with `pip install --force-reinstall kuleshov`."
        )
    weights.check_complete(folder, name)


def list_models() -> list[ModelStatus]:
    """The bundled model, what the Hub cache holds, and known models that are not here.

    Asks nothing of the network.
    """
    rows = [_bundled_model(), *_plug_in_models()]
    default = default_model()
    cached = {row.id: row for row in _cached_models()}
    rows += [row.model_copy(update={"default": row.id == default}) for row in cached.values()]
    rows += [
        ModelStatus(
            id=known.id,
            state="not here",
            bytes=int(known.gigabytes * 1e9),
            licence=known.licence,
            note=describe_model(known),
            default=known.id == default,
            command=f"kuleshov models pull {known.id}",
        )
        for known in NAMED.values()
        if known.id not in cached
    ]
    return rows


def _bundled_model() -> ModelStatus:
    folder = pocket.weights_folder() / "llava"
    here = folder.is_dir() and weights.weight_files(folder) is not None
    return ModelStatus(
        id="pocket",
        state="bundled" if here else "incomplete",
        bytes=weights.folder_size(folder) if here else None,
        licence=POCKET_LICENCE,
        note=pocket.CAVEAT,
        path=str(folder) if here else None,
        command=None if here else "pip install --force-reinstall kuleshov",
    )


def _plug_in_models() -> list[ModelStatus]:
    """Those of packages that can be imported; `kuleshov doctor` tells of the others."""
    return [
        ModelStatus(
            id=name,
            state="plug-in",
            licence=MODELS[name].licence or None,
            note=f"{MODELS[name].note}{'; ' if MODELS[name].note else ''}of the package "
            f"{plug_in.package} {plug_in.version}",
        )
        for name, plug_in in MODELS.plug_ins().items()
        if name in MODELS.working()
    ]


def _cached_models() -> list[ModelStatus]:
    rows = []
    for name, folder in cached_models():
        known = NAMED.get(name)
        whole = weights.weight_files(folder) is not None
        rows.append(
            ModelStatus(
                id=name,
                state="cached" if whole else "incomplete",
                bytes=weights.folder_size(folder),
                licence=known.licence if known else weights.read_licence(folder),
                note=describe_model(known) if known else _folder_note(folder),
                path=str(folder),
                command=None if whole else f"kuleshov models pull {name}",
            )
        )
    return rows


def _folder_note(folder: Path) -> str:
    return "words of clips (--speech)" if weights.is_whisper(folder) else ""


def cached_models() -> list[tuple[str, Path]]:
    """Ids and snapshot folders of the models for pictures and for speech in the Hub cache."""
    cache = _cache_folder()
    if not cache.is_dir():
        return []
    names = [
        entry.name.removeprefix("models--").replace("--", "/", 1)
        for entry in sorted(cache.iterdir())
        if entry.name.startswith("models--")
    ]
    found = [(name, find_snapshot(name)) for name in names]
    return [
        (name, folder)
        for name, folder in found
        if folder is not None
        and (name in NAMED or weights.reads_images(folder) or weights.is_whisper(folder))
    ]


def find_snapshot(name: str) -> Path | None:
    """The cached snapshot folder of a Hub model's main branch, complete or not."""
    home = _cache_folder() / f"models--{name.replace('/', '--')}"
    try:
        commit = (home / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        return None
    folder = home / "snapshots" / commit
    return folder if (folder / "config.json").is_file() else None


def _cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _suggest_name(name: str) -> str:
    """' (did you mean X?)' by whole ids and by their last parts, which is what is remembered."""
    ids = [*NAMED, *MODELS, *(cached for cached, _ in cached_models())]
    short = {known.split("/")[-1].lower(): known for known in ids}
    hint = suggest_word(name, ["pocket", *short, *(known.lower() for known in ids)])
    match = re.search(r"did you mean (.*)\?", hint)
    if match is None:
        return ""
    whole = {known.lower(): known for known in ids} | short
    return f" (did you mean {whole.get(match[1], match[1])}?)"


# -------------------------------------------------------------------- the network


def is_offline() -> bool:
    """Whether the user keeps the Hub's libraries off the network."""
    from huggingface_hub import constants

    said = os.environ.get("HF_HUB_OFFLINE", "") or os.environ.get("TRANSFORMERS_OFFLINE", "")
    return bool(constants.HF_HUB_OFFLINE) or said.upper() in {"1", "ON", "YES", "TRUE"}


def why_unreachable() -> str | None:
    """Why the Hub cannot be reached, or None if it answers; known within some 4 s.

    In a thread, since looking up a host name knows no time limit.
    """
    from huggingface_hub import constants, get_session

    if is_offline():
        return "HF_HUB_OFFLINE is set"
    outcome: list[str | None] = []

    def look() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=PROBE_S, follow_redirects=False)
            outcome.append(None)
        except Exception as error:
            outcome.append(first_line(error))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PROBE_S + 1)
    return outcome[0] if outcome else f"no answer within {PROBE_S + 1:.0f} s"


def _must_reach(name: str, ways: Ways) -> None:
    reason = why_unreachable()
    if reason is None:
        return
    from huggingface_hub import constants

    hint = "" if name in NAMED else _suggest_name(name)
    raise MllmError(
        f"the model {name}{hint} is not on this machine and {constants.ENDPOINT} cannot be reached "
        f"({reason}): with a network run `kuleshov models pull {name}`, or {ways.others}."
    )


def download_model(name: str, ways: Ways = LLAVA) -> Path:
    """Fetch a model's safetensors, config and processor files into the Hub cache.

    Says on stderr what is being fetched, under which licence and how large, then shows its
    progress there. A download that broke off resumes.

    Raises:
        MllmError: see `pull_model`.
    """
    _must_reach(name, ways)
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        about = HfApi().model_info(name, files_metadata=True, timeout=10)
        wanted = {
            file.rfilename: file.size or 0
            for file in about.siblings or []
            if _is_wanted(file.rfilename)
        }
        if not any(file.endswith(".safetensors") for file in wanted):
            raise MllmError(f"{name} offers no safetensors weights, and nothing else is loaded.")
        total = sum(wanted.values())
        _announce_download(name, about, total)
        _must_have_room(name, total)
        folder = Path(snapshot_download(name, allow_patterns=list(wanted)))
    except GatedRepoError:
        raise MllmError(
            f"{name} asks for its terms to be accepted at https://huggingface.co/{name} first, "
            "and for `hf auth login` here."
        ) from None
    except RepositoryNotFoundError:
        raise MllmError(
            f"the Hub has no model {name}{_suggest_name(name)}, or it is private."
        ) from None
    except Exception as error:
        # httpx is huggingface_hub's own choice, so its errors are told by where they come from
        network = type(error).__module__.split(".")[0] in ("httpx", "httpcore")
        if not network and not isinstance(
            error, (HfHubHTTPError, LocalEntryNotFoundError, OSError)
        ):
            raise
        raise MllmError(
            f"{name} could not be downloaded ({first_line(error)}): run `kuleshov models pull "
            f"{name}` again, which resumes, or {ways.others}."
        ) from error
    weights.check_complete(folder, name)
    return folder


def _is_wanted(file: str) -> bool:
    """Top-level config, tokenizer, card and safetensors; no other weights, no code.

    Of weights that are there twice, the second copy in float32 is left out (Whisper large-v3).
    """
    if "/" in file or file.startswith("consolidated") or ".fp32" in file:
        return False
    return file.endswith((".json", ".jinja", ".safetensors", ".model", ".txt")) or file.startswith(
        ("README", "LICENSE")
    )


def _announce_download(name: str, about: Any, total: int) -> None:
    card = about.card_data or {}
    licence = card.get("license_name") or card.get("license") or "not named"
    sys.stderr.write(
        f"downloading {name}: {hardware.format_bytes(total)}, licence {licence}, "
        f"to {_cache_folder()}\n"
    )
    sys.stderr.flush()


def _must_have_room(name: str, total: int) -> None:
    cache = _cache_folder()
    if str(cache).startswith("~"):  # written out by the Hub's library, if it can be
        raise MllmError(
            f"{name} cannot be downloaded, for there is no home folder to keep it in; set HF_HOME "
            "to a folder."
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MllmError(
            f"{name} cannot be kept in {cache} ({error.strerror or error}); set HF_HOME to a "
            "folder that can be written."
        ) from None
    free = shutil.disk_usage(cache).free
    if total > free:
        raise MllmError(
            f"{name} takes {hardware.format_bytes(total)} and {hardware.format_bytes(free)} are "
            "free in "
            f"{cache}; set HF_HOME to a folder with more room."
        )
