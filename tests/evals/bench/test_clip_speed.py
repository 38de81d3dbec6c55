"""The benchmark of clips: that it measures what it says, not how fast."""

from __future__ import annotations

import pytest

from kuleshov.evals.bench import clip_speed, tiny_pyfeat
from kuleshov.tools.faces.pyfeat import tool as pyfeat


def test_both_sides_read_the_same_frames_and_memory_is_that_of_a_reading(monkeypatch):
    pytest.importorskip("torchcodec")
    for name, value in {"FRAMES": 8, "ROUNDS": 1, "SHORT_S": 1, "LONG_S": 2}.items():
        monkeypatch.setattr(clip_speed, name, value)
    try:
        result = clip_speed.measure_clip_speed()
    except clip_speed.KuleshovError as error:
        pytest.skip(str(error))
    assert next(iter(result.figures)) == "fps_ratio"
    assert set(result.meaning) == set(result.figures)
    best = max(result.figures["pyfeat_fps"], result.figures["pyfeat_batch8_fps"])
    ratio = result.figures["ours_fps"] / best
    assert result.figures["fps_ratio"] == pytest.approx(ratio, abs=0.01)
    assert result.settings["memory_frames_read"] == [5, 10]
    assert 0.9 < result.figures["memory_ratio"] < 1.5


def test_a_side_that_finds_other_faces_is_no_comparison(monkeypatch, tmp_path):
    monkeypatch.setattr(clip_speed, "FRAMES", 2)
    monkeypatch.setattr(clip_speed, "FACES", 1)
    clip = tmp_path / "clip.mp4"
    clip_speed.write_clip(clip, (clip_speed._draw_frame(k) * 0 for k in range(2)), clip_speed.RATE)
    tool = pyfeat.load_pyfeat(resources=tiny_pyfeat.build_weights(tmp_path / "weights"))
    monkeypatch.setattr(tool, "unchanged", _Blind)
    with pytest.raises(RuntimeError, match="do not read the same frames"):
        clip_speed._measure_speed(tool, clip, 1, 1)


class _Blind:
    def detect(self, *_, **__):
        import pandas as pd

        return pd.DataFrame({"frame": [0], "FaceScore": [0.0]})
