"""A run directory: annotations.jsonl, failures.jsonl, items.jsonl, run.json; a kill loses nothing.

A finished item is one whole line. Lines are only ever appended; what a kill, a full disk or a
power cut leaves half done is cut off when the run is opened again, and that item is done again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kuleshov.runs import fingerprints
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.locks import Held, HeldError, soft_path, take_lock
from kuleshov.tools.structured_text import parse_json
from kuleshov.types import SCHEMA, Inference, RecordError

RUN_SCHEMA = "kuleshov/run@1"
ANNOTATIONS, FAILURES, RUN = "annotations.jsonl", "failures.jsonl", "run.json"
LOCK = ".lock"
ITEMS = "items.jsonl"  # a fingerprint of each item, written before its record
ASIDE = ".damaged"  # after a file's name: the lines that were taken out of it
REPLACED = ".replaced"  # the same, of lines whose item has changed
SYNC_S = 2.0  # a power cut costs at most the work of so many seconds
CHECKED = "checked"  # in run.json: bytes of each file that were whole, and their checksum
READING = f'{{"schema":"{SCHEMA}"'.encode()
PARTS = {"media", "people", "evidence", "provenance"}  # what a line has only if it is a reading
HEAD = re.compile(rb'^\{"schema":"[^"]+","item":\{"id":("(?:[^"\\]|\\.)*")')
MEET = {
    "new": "insert or ignore into known values (?, 1)",
    "done": "update known set met = 1 where key = ? and met = 0",
}
FAILURE_HEAD = re.compile(rb'^\{"key":("(?:[^"\\]|\\.)*")')


class StoreError(KuleshovError):
    """The run directory cannot be written or read; its text is one sentence."""


def check_folder(folder: Path) -> None:
    """Raises StoreError where there is a file of that name."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; give --out a folder.")


class RunDirectory:
    """One run, open for writing by this process alone; use as a context manager.

    `done` and `failed` count the lines there are.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.done = self.failed = 0
        self.notes: list[str] = []
        self._files: dict[str, _Appender] = {}
        self._crc: dict[str, int] = {}
        self._index: _Index | None = None
        self._from_records = False
        self._lock: Held | None = None
        self.description: dict[str, Any] = {}

    # ------------------------------------------------------------------------ open and close

    def open(self, plan: Mapping[str, Any], *, retry_failed: bool = False) -> RunDirectory:
        """Begin a run or go on with one.

        Args:
            plan: all that decides what the records say; must equal that of the run to go on with.
            retry_failed: forget the failures, so that their items are tried again.

        Raises:
            StoreError: another process writes here, the folder is no run directory or one with
                another plan (the differences are named), or it cannot be written.
        """
        try:
            self._open(plan, retry_failed)
        except OSError as error:
            self.close()
            raise unwritable_error(self.folder, error) from None
        except BaseException:
            self.close()
            raise
        return self

    def _open(self, plan: Mapping[str, Any], retry_failed: bool) -> None:
        check_folder(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = take_lock(self.folder / LOCK)
        except HeldError as error:
            raise StoreError(
                f"another process is writing to {self.folder}; wait until it is done, or give "
                "another folder to --out."
                + (
                    f" If none is (it was killed on another machine), remove {error.soft}."
                    if error.soft
                    else ""
                )
            ) from None
        if self._lock.soft is not None:
            self.notes.append(
                f"the file system of {self.folder} has no locks: {self._lock.soft.name} keeps "
                "other processes out while this one writes"
            )
        plan = json.loads(json.dumps(plan))
        found = self._read_description()
        if found is None:
            own = (LOCK, soft_path(Path(LOCK)).name, f".{RUN}.part")
            foreign = [name for name in os.listdir(self.folder) if name not in own]
            if foreign:
                raise StoreError(
                    f"{self.folder} holds {sorted(foreign)[0]} and no {RUN}: it is not a run "
                    "directory; give --out a new or an empty folder."
                )
            found = {"schema": RUN_SCHEMA, "created": current_time(), "plan": plan, "sessions": []}
        elif _plan_core(found["plan"]) != _plan_core(plan):
            raise StoreError(
                f"{self.folder} was begun with other settings: "
                f"{'; '.join(list_differences(_plan_core(found['plan']), _plan_core(plan)))}. "
                "Repeat the call as it was, or give another folder to --out."
            )
        self.description = found
        self._write_description()
        if retry_failed:
            (self.folder / FAILURES).unlink(missing_ok=True)
        else:
            self._forget_passing()
        self._read_lines()
        self._open_files()

    def _open_files(self) -> None:
        """Open what is appended to, after its lines were read."""
        for name in (ANNOTATIONS, FAILURES):
            self._files[name] = _Appender(self.folder / name, self._crc.get(name, 0))
        _sync_folder(self.folder)

    def _read_lines(self) -> None:
        """Index what is there, and cut out what is damaged."""
        for careful in (False, True):  # one by one only where a line is there twice
            if self._index is not None:
                self._index.close()
            self._index, self._from_records = _Index(), False
            done = self._recover(ANNOTATIONS, HEAD, careful)
            failed = None if done is None else self._recover(FAILURES, FAILURE_HEAD, careful)
            if done is not None and failed is not None:
                self.done, self.failed = done, failed
                break
        self._read_given()

    def close(self) -> None:
        """Sync and let go of the folder; may be called twice."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._index is not None:
            self._index.close()
            self._index = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------ items

    def meet(self, key: str) -> str:
        """What is to be done with the item `key`, which the data set names now.

        "new": nothing is known of it. "done": a line for it was there when the run was opened.
        "again": the data set has named it before in this session.
        """
        assert self._index is not None
        return self._index.meet(key)

    def add(self, line: str | bytes, given: Mapping[str, Any] | None = None) -> None:
        """Append one record, a line of JSON without its end; `given`: its item's fingerprint."""
        if given is not None:
            self.note_given(given)
        self._append(ANNOTATIONS, line)
        self.done += 1

    def fail(
        self, key: str, reason: str, given: Mapping[str, Any] | None = None, **facts: Any
    ) -> None:
        """Append one failure: the item's key, one sentence, and facts such as its path.

        `passing=True` among the facts: the next call tries the item again.
        """
        if given is not None:
            self.note_given(given)
        self._append(FAILURES, _plain_text({"key": key, "reason": reason, **facts}))
        self.failed += 1

    def note_given(self, given: Mapping[str, Any]) -> None:
        """Append an item's fingerprint; the last one of a key counts."""
        if ITEMS not in self._files:
            try:
                self._files[ITEMS] = _Appender(self.folder / ITEMS)
            except OSError as error:
                raise unwritable_error(self.folder, error) from None
        self._append(ITEMS, _plain_text(given))

    def given(self, key: str) -> dict[str, Any] | None:
        """The fingerprint of an item that is done; None: nothing is known of what it was.

        Of a record without one (older runs, a power cut) what the record itself tells.
        """
        assert self._index is not None
        found = self._index.given(key)
        if found is None and not self._from_records:
            self._from_records = True
            for line in read_lines(self.folder):
                self._index.put_record(line)
            found = self._index.given(key)
        return found

    def take_out(self, keys: Set[str]) -> None:
        """Take the lines of these items out and keep them aside: they are new then.

        Nothing that was met counts as met after this.
        """
        assert self._index is not None
        for name, head in ((ANNOTATIONS, HEAD), (FAILURES, FAILURE_HEAD)):
            path, at = self.folder / name, 0
            out: list[tuple[int, int]] = []
            try:
                self._files.pop(name).close()
                with path.open("rb", buffering=1 << 20) as file:
                    for line in file:
                        if keys and _line_key(line, head, whole=False) in keys:
                            out.append((at, at + len(line)))
                        at += len(line)
                if out:
                    self._keep_aside(path, out, REPLACED)
                    self._cut(path, out, at)
            except OSError as error:
                raise unwritable_error(self.folder, error) from None
        self._read_lines()
        self._open_files()

    def session(self, **facts: Any) -> None:
        """Note in run.json what this session did."""
        self.description["sessions"].append({"ended": current_time(), **facts})
        self.description[CHECKED] = {
            name: {"bytes": file.end, "crc32": file.crc} for name, file in self._files.items()
        }
        try:
            self._write_description()
        except OSError as error:
            raise unwritable_error(self.folder, error) from None

    def _append(self, name: str, line: str | bytes) -> None:
        # a lone surrogate (a name that is not UTF-8) cannot be written as UTF-8
        data = line.encode("utf-8", "replace") if isinstance(line, str) else line
        try:
            self._files[name].write(data + b"\n")
        except OSError as error:
            raise unwritable_error(self.folder, error) from None

    # ------------------------------------------------------------------------ recovery

    def _recover(self, name: str, head: re.Pattern[bytes], careful: bool) -> int | None:
        """Index the whole lines of a file and cut off or cut out what is damaged.

        Each line is parsed, but for those that a session has left whole and that have its checksum
        still: damage anywhere is found, and a long file is opened as fast as it is read.

        None, and nothing is cut, where a line is there twice and `careful` is not set.
        """
        path = self.folder / name
        if not path.exists():
            return 0
        assert self._index is not None
        index, keys = self._index, list[str]()
        count, good, crc, damaged = 0, 0, 0, []
        named: list[str] = []
        size = path.stat().st_size
        trusted = self._unchanged(name)
        with path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, start=1):
                key = _line_key(line, head, whole=good >= trusted)
                end = good + len(line)
                if key is None or (careful and not index.put(key)):
                    damaged.append((good, end))
                    named.append(_name_line(number, line, head))
                else:
                    count += 1
                    crc = zlib.crc32(line, crc)
                    if not careful:
                        keys.append(key)
                    if len(keys) == 5000:
                        if not index.put_all(keys):
                            return None
                        keys.clear()
                good = end
        if not careful and not index.put_all(keys):
            return None
        index.commit()
        self._crc[name] = crc
        if damaged:
            inner = damaged if self._ends_whole(path, size) else damaged[:-1]
            self._keep_aside(path, inner)
            self._cut(path, damaged, size)
            if len(inner) < len(damaged):
                self.notes.append(f"1 line of {name} cut off in writing: dropped, to be done again")
            if inner:
                lines = "1 line" if len(inner) == 1 else f"{len(inner)} lines"
                first = ", ".join(named[: min(len(inner), 5)]) + (", …" if len(inner) > 5 else "")
                self.notes.append(
                    f"{lines} of {name} damaged ({first}): taken out and kept in {name}{ASIDE}, "
                    "to be done again"
                )
        return count

    def _unchanged(self, name: str) -> int:
        """Bytes from the begin of a file that are as an earlier session left them; 0: not known."""
        try:
            known = self.description[CHECKED][name]
            left, crc = known["bytes"], 0
            with (self.folder / name).open("rb") as file:
                while left > 0 and (data := file.read(min(left, 1 << 20))):
                    crc, left = zlib.crc32(data, crc), left - len(data)
            return int(known["bytes"]) if left == 0 and crc == known["crc32"] else 0
        except (KeyError, TypeError):  # written before there were checksums
            return 0

    @staticmethod
    def _ends_whole(path: Path, size: int) -> bool:
        with path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"

    def _forget_passing(self) -> None:
        """Drop the failures whose cause may be gone: their items are tried again."""
        path, at = self.folder / FAILURES, 0
        if not path.exists():
            return
        out: list[tuple[int, int]] = []
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                if b'"passing":true' in line and _is_passing(line):
                    out.append((at, at + len(line)))
                at += len(line)
        if out:
            self._cut(path, out, at)
            items = "1 item" if len(out) == 1 else f"{len(out):,} items"
            self.notes.append(
                f"{items} failed before for a passing cause (the model or its server): tried again"
            )

    def _read_given(self) -> None:
        """Index the fingerprints. One that is cut off is dropped: its record tells enough."""
        path, good = self.folder / ITEMS, 0
        if not path.exists():
            return
        assert self._index is not None
        rows: list[tuple[str, bytes]] = []
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                good += len(line) if line.endswith(b"\n") else 0
                key = _line_key(line, FAILURE_HEAD, whole=False)
                if key is not None:
                    rows.append((key, line))
                if len(rows) == 5000:
                    self._index.put_given(rows)
                    rows.clear()
        self._index.put_given(rows)
        if good < path.stat().st_size:
            with path.open("r+b") as file:
                file.truncate(good)

    @staticmethod
    def _keep_aside(path: Path, damaged: list[tuple[int, int]], suffix: str = ASIDE) -> None:
        """Copy what is taken out to a file beside: someone may still read it."""
        if not damaged:
            return
        with path.open("rb") as old, path.with_name(path.name + suffix).open("ab") as aside:
            for begin, end in damaged:
                old.seek(begin)
                _copy_bytes(old, aside, end - begin)
            aside.flush()
            os.fsync(aside.fileno())

    def _cut(self, path: Path, damaged: list[tuple[int, int]], size: int) -> None:
        start = damaged[0][0]
        if len(damaged) == 1 and damaged[0][1] == size:
            with path.open("r+b") as file:
                file.truncate(start)
                os.fsync(file.fileno())
            return
        part = path.with_name(f".{path.name}.part")
        with path.open("rb") as old, part.open("wb") as new:
            at = 0
            for begin, end in [*damaged, (size, size)]:
                old.seek(at)
                _copy_bytes(old, new, begin - at)
                at = end
            new.flush()
            os.fsync(new.fileno())
        part.replace(path)

    def _read_description(self) -> dict[str, Any] | None:
        path = self.folder / RUN
        try:
            found: dict[str, Any] = parse_json(path.read_bytes())
            if not isinstance(found["plan"], dict) or not isinstance(found["sessions"], list):
                raise TypeError
            if not all(isinstance(session, dict) for session in found["sessions"]):
                raise TypeError
            json.dumps(found, ensure_ascii=False).encode()  # it is written again
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"{path} cannot be read as the description of a run; restore it, or give another "
                "folder to --out."
            ) from None
        return found

    def _write_description(self) -> None:
        part = self.folder / f".{RUN}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(self.description, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / RUN)
        _sync_folder(self.folder)


@dataclass
class _Appender:
    """A file that only grows by whole lines: what was written of a line that failed is cut off."""

    path: Path
    crc: int = 0  # of all that is in the file
    synced: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.end = os.fstat(self.fd).st_size

    def write(self, data: bytes) -> None:
        try:
            written = os.write(self.fd, data)
            while written < len(data):
                written += os.write(self.fd, memoryview(data)[written:])
        except OSError:
            os.ftruncate(self.fd, self.end)
            raise
        self.end += len(data)
        self.crc = zlib.crc32(data, self.crc)
        if time.monotonic() - self.synced > SYNC_S:
            os.fsync(self.fd)
            self.synced = time.monotonic()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self.fd)
        os.close(self.fd)


class _Index:
    """Which items are known, in a private SQLite file: memory stays flat, the system removes it.

    By Python's own hash (SipHash, 64 bits, keyed anew in each process), because SQLite is quickest
    with whole numbers. Among a million keys two are equal by chance in one run of 37 million; the
    later item is then told as a repeated id.
    """

    def __init__(self) -> None:
        self.last = "new"
        self.database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.database.execute("pragma cache_size = -32768")
        self.database.execute("pragma synchronous = off")
        self.database.execute("pragma journal_mode = off")
        self.database.execute("create table known (key integer primary key, met int)")
        self.database.execute("create table given (key integer primary key, line blob)")
        self.database.execute("begin")
        self.cursor = self.database.cursor()  # one for all: to make one costs as much as to ask

    def put(self, key: str) -> bool:
        """Note a line that is there; False if there was one with its key."""
        return self.put_all([key])

    def put_all(self, keys: list[str]) -> bool:
        """Note many lines at once; False if not all of their keys were new."""
        if not keys:
            return True
        done = self.cursor.executemany(
            "insert or ignore into known values (?, 0)", [(hash(key),) for key in keys]
        )
        return done.rowcount == len(keys)

    def meet(self, key: str) -> str:
        known, last, cursor = (hash(key),), self.last, self.cursor
        # runs of finished and of new items follow one another: what held last is tried first
        if cursor.execute(MEET[last], known).rowcount:
            return last
        other = "new" if last == "done" else "done"
        if cursor.execute(MEET[other], known).rowcount:
            self.last = other
            return other
        return "again"

    def put_given(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Note fingerprints, each the whole line of its key."""
        self.cursor.executemany(
            "insert or replace into given values (?, ?)", [(hash(key), line) for key, line in rows]
        )

    def put_record(self, line: bytes) -> None:
        """Note what a record tells of its item, where there is no fingerprint of it."""
        key = _line_key(line, HEAD, whole=False)
        known = self.cursor.execute("select 1 from given where key = ?", (hash(key),)).fetchone()
        if key is not None and known is None:
            import orjson

            told = orjson.dumps(fingerprints.of_record(orjson.loads(line)))
            self.put_given([(key, told)])

    def given(self, key: str) -> dict[str, Any] | None:
        row = self.cursor.execute("select line from given where key = ?", (hash(key),)).fetchone()
        try:
            found = None if row is None else json.loads(row[0])
        except ValueError:  # damaged: as if there were none
            return None
        return found if isinstance(found, dict) else None

    def commit(self) -> None:
        self.database.execute("commit")
        self.database.execute("begin")

    def close(self) -> None:
        self.database.close()


def _line_key(line: bytes, head: re.Pattern[bytes], *, whole: bool) -> str | None:
    """The key of a whole line, None of a damaged one; `whole`: parse it to the end.

    A line that another program has written anew (spaces, other order) is parsed: it is no damage.
    """
    if not line.endswith(b"\n"):
        return None
    match = head.match(line) if line.endswith(b"}\n") and b"\0" not in line else None
    try:
        if match is None or whole:
            import orjson

            found = orjson.loads(line)
        if match is None:
            key = found["item"]["id"] if head is HEAD else found["key"]
            return key if isinstance(key, str) else None
        quoted = match[1]
        return str(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1].decode("utf-8")
    except (ValueError, KeyError, TypeError):
        return None


def _name_line(number: int, line: bytes, head: re.Pattern[bytes]) -> str:
    """A line by its number, and by its item where that can still be read."""
    match = head.match(line)
    try:
        return f"line {number}, {json.loads(match[1])}" if match else f"line {number}"
    except ValueError:
        return f"line {number}"


def _is_passing(line: bytes) -> bool:
    try:
        return json.loads(line).get("passing") is True
    except (ValueError, AttributeError):
        return False


def _plain_text(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _is_readable(line: bytes, head: re.Pattern[bytes]) -> bool:
    """Whether those who read a run find in a line all that they expect there."""
    if head is HEAD and line.startswith(READING) and line.endswith(b"}\n"):
        try:
            return Inference.from_json(line).item is not None
        except RecordError:
            pass
    if _line_key(line, head, whole=True) is None:
        return False
    import orjson

    found = orjson.loads(line)
    if head is FAILURE_HEAD:
        return isinstance(found.get("reason"), str)
    # other things than readings are kept in such files, too: verdicts, say
    return not (line.startswith(READING) and PARTS & found.keys())


def _copy_bytes(old: Any, new: Any, count: int) -> None:
    while count > 0:
        data = old.read(min(count, 1 << 20))
        new.write(data)
        count -= len(data)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# ---------------------------------------------------------------------------------- reading


def read_description(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What run.json says. Raises StoreError if `folder` is not a run directory."""
    run = RunDirectory(folder)
    found = run._read_description() if run.folder.is_dir() else None
    if found is None:
        raise StoreError(f"{folder} is not a run directory: it holds no {RUN}.")
    return found


def read_lines(folder: str | os.PathLike[str], name: str = ANNOTATIONS) -> Iterator[bytes]:
    """The whole lines of a run's file, also while another process writes to it."""
    path = Path(folder) / name
    if not path.exists():
        return
    head = HEAD if name == ANNOTATIONS else FAILURE_HEAD
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            if _is_readable(line, head):
                yield line


def damaged_lines(folder: str | os.PathLike[str]) -> list[str]:
    """A sentence for each line that `read_lines` leaves out: its file and its number."""
    told = []
    for name, head in ((ANNOTATIONS, HEAD), (FAILURES, FAILURE_HEAD)):
        path = Path(folder) / name
        if not path.exists():
            continue
        with path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, start=1):
                if _is_readable(line, head):
                    continue
                if _line_key(line, head, whole=True) is None:
                    told.append(
                        f"{path} line {number} is damaged or cut off: left out; the same "
                        "`kuleshov annotate` again repairs it"
                    )
                else:
                    told.append(
                        f"{path} line {number} is not as this version writes it: left out; take "
                        "the line out and repeat `kuleshov annotate` to have it done again"
                    )
    return told


def media_path(folder: str | os.PathLike[str], path: str | None) -> str | None:
    """Where a record's medium lies, as seen from here; None: nowhere that is known.

    A relative path is one from the folder that `annotate` was called in. Called from elsewhere, the
    folders above the run directory are looked through: the run lies in one of them as a rule.
    """
    if not path or os.path.isabs(path) or os.path.exists(path):
        return path if path and os.path.exists(path) else None
    for above in Path(os.path.abspath(folder)).parents:
        there = above / path
        if there.is_file():
            return str(there)
    return None


# ---------------------------------------------------------------------------------- helpers


def current_time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def list_differences(old: Any, new: Any, at: str = "") -> list[str]:
    """'settings.seed is 1, was 0' for each leaf that differs, at most eight of them."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key) != new.get(key):
                found += list_differences(old.get(key), new.get(key), f"{at}.{key}" if at else key)
        return found if len(found) <= 8 else [*found[:8], f"and {len(found) - 8} more"]
    return [f"{at} is {_shorten_value(new)}, was {_shorten_value(old)}"]


def _plan_core(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan, with its input in one spelling: `./set/` is `set`."""
    source = plan.get("input")
    return {**plan, "input": os.path.normpath(source) if isinstance(source, str) else source}


def _shorten_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def unwritable_error(folder: Path, error: OSError) -> StoreError:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            f"there is no room left to write to {folder}; what is done is safe: make room and "
            "repeat the call to go on."
        )
    why = error.strerror or str(error)
    return StoreError(f"{folder} cannot be written: {why[:1].lower()}{why[1:]}.")
