"""Tables of situations in words, each with the label that most people would name.

The shipped one is our own: 140 everyday situations over six emotions and neutral, ten of a label
"tune" (for choosing wordings) and ten "held" (for figures). ISEAR (Scherer & Wallbott 1994) and
Event2Mind (Rashkin et al. 2018, ACL) are read where the user has them; their words for feelings are
carried over by the tables here.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import Record

DRAWN = 200
SPLITS = ("tune", "held", "all")

ISEAR = {
    "joy": "happiness",
    "fear": "fear",
    "anger": "anger",
    "sadness": "sadness",
    "disgust": "disgust",
}
"""ISEAR's emotions as labels of ekman-7; shame and guilt have no place there."""

EVENT2MIND = {
    "happiness": "happy joyful excited glad pleased delighted cheerful elated thrilled ecstatic",
    "sadness": "sad unhappy depressed heartbroken lonely sorrowful miserable grief-stricken",
    "anger": "angry mad annoyed irritated furious upset aggravated frustrated enraged",
    "fear": "afraid scared fearful frightened terrified anxious worried nervous",
    "disgust": "disgusted grossed revolted sickened",
    "surprise": "surprised shocked astonished amazed startled",
    "neutral": "neutral calm indifferent normal",
}
"""Words of Event2Mind's annotators by label of ekman-7; other words have no place there."""


class TableSituation(Record):
    """One situation and the label that most people would name."""

    text: str
    label: str


def read_situations(
    source: str | None, labels: LabelSet, *, split: str = "held", seed: int = 0
) -> list[TableSituation]:
    """The situations of a table.

    Args:
        source: None: the shipped table; a path: `isear.tsv`, `event2mind_*.tsv(.gz)`, of which 200
            are drawn, or a table of one's own (CSV or TSV) with columns label and situation.
        labels: what the labels are names or synonyms of.
        split: "tune", "held" or "all", of a table with a column split.
        seed: of the draw.

    Raises:
        KuleshovError: a file that cannot be read, a column that is missing, an unknown label.
    """
    if split not in SPLITS:
        raise KuleshovError(f"there is no split {split!r}; known: {', '.join(SPLITS)}.")
    if source is None:
        text = (files("kuleshov.evals") / "situations.tsv").read_text("utf-8")
        return _own_situations(
            list(csv.DictReader(text.splitlines(), dialect="excel-tab")), labels, split, ""
        )
    path = Path(source)
    rows = _read_rows(path)
    columns = set(rows[0]) if rows else set()
    for needed, read in _KNOWN.items():
        if set(needed) <= columns:
            return _draw_situations(read(rows), seed)
    if not {"label", "situation"} <= columns:
        raise KuleshovError(
            f"{path} has the columns {', '.join(sorted(columns)) or 'none'}; a table of situations "
            "has label and situation."
        )
    return _own_situations(rows, labels, split, str(path))


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise KuleshovError(f"cannot read the situations {path}: {why}.") from None
    commas = path.name.removesuffix(".gz").endswith(".csv")
    return list(csv.DictReader(text.splitlines(), delimiter="," if commas else "\t"))


def _own_situations(
    rows: Sequence[dict[str, str]], labels: LabelSet, split: str, name: str
) -> list[TableSituation]:
    found = []
    for row in rows:
        if split != "all" and row.get("split") not in (None, "", split):
            continue
        label = labels.find(row["label"] or "")
        if label is None:
            raise KuleshovError(
                f"{row['label']!r} ({name or 'situations'}) is no label of {labels.name}"
                f"{suggest_word(row['label'] or '', labels.names)}; its labels are "
                f"{', '.join(labels.names)}."
            )
        if not (row["situation"] or "").strip():
            raise KuleshovError(f"{name} has a row without a situation.")
        found.append(TableSituation(text=row["situation"].strip(), label=label))
    if not found:
        raise KuleshovError(f"{name or 'the table'} holds no situation of the split {split}.")
    return found


def _isear_situations(rows: Sequence[dict[str, str]]) -> list[TableSituation]:
    return [
        TableSituation(text=" ".join(row["situation"].split()), label=ISEAR[row["emotion"]])
        for row in rows
        # "[ No response.]" and the like are no situations
        if row["emotion"] in ISEAR and not row["situation"].lstrip().startswith("[")
    ]


def _event2mind_situations(rows: Sequence[dict[str, str]]) -> list[TableSituation]:
    words = {word: label for label, several in EVENT2MIND.items() for word in several.split()}
    found = []
    for row in rows:
        votes = Counter(words[w] for w in json.loads(row["actor"]) if w in words)
        most = votes.most_common(2)
        # one label that leads, named by two people or more
        if not most or most[0][1] < 2 or (len(most) > 1 and most[1][1] == most[0][1]):
            continue
        text = row["event"].replace("PersonX", "Somebody").replace("___", "something")
        text = text.replace("PersonY", "another person").rstrip(".") + "."
        found.append(TableSituation(text=text, label=most[0][0]))
    return found


def _draw_situations(found: Sequence[TableSituation], seed: int) -> list[TableSituation]:
    return random.Random(seed).sample(found, min(DRAWN, len(found)))


_KNOWN: dict[tuple[str, ...], Callable[[Sequence[dict[str, str]]], list[TableSituation]]] = {
    ("emotion", "situation", "hindered_plans"): _isear_situations,
    ("event", "actor", "others"): _event2mind_situations,
}
