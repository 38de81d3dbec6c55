"""Temperatures for a model's label likelihoods, as `kuleshov calibrate` fits and writes them.

A temperature T divides the log-likelihoods before they become a distribution (Guo, Pleiss, Sun &
Weinberger 2017, ICML, PMLR 70): above 1 the readings become less certain, below 1 more; which
label comes first never changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field

from kuleshov.tools.errors import KuleshovError, first_line
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.structured_text import read_toml
from kuleshov.tools.types import Record

TABLES = ("counts", "left_out", "fits", "fused")
SCHEMA = "kuleshov/calibration@1"
ASKED = {
    "explained": "the model's reading of face and context together",
    "direct": "the model's reading of the context alone",
    "situation": "the model's reading of the context alone, no label listed",
    "expression": "the model's reading of the face alone",
}
"""How the model was asked, each with a temperature of its own."""


class CalibrationFigure(Record):
    """An estimate and its 95 % interval (percentiles of a bootstrap over items or groups)."""

    value: float
    low: float
    high: float


class Fit(Record):
    """One temperature. The figures are cross-validated: no item is judged by a fit that saw it."""

    temperature: float = Field(gt=0)
    items: int = Field(ge=1)
    nll_before: CalibrationFigure = Field(
        description="mean negative log-likelihood of the label, nats"
    )
    nll_after: CalibrationFigure
    nll_change: CalibrationFigure = Field(description="after minus before: below 0 is better")
    ece_before: CalibrationFigure = Field(description="expected calibration error, 0-1")
    ece_after: CalibrationFigure
    brier_before: CalibrationFigure | None = Field(
        None, description="Brier score, 0-2; None: not computed"
    )
    brier_after: CalibrationFigure | None = None
    classwise_ece_before: CalibrationFigure | None = Field(
        None, description="calibration error of every label's probability, 0-1"
    )
    classwise_ece_after: CalibrationFigure | None = None
    at_edge: bool = Field(False, description="the best temperature lies beyond what is searched")


class Calibration(Record):
    """What was fitted, on what, and for which model, labels and questions it holds."""

    schema_: str = Field(SCHEMA, alias="schema")
    model: str
    revision: str | None = None
    weights: str | None = Field(None, description="SHA-256 of the model's weights, where known")
    faces: str = Field(description="the face tool, whose measurements the model is told")
    prompts: str
    examples: str | None = Field(None, description="the few-shot examples and their choice")
    scheme: str | None = Field(None, description="the coding scheme, whose codes are evidence")
    prior_correction: bool
    context_asked: str = Field("direct", description="how the context alone was read")
    labels: str
    names: tuple[str, ...]
    fusion: str
    counts: dict[str, int] = Field(description="items of the sample by label")
    left_out: dict[str, int] = Field(
        {},
        description="rows of the sample that were left out, by the word that is no label, or why",
    )
    folds: int
    groups: int | None = Field(
        None, description="persons or videos, each in one fold whole; None: folds are over items"
    )
    fits: dict[str, Fit] = Field(description="by how the model was asked")
    fused: Fit | None = Field(
        None, description="the fused reading, before and after; its temperature is that of the fit"
    )

    model_config = ConfigDict(populate_by_name=True)

    def check(self, provenance: Mapping[str, Any], path: str) -> None:
        """Raises KuleshovError where it was fitted for something else than is at work."""
        for name, now in calibration_basis(provenance).items():
            then = getattr(self, name)
            if then != now:
                raise KuleshovError(
                    f"{path} was fitted with {name} {then}, and this is {now}: run "
                    "`kuleshov calibrate` again with these settings."
                )

    def check_labels(self, labels: LabelSet, path: str) -> None:
        """Raises KuleshovError where it was fitted for other labels."""
        if (self.labels, self.names) != (labels.name, labels.names):
            raise KuleshovError(
                f"{path} was fitted for the labels {self.labels}, and these are {labels.name}: "
                "run `kuleshov calibrate` again with these labels."
            )

    def temperatures(self) -> dict[str, float]:
        return {asked: fit.temperature for asked, fit in self.fits.items()}

    def to_toml(self) -> str:
        lines = [
            "# Written by `kuleshov calibrate`. Figures are cross-validated: [value, low, high],",
            "# the last two a 95 % interval.",
        ]
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        tables = {name: plain.pop(name) for name in TABLES if name in plain}
        lines += [f"{name} = {_toml_value(value)}" for name, value in plain.items()]
        lines += ["", "[counts]", *(f"{_toml_key(k)} = {v}" for k, v in tables["counts"].items())]
        if tables.get("left_out"):
            lines += ["", "[left_out]"]
            lines += [f"{_toml_key(word)} = {rows}" for word, rows in tables["left_out"].items()]
        fits = {f"fits.{asked}": fit for asked, fit in tables["fits"].items()}
        if "fused" in tables:
            fits["fused"] = tables["fused"]
        for name, fit in fits.items():
            lines += ["", f"[{name}]", *(f"{k} = {_toml_value(v)}" for k, v in fit.items())]
        return "\n".join(lines) + "\n"


def calibration_basis(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a temperature depends on, from the provenance of a record."""
    model, settings = provenance["mllm"], provenance["settings"]
    shots, scheme = provenance.get("examples"), provenance.get("scheme")
    return {
        "model": model["id"],
        "revision": model.get("revision"),
        "weights": model.get("sha256"),
        "faces": provenance["faces"]["name"],
        "prompts": settings["prompts"],
        "examples": shots
        and f"{shots['sha256'][:16]}, {settings['shots']} {settings['shot_selection']}",
        "scheme": scheme and f"{scheme['name']}, {scheme['sha256'][:16]}",
        "prior_correction": settings["prior_correction"],
        "context_asked": provenance.get("context_asked", "direct"),
    }


def load_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration. Raises KuleshovError if it is missing or not one."""
    plain = read_toml(path, "calibration")
    try:
        for fit in (*plain.get("fits", {}).values(), plain.get("fused", {})):
            for name, value in fit.items():
                if isinstance(value, list):
                    fit[name] = dict(zip(("value", "low", "high"), value, strict=True))
        found = Calibration.model_validate(plain)
    except (ValueError, AttributeError) as error:
        raise KuleshovError(
            f"{path} is not a calibration as `kuleshov calibrate` writes it: {first_line(error)}."
        ) from None
    if found.schema_ != SCHEMA:
        raise KuleshovError(f"{path} is {found.schema_}, and this version reads {SCHEMA}.")
    return found


def _toml_key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):  # a figure
        return "[" + ", ".join(repr(value[name]) for name in ("value", "low", "high")) + "]"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
