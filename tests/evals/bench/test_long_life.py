"""Long life: the real commands are sampled while they work, on pictures that all differ."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.evals.bench import long_life
from kuleshov.tools.errors import KuleshovError


def test_a_server_and_an_annotation_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_life, "EVERY_S", 0.02)
    found = long_life.measure_long_life(readings=20, items=40)
    assert set(found.figures) == set(found.meaning)
    for name in ("serve", "annotate"):
        assert found.figures[f"{name}_mb_early"] > 100
        assert found.figures[f"{name}_descriptors_late"] >= 3
        growth = found.figures[f"{name}_mb_late"] / found.figures[f"{name}_mb_early"]
        assert found.figures[f"{name}_growth"] == pytest.approx(growth, abs=1e-3)


def test_no_two_pictures_are_the_same(tmp_path: Path) -> None:
    paths = long_life._write_pictures(tmp_path / "set", 300)
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) == 300


def test_work_that_is_too_short_is_told() -> None:
    with pytest.raises(KuleshovError, match="too short"):
        long_life.Course().within(0.1, 0.2)


def test_options_of_another_benchmark_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "start", "--items", "3"]) == 2
    assert "bench start takes no --items; bench long-life does." in capsys.readouterr().err
