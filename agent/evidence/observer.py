"""An observer of people: how much a face and a context weigh when people judge both together.

The rule is a log-linear pool (Genest & Zidek 1986, Statistical Science 1:114-135):

    p(e | face, context) ∝ p(e | face)^a · p(e | context)^b / p(e)^c, mixed with a lapse rate

a = b = c = 1 is Bayesian cue integration (Ong, Zaki & Goodman 2015, Cognition 143:141-162). The
weights that ship were fitted to people's judgements by `kuleshov integrate`. They hold for
distributions of any sharpness, as long as all three are of one: raising face, context and
outcome to one power changes none of a, b and c.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, Field

from kuleshov.tools.errors import KuleshovError, first_line
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
        if set(face) != set(context):
            raise ValueError("face and context must be distributions over the same labels")
        names = list(face)
        if self.prior is not None and not set(names) <= set(self.prior):
            missing = ", ".join(name for name in names if name not in self.prior)
            raise ValueError(f"the observer {self.name} knows no prior of {missing}")
        prior = np.array([self.prior[name] if self.prior else 1.0 for name in names])
        both = pool(
            np.array([[face[name] for name in names]]),
            np.array([[context[name] for name in names]]),
            self.face_weight,
            self.context_weight,
            self.prior_weight,
            prior,
            self.lapse,
        )[0]
        return dict(zip(names, both.tolist(), strict=True))

    def to_toml(self) -> str:
        """The file that `load` reads."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        prior = plain.pop("prior", None)
        lines = ["# Written by `kuleshov integrate`; use it with --observer FILE."]
        lines += [f"{key} = {_toml(value)}" for key, value in plain.items()]
        if prior:
            lines += ["", "[prior]", *(f"{_toml(key)} = {value!r}" for key, value in prior.items())]
        return "\n".join(lines) + "\n"


def pool(
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
    return (1 - lapse) * pooled + lapse / pooled.shape[1]


def load_observer(path: str | os.PathLike[str]) -> Observer:
    """Read an observer that `kuleshov integrate` wrote.

    Raises:
        KuleshovError: it is missing, or not one; one sentence.
    """
    try:
        plain = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise KuleshovError(f"cannot read the observer {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML
        raise KuleshovError(f"the observer {path} is not TOML: {first_line(error)}.") from None
    try:
        found = Observer.model_validate(plain)
    except ValueError as error:
        raise KuleshovError(
            f"{path} is not an observer as `kuleshov integrate` writes it: {first_line(error)}."
        ) from None
    if found.schema_ != SCHEMA:
        raise KuleshovError(f"{path} is {found.schema_}, and this version reads {SCHEMA}.")
    return found


@cache
def shipped_observer() -> Observer:
    """The observer `people`, fitted to Ong, Zaki & Goodman (2015), experiment 3."""
    return load_observer(SHIPPED)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
