"""ELAN annotation files (.eaf): a tier for each person and kind of span."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from kuleshov.output.exports.spans import assign_lanes
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import Inference

CLIP = "kuleshov:sha256"  # of the clip that a file is of


def is_of(path: Path, sha256: str) -> bool:
    """Whether an ELAN file was written of this clip."""
    try:
        return sha256.encode() in path.read_bytes()
    except OSError:
        return False


def _relative_path(clip: Path, file: Path) -> str | None:
    """The clip as seen from the file, by which ELAN finds it after both were moved."""
    try:
        found = os.path.relpath(clip, file.resolve().parent)
    except ValueError:  # on another drive
        return None
    return "./" + Path(found).as_posix()


def write_eaf(inference: Inference, path: Path) -> None:
    """Write the clip's spans; spans of one tier that overlap go to further tiers ("… (2)").

    Raises:
        KuleshovError: pympi-ling is not installed; names the command.
    """
    try:
        from pympi import Elan
    except ImportError:
        raise KuleshovError(
            "ELAN files need pympi-ling: run `pip install 'kuleshov[clips]'`."
        ) from None
    document = Elan.Eaf(author="kuleshov")
    document.remove_tier("default")
    document.add_property(CLIP, inference.media.sha256)
    if inference.media.path:
        clip = Path(inference.media.path).resolve()
        document.add_linked_file(
            clip.as_uri(),
            relpath=_relative_path(clip, path),
            mimetype=mimetypes.guess_type(clip.name)[0] or "video/mp4",
        )
    tiers: set[str] = set()
    for span, lane in assign_lanes(inference):
        tier = lane if span.person is None else f"person {span.person} {lane}"
        if tier not in tiers:
            document.add_tier(tier)
            tiers.add(tier)
        document.add_annotation(
            tier, round(1000 * span.start_s), round(1000 * span.end_s), span.text
        )
    path.unlink(missing_ok=True)  # pympi would leave a .bak beside it
    document.to_file(str(path))
