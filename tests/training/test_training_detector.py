"""How the pocket detector's training scenes and targets are made, and how it is measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

# `training` is not installed; it is found from the root of the repository.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from kuleshov.tools.pocket.detector import (
    WEIGHTS,
    Detector,
    Look,
    detect_faces,
    load_detector,
    look_again,
)
from kuleshov.tools.pocket.weights import WeightsError
from training.detector import data, evaluate, proposals, train, verify


@pytest.mark.parametrize(
    ("captions", "kind"),
    [
        ("two dogs play with a ball", ("animals", True)),
        ("a dog runs after a boy", ("both", True)),
        ("a horse in a field", ("animals", False)),
        ("two play in the snow", ("people", False)),
        ("a statue in a park", ("people", False)),
        ("a red car", ("neither", False)),
    ],
)
def test_captions_tell_what_a_photo_may_be_used_for(
    tmp_path: Path, captions: str, kind: tuple[str, bool]
):
    (tmp_path / data.CAPTIONS).write_text(f"a.jpg\t{captions}\n", "utf-8")
    assert data.kinds(tmp_path) == {"a.jpg": kind}


def test_held_out_photos_are_apart_and_always_the_same(tmp_path: Path):
    lines = [f"dog{i}.jpg\ta dog\nman{i}.jpg\ta man" for i in range(400)]
    (tmp_path / data.CAPTIONS).write_text("\n".join(lines), "utf-8")
    names = data.held_out(tmp_path)
    (tmp_path / data.CAPTIONS).write_text("\n".join(lines[::-1]), "utf-8")
    assert data.held_out(tmp_path) == names
    assert [len(part) for part in (names.dogs, names.people)] == [100, 150]
    assert len(names.all()) == 100 + 150 + 80 + 150
    assert all(name.startswith("dog") for name in names.dogs + names.choosing_dogs)


def small_material() -> data.Material:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (176, 176), np.uint8)
    boxes = np.array([[0.4, 0.3, 0.5, 0.45], [0.7, 0.3, 0.8, 0.4]], np.float32)
    photo = data.Labelled(grey, 4 / 3, boxes, np.array([0.9, 0.5], np.float32))
    face = data.PastedFace(
        rng.integers(0, 256, (48, 48), np.uint8), np.array([5, 1, 42, 47], np.float32)
    )
    background = [data.drawing(rng), data.texture(rng), np.full((176, 176), 99, np.uint8)]
    return data.Material([photo], [face], background)


def test_a_step_is_the_same_however_the_training_got_there():
    maker = data.SceneMaker(small_material())
    first = train.batch(maker, 3, seed=1, step=7)
    train.batch(maker, 2, seed=1, step=8)
    again = train.batch(maker, 3, seed=1, step=7)
    other = train.batch(maker, 3, seed=1, step=9)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == other[0]).all()


def test_scenes_made_ahead_by_other_processes_give_the_same_weights(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(data, "material", lambda *_: small_material())
    monkeypatch.setattr(train, "choose_threshold", lambda *_: 0.5)
    monkeypatch.setattr(verify, "verifier_for", lambda *_: Look().eval())
    monkeypatch.setattr(verify, "fit_trust", lambda *_: torch.tensor([0.5, 0.5, -1.0]))
    weights = [
        load_file(train.train(tmp_path, tmp_path / str(n), 3, 2, 1e-3, seed=1, workers=n))
        for n in (0, 2)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_second_look_learns_from_what_the_detector_proposes(feat_data: Path):
    photo = cv2.imread(str(feat_data / "multi_face.jpg"), cv2.IMREAD_GRAYSCALE)
    net = load_detector()
    boxes, scores = detect_faces(net, np.asarray(photo, np.uint8))
    height, width = photo.shape
    small = small_material()
    square = cv2.resize(photo, (176, 176), interpolation=cv2.INTER_AREA)
    real = data.Labelled(
        np.asarray(square, np.uint8),
        width / height,
        boxes / np.array([width, height, width, height], np.float32),
        scores,
    )
    maker = data.SceneMaker(data.Material([real], small.faces, small.background))
    found = proposals.gather(net, maker, [real.grey], scenes=12)
    assert found.pictures.shape == (len(found.right), 80, 80)
    assert set(found.right.tolist()) == {0.0, 1.0, -1.0}
    views = verify._moved(found.pictures)
    faces, others = (net.verifier(views[found.right == k]).mean() for k in (1, 0))
    assert faces > others


def test_the_second_look_learns_from_labels_and_from_the_teacher(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(verify, "BATCH", 16)
    torch.manual_seed(0)
    right = (torch.rand(160) < 0.5).float()
    pictures = torch.randint(0, 60, (160, 80, 80))
    pictures[right == 1, 30:50, 30:50] += 150  # a bright middle
    features = torch.randn(160, 200) + right[:, None]
    known = right.clone()
    known[:40] = -1
    lesson = verify.taught(features, known)
    assert lesson.components.shape == (160, verify.COMPONENTS)
    assert ((lesson.probed[:40] > 0) == (right[:40] == 1)).float().mean() > 0.9
    found, kept = proposals.Proposals(pictures.byte(), known), tmp_path / "verifier.pt"
    net = verify.train(found, lesson, kept, epochs=4)
    grey = torch.full((200, 200), 30, dtype=torch.uint8)
    grey[90:110, 90:110] = 200
    boxes = torch.tensor([[82.0, 82.0, 118.0, 118.0], [20.0, 20.0, 56.0, 56.0]])
    with torch.inference_mode():
        bright, plain = look_again(net, grey, boxes)
    assert bright > 0 > plain
    again = verify.train(found, lesson, kept, epochs=4)
    assert torch.equal(again.score.weight, net.score.weight), "a finished training is taken up"


def test_a_detector_without_its_second_look_is_refused(tmp_path: Path):
    state = {name: t for name, t in load_file(WEIGHTS).items() if not name.startswith("verifier")}
    config = {"widths": [16, 32, 48, 80], "depths": [3, 3]}
    told = {"config": json.dumps(config), "threshold": "0.7", "trained": "2026-11-20"}
    save_file(state, tmp_path / "old.safetensors", told)
    with pytest.raises(WeightsError, match="is not a readable pocket face detector"):
        load_detector(tmp_path / "old.safetensors")
    with pytest.raises(ValueError, match="second look is not trained"):
        detect_faces(Detector(), np.zeros((64, 64), np.uint8))


def test_proposals_beside_a_face_are_left_out():
    face = np.array([10, 10, 50, 50], np.float32)
    unsure = np.array([100, 100, 140, 140], np.float32)
    boxes = torch.tensor(
        [[12, 11, 52, 49], [30, 10, 70, 50], [70, 70, 90, 90], [101, 100, 138, 140]]
    ).float()
    assert proposals.verdicts(boxes, [face], [unsure]).tolist() == [1, -1, 0, -1]


def test_scenes_hold_faces_of_many_sizes_inside_the_picture():
    maker = data.SceneMaker(small_material(), seed=3)
    scenes = [maker.scene() for _ in range(60)]
    faces = np.array([face for scene in scenes for face in scene.faces])
    assert all(scene.grey.shape == (256, 256) for scene in scenes)
    assert any(scene.ignore for scene in scenes), "unsure faces are not learnt from"
    size = np.sqrt((faces[:, 2:] - faces[:, :2]).prod(1))
    assert np.quantile(size, 0.1) < 20
    assert np.quantile(size, 0.9) > 60
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    assert (centres > -20).all()
    assert (centres < 276).all()


def test_each_size_belongs_to_its_map():
    grey = np.zeros((256, 256), np.uint8)
    small, middle, large = ([60, 60, 80, 84], [100, 100, 138, 144], [20, 150, 100, 250])
    tiny = [200, 20, 205, 26]
    boxes = [np.array(box, np.float32) for box in (small, middle, large, tiny)]
    unsure = np.array([200, 200, 240, 240], np.float32)
    labels, sides = train.targets(data.Scene(grey, boxes, [unsure]))
    fine, coarse = labels[: 32 * 32].reshape(32, 32), labels[32 * 32 :].reshape(16, 16)
    assert fine[8, 8] == 1, "a small face is the fine map's"
    assert (coarse[4:6, 3:5] != 1).all()
    assert fine[15, 14] == coarse[7, 7] == 1, "one in the overlap is both maps'"
    assert coarse[12, 3] == 1, "a large face is the coarse map's"
    assert fine[25, 7] == 0
    assert (labels[np.r_[:1024]].reshape(32, 32)[26:29, 26:29] == -1).all()
    assert fine[3, 25] == 0, "too small for both maps"
    np.testing.assert_array_equal(sides[: 32 * 32].reshape(32, 32, 4)[8, 8], small)


def test_a_turned_face_keeps_its_middle_and_gets_wider():
    box = data.turned_box(np.array([50.0, 40.0]), 20, 30, np.pi / 2)
    np.testing.assert_allclose(box, [35, 30, 65, 50], atol=1e-4)
    tilted = data.turned_box(np.array([50.0, 40.0]), 20, 30, np.pi / 6)
    assert 20 < tilted[2] - tilted[0] < 30


def test_matching_gives_each_face_one_box():
    truth = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    twice = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [60, 60, 70, 70]], np.float32)
    assert evaluate.matched(truth, twice) == 1
    assert evaluate.matched(truth, truth[::-1]) == 2
    assert evaluate.matched(truth, truth[:0]) == 0


def test_turning_a_picture_moves_its_boxes_along():
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[50:90, 40:70] = 255
    box = np.array([[40, 50, 70, 90]], np.float32)
    turned, moved = evaluate.turned(picture, box, 30)
    rows, columns = np.nonzero(turned[..., 0] > 128)
    centre = (moved[0, :2] + moved[0, 2:]) / 2
    np.testing.assert_allclose(centre, [columns.mean(), rows.mean()], atol=1)


def test_test_photos_are_found(photos: Path, feat_data: Path):
    paths = evaluate.photo_paths(photos.parent)
    assert set(paths) == set(evaluate.FACES)
    assert paths["multi_face.jpg"] == feat_data / "multi_face.jpg"
