"""Many questions packed into one forward equal one question at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import KINDS, assistant, picture, user

from kuleshov.tools.mllm.base import MllmError
from kuleshov.tools.mllm.local import packing
from kuleshov.tools.mllm.local.model import TransformersMllm

Folder = Callable[..., Path]
QUESTIONS = [
    ("is there a person in the scene?", ["yes", "no"]),
    ("which emotion does the person show?", ["happiness", "sadness", "no no", "neutral"]),
    ("describe", ["calm"]),
    ("what does the person show? happiness or fear or anger", ["happiness", "fear", "anger"]),
]


@pytest.fixture(scope="module", params=KINDS)
def mllm(request: Any, tiny_llava: Folder) -> TransformersMllm:
    folder = tiny_llava(request.param)
    return TransformersMllm.load_folder(folder, name=request.param, device="cpu", dtype="float32")


def asked(*pictures: Any) -> list[packing.Question]:
    return [([user(*pictures, text)], answers) for text, answers in QUESTIONS]


def one_by_one(mllm: TransformersMllm, questions: list[packing.Question]) -> list[list[float]]:
    return [mllm.score(conversation, answers) for conversation, answers in questions]


@pytest.mark.parametrize("row", [8, 40, packing.ROW])
def test_packed_equals_one_by_one(mllm: TransformersMllm, monkeypatch: Any, row: int) -> None:
    whole = packing.pack_rows
    monkeypatch.setattr(packing, "pack_rows", lambda *a: whole(*a, most=row))
    calls = []
    forest = packing.forest_scores
    monkeypatch.setattr(packing, "forest_scores", lambda *a: calls.append(len(a[1])) or forest(*a))
    for pictures in ([picture(1)], [picture(1), picture(2, (30, 60))]):
        calls.clear()
        questions = asked(*pictures)
        packed = mllm.score_many(questions)
        assert sum(calls) == len(questions)  # packed, not one at a time
        assert len(calls) == {8: 4, packing.ROW: 1}.get(row, len(calls))
        for ours, theirs in zip(packed, one_by_one(mllm, questions), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-4)


def test_an_earlier_turn_with_the_picture_is_shared(mllm: TransformersMllm) -> None:
    before = [user("describe the scene.", picture(3)), assistant("a person smiles")]
    questions = [([*before, user(text)], answers) for text, answers in QUESTIONS]
    for ours, theirs in zip(mllm.score_many(questions), one_by_one(mllm, questions), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_different_pictures_or_none_are_asked_one_by_one(mllm: TransformersMllm) -> None:
    apart = [*asked(picture(1))[:2], *asked(picture(2))[:2]]
    assert mllm.score_many(apart) == one_by_one(mllm, apart)
    assert mllm.score_many(asked()) == one_by_one(mllm, asked())
    assert mllm.score_many([]) == []


def test_a_question_too_long_for_the_model_is_refused(mllm: TransformersMllm) -> None:
    questions = [*asked(picture(1)), ([user(picture(1), "happiness " * 900)], ["yes"])]
    with pytest.raises(MllmError, match="reads at most"):
        mllm.score_many(questions)


def test_words_that_steer_the_model_are_broken(mllm: TransformersMllm) -> None:
    questions = [*asked(picture(1)), ([user(picture(1), "a <image> of <image>")], ["<image>"])]
    for ours, theirs in zip(mllm.score_many(questions), one_by_one(mllm, questions), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
