"""How the pocket face net is trained: targets, split, views, operating point, resuming."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from kuleshov.tools.pocket.face_net import EXPRESSIONS, load_face_net

# `training` is not installed; it is found from the root of the repository.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from training.face import data, export, train

VOTES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
VOTES += ["unknown", "NF"]


def votes(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in VOTES]


def test_targets_follow_the_ferplus_protocol():
    rows = np.array(
        [
            votes(happiness=9, neutral=1),  # a single vote is an outlier
            votes(sadness=5, neutral=5),  # a tie has no majority but is a soft label
            votes(anger=4, unknown=6),  # raters could not tell: no label, not "neutral"
            votes(NF=10),
            votes(fear=6, surprise=4),
            votes(fear=5, surprise=3, unknown=2),  # five of ten is not more than half
        ]
    )
    soft, labelled, majority = data.targets(rows.astype(np.float32))
    assert labelled.tolist() == [True, True, False, False, True, True]
    assert majority.tolist() == [1, -1, -1, -1, 6, -1]
    np.testing.assert_allclose(soft[0], np.eye(8)[1])
    np.testing.assert_allclose(soft[1][[0, 3]], [0.5, 0.5])
    np.testing.assert_allclose(soft[4][[6, 2]], [0.6, 0.4])
    np.testing.assert_allclose(soft[5][[6, 2]], [0.625, 0.375])
    assert soft[2:4].sum() == 0


def test_the_split_keeps_public_test_apart_and_rare_classes_in():
    usage = np.array(["Training"] * 900 + ["PublicTest"] * 100)
    classes = np.array([0] * 850 + [7] * 50 + [0] * 100)
    part = data.parts(usage, np.eye(10)[classes])
    assert (part[900:] == "public_test").all()
    assert not (part[:900] == "public_test").any()
    assert (part[:850] == "held_out").sum() == 68
    assert (part[850:900] == "held_out").sum() == 4
    assert (part == data.parts(usage, np.eye(10)[classes])).all()


def test_rare_classes_are_drawn_more_often_but_not_equally_often():
    soft = np.eye(8)[[0] * 8100 + [5] * 100]
    weights = data.sampling_weights(soft, np.ones(8200, bool))
    assert weights[0] == 1
    assert weights[-1] == pytest.approx(3, abs=1e-6)  # 81 times rarer, to the power of 1/4


@pytest.mark.parametrize("size", [32, 48])
def test_views_are_standardised_and_differ(size):
    torch.manual_seed(0)
    faces = torch.rand(1, 1, 48, 48).repeat(64, 1, 1, 1)
    views = data.augment(faces, size)
    assert views.shape == (64, 1, size, size)
    assert torch.isfinite(views).all()
    assert views.mean((1, 2, 3)).abs().max() < 0.5
    assert (views[0] - views[1]).abs().max() > 0.1


def test_soft_calibration_error_counts_votes_not_hits():
    probabilities = np.tile([0.7, 0.3], (100, 1))
    agreed = np.tile([0.7, 0.3], (100, 1))
    assert export.soft_ece(probabilities, agreed) == pytest.approx(0)
    certain = np.tile([1.0, 0.0], (100, 1))
    assert export.soft_ece(probabilities, certain) == pytest.approx(0.3)


def test_the_temperature_that_made_the_votes_is_found_again():
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 3, (500, 8))
    prior = np.log(np.full(8, 1 / 8))
    soft = export.adjusted(logits, 1.8, 0.0, prior)
    assert export.fit_temperature(logits, soft, 0.0, prior) == pytest.approx(1.8, rel=0.01)


def test_the_point_chosen_is_the_most_accurate_that_recalls_enough():
    points = [
        {"tau": 0.0, "accuracy": 0.870, "uar": 0.60},
        {"tau": 0.1, "accuracy": 0.868, "uar": 0.65},
        {"tau": 0.2, "accuracy": 0.862, "uar": 0.70},
        {"tau": 0.3, "accuracy": 0.820, "uar": 0.80},
    ]
    assert export.choose(points, 0.60)["tau"] == 0.0
    assert export.choose(points, 0.71)["tau"] == 0.2  # its mean with its neighbours is 0.717
    assert export.choose(points, 0.90)["tau"] == 0.3  # none has as much: the best there is


@pytest.fixture
def small_data(tmp_path) -> Path:
    """Files in the form of the real ones, with 400 drawn faces: brighter is happier."""
    draw = np.random.default_rng(0)
    count = 400
    classes = draw.integers(0, 8, count)
    images = draw.integers(0, 120, (count, 48, 48)) + (classes * 16)[:, None, None]
    names = np.array([f"face{i:04}.png" for i in range(count)])
    columns = sorted({name for names in data.BLENDSHAPES_OF_UNIT.values() for name in names})
    blendshapes = draw.random((count, len(columns))).astype(np.float16)
    blendshapes[:20] = np.nan
    np.savez(
        tmp_path / data.FACES,
        images=images.astype(np.uint8),
        votes=(np.eye(10)[classes] * 10).astype(np.uint8),
        vote_names=np.array(VOTES),
        usage=np.array(["Training"] * 350 + ["PublicTest"] * 50),
        names=names,
    )
    np.savez(
        tmp_path / data.BLENDSHAPES,
        names=names,
        blendshapes=blendshapes,
        blendshape_names=np.array(columns),
    )
    return tmp_path


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(small_data, tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    train.train(small_data, whole, epochs=3, seed=5, export_every=10)

    def die(*_: object) -> str:
        if (killed / "checkpoint.pt").is_file():
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patch:
        patch.setattr(train, "held_out", die)
        with pytest.raises(KeyboardInterrupt):
            train.train(small_data, killed, epochs=3, seed=5, export_every=10)
    assert torch.load(killed / "checkpoint.pt", weights_only=True)["epoch"] == 0
    train.train(small_data, killed, epochs=3, seed=5, export_every=10)

    first = load_file(whole / "face_net.safetensors")
    second = load_file(killed / "face_net.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    net = load_face_net(whole / "face_net.safetensors")
    # Random units cannot be learned, and what is not measured is not claimed.
    assert net.info.units == ()
    assert len(net.info.log_prior) == len(EXPRESSIONS)


def test_teachers_speak_where_people_did_not_and_beside_them():
    class Sure(torch.nn.Module):
        def forward(self, views):
            logits = torch.full((len(views), 8), -40.0)
            logits[:, 2] = 40.0
            return logits, torch.full((len(views), 3), 2.0)

    votes = torch.eye(8)[[1, 0]] * torch.tensor([[1.0], [0.0]])
    known = torch.tensor([1.0, 0.0])
    targets = (votes, known, torch.zeros(2, 3), known)
    soft, labelled, z, found = train.taught([Sure(), Sure()], torch.zeros(2, 1, 48, 48), targets)
    assert soft[0, [1, 2]].tolist() == pytest.approx([1 - train.TAUGHT, train.TAUGHT])
    assert soft[1, 2] == pytest.approx(1)
    assert z[:, 0].tolist() == pytest.approx([2 * train.TAUGHT, 2.0])
    assert labelled.tolist() == found.tolist() == [1.0, 1.0]


def test_teachers_also_see_the_mirror_image():
    class Lopsided(torch.nn.Module):
        def forward(self, views):
            left = views[:, 0, :, :24].mean((1, 2))
            logits = torch.zeros(len(views), 8)
            logits[:, 0] = left
            return logits, left[:, None].repeat(1, 3)

    views = torch.randn(4, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    unknown = (torch.zeros(4, 8), torch.zeros(4), torch.zeros(4, 3), torch.zeros(4))
    soft, _, z, _ = train.taught([Lopsided()], views, unknown)
    mirrored, _, mirrored_z, _ = train.taught([Lopsided()], views.flip(3), unknown)
    assert torch.allclose(soft, mirrored)
    assert torch.allclose(z, mirrored_z)
    assert torch.allclose(z[:, 0], views.mean((1, 2, 3)), atol=1e-6)


def test_a_larger_net_teaches_a_smaller_one(small_data, tmp_path):
    large, small = tmp_path / "large", tmp_path / "small"
    for folder in (large, small):
        folder.mkdir()
    shape = {"widths": (16, 16, 24, 32), "depths": (1, 1, 1)}
    train.train(small_data, large, epochs=1, seed=1, export_every=9, shape=shape)
    weights = large / "face_net.safetensors"
    assert load_face_net(weights).config["widths"] == [16, 16, 24, 32]
    train.train(
        small_data, small, epochs=1, seed=2, export_every=9,
        shape={"widths": (8, 8, 8, 16), "depths": (1, 1, 1)}, teachers=[weights],
    )  # fmt: skip
    with safe_open(small / "face_net.safetensors", framework="pt") as file:
        assert file.metadata()["teachers"] == "1"


def test_files_of_different_faces_are_not_mixed(small_data):
    faces = dict(np.load(small_data / data.FACES))
    faces["names"] = faces["names"][::-1]
    np.savez(small_data / data.FACES, **faces)
    with pytest.raises(ValueError, match="list different faces"):
        data.read(small_data)


def test_missing_data_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ferplus48\.npz is not in"):
        data.read(tmp_path)
