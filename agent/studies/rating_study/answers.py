"""Answers of a rating study: stored a line a trial, and joined into one table."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuleshov.studies.rating_study.design import DATA, participant_name, read_design
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_count, parse_json
from kuleshov.tools.valid_text import csv_row, out_of_csv

RATINGS = "ratings.csv"
CONDITIONS = ("face", "context", "both")
BESIDE = ("practice", "check")
MOST_LINES = 20
"""Times the trials of a study that one participant's file may hold: a page sends a trial again
where it was not told that it arrived."""


class AnswerStore:
    """The `data` folder of a study: a file a participant, a line a trial, only ever added to.

    Neither address nor browser of a participant is stored.
    """

    def __init__(self, folder: Path) -> None:
        """Raises KuleshovError where `folder` is no study."""
        self.folder, self.design = folder, read_design(folder)
        (folder / DATA).mkdir(exist_ok=True)
        self._lock = threading.Lock()

    def add(self, row: Any) -> None:
        """Store one trial; when this returns it is on the disk.

        Raises:
            KuleshovError: it is no answer of this study, or cannot be written.
        """
        answer = check_answer(row, self.design)
        path = self.folder / DATA / f"{answer['participant']}.jsonl"
        line = json.dumps(answer, ensure_ascii=False) + "\n"
        shown = len(self.design["faces"]) * len(self.design["contexts"])
        most = MOST_LINES * (shown + len(self.design["faces"]) + len(self.design["contexts"]) + 64)
        with self._lock:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    size = os.fstat(descriptor).st_size
                    if size > most * 1000:
                        raise KuleshovError("this participant has sent too much.")
                    # a line that a kill cut off must not take the next one with it
                    if size and os.pread(descriptor, 1, size - 1) != b"\n":
                        line = "\n" + line
                    os.write(descriptor, line.encode())
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise KuleshovError(f"the answer cannot be stored: {error.strerror}.") from None


def check_answer(row: Any, design: Mapping[str, Any]) -> dict[str, Any]:
    """The known parts of an answer, as the page sends it or a saved file holds it.

    Raises:
        KuleshovError: it is none of this study; one sentence.
    """
    if not isinstance(row, dict) or row.get("study") != design["id"]:
        raise KuleshovError("this is no answer of this study.")
    participant, condition = str(row.get("participant", "")), row.get("condition")
    if not participant or participant_name(participant) != participant:
        raise KuleshovError("the answer names no participant.")
    if condition not in (*CONDITIONS, *BESIDE):
        raise KuleshovError("the answer names no condition of the study.")
    trial = parse_count(str(row.get("trial")))
    if trial is None or trial > 100_000:
        raise KuleshovError("the answer names no trial.")
    answer: dict[str, Any] = {
        "study": design["id"],
        "participant": participant,
        "trial": trial,
        "condition": condition,
    }
    for part, known in (("face", design["faces"]), ("context", design["contexts"])):
        name = row.get(part) or ""
        shown = condition in (part, "both")
        if shown and name not in {one["name"] for one in known}:
            raise KuleshovError(f"the answer names no {part} of the study.")
        answer[part] = name if shown else ""
    if design["answer"] == "choice":
        if row.get("choice") not in design["labels"]:
            raise KuleshovError("the answer chooses no label of the study.")
        answer["choice"] = row["choice"]
    else:
        for label in design["labels"]:
            value = _whole(row.get(label))
            if value is None or not design["lowest"] <= value <= design["highest"]:
                raise KuleshovError(f"the answer rates {label} outside the scale.")
            answer[label] = value
    if condition == "check":
        answer["check"] = "passed" if row.get("check") == "passed" else "failed"
    answer["rt_ms"] = _whole(row.get("rt_ms"))
    answer["at"] = str(row.get("at") or "")[:40]
    return answer


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number.is_integer() and abs(number) < 1e9 else None


@dataclass
class Collected:
    """What came together. `failed`: participant to attention checks failed, those alone."""

    path: Path
    participants: dict[str, int] = field(default_factory=dict)
    judgements: int = 0
    unfinished: list[str] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    doubled: int = 0


def collect_answers(
    folder: Path, more: Sequence[str] = (), *, most_failed: int | None = None
) -> Collected:
    """Join all answers into `folder`/ratings.csv, a row a judgement and label.

    Args:
        more: files that participants saved, beside those in the study's data folder.
        most_failed: participants who failed more attention checks are left out; None: nobody is.

    A trial that was answered twice counts once, as first answered. Practice and checks are not
    in the table.

    Raises:
        KuleshovError: it is no study, a file is of another one, or there is no answer.
    """
    design = read_design(folder)
    found = Collected(folder / RATINGS)
    answers: dict[tuple[str, int], dict[str, Any]] = {}
    sources = sorted((folder / DATA).glob("*.jsonl")) + sorted((folder / DATA).glob("*.csv"))
    for path in [*sources, *map(Path, more)]:
        for place, row in _rows(path):
            try:
                answer = check_answer(row, design)
            except KuleshovError as error:
                if path in sources:
                    found.damaged.append(f"{path.name}, line {place}: {error}")
                    continue
                raise KuleshovError(f"{path}, line {place}: {error}") from None
            key = answer["participant"], answer["trial"]
            found.doubled += key in answers
            answers.setdefault(key, answer)
    failed = Counter(who for (who, _), a in answers.items() if a.get("check") == "failed")
    found.failed = dict(sorted(failed.items()))
    if most_failed is not None:
        found.left_out = [who for who, count in found.failed.items() if count > most_failed]
    kept = {
        key: answer
        for key, answer in sorted(answers.items())
        if key[0] not in found.left_out and answer["condition"] in CONDITIONS
    }
    if not kept:
        raise KuleshovError(f"{folder} holds no answers yet.")
    counts = Counter(who for who, _ in kept)
    found.participants = dict(counts)
    found.judgements = len(kept)
    whole = len(design["faces"]) + len(design["contexts"]) + design.get("pairs", 0)
    found.unfinished = [who for who, count in counts.items() if count < whole]
    _write(found.path, kept.values(), design)
    return found


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise KuleshovError(f"cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise KuleshovError(f"{path} is no text in UTF-8.") from None
    if path.suffix.lower() == ".jsonl":
        for place, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    yield place, parse_json(line)
                except ValueError:
                    yield place, None
    else:
        lines = csv.DictReader(text.splitlines())
        for row in lines:
            names = {k: out_of_csv(v or "") for k, v in row.items() if k is not None}
            yield lines.line_num, names


def _write(path: Path, answers: Iterable[Mapping[str, Any]], design: Mapping[str, Any]) -> None:
    of_choice = design["answer"] == "choice"
    head = ["condition", "face", "context", "rater", "trial"]
    head += ["choice"] if of_choice else ["label", "rating", "lowest", "highest"]
    head += ["rt_ms"]
    ends = [design["lowest"], design["highest"]]
    fresh = path.with_name(path.name + ".part")
    try:
        with fresh.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(head)
            for one in answers:
                first = [one[n] for n in ("condition", "face", "context", "participant", "trial")]
                if of_choice:
                    table.writerow(csv_row([*first, one["choice"], one["rt_ms"]]))
                    continue
                for label in design["labels"]:
                    table.writerow(csv_row([*first, label, one[label], *ends, one["rt_ms"]]))
        fresh.replace(path)
    except OSError as error:
        raise KuleshovError(f"cannot write {path}: {error.strerror}.") from None
