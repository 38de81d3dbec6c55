"""The short card: who, why, what to be careful about; every word of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
import readings
from rich.console import Console

from kuleshov.output.short_card import print_closing, print_short
from kuleshov.types import Inference


def shown(inference: Inference, width: int = 80, **console: Any) -> str:
    file = io.StringIO()
    print_short(inference, Console(file=file, width=width, **console))
    return file.getvalue()


def test_a_group_is_a_line_a_person_and_a_sentence_why() -> None:
    inference = readings.group()
    told = shown(inference)
    lines = told.splitlines()
    assert lines[0] == ("multi_face.jpg  1000 × 667 px · JPEG · 5 people, 1 of them without a face")
    heads = [line for line in lines if line[:6].strip().isdigit()]
    assert [int(line[:6]) for line in heads] == [1, 2, 3, 4, 5]
    for person, line in zip(inference.people, heads, strict=True):
        if person.emotions is None:
            assert "unanswered: " in line
        else:
            label, probability = person.emotions.ranked()[0]
            assert line.split()[1:4] == [label, f"{100 * probability:.0f}", "%"]
        assert ("no face: from the context alone" in line) == (
            person.face is None and person.emotions is not None
        )
    assert len(lines) < 30
    assert "AU12" not in told.replace(inference.people[0].explanation.text, "")


def test_what_was_unusual_is_told_three_times_at_most_and_counted() -> None:
    inference = readings.group()
    several = inference.model_copy(update={"warnings": tuple(f"care {n}" for n in range(9))})
    told = shown(several)
    assert told.count("  ! ") == 4
    assert "more: -v" in told


def test_what_a_tool_says_of_itself_stands_once_at_the_end() -> None:
    one = readings.single()
    used = {**(one.provenance.mllm or {}), "caveat": "for demonstration"}
    known = one.model_copy(
        update={
            "provenance": one.provenance.model_copy(update={"mllm": used}),
            "warnings": ("for demonstration", "the face is small"),
        }
    )
    told = shown(known)
    assert "for demonstration" not in told
    assert "  ! the face is small" in told
    file = io.StringIO()
    print_closing([known, known], Console(file=file, width=80))
    assert file.getvalue().count("for demonstration") == 1
    assert file.getvalue().count("not a diagnosis") == 1
    assert "-v" in file.getvalue()


def test_nobody_is_not_somebody() -> None:
    nobody = readings.group().model_copy(update={"people": (), "gaps": ()})
    told = shown(nobody)
    assert "nobody read" in told
    assert "no face was found" in told
    assert "scene: " in told


@pytest.mark.parametrize("width", [30, 60, 80, 120])
@pytest.mark.parametrize("name", ["group", "single", "clip"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    for console in ({}, {"force_terminal": True, "color_system": None}):
        for line in shown(getattr(readings, name)(), width, **console).splitlines():
            assert len(line) <= width
            assert line == line.rstrip()
