"""An observer of people: how much a face and a context weigh when people judge both together.

The rule is a log-linear pool (Genest & Zidek 1986, Statistical Science 1:114-135):

    p(e | face, context) ∝ p(e | face)^a · p(e | context)^b / p(e)^c, mixed with a lapse rate

a = b = c = 1 is Bayesian cue integration (Ong, Zaki & Goodman 2015, Cognition 143:141-162). The
weights that ship were fitted to people's judgements by `kuleshov integrate`. They hold for
distributions of any sharpness, as long as all three are of one: raising face, context and
outcome to one power changes none of a, b and c.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field

from kuleshov.tools.errors import KuleshovError, first_line
from kuleshov.tools.structured_text import read_toml
from kuleshov.tools.types import Record

SCHEMA = "kuleshov/observer@1"
SHIPPED = Path(__file__).with_name("observers") / "people.toml"
FLOOR = 1e-6
"""A label that one cue rules out is ruled out by no rounding error."""


class Observer(Record):
    """A fitted log-linear pool: what a face, a context and what is usual weigh for people."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: str = Field(SCHEMA, alias="schema")
    name: str = Field(min_length=1, description="how records and pages call it")
    face_weight: float = Field(ge=0, le=5, description="a, the exponent of p(e | face)")
    context_weight: float = Field(ge=0, le=5, description="b, the exponent of p(e | context)")
    prior_weight: float = Field(0.0, ge=0, le=5, description="c, the exponent of 1 / p(e)")
    prior: dict[str, float] | None = Field(
        None, description="p(e) by label; None: none was fitted, and prior_weight is 0"
    )
    lapse: float = Field(0.0, ge=0, lt=1, description="share of judgements that are any label")
    floor: float = Field(
        FLOOR,
        gt=0,
        lt=0.5,
        description="least share of a label in the face and context judgements it was fitted to: "
        "a cue that is surer than that counts as that sure",
    )
    labels: tuple[str, ...] = Field((), description="what the judges rated")
    judgements: int = Field(ge=1, description="judgements that it was fitted to")
    raters: int | None = Field(None, ge=1)
    source: str = Field(description="the data")
    command: str = Field(description="what fitted it")
    divergence: float | None = Field(
        None, ge=0, description="Kullback-Leibler to people's judgements, nats, cross-validated"
    )

    def combine(self, face: Mapping[str, float], context: Mapping[str, float]) -> dict[str, float]:
        """What people would say of face and context together.

        Args:
            face, context: distributions over the same labels, each summing to 1.

        Returns:
            a distribution over these labels, in the order of `face`.

        Raises:
            ValueError: the labels differ, or a prior was fitted that does not name them all.
        """
        return self.combine_cues(face, [context], [1.0])

    def check_labels(self, names: Sequence[str], file: str | None = None) -> None:
        """Raises KuleshovError where a prior was fitted that does not name all the labels."""
        missing = [name for name in names if self.prior is not None and name not in self.prior]
        if missing:
            raise KuleshovError(
                f"the observer {file or self.name} knows no prior of {', '.join(missing)}; use "
                "labels that it was fitted to, or an observer without a prior."
            )

    def exponents(self, shares: Sequence[float]) -> tuple[float, list[float], float]:
        """What face and contexts weigh where contexts count by shares, 1 a full context.

        The face and the contexts weigh as a : b · share; together they weigh as the observer's
        two cues do, or as little more than the face alone where there is little context. So a
        context that counts nothing leaves the face as it is, a single one that counts fully is
        the fitted rule, and agreement of several sharpens no more than that of two.

        Returns:
            the exponents of the face and of each context, and the part of the fitted rule, 0-1.
        """
        part = min(1.0, sum(shares))
        given = self.context_weight * sum(shares)
        whole = 1 - part + part * (self.face_weight + self.context_weight)
        total = self.face_weight + given
        scale = whole / total if total else 0.0
        contexts = [scale * self.context_weight * share for share in shares]
        return (scale * self.face_weight if part else 1.0), contexts, part

    def combine_cues(
        self,
        face: Mapping[str, float],
        contexts: Sequence[Mapping[str, float]],
        shares: Sequence[float],
    ) -> dict[str, float]:
        """As `combine`, of several readings of the context that count by shares.

        Args:
            face, contexts: distributions over the same labels, each summing to 1.
            shares: how far each context counts, 0 (not) to 1; see `exponents`.
        """
        if any(set(face) != set(context) for context in contexts):
            raise ValueError("face and context must be distributions over the same labels")
        names = list(face)
        if self.prior is not None and not set(names) <= set(self.prior):
            missing = ", ".join(name for name in names if name not in self.prior)
            raise ValueError(f"the observer {self.name} knows no prior of {missing}")
        prior = np.array([self.prior[name] if self.prior else 1.0 for name in names])
        of_face, of_contexts, part = self.exponents(shares)
        bounded = [
            np.maximum([cue[name] for name in names], self.floor if part else FLOOR)
            for cue in (face, *contexts)
        ]
        # one context that weighs as all of them do
        whole = sum(of_contexts)
        context = np.ones(len(names))
        if whole:
            for cue, exponent in zip(bounded[1:], of_contexts, strict=True):
                context = context * cue ** (exponent / whole)
        both = pool_log_linear(
            bounded[0][None],
            context[None],
            of_face,
            whole,
            part * self.prior_weight,
            prior,
            part * self.lapse,
        )[0]
        return dict(zip(names, both.tolist(), strict=True))

    def to_toml(self) -> str:
        """The file that `load` reads."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        prior = plain.pop("prior", None)
        lines = ["# Written by `kuleshov integrate`; use it with --observer FILE."]
        lines += [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
        if prior:
            lines += [
                "",
                "[prior]",
                *(f"{_toml_value(key)} = {value!r}" for key, value in prior.items()),
            ]
        return "\n".join(lines) + "\n"


def pool_log_linear(
    face: np.ndarray,
    context: np.ndarray,
    face_weight: float,
    context_weight: float,
    prior_weight: float = 0.0,
    prior: np.ndarray | None = None,
    lapse: float = 0.0,
) -> np.ndarray:
    """The log-linear pool of distributions.

    Args:
        face, context: (pairs, labels), each row summing to 1.
        prior: (labels,); None is uniform.

    Returns:
        (pairs, labels), each row summing to 1.
    """
    logs = face_weight * np.log(np.maximum(face, FLOOR))
    logs = logs + context_weight * np.log(np.maximum(context, FLOOR))
    if prior is not None and prior_weight:
        logs = logs - prior_weight * np.log(np.maximum(prior, FLOOR))
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    pooled = weights / weights.sum(axis=1, keepdims=True)
    readings: np.ndarray = (1 - lapse) * pooled + lapse / pooled.shape[1]
    return readings


def load_observer(path: str | os.PathLike[str]) -> Observer:
    """Read an observer that `kuleshov integrate` wrote.

    Raises:
        KuleshovError: it is missing, or not one; one sentence.
    """
    plain = read_toml(path, "observer")
    try:
        found = Observer.model_validate(plain)
    except ValueError as error:
        raise KuleshovError(
            f"{path} is not an observer as `kuleshov integrate` writes it: {first_line(error)}."
        ) from None
    if found.schema_ != SCHEMA:
        raise KuleshovError(f"{path} is {found.schema_}, and this version reads {SCHEMA}.")
    return found


def read_observer(path: str | os.PathLike[str] | None) -> tuple[Observer, dict[str, Any]]:
    """An observer and what records say of it: all of it, and of a file its path and SHA-256.

    Args:
        path: of a user's own; None: the shipped one.

    Raises:
        KuleshovError: as `load_observer`.
    """
    found = shipped_observer() if path is None else load_observer(path)
    file = SHIPPED if path is None else Path(path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    facts = found.model_dump(mode="json", by_alias=True)
    facts |= {"file": None if path is None else os.fspath(path), "sha256": digest}
    return found, facts


@cache
def shipped_observer() -> Observer:
    """The observer `people`, fitted to Ong, Zaki & Goodman (2015), experiment 3."""
    return load_observer(SHIPPED)


def _toml_value(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
