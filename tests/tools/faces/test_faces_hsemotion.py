"""HSEmotion's own code on a stand-in model: a small ONNX net with the real one's names and sizes.

The published weights cannot be downloaded in tests. The net here has their input (`input`, N × 3 ×
224 × 224, normalised), their outputs (8 logits in HSEmotion's order, then valence and arousal) and
answers by the mean colour of the face, so that what it says can be foretold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kuleshov.tools import faces
from kuleshov.tools.faces import ToolError, hsemotion
from kuleshov.tools.faces.chain import CombinedFaces
from kuleshov.tools.types import Face

from parts import SMILE, face

onnx = pytest.importorskip("onnx", reason="the extra kuleshov[hsemotion] is not installed")
pytest.importorskip("hsemotion_onnx", reason="the extra kuleshov[hsemotion] is not installed")

MTL = "enet_b0_8_va_mtl.onnx"
RED, GREEN, BLUE = (250, 5, 5), (5, 250, 5), (5, 5, 250)


def net(path: Path, *, outputs: int = 10, batch: str | int = "batch", nan: bool = False) -> Path:
    """Mean of each channel → logits: red Anger (0), green Happiness (4), blue Surprise (7)."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((3, outputs), np.float32)
    weights[0, 0] = weights[1, min(4, outputs - 1)] = weights[2, min(7, outputs - 1)] = 3
    if outputs == 10:
        weights[1, 8], weights[0, 9] = 0.3, 2.0
    if nan:
        weights[0] = np.nan
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["output"]),
        ],
        "stand-in",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 224, 224])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def scene() -> tuple[np.ndarray, list[Face]]:
    """Three faces of one colour each, on black."""
    image = np.zeros((100, 300, 3), np.uint8)
    boxes = [(10, 10, 60, 80), (110, 10, 160, 80), (210, 10, 330, 80)]
    for colour, (x0, y0, x1, y1) in zip((RED, GREEN, BLUE), boxes, strict=True):
        image[y0:y1, x0:x1] = colour
    return image, [face(SMILE, box=box) for box in boxes]


def test_labels_valence_and_arousal(tmp_path: Path) -> None:
    tool = hsemotion.load_hsemotion(path=str(net(tmp_path / MTL)))
    image, found = scene()
    (angry, happy, surprised), none = tool.measure([image, image], [found, []])
    assert none == []
    assert [f.expression.top for f in (angry, happy, surprised) if f.expression] == [
        "anger", "happiness", "surprise"
    ]  # fmt: skip
    assert happy.expression is not None
    assert happy.expression.labels == "ekman-8"
    assert set(happy.expression.probabilities) == set(tool.info.expressions)
    # colour 250 of 255, normalised as the package does, times 0.3; blue and red below the mean
    assert happy.valence == pytest.approx(0.3 * ((250 / 255) - 0.456) / 0.224, abs=0.01)
    assert angry.arousal == 1.0  # the net says more: the scale ends there
    assert happy.action_units == ()


def test_it_keeps_the_units_of_the_tool_before(tmp_path: Path) -> None:
    class Found:
        info = faces.load("pocket").info

        def observe(self, images: object) -> list[list[Face]]:
            return [scene()[1]]

    tool = CombinedFaces(
        "pocket+hsemotion", Found(), [hsemotion.load_hsemotion(path=str(net(tmp_path / MTL)))]
    )
    ((angry, happy, _),) = tool.observe([scene()[0]])
    assert angry.unit(12) == SMILE
    assert happy.expression is not None
    assert happy.expression.top == "happiness"
    assert happy.tool == "pocket+hsemotion"
    assert tool.info.measures == "faces: pocket; action units: pocket; expressions: hsemotion"
    assert tool.info.expressions == tuple(happy.expression.probabilities)


def test_a_net_that_takes_one_face_at_a_time(tmp_path: Path) -> None:
    many = hsemotion.load_hsemotion(path=str(net(tmp_path / "a" / MTL)))
    one = hsemotion.load_hsemotion(path=str(net(tmp_path / "b" / MTL, batch=1)))
    image, found = scene()
    assert [f.expression for f in one.measure([image], [found])[0]] == [
        f.expression for f in many.measure([image], [found])[0]
    ]


def test_nan_is_unknown_and_said(tmp_path: Path) -> None:
    tool = hsemotion.load_hsemotion(path=str(net(tmp_path / MTL, nan=True)))
    image, found = scene()
    (first, *_), *_ = tool.measure([image], [found])
    assert (first.expression, first.valence) == (None, None)
    assert first.notes == ("hsemotion gave no number for this face",)


def test_files_that_are_not_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError, match="must keep the name of an HSEmotion model"):
        hsemotion.load_hsemotion(path=str(net(tmp_path / "model.onnx")))
    with pytest.raises(ToolError, match=r"gives 8 numbers a face, but enet_b0_8_va_mtl must .* 10"):
        hsemotion.load_hsemotion(path=str(net(tmp_path / MTL, outputs=8)))
    (tmp_path / MTL).write_bytes(b"not a net")
    with pytest.raises(ToolError, match=r"enet_b0_8_va_mtl.onnx cannot be read"):
        hsemotion.load_hsemotion(path=str(tmp_path / MTL))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HSEMOTION_MODEL", raising=False)
    with pytest.raises(ToolError, match=r"weights are missing; run `curl -L .*va_mtl.onnx"):
        hsemotion.load_hsemotion()
    net(tmp_path / ".hsemotion" / "enet_b0_8_best_afew.onnx", outputs=8)
    tool = hsemotion.load_hsemotion()
    assert tool.info.measures == "expressions (8)"
    assert hsemotion.hsemotion_status().ready
