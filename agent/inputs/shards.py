"""Data sets that hold the pictures themselves: Hugging Face `datasets`, WebDataset tars."""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import io
import json
import lzma
import os
import re
import tarfile
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, Self

from kuleshov.inputs.manifest import ManifestRow, class_name, find_file, parse_row
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import CLIP_SUFFIXES, IMAGE_SUFFIXES

MEDIA = ("image", "img", "picture", "video", "path")
SUFFIXES = tuple(
    f".{end}"
    for end in ("tar", "tar.gz tgz", "tar.bz2 tbz2", "tar.xz txz", "tar.zst tzst")
    for end in end.split()
)
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
TEXTS = ("json", "txt", "cls")
PART = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*")
EMPTY = bytes(1024)
DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)
# a sample is read into memory, and an archive may hold more than it seems to: compressed, in
# sparse members, by links to one member
MOST_BYTES, MOST_TEXT, MOST_UNPACKED = 2 << 30, 16 << 20, 64 << 30
LEAST_BOUND, TIMES = 1 << 30, 100
"""A shard may hold this many times its own size in bytes, a small one LEAST_BOUND."""
LEAST_MEMBERS, BYTES_OF_MEMBER, MOST_HEADER = 200_000, 64, 1 << 20
"""A shard may hold a member for each 64 bytes of its file, a small one 200,000: the list of them is
held in memory, about a kilobyte each. A name or comment before a member may have a megabyte."""


def is_dataset(folder: str) -> bool:
    """Whether a folder was written by `Dataset.save_to_disk` (or a dict of them)."""
    return any(
        os.path.isfile(os.path.join(folder, name)) for name in ("state.json", "dataset_dict.json")
    )


def _load_dataset(folder: str) -> dict[str, Any]:
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
    return sum(len(part) for part in _load_dataset(folder).values())


def read_dataset(folder: str) -> Iterator[ManifestRow]:
    """The rows of all splits; pictures are taken as the bytes that were saved."""
    import datasets

    number = 0
    for split, part in _load_dataset(folder).items():
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
                name: class_name(value, names[name]) if name in names else value
                for name, value in cells.items()
            }
            media = cells.pop(column)
            yield _dataset_row(number, cells, media, split, place, folder)


def _dataset_row(
    number: int, cells: dict[str, Any], media: Any, split: str, place: int, folder: str
) -> ManifestRow:
    stored: Any = None
    name = None
    if isinstance(media, dict):
        stored, name = media.get("bytes"), media.get("path")
    elif isinstance(media, str):
        name = media
    if split:
        cells.setdefault("split", split)
    cells.setdefault("id", f"{split}/{place}" if split else str(place))
    made = parse_row(number, {**cells, "path": name or cells["id"]}, folder)
    source = stored if stored is not None else made.source
    if stored is None and name and not made.problem and not os.path.exists(str(source)):
        # paths hold from where the data set was made: beside its folder, or here
        near = (os.path.dirname(os.path.abspath(folder)), os.getcwd())
        paths = (find_file(base, name) for base in near)
        source = next((path for path in paths if os.path.exists(path)), source)
        made = ManifestRow(**{**made.__dict__, "name": str(source)})
    problem = made.problem or (None if media is not None else f"row {number}: no picture.")
    return ManifestRow(**{**made.__dict__, "source": source, "problem": problem})


def expand_shards(pattern: str) -> list[str]:
    """The tars that a path or pattern names, `{000..012}` included. Raises KuleshovError.

    A file whose own name holds such characters (`set[1].tar`) is that file.
    """
    paths = [pattern]
    if not os.path.isfile(pattern) and "{" in pattern and ".." in pattern:
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
        for match in (
            sorted(glob.glob(path)) if glob.has_magic(path) and not os.path.isfile(path) else [path]
        )
    ]
    missing = [path for path in found if not os.path.isfile(path)]
    if missing or not found:
        raise KuleshovError(f"there is no file {(missing or [pattern])[0]}.")
    return found


def read_tars(paths: Sequence[str]) -> Iterator[ManifestRow]:
    """The samples of WebDataset tars: a picture or clip, and the files of its name.

    Members need not stand next to one another. A key that an earlier shard has used gets the
    shard's name before it.
    """
    seen: set[int] = set()
    above = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    number = 0
    for path in paths:
        own: set[int] = set()
        for made in _tar_rows(path, number):
            number += 1
            key = made.id
            if hash(key) in seen:
                shard = os.path.relpath(os.path.abspath(path), above).replace(os.sep, "/")
                made = ManifestRow(**{**made.__dict__, "id": f"{shard}/{key}"})
            elif len(paths) > 1:
                own.add(hash(key))
            yield made
        seen |= own


def _most_of(path: str) -> int:
    """Bytes that the members of a shard may have together."""
    return max(LEAST_BOUND, TIMES * os.path.getsize(path))


class _Header(tarfile.TarInfo):
    """A member's header; names and comments of any length would be read into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As tarfile has it.

        Raises:
            tarfile.ReadError: a name or comment is larger than `MOST_HEADER`.
        """
        made = super().frombuf(buf, encoding, errors)
        kinds = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        long = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if made.type in kinds + long and made.size > MOST_HEADER:
            raise tarfile.ReadError(f"a member's name or comment has {made.size >> 20:,} MB")
        return made


class _Shard:
    """An open shard: its members by name, and how much of them may still be read."""

    def __init__(self, path: str, file: IO[bytes], members: dict[str, tarfile.TarInfo]) -> None:
        self.path, self.file, self.members = path, file, members
        self.most = self.left = _most_of(path)
        self.left_of_sample = MOST_BYTES

    def begin_sample(self) -> None:
        self.left_of_sample = MOST_BYTES

    def read_member(self, member: tarfile.TarInfo, most: int) -> bytes:
        """The bytes of a member; links within the archive are followed.

        Raises:
            KuleshovError: a link that leads out of the archive or nowhere, no plain file, too
                large, alone or with what was read before.
        """
        name, found = member.name, self._follow_links(member)
        if found.size > most:
            raise KuleshovError(f"{name} is larger than {most >> 20:,} MB")
        if found.size > self.left_of_sample:
            raise KuleshovError(
                f"{name}: the files of the sample are larger than {MOST_BYTES >> 20:,} MB together"
            )
        if found.size > self.left:
            raise KuleshovError(
                f"{name}: the shard's members are larger than {self.most >> 20:,} MB together"
            )
        self.left -= found.size
        self.left_of_sample -= found.size
        with tarfile.TarFile(fileobj=io.BytesIO(EMPTY), mode="r") as tar:
            tar.fileobj = self.file
            stream = tar.extractfile(found)
            return stream.read() if stream else b""

    def _follow_links(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        name, met = member.name, {str(member.name)}
        while member.islnk() or member.issym():
            target = member.linkname
            if member.issym():
                target = os.path.join(os.path.dirname(member.name), target)
            target = os.path.normpath(target).replace(os.sep, "/")
            known = self.members.get(target) or self.members.get(f"./{target}")
            if known is None or known.name in met:
                raise KuleshovError(
                    f"{name} is a link to {member.linkname}, which is not in the shard"
                )
            met.add(known.name)
            member = known
        if not member.isreg():
            raise KuleshovError(f"{name} is no plain file")
        return member


def _tar_rows(path: str, number: int) -> Iterator[ManifestRow]:
    try:
        with _open_shard(path) as file:
            most = max(LEAST_MEMBERS, os.path.getsize(path) // BYTES_OF_MEMBER)
            members, damage = _list_members(file, most)
            shard = _Shard(path, file, members)
            for key, files in _group_members(members):
                shard.begin_sample()
                for made in _sample_rows(number + 1, key, files, shard):
                    number += 1
                    yield made
    except (*DAMAGE, KuleshovError) as error:
        damage = str(error) or type(error).__name__
    if damage:
        why = f"{path} is damaged or cut off after sample {number}: {damage}."
        yield ManifestRow(number + 1, f"{os.path.basename(path)} (rest)", None, path, problem=why)


@contextlib.contextmanager
def _open_shard(path: str) -> Iterator[IO[bytes]]:
    """A shard as a plain tar; a compressed one is unpacked into a file without a name.

    Raises:
        KuleshovError: it unpacks to more than `MOST_UNPACKED`, or its compression needs pyarrow.
    """
    with open(path, "rb") as file:
        head = file.read(6)
        file.seek(0)
        kind = next((name for mark, name in MAGIC.items() if head.startswith(mark)), None)
        if kind is None:
            yield file
            return
        if kind == "zstd":
            try:
                import pyarrow
            except ImportError:
                raise KuleshovError(
                    f"{path} is compressed with zstd, which needs pyarrow: run "
                    "`pip install 'kuleshov[data]'`."
                ) from None
            packed: Any = pyarrow.input_stream(file, compression="zstd")
        else:
            unpack: dict[str, Any] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
            packed = unpack[kind](file)
        most = min(MOST_UNPACKED, _most_of(path))
        with tempfile.SpooledTemporaryFile(64 << 20) as plain:
            try:
                while part := packed.read(1 << 20):
                    plain.write(part)
                    if plain.tell() > most:
                        raise KuleshovError(f"it unpacks to more than {most >> 20:,} MB")
            except EOFError:
                pass  # cut off: what came before is read, and the tar within tells of the cut
            plain.seek(0)
            yield plain


def _list_members(file: IO[bytes], most: int) -> tuple[dict[str, tarfile.TarInfo], str]:
    """At most `most` members by name, in order, and what is wrong with the archive ("": nothing).

    Archives that were written one after the other into one file are read one after the other. Of
    two members with one name the later counts, as for tar.
    """
    found: dict[str, tarfile.TarInfo] = {}
    file.seek(0, os.SEEK_END)
    size = file.tell()
    at = 0
    while at < size:
        file.seek(at)
        try:
            with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as opened:
                tar: Any = opened  # its stubs lack `members`
                while (member := tar.next()) is not None:
                    tar.members.clear()  # else it keeps a second list
                    if len(found) == most and member.name not in found:
                        return found, f"it holds more than {most:,} members"
                    found[member.name] = member
                    at = member.offset_data
                at = tar.offset
        except DAMAGE as error:
            return found, str(error)
        file.seek(at)
        block = file.read(512)
        if block.strip(b"\0"):  # tarfile ends without a word at a header that it cannot read
            return found, f"the header at byte {at:,} cannot be read"
        if not block:
            return found, ("" if found else "it holds no member") if at == size else "cut off"
        while block and not block.strip(b"\0"):
            at += len(block)
            block = file.read(512)
        if not block:
            break
    return found, ""


def _split_name(name: str) -> tuple[str, str, str]:
    """Key, part and kind of a member: "dir/s1.left.jpg" is ("dir/s1", "left", "jpg").

    What stands between the first and the last dot is a part where it is a word, as WebDataset
    names them; else ("2021.05.03 (1).jpg") it belongs to the key.
    """
    folder, base = os.path.split(name)
    stem, _, kind = base.rpartition(".") if "." in base else (base, "", "")
    key, _, part = stem.partition(".")
    if part and not PART.fullmatch(part):
        key, part = stem, ""
    if kind.lower() in TEXTS and f".{part.lower()}" in IMAGE_SUFFIXES + CLIP_SUFFIXES:
        part = ""  # IMG_1.jpg.json, as some programs name what belongs to IMG_1.jpg
    return (f"{folder}/{key}" if folder else key), part, kind.lower()


def _group_members(
    members: dict[str, tarfile.TarInfo],
) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Members by their key, in the order in which the keys appear."""
    found: dict[str, dict[str, tarfile.TarInfo]] = {}
    for name, member in members.items():
        folder, base = os.path.split(os.path.normpath(unicodedata.normalize("NFC", name)))
        if member.isdir() or base.startswith(".") or "__MACOSX" in folder.split("/"):
            continue
        key, part, kind = _split_name(f"{folder}/{base}" if folder else base)
        found.setdefault(key, {})[f"{part}.{kind}" if part else kind] = member
    yield from found.items()


def _sample_rows(
    number: int,
    key: str,
    files: dict[str, tarfile.TarInfo],
    shard: _Shard,
) -> Iterator[ManifestRow]:
    """A row for each picture or clip of one key; for a key without one, its failure."""
    path = shard.path
    media = [kind for kind in files if f".{kind}".endswith(IMAGE_SUFFIXES + CLIP_SUFFIXES)]
    if not media:
        names = ", ".join(member.name for member in files.values())
        lacking = f"sample {key} of {path} holds no picture or clip: {names}."
        yield ManifestRow(number, key, None, f"{path}/{key}.", problem=lacking)
        return
    used: set[str] = set()
    rows: list[tuple[ManifestRow, str]] = []
    for place, kind in enumerate(media):
        part = kind.rpartition(".")[0]
        name = key if len(media) == 1 or not part else f"{key}.{part}"
        if not part and sum("." not in other for other in media) > 1:
            name = f"{key}.{kind}"  # s1.jpg beside s1.mp4
        cells: dict[str, Any] = {}
        notes: list[str] = []
        problems: list[str] = []
        for text in TEXTS:
            of = f"{part}.{text}" if part and f"{part}.{text}" in files else text
            if of not in files:
                continue
            used.add(of)
            try:
                data = shard.read_member(files[of], MOST_TEXT)
                _add_file(cells, text, data, notes)
            except (KuleshovError, RecursionError, ValueError, *DAMAGE) as error:
                told = "nested too deeply" if isinstance(error, RecursionError) else str(error)
                problems.append(f"its .{of} cannot be read: {told.rstrip('.')}")
        cells.setdefault("id", name)
        source = None
        try:
            source = shard.read_member(files[kind], MOST_BYTES)
        except (KuleshovError, *DAMAGE) as error:
            problems.append(str(error).rstrip("."))
        cells["path"] = f"{path}/{key}.{kind}"
        made = parse_row(number + place, cells, "", tuple(notes))
        problem = f"sample {name}: {'; '.join(problems)}." if problems else made.problem
        rows.append((ManifestRow(**{**made.__dict__, "source": source, "problem": problem}), kind))
    rest = [files[kind].name for kind in files if kind not in used and kind not in media]
    for made, _ in rows:
        notes_ = (
            (*made.notes, f"not read from the shard: {', '.join(rest)}") if rest else made.notes
        )
        yield ManifestRow(**{**made.__dict__, "notes": notes_})


def _add_file(cells: dict[str, Any], text: str, data: bytes, notes: list[str]) -> None:
    """What one file beside a picture says, into the cells of its row."""
    words = data.decode(
        "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace"
    )
    if text == "json":
        told = json.loads(words)
        if isinstance(told, dict):
            cells.update(told)
        else:
            notes.append("the .json of this sample is not an object: not read")
    elif text == "txt":
        before = cells.get("context")
        if before and words.strip() and words.strip() != before:
            cells["context"] = [*(before if isinstance(before, list) else [before]), words]
        else:
            cells.setdefault("context", words)
    else:
        cells.setdefault("label", words.strip())
