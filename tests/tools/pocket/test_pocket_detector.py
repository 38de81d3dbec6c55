"""The bundled face detector with its real weights, on photographs and drawings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from kuleshov.tools.pocket import detector
from kuleshov.tools.pocket.detector import Detector, detect_faces, load_detector
from kuleshov.tools.pocket.weights import WeightsError

GROUP = [
    [164, 232, 296, 421],
    [314, 10, 428, 164],
    [948, 291, 1089, 466],
    [626, 55, 751, 217],
    [974, -7, 1067, 63],
]
"""The faces of `pexels_group.jpeg`, x0, y0, x1, y1 in pixels."""


@pytest.fixture(scope="module")
def net() -> Detector:
    return load_detector()


def read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.parametrize(
    ("name", "faces"),
    [
        ("multi_face.jpg", 5),
        ("single_face.jpg", 1),
        ("0-f1-su-ph.jpg", 1),
        ("0-f15-hao-ph.jpg", 1),
        ("15-f13-anc-ph.jpg", 1),
        ("45-m7-di-ph.jpg", 1),
        ("free-mountain-vector-01.jpg", 0),
    ],
)
def test_pyfeats_photos(net: Detector, feat_data: Path, name: str, faces: int):
    boxes, scores = detect_faces(net, read(feat_data / name))
    assert boxes.shape == (faces, 4)
    assert (scores >= net.threshold).all()


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("pexels_neutral.jpeg", 1, 1),
        ("pexels_sad-baby.jpeg", 1, 1),
        ("sg_laos.jpg", 2, 2),
        ("sg_woman_portrait.jpg", 1, 1),
        ("sg_classroom_in_tanzania.jpg", 12, 25),
    ],
)
def test_shared_photos(net: Detector, photos: Path, name: str, least: int, most: int):
    assert least <= len(detect_faces(net, read(photos / name))[0]) <= most


def test_every_face_of_a_group_has_its_box_and_nothing_else_has(net: Detector, photos: Path):
    boxes, _ = detect_faces(net, read(photos / "pexels_group.jpeg"))
    overlap = box_iou(torch.tensor(GROUP, dtype=torch.float32), torch.from_numpy(boxes))
    assert (overlap.max(1).values > 0.4).all()
    assert len(boxes) == len(GROUP)


def test_boxes_are_tight_around_the_face(net: Detector, feat_data: Path):
    picture = read(feat_data / "multi_face.jpg")
    boxes, scores = detect_faces(net, picture)
    assert boxes.dtype == scores.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    size = boxes[:, 2:] - boxes[:, :2]
    ratio = size[:, 0] / size[:, 1]
    assert (ratio > 0.6).all(), "higher than wide: from cheek to cheek, forehead to chin"
    assert (ratio < 1.0).all()


def test_a_reduced_photo_gives_the_same_places(net: Detector, feat_data: Path):
    picture = read(feat_data / "multi_face.jpg")
    full = detect_faces(net, picture)[0]
    half = detect_faces(
        net, cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    )[0]
    assert len(half) == len(full)
    overlap = box_iou(torch.from_numpy(full), torch.from_numpy(half * 2))
    assert (overlap.max(1).values > 0.6).all()


@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
def test_turned_heads_are_found(net: Detector, feat_data: Path, degrees: int):
    picture = read(feat_data / "single_face.jpg")
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    assert len(detect_faces(net, cv2.warpAffine(picture, matrix, (width, height)))[0]) == 1


def test_grey_is_what_it_sees(net: Detector, feat_data: Path):
    picture = read(feat_data / "multi_face.jpg")
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    boxes, scores = detect_faces(net, picture)
    for other in (grey, np.repeat(grey[..., None], 3, axis=2)):
        again = detect_faces(net, other)
        np.testing.assert_allclose(again[0], boxes, atol=1.0)
        np.testing.assert_allclose(again[1], scores, atol=0.02)


def test_nothing_in_flat_noisy_or_tiny_pictures(net: Detector):
    rng = np.random.default_rng(0)
    for picture in (
        np.zeros((300, 400, 3), np.uint8),
        np.full((1, 1, 3), 200, np.uint8),
        np.full((7, 900, 3), 90, np.uint8),
        rng.integers(0, 256, (480, 640, 3), np.uint8),
    ):
        boxes, scores = detect_faces(net, picture)
        assert boxes.shape == (0, 4)
        assert scores.shape == (0,)
    assert detect_faces(net, np.empty((0, 5, 3), np.uint8))[0].shape == (0, 4)


def test_threshold_and_number_of_faces_are_obeyed(net: Detector, feat_data: Path):
    picture = read(feat_data / "multi_face.jpg")
    boxes, scores = detect_faces(net, picture)
    fewer = detect_faces(net, picture, max_faces=2)
    np.testing.assert_array_equal(fewer[0], boxes[:2])
    assert len(detect_faces(net, picture, threshold=float(scores[2]))[0]) == 3
    assert len(detect_faces(net, picture, threshold=1.0)[0]) == 0


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_arrays_are_refused(net: Detector, picture: NDArray[np.uint8]):
    with pytest.raises(ValueError, match="uint8 but is"):
        detect_faces(net, picture)


def test_it_is_small(net: Detector):
    assert sum(p.numel() for p in net.parameters()) <= 1_000_000
    assert detector.WEIGHTS.stat().st_size <= 2_000_000


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    damaged = tmp_path / detector.NAME
    content = bytearray(detector.WEIGHTS.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(detector, "WEIGHTS", damaged)
    with pytest.raises(WeightsError, match="is damaged"):
        load_detector()
    damaged.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        load_detector()
    damaged.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="not a readable pocket face detector"):
        load_detector(damaged)


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(0)
    net = Detector()
    picture = torch.rand(2, 1, 64, 96) * 255
    net(picture)  # moves the running statistics off their start
    net.eval()
    with torch.inference_mode():
        before = net(picture)
        after = net.fuse()(picture)
    for a, b, stride in zip(before, after, detector.STRIDES, strict=True):
        assert a.shape == (2, 5, 64 // stride, 96 // stride)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_decode_says_where_boxes_are():
    maps = tuple(torch.full((1, 5, 32 // s, 48 // s), -9.0) for s in detector.STRIDES)
    maps[0][0, :, 1, 2] = torch.tensor([9.0, 0.0, 0.0, np.log(2.0), np.log(3.0)])
    boxes, scores = detector.decode_boxes(maps)
    assert boxes.shape == (1, 4 * 6 + 2 * 3, 4)
    assert scores.argmax() == 1 * 6 + 2
    np.testing.assert_allclose(boxes[0, 8], [12, 4, 36, 36], atol=1e-4)


def test_the_package_is_free_of_torch():
    code = "import sys, kuleshov.tools.pocket; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
