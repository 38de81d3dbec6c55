"""A user's own labels: a table (CSV, TSV, JSONL, Parquet), a row a picture, clip or person.

Columns: `path`; people's answer in `label` (a label, or a distribution as JSON), `labels` (several:
a JSON list, or divided by ;), `valence` and `arousal` (−1…1), `text`; beside a distribution of
people who saw both, `label_face` and `label_context` of those who saw one alone; if wanted `id`,
`box`, `context`, `transcript`, `split`, `group` (or `subject`, `video`). Other columns are slices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kuleshov.evals.datasets.base import Task
from kuleshov.evals.datasets.layout import list_names
from kuleshov.evals.types import Kind, Sample, Target
from kuleshov.inputs import items
from kuleshov.inputs.items import Work
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.home import expand_path
from kuleshov.tools.types import plain_label

GROUPS = ("group", "subject", "video")
ANSWERS = ("label", "labels", "valence", "arousal", "text")
METRICS: dict[Kind, tuple[str, ...]] = {
    "single": ("accuracy", "uar", "weighted_f1", "macro_f1", "ece", "brier", "classwise_ece"),
    "votes": ("accuracy", "uar", "soft_cross_entropy", "js_divergence", "ece", "brier"),
    "multi": ("map", "multi_macro_f1"),
    "affect": ("valence_ccc", "arousal_ccc", "valence_pcc", "arousal_pcc"),
    "text": ("clue_overlap", "label_overlap"),
}


def fit_task(root: str | Path) -> Task:
    """The task as this table's first row with an answer makes it: its kind and metrics.

    Raises:
        KuleshovError: it is no such table, or no row has an answer.
    """
    path = _find_table(expand_path(root))
    for sample in _table_samples(path, None):
        kind = kind_of(sample.target)
        return replace(TASK, kind=kind, metrics=METRICS[kind], splits=())
    raise KuleshovError(f"no row of {path} has an answer of people ({', '.join(ANSWERS)}).")


def kind_of(target: Target) -> Kind:
    if target.votes is not None:
        return "votes"
    if target.label is not None:
        return "single"
    if target.labels is not None:
        return "multi"
    return "affect" if target.text is None else "text"


def read_manifest(root: Path, split: str) -> Iterator[Sample]:
    path = _find_table(root)
    found = list(_table_samples(path, None if split == "all" else split))
    if not found:
        splits = sorted({sample.split for sample in _table_samples(path, None)})
        raise KuleshovError(
            f"no row of {path} with an answer is of the split {split!r}; its splits are "
            f"{list_names(splits) or 'none'}."
        )
    return iter(found)


def unanswered(root: Path, split: str) -> list[str]:
    """Ids of the rows of a split that no answer of people stands in."""
    found: list[str] = []
    for _ in _table_samples(_find_table(root), None if split == "all" else split, found):
        pass
    return found


def _find_table(root: Path) -> Path:
    if root.is_dir():
        tables = sorted(p for p in root.iterdir() if p.name.lower().endswith(items.MANIFESTS))
        if len(tables) != 1:
            raise KuleshovError(
                f"{root} is a folder with {len(tables) or 'no'} tables; give the manifest itself "
                f"({', '.join(items.MANIFESTS)})."
            )
        return tables[0]
    if not root.name.lower().endswith(items.MANIFESTS):
        raise KuleshovError(f"{root} is no manifest: expected {', '.join(items.MANIFESTS)}.")
    return root


def _table_samples(
    path: Path, split: str | None, lacking: list[str] | None = None
) -> Iterator[Sample]:
    """The rows of a split with an answer of people; `lacking` gets the ids of those without."""
    seen: dict[str, int | None] = {}
    unanswered = True
    for work in items.read_items(path):
        if work.problem or work.source is None:
            raise KuleshovError(f"{path}: {work.problem or 'a row without a path.'}")
        if work.key in seen:
            raise KuleshovError(
                f"{path}: the id {work.key!r} is used in rows {seen[work.key]} and {work.row}; "
                "give each row an id of its own."
            )
        seen[work.key] = work.row
        sample = _row_sample(path, work)
        unanswered = unanswered and sample is None
        its_split = str(work.item.extra.get("split") or "all")
        if sample is None and lacking is not None and split in (None, its_split):
            lacking.append(work.key)
        if sample is not None and split in (None, sample.split):
            yield sample
    if unanswered:
        raise KuleshovError(
            f"no row of {path} has an answer of people; it needs a column {', '.join(ANSWERS)}."
        )


def _row_sample(path: Path, work: Work) -> Sample | None:
    extra: dict[str, Any] = dict(work.item.extra)
    where = f"{path}, row {work.row}"
    parts: dict[str, Any] = {}
    label = work.item.label
    if isinstance(label, dict):
        parts["votes"] = label
    elif label is not None:
        parts["label"] = label
    several = extra.pop("labels", None)
    if several is not None:
        parts["labels"] = _parse_several(str(several), where)
    for name in ("valence", "arousal"):
        value = extra.pop(name, None)
        if value is not None:
            try:
                parts[name] = float(value)
            except ValueError:
                raise KuleshovError(f"{where}: {name} is {value!r}, not a number.") from None
    if (text := extra.pop("text", None)) is not None:
        parts["text"] = str(text)
    for name in ("face", "context"):
        if (given := extra.pop(f"label_{name}", None)) is not None:
            parts[f"{name}_votes"] = _parse_votes(str(given), f"{where}: label_{name}")
    split = str(extra.pop("split", None) or "all")
    groups = [value for name in GROUPS if (value := extra.pop(name, None)) is not None]
    spoken = extra.pop("transcript", None)
    if not parts:
        return None
    if len(work.boxes) > 1:
        raise KuleshovError(f"{where}: {len(work.boxes)} boxes for one answer; one row a person.")
    try:
        target = Target(**parts)
    except ValueError as error:
        raise KuleshovError(f"{where}: {error}.") from None
    source = work.source
    return Sample(
        id=work.key,
        source=source if isinstance(source, bytes) else Path(source or ""),
        target=target,
        split=split,
        box_xyxy=work.boxes[0] if work.boxes else None,
        group=str(groups[0]) if groups else None,
        context=work.context,
        transcript=None if spoken is None else str(spoken),
        slices={name: str(value) for name, value in extra.items() if value is not None},
        notes=work.notes,
    )


def _parse_votes(text: str, where: str) -> dict[str, float]:
    """A distribution as JSON. Raises KuleshovError."""
    try:
        found = json.loads(text)
        return {str(label): float(share) for label, share in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise KuleshovError(f"{where} is {text!r}, not a distribution as JSON.") from None


def _parse_several(text: str, where: str) -> tuple[str, ...]:
    try:
        told = plain_label(text)
    except KuleshovError as error:
        raise KuleshovError(f"{where}: {error}.") from None
    if isinstance(told, str):
        return tuple(part.strip() for part in told.split(";") if part.strip())
    return tuple(told or ())


TASK = Task(
    name="manifest",
    title="your own labels",
    licence="yours",
    source="the user's own",
    kind="single",
    metrics=METRICS["single"],
    protocol="Every row with an answer counts, or those of one split. Intervals resample groups "
    "where the table has a column group, subject or video.",
    splits=(),
    split="all",
    layout="a table with path, and label, labels, valence, arousal or text",
    reader=read_manifest,
    unanswered=unanswered,
)
