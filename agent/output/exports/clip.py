"""What a read clip is written to: tables, ELAN, BORIS and WebVTT files."""

from __future__ import annotations

from pathlib import Path

from kuleshov.output.exports import boris, clip_tables, eaf, webvtt
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import Inference


def export(run: Path, out: Path) -> list[str]:
    """Every clip of a run, its files in a folder."""
    lines = []
    for line in store.lines(run):
        inference = Inference.model_validate_json(line)
        if inference.media.kind == "clip":
            # two clips of a run may have the same name
            folder = out / inference.media.sha256[:12]
            lines += [str(path) for path in write_all(inference, folder)]
    return lines or ["no clip is in this run"]


def write_all(inference: Inference, folder: Path) -> list[Path]:
    """Every format of one clip into a folder, named after the clip; returns the files.

    Raises:
        KuleshovError: it is no clip, or the folder cannot be written.
    """
    if inference.media.kind != "clip":
        raise KuleshovError(f"{inference.media.path or 'the picture'} is no clip: no timeline.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = Path(inference.media.path or "clip").stem
        frames, events = folder / f"{name}.fex.csv", folder / f"{name}.events.csv"
        moments, elan = folder / f"{name}.moments.csv", folder / f"{name}.eaf"
        project, vtt = folder / f"{name}.boris", folder / f"{name}.vtt"
        clip_tables.write_frames(inference, frames)
        clip_tables.write_events(inference, events)
        clip_tables.write_moments(inference, moments)
        eaf.write(inference, elan)
        boris.write(inference, project)
        webvtt.write(inference, vtt)
    except OSError as error:
        raise KuleshovError(f"cannot write to {folder}: {error.strerror or error}.") from None
    return [frames, events, moments, elan, project, vtt]
