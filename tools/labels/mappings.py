"""From the labels of one set to those of another, only where a published table says so."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from pydantic import Field

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import Record


class Mapping(Record):
    """A table from one set to another. Each label of the source has one place in it, or none."""

    source_set: str = Field(alias="from")
    target_set: str = Field(alias="to")
    source: str = Field(description="publication of the table")
    labels: dict[str, tuple[str, ...]] = Field(
        description="label of the target to the labels of the source that it stands for"
    )
    without: tuple[str, ...] = Field((), description="labels of the source that have no place")

    def of(self, label: str) -> str | None:
        """The target's label for one of the source's; None: it has none."""
        return next((name for name, words in self.labels.items() if label in words), None)


@cache
def published_mappings() -> tuple[Mapping, ...]:
    """Every table there is."""
    text = (files("kuleshov.tools.labels") / "mappings.toml").read_text("utf-8")
    return tuple(Mapping.model_validate(table) for table in tomllib.loads(text)["mappings"])


def find_mapping(source: str, target: str) -> Mapping | None:
    """The table from one set to another, by their names, if one has been published."""
    return next(
        (m for m in published_mappings() if (m.source_set, m.target_set) == (source, target)), None
    )


def require_mapping(source: str, target: str) -> Mapping:
    """As `find_mapping`. Raises KuleshovError where there is no table."""
    found = find_mapping(source, target)
    if found is None:
        known = ", ".join(f"{m.source_set} to {m.target_set}" for m in published_mappings())
        raise KuleshovError(
            f"there is no published table from {source} to {target}, so what corresponds is "
            f"unknown; there is one for {known}."
        )
    return found


def map_labels(
    source: str, words: Sequence[str], target: LabelSet
) -> tuple[dict[str, tuple[str, ...]] | None, Mapping | None]:
    """Which of the source's labels each of the target's stands for, and by which table.

    Without a table only labels of the same name correspond. None where the target has a label to
    which nothing corresponds: it would be unknown, not 0.
    """
    found = find_mapping(source, target.name)
    stands_for = {name: found.labels[name] if found else (name,) for name in target.names}
    # a label that is only partly scored is not known either
    known = bool(stands_for) and all(
        word in words for stands in stands_for.values() for word in stands
    )
    return (stands_for if known else None), found
