"""Readings from a toolbox's table of units alone: no picture, no model, the rules of `rules`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kuleshov.studies.agreement import read_sightings
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import rules

COLUMNS = ("media", "frame", "time_s", "face", "emotion", "probability", "unanswered")
TOO_FEW = f"fewer than {rules.LEAST} units that the rules know were measured"


def read_units(source: str) -> Iterator[dict[str, Any]]:
    """One row per face of the table: its most probable expression and the whole distribution.

    Args:
        source: a result file, or FORMAT:FILE, as for `kuleshov agree`.

    Yields:
        `COLUMNS`, and `p_LABEL` for each of the seven labels, 0-1; what is unknown is None.

    Raises:
        KuleshovError: the file cannot be read, or shows no face.
    """
    _, faces = read_sightings(source)
    if not faces:
        raise KuleshovError(f"{source} holds no row with a face.")
    for seen in faces:
        scores = rules.infer_expression(seen.face.action_units)
        row = dict.fromkeys((*COLUMNS, *(f"p_{label}" for label in rules.LABELS)))
        row |= {"media": seen.media, "frame": seen.frame, "time_s": seen.time_s, "face": seen.label}
        if scores is None:
            row["unanswered"] = TOO_FEW
        else:
            row["emotion"], row["probability"] = scores.ranked()[0]
            row |= {f"p_{label}": p for label, p in scores.probabilities.items()}
        yield row
