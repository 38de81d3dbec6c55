"""The Fex export: whole rows, and Py-Feat's own reader, analysis and plots on them."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.fex import FexRow, write_fex
from kuleshov.tools.faces.pyfeat import tool
from kuleshov.tools.types import ActionUnit, HeadPose

from parts import NO_FROWN, SMILE, face, scores


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def filled(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value != ""}


def test_whole_rows(tmp_path: Path) -> None:
    seen = face(
        SMILE,
        NO_FROWN,
        pose=HeadPose(pitch=10, yaw=20, roll=-5),
        valence=0.5,
        expression=scores(happiness=0.7, neutral=0.1, fear=0.2, anger=0, disgust=0),
        time_s=65.25,
        frame=12,
        track=1,
    )
    rows = [FexRow("clip.mp4", seen), FexRow("clip.mp4", None, frame=13, time_s=65.5)]
    assert write_fex(rows, tmp_path / "faces.csv") == 2
    first, second = read(tmp_path / "faces.csv")
    assert filled(first) == {
        "input": "clip.mp4", "frame": "12", "approx_time": "01:05", "time_s": "65.25",
        "FaceRectX": "10.0", "FaceRectY": "10.0", "FaceRectWidth": "50.0",
        "FaceRectHeight": "60.0", "FaceScore": "0.9",
        "Pitch": "0.174533", "Roll": "-0.087266", "Yaw": "-0.349066",
        "AU04": "0.02", "AU12": "0.93",
        "Neutral": "0.1", "Happy": "0.7", "Sad": "0.0", "Surprise": "0.0", "Fear": "0.2",
        "Disgust": "0.0", "Anger": "0.0",
        "valence": "0.5", "track": "1", "au_scale": "probability", "tool": "hand",
    }  # fmt: skip
    assert filled(second) == {
        "input": "clip.mp4", "frame": "13", "approx_time": "01:05", "time_s": "65.5",
        "FaceScore": "0",
    }  # fmt: skip


def test_scales_do_not_mix_in_one_column(tmp_path: Path) -> None:
    rows = [
        FexRow("a.jpg", face(ActionUnit(unit=12, intensity=3.2, presence=True))),
        FexRow("b.jpg", face(ActionUnit(unit=28, presence=False), ActionUnit(unit=45))),
    ]
    write_fex(rows, tmp_path / "faces.csv")
    first, second = read(tmp_path / "faces.csv")
    assert (first["AU12"], first["au12_presence"], first["au_scale"]) == ("3.2", "1", "intensity")
    assert (second["AU28"], second["au28_presence"], second["AU45"]) == ("", "0", "")
    write_fex(rows, tmp_path / "given.csv", units=(12, 28, 45), scale="presence")
    first, second = read(tmp_path / "given.csv")
    assert (first["AU12"], first["au12_intensity"], second["AU28"]) == ("1", "3.2", "0")


def test_py_feat_opens_analyses_and_plots_it(
    tmp_path: Path, feat_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import feat
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    photo = str(feat_data / "single_face.jpg")
    units = [ActionUnit(unit=unit, probability=0.3) for unit in tool.UNITS]
    seen = face(*units, box=(200, 100, 400, 350), pose=HeadPose(pitch=1, yaw=2, roll=3))
    write_fex([FexRow(photo, seen), FexRow(photo, face(SMILE))], tmp_path / "faces.csv")
    fex = feat.utils.io.read_feat(str(tmp_path / "faces.csv"))
    assert isinstance(fex, feat.Fex)
    assert list(fex.aus.columns) == [f"AU{unit:02d}" for unit in tool.UNITS]
    assert fex.aus.iloc[0].tolist() == [0.3] * 20
    assert fex.aus.iloc[1].isna().sum() == 19
    assert fex.emotions.Happy.tolist() == [0.8, 0.8]
    assert fex.faceboxes.iloc[0].tolist() == [200, 100, 200, 250, 0.9]
    assert fex.poses[["Pitch", "Yaw"]].iloc[0].tolist() == pytest.approx(
        [math.radians(1), -math.radians(2)], abs=1e-6
    )
    assert fex.landmarks.isna().all().all()
    assert fex.inputs.tolist() == [photo, photo]
    assert fex.extract_mean().mean_AU12.item() == pytest.approx((0.3 + 0.93) / 2)
    (figure,) = fex.iloc[[0]].plot_detections(muscles=False)
    assert figure.axes
    pyplot.close("all")


def test_our_reader_takes_a_row_back(tmp_path: Path) -> None:
    """Through a Fex file and back a probability is the same probability."""
    seen = face(
        *[ActionUnit(unit=unit, probability=0.25) for unit in tool.UNITS],
        units_measured=tool.UNITS,
        expression=scores(happiness=0.7, neutral=0.1, fear=0.2, anger=0, disgust=0),
        pose=HeadPose(pitch=10.0, yaw=-20.0, roll=5.0),
    )
    write_fex([FexRow("a.jpg", seen)], tmp_path / "faces.csv")
    (row,) = read(tmp_path / "faces.csv")
    values: dict[str, Any] = {}
    for name, value in filled(row).items():
        try:
            values[name] = float(value)
        except ValueError:
            values[name] = value
    back = tool.from_fex(values, tool="hand", version="1")
    assert back is not None
    assert back.expression is not None
    assert back.model_copy(update={"expression": seen.expression}) == seen
    assert seen.expression is not None
    assert back.expression.probabilities == pytest.approx(seen.expression.probabilities)


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(KuleshovError, match=r"cannot write .*No such file"):
        write_fex([], tmp_path / "missing" / "faces.csv")
    target = tmp_path / "faces.csv"
    target.write_text("before")

    def rows() -> Any:
        yield FexRow("a.jpg", None)
        raise RuntimeError("the source of rows broke")

    with pytest.raises(RuntimeError):
        write_fex(rows(), target, units=(12,), scale="probability")
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["faces.csv"]
