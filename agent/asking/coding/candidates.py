"""Candidate situations for a face: a TOML file with a ``[[situation]]`` each."""

from __future__ import annotations

from pydantic import Field, ValidationError, field_validator

from kuleshov.inputs import toml_tables
from kuleshov.tools.errors import KuleshovError, first_line, shorten_text
from kuleshov.tools.types import Record

MOST = 40


class Situation(Record):
    """A situation in which a face may be seen."""

    name: str = Field(min_length=1, max_length=60, description="what is scored and shown")
    text: str = Field(min_length=3, max_length=500, description="what happens in it")

    @field_validator("name", "text")
    @classmethod
    def _is_one_line(cls, text: str) -> str:
        if any(ord(sign) < 32 for sign in text) or not text.strip():
            raise ValueError("must be one line of plain text")
        return text.strip()


def load_candidates(path: str) -> tuple[Situation, ...]:
    """The situations of a file, in its order.

    Raises:
        KuleshovError: one sentence that names the line.
    """
    where = f"the candidates {path}"
    told, found = toml_tables.read_toml(
        toml_tables.read_text(path, "file of candidates"), "situation", where
    )
    if told:
        raise KuleshovError(
            f"{where}: there is no {shorten_text(next(iter(told)))!r}; write [[situation]]."
        )
    if len(found) < 2:
        line = found[0].line if found else 1
        raise KuleshovError(f"{where}, line {line}: at least two [[situation]] are needed.")
    if len(found) > MOST:
        raise KuleshovError(
            f"{where}, line {found[MOST].line}: it has {len(found):,} situations and at most "
            f"{MOST} can be compared."
        )
    lines: dict[str, int] = {}
    situations = []
    for table in found:
        try:
            situation = Situation(**table.values)
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            raise KuleshovError(
                f"{where}, line {table.at(key)}: {first_line(error).rstrip('.')}."
            ) from None
        name = situation.name.lower()
        if name in lines:
            raise KuleshovError(
                f"{where}, line {table.at('name')}: the name {situation.name!r} is already taken "
                f"on line {lines[name]}."
            )
        lines[name] = table.at("name")
        situations.append(situation)
    return tuple(situations)
