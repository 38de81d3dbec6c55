"""Data sets that hold the pictures themselves: Hugging Face `datasets`, WebDataset tars."""

from __future__ import annotations

import glob
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from kuleshov.annotate.manifest import Row, row
from kuleshov.tools.media import CLIP_SUFFIXES, IMAGE_SUFFIXES
from kuleshov.tools.types import KuleshovError

MEDIA = ("image", "img", "picture", "video", "path")
MOST_BYTES = 2 << 30  # a member of a tar is read into memory


def is_dataset(folder: str) -> bool:
    """Whether a folder was written by `Dataset.save_to_disk` (or a dict of them)."""
    return any(
        os.path.isfile(os.path.join(folder, name)) for name in ("state.json", "dataset_dict.json")
    )


def _load(folder: str) -> dict[str, Any]:
    try:
        import datasets
    except ImportError:
        raise KuleshovError(
            "a folder of Hugging Face datasets needs that library: run "
            "`pip install 'kuleshov[data]'`."
        ) from None
    datasets.disable_progress_bars()
    try:
        found = datasets.load_from_disk(folder)
    except Exception as error:  # it raises whatever its readers raise
        raise KuleshovError(
            f"{folder} cannot be read as a data set: {str(error).splitlines()[0]}."
        ) from None
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"": found}


def dataset_length(folder: str) -> int:
    return sum(len(part) for part in _load(folder).values())


def dataset(folder: str) -> Iterator[Row]:
    """The rows of all splits; pictures are taken as the bytes that were saved."""
    import datasets

    number = 0
    for split, part in _load(folder).items():
        column = next((name for name in MEDIA if name in part.column_names), None)
        if column is None:
            raise KuleshovError(
                f"{folder} has no column 'image'; its columns are {', '.join(part.column_names)}."
            )
        feature = part.features[column]
        if hasattr(feature, "decode"):
            part = part.cast_column(column, type(feature)(decode=False))
        names = {
            name: feature.names
            for name, feature in part.features.items()
            if isinstance(feature, datasets.ClassLabel)
        }
        for place, cells in enumerate(part):
            number += 1
            cells = {
                name: names[name][value]
                if name in names and value is not None and value >= 0
                else value
                for name, value in cells.items()
            }
            media = cells.pop(column)
            yield _row(number, cells, media, split, place, folder)


def _row(
    number: int, cells: dict[str, Any], media: Any, split: str, place: int, folder: str
) -> Row:
    stored: Any = None
    name = None
    if isinstance(media, dict):
        stored, name = media.get("bytes"), media.get("path")
    elif isinstance(media, str):
        name = media
    if split:
        cells.setdefault("split", split)
    cells.setdefault("id", f"{split}/{place}" if split else str(place))
    made = row(number, {**cells, "path": name or cells["id"]}, folder)
    source = stored if stored is not None else made.source
    problem = made.problem or (None if media is not None else f"row {number}: no picture.")
    return Row(**{**made.__dict__, "source": source, "problem": problem})


def expand(pattern: str) -> list[str]:
    """The tars that a path or pattern names, `{000..012}` included. Raises KuleshovError."""
    paths = [pattern]
    if "{" in pattern and ".." in pattern:
        before, _, rest = pattern.partition("{")
        span, _, after = rest.partition("}")
        first, _, last = span.partition("..")
        if first.isdigit() and last.isdigit():
            paths = [
                f"{before}{number:0{len(first)}d}{after}"
                for number in range(int(first), int(last) + 1)
            ]
    found = [
        match
        for path in paths
        for match in (sorted(glob.glob(path)) if glob.has_magic(path) else [path])
    ]
    missing = [path for path in found if not os.path.isfile(path)]
    if missing or not found:
        raise KuleshovError(f"there is no file {(missing or [pattern])[0]}.")
    return found


def tars(paths: Sequence[str]) -> Iterator[Row]:
    """The samples of WebDataset tars: files next to one another with one name up to its dot."""
    number = 0
    for path in paths:
        try:
            for key, files in _samples(path):
                number += 1
                yield _sample(number, key, files, path)
        except (tarfile.TarError, OSError, EOFError) as error:
            number += 1
            why = f"{path} is damaged or cut off after sample {number - 1}: {error}."
            yield Row(number, f"{os.path.basename(path)} (rest)", None, path, problem=why)


def _samples(path: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    key, files = "", dict[str, bytes]()
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            folder, name = os.path.split(member.name)
            if not member.isfile() or name.startswith("."):
                continue
            stem, _, suffix = name.partition(".")
            this = f"{folder}/{stem}" if folder else stem
            if this != key and files:
                yield key, files
                files = {}
            key = this
            if member.size <= MOST_BYTES:
                stream = tar.extractfile(member)
                files[suffix.lower()] = stream.read() if stream else b""
    if files:
        yield key, files


def _sample(number: int, key: str, files: dict[str, bytes], path: str) -> Row:
    media = next(
        (suffix for suffix in files if f".{suffix}".endswith(IMAGE_SUFFIXES + CLIP_SUFFIXES)), None
    )
    cells: dict[str, Any] = {}
    problem = None
    if "json" in files:
        try:
            told = json.loads(files["json"])
            cells = dict(told) if isinstance(told, dict) else {}
        except ValueError:
            problem = f"sample {key}: its .json cannot be read."
    if "txt" in files:
        cells.setdefault("context", files["txt"].decode("utf-8", "replace"))
    if "cls" in files:
        cells.setdefault("label", files["cls"].decode("utf-8", "replace").strip())
    cells.setdefault("id", key)
    cells["path"] = f"{path}/{key}.{media}"
    made = row(number, cells, "")
    if media is None:
        problem = f"sample {key} of {path} holds no picture or clip."
    source = files[media] if media is not None else None
    return Row(**{**made.__dict__, "source": source, "problem": problem or made.problem})
