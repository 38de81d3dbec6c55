"""Does the scene text speak of things that are not there?

Where annotators listed what a picture shows (a column `objects`, and `absent` if wanted, divided by
;), the description is checked as in CHAIR (Rohrbach et al. 2018, EMNLP): of the listed kinds of
things that it names, the share that the picture does not show. And the model is asked yes or no for
things that are there and as many that are not, as in POPE (Li et al. 2023, EMNLP; random setting).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.evals.protocols.base import Findings, Protocol, ResultTable, Trial, format_cells
from kuleshov.tools.errors import KuleshovError

OBJECTS, ABSENT = "objects", "absent"
MOST = 40
"""Kinds of things that are probed: the most frequent ones."""


def parse_things(text: str | None) -> tuple[str, ...]:
    """`dog; cat` as names in small letters."""
    return tuple(
        dict.fromkeys(part.strip().lower() for part in (text or "").split(";") if part.strip())
    )


def named_things(text: str, vocabulary: Sequence[str]) -> set[str]:
    """The things of the vocabulary that a text names, singular or plural, as whole words."""
    lower = text.lower()
    return {thing for thing in vocabulary if re.search(rf"\b{re.escape(thing)}(?:s|es)?\b", lower)}


def chair_counts(
    texts: Sequence[str | None], present: Sequence[set[str]], vocabulary: Sequence[str]
) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Places of the texts; of each (things named, of these not there, there at all)."""
    places, counts = [], []
    for place, (text, there) in enumerate(zip(texts, present, strict=True)):
        if text is None:
            continue
        said = named_things(text, vocabulary)
        places.append(place)
        counts.append((len(said), len(said - there), len(there)))
    return places, counts


def run_hallucination(trial: Trial) -> Findings:
    known = trial.found.known
    present = [set(parse_things(sample.slices.get(OBJECTS))) for sample in known]
    counted = Counter(thing for there in present for thing in there)
    vocabulary = [thing for thing, _ in counted.most_common()]
    if not vocabulary:
        raise KuleshovError(
            f"protocol hallucination needs to know what the pictures show, and "
            f"{trial.found.task.name} does not say: use the task manifest with a column "
            f"{OBJECTS} (dog; ball), and {ABSENT} if wanted."
        )
    probed = vocabulary[:MOST]
    scheme = write_scheme(probed, trial.found.out / "objects.toml")
    records = trial.records("hallucination", scheme=scheme, fusion="text")
    texts = [
        record["scene"]["description"] if record and record["scene"] else None for record in records
    ]
    tables: list[ResultTable] = []
    numbers: dict[str, float | None] = {}
    places, counts = chair_counts(texts, present, vocabulary)
    naming = [(p, c) for p, c in zip(places, counts, strict=True) if c[0]]
    share = trial.mean([c[1] / c[0] for _, c in naming], [p for p, _ in naming])
    sentences = trial.mean([float(c[1] > 0) for c in counts], places)
    found = [(p, c) for p, c in zip(places, counts, strict=True) if c[2]]
    recall = trial.mean([(c[0] - c[1]) / c[2] for _, c in found], [p for p, _ in found])
    numbers |= {"chair_i": share.value, "chair_s": sentences.value, "recall": recall.value}
    tables.append(
        ResultTable(
            title="Things that the scene text names",
            head=("texts", "CHAIRi ↓", "CHAIRs ↓", "recall ↑"),
            rows=(format_cells(len(places), share, sentences, recall),),
            note=f"Of {len(vocabulary)} kinds of things that annotators listed. CHAIRi: share of "
            "things named that are not there, mean over texts that name any; CHAIRs: share of "
            "texts that name one that is not there; recall: share of the things there that are "
            "named.",
        )
    )
    answers, refused = probe_answers(trial, records, present, probed)
    tables.append(_probe_table(answers, numbers))
    notes = []
    if refused:
        notes.append(
            f"{len(refused)} kinds of things were not asked about: not measured by this model "
            f"({', '.join(refused[:8])})"
        )
    return PROTOCOL.findings(tables, numbers=numbers, notes=tuple(notes))


def write_scheme(vocabulary: Sequence[str], path: Path) -> str:
    """A coding scheme that asks of each thing whether it is in the picture."""
    lines = ['name = "objects"', 'source = "what the annotators of the data set listed"']
    for number, thing in enumerate(vocabulary):
        article = "an" if thing[0] in "aeiou" else "a"
        what = thing if thing in ("water", "snow", "sand", "grass") else f"{article} {thing}"
        lines += [
            "",
            "[[variable]]",
            f'name = "{variable_name(number)}"',
            'type = "yes/no"',
            f"question = {json.dumps(f'Is there {what} in the picture?', ensure_ascii=False)}",
            f"probe = {json.dumps(what, ensure_ascii=False)}",
        ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def variable_name(number: int) -> str:
    return f"thing_{number}"


def probe_answers(
    trial: Trial,
    records: Sequence[Mapping[str, Any] | None],
    present: Sequence[set[str]],
    vocabulary: Sequence[str],
) -> tuple[list[tuple[bool, bool]], list[str]]:
    """(there, said yes) for every thing there and as many that are not; and what is not asked."""
    random = np.random.default_rng(trial.seed)
    names = {variable_name(number): thing for number, thing in enumerate(vocabulary)}
    answers: list[tuple[bool, bool]] = []
    asked: set[str] = set()
    for record, there, sample in zip(records, present, trial.found.known, strict=True):
        coded = (record or {}).get("coded") or ()
        said = {
            names[code["name"]]: code["value"] == "yes"
            for code in coded
            if code["name"] in names and code["value"] is not None
        }
        asked |= set(said)
        yes = sorted(thing for thing in said if thing in there)
        listed = parse_things(sample.slices.get(ABSENT))
        pool = sorted(
            thing for thing in said if thing not in there and (not listed or thing in listed)
        )
        no = [pool[i] for i in random.permutation(len(pool))[: len(yes)]]
        answers += [(True, said[thing]) for thing in yes] + [(False, said[thing]) for thing in no]
    return answers, [thing for thing in vocabulary if thing not in asked]


def _probe_table(
    answers: Sequence[tuple[bool, bool]], numbers: dict[str, float | None]
) -> ResultTable:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    told: dict[str, float | None] = dict.fromkeys(
        ("accuracy", "precision", "recall", "f1", "yes_rate")
    )
    if answers:
        there, said = zip(*answers, strict=True)
        precision, recall, f1, _ = precision_recall_fscore_support(
            there, said, average="binary", zero_division=np.nan
        )
        told = {
            "accuracy": float(accuracy_score(there, said)),
            "precision": None if np.isnan(precision) else float(precision),
            "recall": None if np.isnan(recall) else float(recall),
            "f1": None if np.isnan(f1) else float(f1),
            "yes_rate": sum(said) / len(said),
        }
    numbers |= {f"probe_{name}": value for name, value in told.items()}
    return ResultTable(
        title="Yes or no",
        head=("questions", "accuracy ↑", "precision ↑", "recall ↑", "F1 ↑", "share of yes"),
        rows=(format_cells(len(answers), *told.values()),),
        note="Things that are there and, of each picture, as many that are not, drawn at random. "
        "The answer to a blank picture is divided out. A share of yes far from .5 is a bias.",
    )


PROTOCOL = Protocol(
    "hallucination",
    "Things that are not there",
    "Does the scene text name things that the picture does not show?",
    "CHAIR: Rohrbach et al. (2018), EMNLP; POPE: Li et al. (2023), EMNLP",
    run_hallucination,
)
