"""The benchmark of face tools: that it measures what it says, not how fast."""

from __future__ import annotations

import pytest

from kuleshov.evals.bench import face_speed


def test_both_sides_find_the_same_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_speed, "PICTURES", 3)
    monkeypatch.setattr(face_speed, "ROUNDS", 1)
    result = face_speed.measure_face_speed()
    assert list(result.figures)[:2] == ["ratio_batch1", "ratio_batch32"]
    assert set(result.meaning) == set(result.figures)
    assert result.settings["threads_pyfeat"] == 1
    ratio = result.figures["ours_batch1_per_s"] / result.figures["pyfeat_batch1_per_s"]
    assert result.figures["ratio_batch1"] == pytest.approx(ratio, abs=0.01)


def test_a_side_that_finds_other_faces_is_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_speed, "PICTURES", 1)
    monkeypatch.setattr(face_speed, "FACES", 1)
    drawn = face_speed._make_picture(0)
    monkeypatch.setattr(face_speed, "_make_picture", lambda number: drawn * 0)
    with pytest.raises(RuntimeError, match="do not find the same faces"):
        face_speed.measure_face_speed()
