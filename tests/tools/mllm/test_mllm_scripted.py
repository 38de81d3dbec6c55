"""The scripted back end: in order, noted, and loud when it runs out."""

from __future__ import annotations

import pytest
from tiny_models import user

from kuleshov.tools.mllm import Call, Generation, Mllm, MllmError, ScriptedMllm


def test_answers_come_in_order_and_calls_are_noted() -> None:
    mllm: Mllm = ScriptedMllm(["a beach", Generation("cut", 3, -0.5, False, 0.1)])
    pieces: list[str] = []
    assert mllm.generate([user("describe")], on_token=pieces.append).text == "a beach"
    assert pieces == ["a ", "beach"]
    assert not mllm.generate([user("and now?")], schema={"type": "object"}).finished
    assert isinstance(mllm, ScriptedMllm)
    assert [call.text for call in mllm.calls] == ["describe", "and now?"]
    assert mllm.calls[1].schema == {"type": "object"}


def test_an_exhausted_script_complains() -> None:
    mllm = ScriptedMllm(["one"], [[-1.0, -2.0]])
    mllm.generate([user("first")])
    with pytest.raises(
        MllmError, match=r"exhausted: it holds 1 answer\(s\), and was asked once more: 'second'"
    ):
        mllm.generate([user("second")])
    mllm.score([user("label")], ["yes", "no"])
    with pytest.raises(MllmError, match="exhausted"):
        mllm.score([user("label")], ["yes", "no"])


def test_scores_by_position_by_name_and_wrong() -> None:
    mllm = ScriptedMllm(scores=[[-1, -2], {"no": -3, "yes": -4}, [-1], {"no": -1}])
    assert mllm.score([user("?")], ["yes", "no"]) == [-1.0, -2.0]
    assert mllm.score([user("?")], ["yes", "no"]) == [-4.0, -3.0]
    with pytest.raises(MllmError, match="scores 1 answers and 2 were asked for: yes, no"):
        mllm.score([user("?")], ["yes", "no"])
    with pytest.raises(MllmError, match="scores no yes"):
        mllm.score([user("?")], ["yes", "no"])


def test_functions_choose_by_call_and_exceptions_are_raised() -> None:
    def answer(call: Call) -> str | Exception:
        return MllmError("out of memory") if "second" in call.text else call.text.upper()

    mllm = ScriptedMllm(answer, lambda call: [0.0] * len(call.answers))
    assert mllm.generate([user("first")]).text == "FIRST"
    with pytest.raises(MllmError, match="out of memory"):
        mllm.generate([user("second")])
    assert mllm.score([user("?")], ["a", "b", "c"]) == [0.0, 0.0, 0.0]
