"""What a read clip is written to: tables, ELAN, BORIS and WebVTT files."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kuleshov.output.exports import boris, clip_tables, eaf, webvtt
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import Inference


def write_export(run: Path, out: Path) -> list[str]:
    """Every clip of a run, its files in a folder."""
    lines = []
    times: Counter[str] = Counter()
    for line in store.read_lines(run):
        inference = Inference.from_json(line)
        if inference.media.kind == "clip":
            # two clips of a run may have the same name, and two items the same clip
            name = inference.media.sha256[:12]
            times[name] += 1
            folder = out / (name if times[name] == 1 else f"{name}-{times[name]}")
            lines += [str(path) for path in write_all(inference, folder)]
    return lines or ["no clip is in this run"]


def name_apart(paths: Sequence[str]) -> list[str]:
    """A name for each clip's files: its own, with folders above it where several share it.

    `a/talk.mp4` and `b/talk.mov` are `a-talk` and `b-talk`; what their paths do not tell apart is
    numbered. Case makes no difference, as on some file systems.
    """
    parts = [[*Path(os.path.abspath(path)).parts[1:-1], Path(path).stem] for path in paths]
    depth = [1] * len(paths)

    def names() -> list[str]:
        return ["-".join(part[-deep:]) for part, deep in zip(parts, depth, strict=True)]

    while True:
        given = names()
        counts = Counter(name.casefold() for name in given)
        shared = [
            place
            for place, name in enumerate(given)
            if counts[name.casefold()] > 1 and depth[place] < len(parts[place])
        ]
        if not shared:
            break
        for place in shared:
            depth[place] += 1
    used: set[str] = set()
    for place, name in enumerate(given):
        free, number = name, 1
        while free.casefold() in used or (number > 1 and free.casefold() in counts):
            number += 1
            free = f"{name}-{number}"
        used.add(free.casefold())
        given[place] = free
    return given


ENDINGS = (".fex.csv", ".events.csv", ".moments.csv", ".eaf", ".boris", ".vtt")


def _free_name(folder: Path, name: str, sha256: str) -> str:
    """The name, or with a number the first one that no other clip's files have."""
    numbered = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(
        free
        for free in numbered
        if not any((folder / f"{free}{ending}").exists() for ending in ENDINGS)
        or eaf.is_of(folder / f"{free}.eaf", sha256)
    )


def write_all(inference: Inference, folder: Path, name: str | None = None) -> list[Path]:
    """Every format of one clip into a folder; returns the files.

    Args:
        name: of the files, without ending; None: the clip's. Where files of that name are of
            another clip, they stay, and a number is added.

    Raises:
        KuleshovError: it is no clip, or the folder cannot be written.
    """
    if inference.media.kind != "clip":
        raise KuleshovError(f"{inference.media.path or 'the picture'} is no clip: no timeline.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = name or Path(inference.media.path or "clip").stem
        name = _free_name(folder, name, inference.media.sha256)
        files = [folder / f"{name}{ending}" for ending in ENDINGS]
        frames, events, moments, elan, project, vtt = files
        clip_tables.write_frames(inference, frames)
        clip_tables.write_events(inference, events)
        clip_tables.write_moments(inference, moments)
        eaf.write_eaf(inference, elan)
        boris.write_boris(inference, project)
        webvtt.write_webvtt(inference, vtt)
    except OSError as error:
        raise KuleshovError(f"cannot write to {folder}: {error.strerror or error}.") from None
    return files
