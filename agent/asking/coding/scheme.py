"""Coding schemes: which variables of the context are coded, by which questions.

A scheme is a TOML file with one ``[[variable]]`` each. Shipped: `default` (the cues of the
review), `appraisals`, `situations`; names joined by ``+`` are coded together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from kuleshov.inputs import toml_tables
from kuleshov.tools.errors import KuleshovError, first_line, shorten_text, suggest_word
from kuleshov.tools.registry import Registry
from kuleshov.tools.types import Record

Kind = Literal["yes/no", "category", "count", "ordinal", "text"]
Scope = Literal["scene", "person", "pair"]

MOST_VARIABLES = 200
MOST_OPTIONS = 40
YES_NO = ("yes", "no")


class Variable(Record):
    """One question and the answers it can have."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="small letters, digits, _")
    type: Kind
    scope: Scope = "scene"
    question: str = Field(min_length=3, max_length=300)
    definition: str = Field("", max_length=400)
    options: tuple[str, ...] = Field((), description="of a category")
    steps: int | None = Field(None, ge=2, le=9, description="of an ordinal: 1 to this")
    low: str = Field("", max_length=60, description="what 1 stands for")
    high: str = Field("", max_length=60, description="what the highest step stands for")
    most: int | None = Field(
        None, ge=1, le=1000, description="highest count, or characters of a text"
    )
    rewordings: tuple[str, ...] = Field((), description="the same question in other words")
    probe: str | None = Field(
        None, description='the thing in "Is there … in the picture?", for models taught only that'
    )
    hears: bool = Field(False, description="asked of the words that are heard; needs some")
    source: str = ""

    @field_validator("question", "definition", "low", "high", "probe")
    @classmethod
    def _is_one_line(cls, text: str | None) -> str | None:
        if text is not None and any(ord(sign) < 32 for sign in text):
            raise ValueError("must be one line of plain text")
        return text.strip() if text else text

    @field_validator("options", "rewordings")
    @classmethod
    def _are_short_lines(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        texts = tuple(text.strip() for text in texts)
        for text in texts:
            if not text or len(text) > 300 or any(ord(sign) < 32 for sign in text):
                raise ValueError(f"{text[:40]!r} must be one line of 1 to 300 characters")
        return texts

    @model_validator(mode="after")
    def _fits_its_type(self) -> Variable:
        if self.type == "category":
            if len(self.options) < 2:
                raise ValueError(f"options: a category needs at least two, got {len(self.options)}")
            if len(self.options) > MOST_OPTIONS:
                raise ValueError(f"options: at most {MOST_OPTIONS}, got {len(self.options)}")
            lower = [option.lower() for option in self.options]
            twice = next((o for o in self.options if lower.count(o.lower()) > 1), None)
            if twice is not None:
                raise ValueError(f"options: {twice!r} stands there twice")
        elif self.options:
            raise ValueError(f"options: only a category has options, not {self.type}")
        if (self.type == "ordinal") != (self.steps is not None):
            raise ValueError(
                "steps: an ordinal needs its number of steps"
                if self.type == "ordinal"
                else f"steps: only an ordinal has steps, not {self.type}"
            )
        if self.probe is not None and (self.type != "yes/no" or self.scope != "scene"):
            raise ValueError("probe: only a yes/no variable of the scene has a probe")
        return self

    @property
    def answers(self) -> tuple[str, ...]:
        """The closed answers; none for counts and texts."""
        if self.type == "yes/no":
            return YES_NO
        if self.type == "ordinal":
            return tuple(str(step) for step in range(1, (self.steps or 0) + 1))
        return self.options


class Scheme(Record):
    """Variables with their source; several schemes can be one."""

    name: str
    version: str = "1"
    source: str = Field(min_length=1, description="publication or origin of the variables")
    sha256: str = Field("", description="of the file, or of the files' digests")
    variables: tuple[Variable, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """What the record says of the scheme."""
        return {
            **self.model_dump(mode="json", exclude={"variables"}),
            "variables": len(self.variables),
        }

    @classmethod
    def load(cls, name: str) -> Scheme:
        """A shipped scheme by name, a TOML file by path, or several joined by ``+``.

        Raises:
            KuleshovError: one sentence that names the file and the line.
        """
        parts = [_load_one(part.strip()) for part in name.split("+")]
        if len(parts) == 1:
            return parts[0]
        taken: dict[str, str] = {}
        for part in parts:
            for variable in part.variables:
                if variable.name in taken:
                    raise KuleshovError(
                        f"the variable {variable.name!r} is in the schemes "
                        f"{taken[variable.name]!r} and {part.name!r}: rename one of them."
                    )
                taken[variable.name] = part.name
        digests = "".join(part.sha256 for part in parts)
        return cls(
            name="+".join(part.name for part in parts),
            version="+".join(part.version for part in parts),
            source="; ".join(part.source for part in parts),
            sha256=hashlib.sha256(digests.encode()).hexdigest(),
            variables=tuple(variable for part in parts for variable in part.variables),
        )


def _shipped_files() -> dict[str, Traversable]:
    folder = files("kuleshov.asking.coding") / "schemes"
    found = {
        item.name.removesuffix(".toml"): item
        for item in folder.iterdir()
        if item.name.endswith(".toml")
    }
    return dict(sorted(found.items()))


SCHEMES: Registry[Traversable] = Registry(
    "coding scheme", _shipped_files, listed="shipped", otherwise="or give the path of a .toml file"
)
"""The shipped schemes' files by name."""


def shipped_schemes() -> list[str]:
    return list(SCHEMES)


def _load_one(name: str) -> Scheme:
    if name in SCHEMES or not name.endswith(".toml"):
        return parse_scheme(SCHEMES.find(name).read_text("utf-8"), f"the scheme {name}")
    return parse_scheme(toml_tables.read_text(name, "coding scheme"), f"the coding scheme {name}")


def parse_scheme(text: str, where: str) -> Scheme:
    """A scheme from the text of its file; `where` names the file in messages.

    Raises:
        KuleshovError: one sentence that names the line.
    """
    told, found = toml_tables.read_toml(text, "variable", where)
    if not found:
        raise KuleshovError(f"{where} has no [[variable]].")
    if len(found) > MOST_VARIABLES:
        raise KuleshovError(
            f"{where}, line {found[MOST_VARIABLES].line}: it has {len(found):,} variables and "
            f"at most {MOST_VARIABLES} can be coded; split it into several schemes."
        )
    variables: list[Variable] = []
    lines: dict[str, int] = {}
    for table in found:
        variable = _parse_variable(table, where)
        if variable.name in lines:
            raise KuleshovError(
                f"{where}, line {table.at('name')}: the name {variable.name!r} is already taken "
                f"on line {lines[variable.name]}."
            )
        lines[variable.name] = table.at("name")
        variables.append(variable)
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        return Scheme(**{**told, "variables": tuple(variables), "sha256": digest})
    except ValidationError as error:
        raise KuleshovError(f"{where} is not valid: {_plain_error(error)}.") from None


def _parse_variable(table: toml_tables.TomlTable, where: str) -> Variable:
    values: dict[str, Any] = dict(table.values)
    called = f" of {values['name']!r}" if isinstance(values.get("name"), str) else ""
    for key in ("name", "type", "question"):
        if key not in values:
            raise KuleshovError(f"{where}, line {table.line}: the variable{called} has no {key}.")
    try:
        return Variable(**values)
    except ValidationError as error:
        wrong = _wrong_field(error)
        raise KuleshovError(f"{where}, line {table.at(wrong)}: {_plain_error(error)}.") from None


def _wrong_field(error: ValidationError) -> str | None:
    """Which field is wrong; the models' own checks name it before a colon."""
    first = error.errors()[0]
    if first["loc"]:
        return str(first["loc"][0])
    return first["msg"].removeprefix("Value error, ").partition(":")[0]


def _plain_error(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return (
            f"there is no {shorten_text(name)!r}{suggest_word(name, list(Variable.model_fields))}"
        )
    got = first.get("input")
    if first["type"] in ("literal_error", "string_pattern_mismatch"):
        return f"{first_line(error)}, got {shorten_text(repr(got))}"
    return first_line(error).rstrip(".")


def by_scope(variables: Sequence[Variable]) -> dict[Scope, list[Variable]]:
    """Variables by scope, in the scheme's order."""
    return {
        scope: [variable for variable in variables if variable.scope == scope]
        for scope in ("scene", "person", "pair")
    }
