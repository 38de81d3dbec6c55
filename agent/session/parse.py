"""What a line of a conversation asks for: a what-if, another person, or an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

WHAT_IF = re.compile(r"^\s*(?:and\s+)?(?:what if|suppose|imagine|assume)(?:\s+that)?[\s,:]+", re.I)
PERSON = re.compile(
    r"^\s*(?:(?:now\s+)?look\s+(?:only\s+)?(?:at|to)|only|about|take|show(?:\s+me)?)\s+"
    r"(?:only\s+)?person\s+(\d{1,4})\s*[.!?]*\s*$",
    re.I,
)
WERE = re.compile(r"^((?:this|that|it|he|she|there|the \w+)) (?:were|was|would be)\b", re.I)


@dataclass(frozen=True)
class Understood:
    kind: Literal["what_if", "person", "question"]
    text: str
    person: int | None = None


def parse_line(line: str) -> Understood:
    """`what if this were a funeral?` supposes "this is a funeral"; what is not told apart asks."""
    if match := PERSON.match(line):
        return Understood("person", line.strip(), int(match[1]))
    if match := WHAT_IF.match(line):
        return Understood("what_if", plain_supposition(line[match.end() :]))
    return Understood("question", line.strip())


def plain_supposition(text: str) -> str:
    """A supposition as a plain statement, without "what if" and the question mark."""
    plain = WHAT_IF.sub("", text).strip().rstrip("?!. ").strip()
    return WERE.sub(lambda match: f"{match[1]} is", plain)
