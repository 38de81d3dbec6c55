"""The real Py-Feat, with tiny weights: from pixels to faces, and what it says without weights."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuleshov.evals.bench import tiny_pyfeat
from kuleshov.tools.faces import ToolError, find_entry
from kuleshov.tools.faces.pyfeat import tool as pyfeat
from kuleshov.tools.faces.pyfeat.tool import UNITS, PyFeat, from_fex
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.media import open_media
from kuleshov.tools.types import HeadPose


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pyfeat.build_weights(tmp_path_factory.mktemp("pyfeat"))


@pytest.fixture(scope="module")
def tool(resources: Path) -> PyFeat:
    import torch

    torch.set_grad_enabled(True)
    return pyfeat.load_pyfeat(device="cpu", resources=resources)


def dark(width: int, height: int, *blobs: tuple[int, ...]) -> np.ndarray[Any, Any]:
    image = np.zeros((height, width, 3), np.uint8)
    for blob in blobs:
        tiny_pyfeat.draw_blob(image, *blob)
    return image


# ------------------------------------------------------------------------ pictures to faces


def test_boxes_and_scores(tool: PyFeat) -> None:
    (faces,) = tool.observe([dark(240, 160, (164, 100, 245), (60, 52))])
    assert [face.xyxy for face in faces] == [(44, 36, 76, 68), (148, 84, 180, 116)]
    first, second = (face.score for face in faces)
    assert first is not None
    assert second is not None
    assert 0.9 < second < first < 1
    assert {(face.tool, face.version, face.notes) for face in faces} == {
        (
            "pyfeat",
            "py-feat 2.1.5 (Detectorv2)".replace("2.1.5", pyfeat._installed_version() or ""),
            (),
        )
    }


def test_units_are_probabilities_and_expressions_a_distribution(tool: PyFeat) -> None:
    ((face,),) = tool.observe([dark(96, 96, (44, 52))])
    assert tuple(unit.unit for unit in face.action_units) == UNITS == face.units_measured
    assert len(UNITS) == 20
    assert {unit.scale for unit in face.action_units} == {"probability"}
    assert len({unit.probability for unit in face.action_units}) > 10
    assert face.expression is not None
    assert tuple(face.expression.probabilities) == LabelSet.load("ekman-7").names
    assert tool.info.expressions == LabelSet.load("ekman-7").names
    assert len(set(face.expression.probabilities.values())) == 7
    assert face.valence is not None
    assert face.arousal is not None
    assert face.pose is not None


def test_a_photograph_is_read_as_pyfeat_itself_reads_it(
    tool: PyFeat, feat_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of Detectorv2.detect beside the adapter, on a photograph of many bright spots."""
    import torch

    image = np.ascontiguousarray(open_media(feat_data / "multi_face.jpg").images[0][::2, ::2])
    monkeypatch.setattr(pyfeat, "FACES_AT_ONCE", 4)  # several batches, the last one not full
    monkeypatch.setattr(tool._finder, "detection_threshold", 0.6)
    (faces,) = tool.observe([image])
    table = tool.detector.detect(
        torch.from_numpy(image).permute(2, 0, 1)[None], data_type="tensor", progress_bar=False
    )
    table = table.sort_values("FaceScore", ascending=False, kind="stable").to_dict("records")
    assert len(faces) == len(table) > 8
    for face, row in zip(faces, table, strict=True):
        assert face.score == pytest.approx(row["FaceScore"], abs=1e-4)
        x0, y0, x1, y1 = face.xyxy
        # FaceRect is the chip: a square of 1.2 times the longer side around the box
        assert (x0 + x1) / 2 == pytest.approx(row["FaceRectX"] + row["FaceRectWidth"] / 2, abs=0.2)
        assert (y0 + y1) / 2 == pytest.approx(row["FaceRectY"] + row["FaceRectHeight"] / 2, abs=0.2)
        assert row["FaceRectWidth"] == pytest.approx(1.2 * max(x1 - x0, y1 - y0), abs=0.3)
        for unit in face.action_units:
            assert unit.probability == pytest.approx(row[f"AU{unit.unit:02d}"], abs=2e-3)
        assert face.expression is not None
        assert face.expression.probabilities["happiness"] == pytest.approx(row["Happy"], abs=2e-3)
        assert face.expression.probabilities["neutral"] == pytest.approx(row["Neutral"], abs=2e-3)
        assert face.valence == pytest.approx(row["valence"], abs=2e-3)
        assert face.pose is not None
        assert face.pose.pitch == pytest.approx(math.degrees(row["Pitch"]), abs=0.2)
        assert face.pose.yaw == pytest.approx(-math.degrees(row["Yaw"]), abs=0.2)
        assert face.pose.roll == pytest.approx(math.degrees(row["Roll"]), abs=0.2)


def test_no_face_is_an_empty_list_and_sizes_may_differ(tool: PyFeat) -> None:
    pictures = [dark(64, 64), dark(96, 64, (36, 36)), dark(64, 64), dark(64, 96, (36, 60))]
    found = tool.observe(pictures)
    assert [[face.xyxy for face in faces] for faces in found] == [
        [],
        [(20, 20, 52, 52)],
        [],
        [(20, 44, 52, 76)],
    ]
    alone = [tool.observe([picture])[0] for picture in pictures]
    for together, single in zip(found[1] + found[3], alone[1] + alone[3], strict=True):
        assert together.valence == pytest.approx(single.valence, abs=2e-3)
    assert tool.observe([]) == []


@pytest.mark.usefixtures("torch_threads")
def test_pictures_read_side_by_side_are_as_one_thread_reads_them(tool: PyFeat) -> None:
    import torch

    light = [dark(96, 96, (44, 52, 230 + 2 * k)) for k in range(5)]
    pictures = [light[0], dark(64, 64), *light[1:], dark(96, 64, (36, 36), (76, 36, 240))]
    alone = tool.observe(pictures)
    torch.set_num_threads(3)
    beside = tool.observe(pictures)
    assert tool.observe(pictures) == beside
    assert torch.get_num_threads() == 3
    assert [[face.xyxy for face in faces] for faces in beside] == [
        [face.xyxy for face in faces] for faces in alone
    ]
    assert [len(faces) for faces in beside] == [1, 0, 1, 1, 1, 1, 2]
    assert any(thread.name.startswith("side-by-side") for thread in threading.enumerate())
    pairs = zip(chain.from_iterable(alone), chain.from_iterable(beside), strict=True)
    for one, other in pairs:
        assert other.score == pytest.approx(one.score, abs=2e-4)
        assert other.valence == pytest.approx(one.valence, abs=2e-4)
        for unit, same in zip(one.action_units, other.action_units, strict=True):
            assert same.probability == pytest.approx(unit.probability, abs=2e-4)


def test_portions_that_fit_the_cache_change_nothing(
    tool: PyFeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = dark(176, 96, (44, 52), (132, 52, 240))
    numbers = []
    for most in (1, 2**40):
        monkeypatch.setattr(pyfeat, "HIDDEN_IN_CACHE", most)
        (faces,) = tool.observe([picture])
        numbers.append([unit.probability for face in faces for unit in face.action_units])
    assert len(numbers[0]) == 2 * len(UNITS)
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-4)


def test_a_large_picture_is_reduced_and_its_boxes_are_not(
    tool: PyFeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyfeat, "LONGEST_SIDE", 160)
    small = dark(160, 64, (100, 36))
    large = np.repeat(np.repeat(small, 3, axis=0), 3, axis=1)
    ((face,),) = tool.observe([large])
    assert face.xyxy == pytest.approx((84 * 3, 20 * 3, 116 * 3, 52 * 3), abs=0.5)


def test_faces_at_the_border_and_small_faces_are_noted(
    tool: PyFeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((face,),) = tool.observe([dark(64, 64, (12, 36))])
    assert face.xyxy == (-4, 20, 28, 52)
    assert face.notes == ("cut off by the border of the picture",)
    monkeypatch.setattr(pyfeat, "SMALL_PX", 33)
    ((face,),) = tool.observe([dark(64, 64, (36, 36))])
    assert face.notes == ("small face (32 px wide): read with caution",)


def test_a_lower_threshold_reaches_pyfeats_detector(tool: PyFeat, resources: Path) -> None:
    picture = dark(64, 64, (36, 36, 200))
    assert tool.observe([picture]) == [[]]
    ((face,),) = PyFeat(threshold=0.1, device="cpu", resources=resources).observe([picture])
    assert face.score is not None
    assert 0.1 < face.score < 0.5


def test_the_cache_of_anchors_is_bounded(tool: PyFeat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyfeat, "SIZES_CACHED", 2)
    for width in range(40, 90, 8):
        tool.observe([dark(width, 40)])
    assert len(tool._finder._prior_cache) <= 3


def test_failures_are_sentences(tool: PyFeat, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError) as caught:
        tool.observe([np.zeros((4, 4), np.uint8)])
    assert str(caught.value) == (
        "a picture must be (height, width, 3) RGB uint8 but is (4, 4) uint8."
    )

    def fail(*_: Any) -> None:
        raise RuntimeError("kernel image is invalid\nand much more")

    monkeypatch.setattr(tool.detector, "forward", fail)
    with pytest.raises(ToolError) as caught:
        tool.observe([dark(64, 64, (36, 36))])
    assert str(caught.value) == "Py-Feat failed: RuntimeError: kernel image is invalid."


def test_no_identity_and_no_side_effects(tool: PyFeat) -> None:
    import torch

    assert tool.detector.identity_detector is None
    assert torch.is_grad_enabled()  # Py-Feat switches it off for the whole thread
    # its import has effects only once in a process: looked at in a fresh one
    code = (
        "import os, sys, torch; from kuleshov.tools.faces.pyfeat import tool as pyfeat; "
        "XGBClassifier = 'the user\\'s own'; torch.set_num_threads(2); pyfeat._import_feat(); "
        "print(os.environ.get('OMP_NUM_THREADS'), torch.get_num_threads(), XGBClassifier, "
        "'SVMClassifier' in globals())"
    )
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None 2 the user's own False\n"


def test_info(tool: PyFeat) -> None:
    assert (tool.info.name, tool.info.unit_scale, tool.info.label_set) == (
        "pyfeat",
        "probability",
        "ekman-7",
    )
    assert "non-commercial research" in tool.info.licence
    assert sorted(tool.info.weights) == [
        "py-feat/face_multitask_v2/face_multitask_v28.safetensors",
        "py-feat/retinaface_r34/model.safetensors",
    ]
    assert {len(digest) for digest in tool.info.weights.values()} == {64}


def test_detector_v1(resources: Path) -> None:
    main = sys.modules["__main__"]
    before = getattr(main, "SVMClassifier", None)
    tool = find_entry("pyfeat-v1").load(resources=tiny_pyfeat.build_v1(resources), device="cpu")
    assert tool.info.name == "pyfeat-v1"
    found = tool.observe([dark(96, 64), dark(96, 64, (36, 36))])
    assert found[0] == []
    (face,) = found[1]
    assert face.xyxy == (20, 20, 52, 52)
    assert {unit.scale for unit in face.action_units} == {"probability"}
    assert tuple(unit.unit for unit in face.action_units) == UNITS
    assert face.expression is not None
    assert face.expression.probabilities["anger"] == pytest.approx(1 / 7, abs=1e-4)
    assert (face.valence, face.arousal) == (None, None)
    assert face.pose is not None
    assert face.pose.yaw is not None  # from weights on the disk, the Hub was not asked
    assert getattr(main, "SVMClassifier", None) is before


# -------------------------------------------------------------------------------- the border

ROW = {
    "FaceRectX": 10.0, "FaceRectY": 20.0, "FaceRectWidth": 40.0, "FaceRectHeight": 50.0,
    "FaceScore": 0.9,
    **{f"AU{unit:02d}": unit / 100 for unit in UNITS},
    "Neutral": 0.1, "Happy": 0.4, "Sad": 0.05, "Surprise": 0.15, "Fear": 0.1, "Disgust": 0.08,
    "Anger": 0.12, "valence": 0.5, "arousal": -0.25,
    "Pitch": math.radians(10), "Roll": math.radians(-20), "Yaw": math.radians(30),
}  # fmt: skip


def test_a_row_becomes_a_face() -> None:
    face = from_fex(ROW, version="x", size=(100, 100))
    assert face is not None
    assert face.xyxy == (10, 20, 50, 70)
    assert face.unit(12).probability == 0.12
    assert face.unit(43).probability == 0.43
    assert face.expression is not None
    assert face.expression.probabilities == {
        "anger": 0.12,
        "disgust": 0.08,
        "fear": 0.1,
        "happiness": 0.4,
        "sadness": 0.05,
        "surprise": 0.15,
        "neutral": 0.1,
    }
    assert (face.valence, face.arousal) == (0.5, -0.25)
    # Py-Feat counts yaw to the person's right, HeadPose to their left
    assert face.pose == HeadPose(pitch=10, roll=-20, yaw=-30)
    assert face.notes == ()


@pytest.mark.parametrize(
    "change",
    [
        {"FaceScore": 0.0},
        {"FaceScore": math.nan},
        {"FaceRectX": math.nan},
        {"FaceRectWidth": 0.0},
        dict.fromkeys(ROW, math.nan),
        {"FaceScore": None},
    ],
)
def test_the_row_that_stands_for_no_face_is_none(change: dict[str, Any]) -> None:
    assert from_fex({**ROW, **change}) is None


def test_unknown_stays_unknown() -> None:
    nan = dict.fromkeys(["AU12", "valence", "Happy", "Pitch"], math.nan)
    face = from_fex({**ROW, **nan})
    assert face is not None
    unit = face.unit(12)
    assert unit is not None
    assert (unit.value, unit.shown) == (None, None)
    assert face.unit(1).probability == 0.01
    assert (face.valence, face.arousal, face.expression) == (None, -0.25, None)
    assert face.pose == HeadPose(pitch=None, roll=-20, yaw=-30)
    face = from_fex({name: value for name, value in ROW.items() if name.startswith("Face")})
    assert face is not None
    assert (face.expression, face.valence, face.pose) == (None, None, None)
    assert {unit.value for unit in face.action_units} == {None}


def test_numbers_a_little_off_their_range_and_other_label_sets() -> None:
    # a bfloat16 softmax on a GPU sums to 1 only roughly
    face = from_fex({**ROW, "Happy": 0.41, "AU12": 1.0000001, "valence": -1.0000001})
    assert face is not None
    assert face.expression is not None
    assert sum(face.expression.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert face.unit(12).probability == 1
    assert face.valence == -1
    face = from_fex({**ROW, "Contempt": 1.0})
    assert face is not None
    assert face.expression is not None
    assert face.expression.labels == "ekman-8"
    assert tuple(face.expression.probabilities) == LabelSet.load("ekman-8").names
    assert face.expression.probabilities["contempt"] == 0.5


def test_svm_classifiers_say_presence() -> None:
    face = from_fex({**ROW, "AU01": 1, "AU02": 0, "AU04": math.nan}, presence=True)
    assert face is not None
    assert [(u.scale, u.presence) for u in face.action_units[:3]] == [
        ("presence", True),
        ("presence", False),
        (None, None),
    ]


# --------------------------------------------------------------------------- without weights


def sentence(make: Any) -> str:
    """The error, which has to come within a second."""
    begun = time.monotonic()
    with pytest.raises(ToolError) as caught:
        make()
    assert time.monotonic() - begun < 1
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_missing_weights_without_a_network(tmp_path: Path) -> None:
    assert sentence(partial(pyfeat.load_pyfeat, resources=tmp_path)) == (
        "Py-Feat's weights are missing and HF_HUB_OFFLINE forbids downloads: "
        "py-feat/retinaface_r34/model.safetensors (about 89 MB, MIT), "
        "py-feat/face_multitask_v2/face_multitask_v28.safetensors (about 150 MB, "
        "non-commercial research); with a network run "
        f"`hf download py-feat/retinaface_r34 model.safetensors --cache-dir {tmp_path} && "
        "hf download py-feat/face_multitask_v2 face_multitask_v28.safetensors "
        f"--cache-dir {tmp_path}`, or use the bundled face tool pocket."
    )
    text = sentence(partial(pyfeat.load_pyfeat, version="v1", resources=tmp_path))
    assert "ResMaskNet_Z_resmasking_dropout1_rot30.pth (about 552 MB, MIT)" in text
    assert "xgb_au_classifier_v2.skops" in text


def test_a_hub_that_refuses_or_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    text = sentence(partial(pyfeat.load_pyfeat, resources=tmp_path))
    assert "are missing and http://127.0.0.1:9 cannot be reached: py-feat/retinaface_r34" in text
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "cannot be reached" in sentence(partial(pyfeat.load_pyfeat, resources=tmp_path))


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    tiny_pyfeat.cache_path(tmp_path, "retinaface_r34", "model.safetensors").touch()
    text = sentence(partial(pyfeat.load_pyfeat, resources=tmp_path))
    assert "face_multitask_v28.safetensors" in text
    assert "retinaface" not in text


def test_missing_weights_are_downloaded_where_the_hub_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked = []

    def download(repo: str, file: str, cache_dir: Path) -> None:
        asked.append(f"{repo}/{file}")
        tiny_pyfeat.cache_path(cache_dir, repo.removeprefix("py-feat/"), file).touch()

    monkeypatch.setattr(pyfeat, "_why_unreachable", lambda: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    found = pyfeat._all_weights("v2", "xgb", tmp_path)
    assert asked == [
        "py-feat/retinaface_r34/model.safetensors",
        "py-feat/face_multitask_v2/face_multitask_v28.safetensors",
    ]
    assert all(path.is_file() for path in found.values())

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ToolError, match=r"download failed \(OSError: no space left on device\)"):
        pyfeat._all_weights("v2", "xgb", tmp_path / "other")


def test_damaged_weights(resources: Path, tmp_path: Path) -> None:
    for repo, file in (
        ("retinaface_r34", "model.safetensors"),
        ("face_multitask_v2", "face_multitask_v28.safetensors"),
    ):
        tiny_pyfeat.cache_path(tmp_path, repo, file).write_bytes(b"<html>sign in</html>")
    with pytest.raises(ToolError) as caught:
        pyfeat.load_pyfeat(resources=tmp_path, device="cpu")
    assert str(caught.value).startswith("Py-Feat cannot load its weights (SafetensorError: ")
    assert str(tmp_path / "models--py-feat--retinaface_r34") in str(caught.value)


def test_own_multitask_weights(
    resources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(tmp_path / "mine.safetensors"))
    assert sentence(partial(pyfeat.load_pyfeat, resources=resources)) == (
        f"there is no file {tmp_path / 'mine.safetensors'}, which FEAT_MULTITASK_WEIGHTS names."
    )
    (tmp_path / "mine.safetensors").touch()
    found, missing = pyfeat._find_weights("v2", "xgb", resources)
    assert not missing
    assert found[pyfeat._MULTITASK] == tmp_path / "mine.safetensors"


def test_wrong_options() -> None:
    assert sentence(partial(pyfeat.load_pyfeat, version="v3")) == (
        "Py-Feat's version must be v1 or v2 and its classifier xgb or svm, but got 'v3' and 'xgb'."
    )
    assert sentence(partial(pyfeat.load_pyfeat, threshold=0)) == (
        "the threshold of a face must lie in 0-1 but is 0."
    )
    with pytest.raises(ToolError, match="there is no device 'gpu'"):
        pyfeat._choose_device("gpu")


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyfeat, "find_spec", lambda name: None)
    assert sentence(pyfeat.load_pyfeat) == (
        "Py-Feat is not installed; run `pip install 'py-feat>=2.1,<3'`."
    )
    status = find_entry("pyfeat").status()
    assert (status.ready, status.installed, status.command) == (
        False,
        False,
        "pip install 'py-feat>=2.1,<3'",
    )


def test_status(resources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEAT_RESOURCES", str(resources))
    status = find_entry("pyfeat").status()
    assert (status.name, status.ready, status.weights, status.command) == (
        "pyfeat",
        True,
        f"2 files in {resources}",
        None,
    )
    assert "non-commercial research" in status.licence
    monkeypatch.setenv("FEAT_RESOURCES", str(tmp_path))
    status = find_entry("pyfeat").status()
    assert (status.ready, status.installed) == (False, True)
    assert status.weights == (
        "missing: py-feat/retinaface_r34 (about 89 MB), py-feat/face_multitask_v2 (about 150 MB)"
    )
    assert status.command is not None
    assert status.command.startswith("hf download py-feat/retinaface_r34 model.safetensors")
    v1 = find_entry("pyfeat-v1").status()
    assert (v1.name, v1.ready) == ("pyfeat-v1", False)
    assert v1.weights.count("py-feat/resmasknet (about 553 MB)") == 1
    assert v1.command is not None
    assert "hf download py-feat/pose_mlp_v2 pose_mlp_v2.safetensors pose_mlp_v2.json" in v1.command


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_response_norm_gives_what_timm_s_own_gives(channels_last: bool) -> None:
    import torch
    from timm.layers.grn import GlobalResponseNorm

    torch.manual_seed(0)
    layer = GlobalResponseNorm(24, channels_last=channels_last)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 7, 7, 24) if channels_last else torch.randn(2, 24, 7, 7)
    with torch.inference_mode():
        torch.testing.assert_close(
            pyfeat._normalise_responses(layer, x), layer(x), atol=1e-5, rtol=1e-5
        )
