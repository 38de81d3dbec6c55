"""The samples of an evaluation: which ones, and laid out so that annotate can read them.

An evaluation's folder holds `items.jsonl`, a manifest with what the agent may know, and
`targets.jsonl`, people's answers; the second is never given to a model. Pictures that a data set
holds inside a table are written to `media/`, and so are clips that it holds as folders of frames.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.sniff import sniff_format

ITEMS, TARGETS, MEDIA = "items.jsonl", "targets.jsonl", "media"
FRAMES_A_SECOND = 5  # of a clip made from frames, whose times are not known: as many as are read


@dataclass(frozen=True)
class KnownSample:
    """What is kept of a sample to score its answers."""

    id: str
    target: Target
    split: str
    group: str | None
    slices: dict[str, str]


def draw_samples(samples: Iterable[Sample], limit: int | None, seed: int) -> list[Sample]:
    """All samples, or `limit` of them in the data set's order, in proportion to labels.

    A label's share is rounded by the largest remainder; who is drawn is decided by `seed`.
    Samples without one label (no majority, several labels, a text) are a stratum of their own.
    """
    found = list(samples)
    if limit is None or limit >= len(found):
        return found
    if limit < 1:
        raise KuleshovError(f"--limit must be at least 1 but is {limit}.")
    strata: dict[str, list[int]] = defaultdict(list)
    for place, sample in enumerate(found):
        strata[sample.target.label or ""].append(place)
    shares = {name: limit * len(places) / len(found) for name, places in strata.items()}
    counts = {name: int(share) for name, share in shares.items()}
    by_rest = sorted(strata, key=lambda name: (counts[name] - shares[name], name))
    for name in by_rest[: limit - sum(counts.values())]:
        counts[name] += 1
    random = np.random.default_rng(seed)
    kept: list[int] = []
    for name in sorted(strata):
        kept += random.permutation(strata[name])[: counts[name]].tolist()
    return [found[place] for place in sorted(kept)]


def lay_out(samples: Sequence[Sample], out: Path) -> str:
    """Write the manifest, the targets and what media there are to write; the manifest's path."""
    seen: set[str] = set()
    folder = out / MEDIA
    items: list[str] = []
    targets: list[str] = []
    for place, sample in enumerate(samples):
        if sample.id in seen:
            raise KuleshovError(f"the data set has two samples with the id {sample.id!r}.")
        seen.add(sample.id)
        path = _sample_medium(sample, place, folder)
        row: dict[str, Any] = {"path": path, "id": sample.id}
        if sample.box_xyxy is not None:
            row["box"] = list(sample.box_xyxy)
        if sample.context:
            row["context"] = list(sample.context)
        if sample.transcript:
            row["said"] = [line for line in sample.transcript.splitlines() if line.strip()]
        label = sample.target.votes or sample.target.label
        if label is not None:
            row["label"] = dict(label) if not isinstance(label, str) else label
        items.append(json.dumps(row, ensure_ascii=False))
        targets.append(json.dumps(sample_facts(sample), ensure_ascii=False))
    _write_lines(out / TARGETS, targets)
    _write_lines(out / ITEMS, items)
    return str(out / ITEMS)


def sample_facts(sample: Sample) -> dict[str, Any]:
    """What is kept of a sample, in plain values."""
    target = {name: value for name, value in asdict(sample.target).items() if value is not None}
    return {
        "id": sample.id,
        "target": target,
        "split": sample.split,
        "group": sample.group,
        "slices": dict(sample.slices),
    }


def samples_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 over ids, sources and answers: whether these are the samples of before."""
    found = hashlib.sha256()
    for sample in samples:
        source = sample.source
        where = hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else source.name
        found.update(
            json.dumps(
                [sample_facts(sample), where, sample.box_xyxy, sample.context, sample.transcript]
            ).encode()
        )
    return found.hexdigest()


def known_samples(out: Path) -> list[KnownSample]:
    """The samples of an evaluation's folder. Raises KuleshovError if it is none."""
    path = out / TARGETS
    if not path.is_file():
        raise KuleshovError(f"{out} is not the folder of an evaluation: it holds no {TARGETS}.")
    found = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        parts = row["target"]
        if parts.get("labels") is not None:
            parts["labels"] = tuple(parts["labels"])
        found.append(
            KnownSample(row["id"], Target(**parts), row["split"], row["group"], row["slices"])
        )
    return found


def _sample_medium(sample: Sample, place: int, folder: Path) -> str:
    """The path of a sample's picture or clip for the manifest, written first if need be."""
    source = sample.source
    if isinstance(source, bytes):
        kind, form = sniff_format(source[:64])
        if kind is None:
            raise KuleshovError(f"{sample.id} is not a picture or clip but {form}.")
        target = folder / f"{place:06}.{form.lower()}"
        _write_once(target, lambda part: part.write_bytes(source))
        return f"{MEDIA}/{target.name}"
    if source.is_dir():
        target = folder / f"{place:06}.mkv"
        _write_once(target, lambda part: _frames_clip(source, part))
        return f"{MEDIA}/{target.name}"
    return os.path.abspath(source)


def _write_once(target: Path, write: Any) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.stem}.part{target.suffix}")
        write(part)
        part.replace(target)


def _frames_clip(folder: Path, target: Path) -> None:
    """A folder of frames as a clip without loss (FFV1), in the order of their names."""
    import av
    from PIL import Image

    from kuleshov.tools.media import IMAGE_SUFFIXES

    frames = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not frames:
        raise KuleshovError(f"there is no frame in {folder}.")
    with av.open(str(target), "w") as container:
        stream: Any = None
        for frame in _open_pictures(frames, Image):
            if stream is None:
                stream = container.add_stream("ffv1", rate=FRAMES_A_SECOND)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "bgr0"
            elif frame.size != (stream.width, stream.height):
                frame = frame.resize((stream.width, stream.height))
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())


def _open_pictures(paths: Sequence[Path], library: Any) -> Iterator[Any]:
    for path in paths:
        try:
            with library.open(path) as opened:
                yield opened.convert("RGB")
        except OSError as error:
            raise KuleshovError(f"the frame {path} cannot be read: {error}.") from None


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(line + "\n" for line in lines), "utf-8")
    part.replace(path)
