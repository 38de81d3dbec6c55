import re
from pathlib import Path
from typing import get_args

import pytest

from kuleshov import prompts
from kuleshov.asking.family import BRIEF, FAMILIES, FULL, REVIEW, find_family
from kuleshov.settings import Settings
from kuleshov.tools.errors import KuleshovError

ROOT = Path(__file__).resolve().parents[3]


def test_families_are_those_of_the_templates_and_of_the_settings() -> None:
    assert tuple(FAMILIES) == prompts.FAMILIES
    assert get_args(Settings.model_fields["prompts"].annotation) == ("auto", *FAMILIES)
    with pytest.raises(KuleshovError, match="did you mean full"):
        find_family("ful")


def test_nothing_asks_for_a_family_by_its_name() -> None:
    """What follows from the family is a field of it; a comparison of names would be forgotten."""
    asked = re.compile(r"family(?:\.name)?\s*(?:[!=]=|(?:not )?in)\s*[\"'(\[{]")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("agent", "tools", "evals", "prompts", "training")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if asked.search(line) and " for " not in line
    ]
    assert found == []


def test_templates_that_a_family_s_fields_call_for_are_there() -> None:
    for family in FAMILIES.values():
        there = set(prompts.template_digests(family.name))

        def has(node: str, name: str = family.name, there: set[str] = there) -> bool:
            return f"{name}/{node}.jinja" in there

        assert has("judge_instructions") == has("code_instructions") == family.takes_instructions
        assert has("seen") == has("situation") == family.asks_situation
        # a scene without a field for it is asked whether anybody is there
        assert has("probe") or family.scene_fields


@pytest.mark.parametrize("family", [BRIEF, FULL])
def test_an_explanation_reads_back_what_its_schema_asks_for(family) -> None:
    schema = family.explanation_schema([1, 2], free=False)
    assert schema["required"] == ["cues", *family.stages]
    told = family.parse_explanation(family.content_free_answer())
    assert told.cues == ((1, "N/A"),)
    assert told.text == " ".join(["N/A"] * len(family.text_stages))


def test_the_review_is_answered_in_free_words() -> None:
    assert REVIEW.explanation_schema([1], free=False) is None
    assert REVIEW.scene_schema is None
    assert REVIEW.parse_explanation("A smile.").text == "A smile."
