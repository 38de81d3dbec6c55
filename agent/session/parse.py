"""What a line of a conversation asks for: a what-if, another person, or an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

WHAT_IF = re.compile(
    r"^\s*(?:and\s+|but\s+|so\s+|now\s+)?(?:what (?:if|about if)|how about if|suppose|supposing|"
    r"imagine|assume|assuming|pretend|let'?s say|say|if)(?:\s+that)?[\s,:]+",
    re.I,
)
CHANGES = re.compile(
    r"[,.;]?\s*(?:"
    r"(?:does|would|will|did) (?:it|that|this)(?: \w+)? (?:change|make|matter|move|alter)|"
    r"would (?:it|that|this) be (?:different|otherwise)|would you (?:still )?(?:say|read|think)|"
    r"how would (?:it|that|she|he|they)|what (?:then|would change)|and now)\b.*$",
    re.I,
)
DIFFERENT = re.compile(
    r"^\s*(?:would (?:it|that) be different|does (?:it|anything) change|what would change)"
    r"(?: if| when)\s+",
    re.I,
)
PLACE = re.compile(
    r"^\s*(?:and|what about|how about)\s+((?:at|in|during|after|before)\s+.+)$", re.I
)
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
    if match := WHAT_IF.match(line) or DIFFERENT.match(line):
        return Understood("what_if", plain_supposition(line[match.end() :]))
    if match := PLACE.match(line):
        return Understood("what_if", plain_supposition(f"this is {match[1]}"))
    if (match := CHANGES.search(line)) and len(line[: match.start()].split()) >= 3:
        return Understood("what_if", plain_supposition(line[: match.start()]))
    return Understood("question", line.strip())


def plain_supposition(text: str) -> str:
    """A supposition as a plain statement, without "what if" and the question mark."""
    plain = CHANGES.sub("", WHAT_IF.sub("", text)).strip().rstrip("?!., ").strip()
    return WERE.sub(lambda match: f"{match[1]} is", plain)
