"""Tiny weights with which the real Py-Feat runs: no download, and boxes that can be foretold.

`build_weights(folder)` writes a Hub cache as Py-Feat keeps it; load it with
``PyFeat(resources=folder)``. What the networks then say:

- RetinaFace's weights are set by hand so that its real layers pass brightness through: a
`draw_blob`
  drawn on black is a face of `SIDE` pixels around its middle, and its score grows with brightness.
- The multitask network is Py-Feat's own in a small size (6.7 million weights), random: its numbers
  mean nothing, but they are probabilities, a softmax, radians, as the real one's are.
- For Detectorv1: random landmark and pose networks, classifiers fitted to noise, and a ResMaskNet
  (137 million weights) of zeros stored as one number: its softmax is flat.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 192, 96  # of a drawn picture, pixels
SIDE = 32
"""Width of the boxes that the tiny RetinaFace finds, pixels: its second smallest anchor."""


def draw_blob(image: np.ndarray[Any, Any], x: int, y: int, peak: int = 255) -> None:
    """Draw a soft light spot on a dark picture: a face whose box is `SIDE` wide around (x, y).

    x and y must be 4 above a multiple of 8, the middles of the detector's cells.
    """
    assert x % 8 == y % 8 == 4
    height, width = image.shape[:2]
    yy, xx = np.mgrid[:height, :width]
    # a cell's field lies 4 pixels up and left of its anchor, by the padding of the convolutions
    light = peak * np.clip(1.3 - np.hypot(xx - x + 4, yy - y + 4) / 14, 0, 1)
    image[:] = np.maximum(image, light[..., None].astype(np.uint8))


def draw_picture(number: int, faces: int) -> np.ndarray[Any, Any]:
    """(96, 192, 3) uint8 with one or two faces; their brightness differs a little by `number`."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for k in range(faces):
        draw_blob(image, 52 + 88 * k, 44, 250 - number % 5)
    return image


def cache_path(folder: Path, repo: str, file: str) -> Path:
    """Path of a file in a Hub cache, with the folders and the ref around it."""
    base = folder / f"models--py-feat--{repo}"
    path = base / "snapshots" / ("0" * 40) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    (base / "refs").mkdir(exist_ok=True)
    (base / "refs" / "main").write_text("0" * 40)
    return path


def retinaface_state() -> dict[str, Any]:
    """State of Py-Feat's RetinaFace whose first channel carries brightness to the first level."""
    import torch
    from feat.face_detectors.Retinaface.Retinaface_model import RetinaFace

    state = {name: torch.zeros_like(value) for name, value in RetinaFace().state_dict().items()}
    for name in state:  # every batch norm does nothing
        if name.endswith("running_var") or (
            name.replace(".weight", ".running_var") in state and name.endswith(".weight")
        ):
            state[name] += 1
    state["body.conv1.weight"][0] = 1 / (3 * 49)  # the mean of the 7×7 window
    state["body.layer2.0.downsample.0.weight"][0, 0] = 1
    state["fpn.output1.0.weight"][0, 0] = 1
    state["fpn.merge1.0.weight"][0, 0, 1, 1] = 1
    state["ssh1.conv3X3.0.weight"][0, 0, 1, 1] = 1
    # two anchors a cell (16 and 32 px), two logits each (no face, face); levels 1 and 2 stay dark
    for level in range(3):
        state[f"ClassHead._convs.{level}.bias"][[0, 2]] = 20
    # brightness here is light minus the training mean (115): 100 → 0.5, 140 → 0.98
    state["ClassHead._convs.0.weight"][3, 0] = 0.1
    state["ClassHead._convs.0.bias"][2:] = torch.tensor([0.0, -10.0])
    return state


def build_weights(folder: Path) -> Path:
    """Write the tiny weights of Detectorv2 into `folder`, a Hub cache; returns it."""
    import torch
    from feat.multitask.model_v2 import MEGraphAUv2, ModelV2Config
    from safetensors.torch import save_file

    save_file(retinaface_state(), cache_path(folder, "retinaface_r34", "model.safetensors"))
    config = {
        "backbone": "convnextv2_atto",
        "afg_channels": 32,
        "mefl_channels": 32,
        "n_au": 20,
        "n_emotion": 7,
        "n_blendshape": 52,
        "mesh_normalized": True,
        "use_head_v3": True,
        "drop_mefl": True,
        "emotion_use_au_prob": True,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MEGraphAUv2(ModelV2Config(**config, pretrained=False))
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        cache_path(folder, "face_multitask_v2", "face_multitask_v28.safetensors"),
        metadata={"config": json.dumps(config)},
    )
    return folder


class Classifiers:
    """What Py-Feat's skops files hold, as attributes."""


def build_v1(folder: Path, *, svm: bool = False) -> Path:
    """Write the tiny weights of Detectorv1 into `folder`, a Hub cache; returns it."""
    import torch
    from feat.au_detectors.StatLearning.SL_test import SVMClassifier, XGBClassifier
    from feat.emo_detectors.ResMaskNet.resmasknet_test import ResMasking
    from feat.landmark_detectors.mobilefacenet_test import MobileFaceNet
    from feat.utils.face_pose_mlp import PoseMLP
    from safetensors.torch import save_file
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC
    from skops.io import dump
    from xgboost import XGBClassifier as Booster

    save_file(retinaface_state(), cache_path(folder, "retinaface_r34", "model.safetensors"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        landmarks = MobileFaceNet([112, 112], 136, device="cpu")
        pose = PoseMLP(hidden=(8,))
    torch.save(
        {"state_dict": landmarks.state_dict()},
        cache_path(folder, "mobilefacenet", "mobilefacenet_model_best.pth.tar"),
    )
    save_file(pose.state_dict(), cache_path(folder, "pose_mlp_v2", "pose_mlp_v2.safetensors"))
    norm = {"mean": [0.1] * 6, "std": [0.1] * 6}
    cache_path(folder, "pose_mlp_v2", "pose_mlp_v2.json").write_text(
        json.dumps({"architecture": {"hidden": [8], "dropout": 0.1, "output_normalization": norm}})
    )
    with torch.device("meta"):
        expressions = ResMasking("", in_channels=3)
        expressions.fc = torch.nn.Sequential(torch.nn.Dropout(0.4), torch.nn.Linear(512, 7))
    torch.save(
        {
            "net": {
                name: torch.zeros((), dtype=value.dtype).expand(value.shape)
                for name, value in expressions.state_dict().items()
            }
        },
        cache_path(folder, "resmasknet", "ResMaskNet_Z_resmasking_dropout1_rot30.pth"),
    )
    cache_path(folder, "resmasknet", "config.json").write_text(
        json.dumps({"in_channels": 3, "num_classes": 7})
    )
    rng = np.random.default_rng(0)
    hog, answer = rng.random((20, 5408)), np.arange(20) % 2
    scaler = StandardScaler().fit(hog)
    pca = PCA(4).fit(scaler.transform(hog))
    inputs = rng.random((20, 4 + 136))
    from kuleshov.tools.faces.pyfeat.tool import UNITS

    if svm:
        whole: Any = SVMClassifier()
        classifiers = {f"AU{unit}": LinearSVC().fit(inputs, answer) for unit in UNITS}
    else:
        whole = XGBClassifier()
        classifiers = {
            f"AU{unit}": Booster(n_estimators=2, max_depth=1, n_jobs=1).fit(inputs, answer)
            for unit in UNITS
        }
    whole.load_weights(scaler, pca, scaler, pca, scaler, pca, classifiers)
    kind = "svm" if svm else "xgb"
    dump(whole, cache_path(folder, f"{kind}_au", f"{kind}_au_classifier_v2.skops"))
    return folder
