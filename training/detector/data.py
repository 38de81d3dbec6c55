"""Training scenes for the pocket face detector, made on the fly from two data sets and a teacher.

Real faces: YuNet (Wu et al. 2023), run on the Flickr8k photos stretched back to a photo's shape,
gives boxes. Pasted faces: FER+ faces, set in a soft oval onto a face YuNet found (so that hair and
shoulders stay real) or anywhere. Background: photos whose captions name no person — animals above
all, whose faces YuNet takes for human ones —, drawings and textures. Terms and origin are in the
data folder's README.

Boxes are x0, y0, x1, y1 in pixels of the scene, face-tight as YuNet draws them: hairline or
forehead to chin, cheek to cheek.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

DEFAULT_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
PHOTOS, CAPTIONS = "flickr8k_176.tar", "flickr8k_captions.tsv"
FACES, MESHES = "ferplus48.npz", "ferplus_blendshapes.npz"
TEACHER = "face_detection_yunet.onnx"

SIDE = 176
"""Width and height the Flickr8k photos are squashed to, pixels."""

SHAPES = ((512, 384), (384, 512))
"""Width and height at which the teacher sees a photo: landscape, upright. Most of Flickr8k is 4:3
or 3:2, which of the two is not recorded."""

SURE, UNSURE = 0.7, 0.35
"""Teacher score from which a box is a face; between the two nothing is learnt from it."""

WHOLE = 0.65
"""Visible part of a box from which it is learnt whole, though it reach over the border."""

HELD_OUT_DOGS, HELD_OUT_PEOPLE = 100, 150
"""Photos kept from training for the figures: dogs without people, and people."""

CHOOSING_DOGS, CHOOSING_PEOPLE = 80, 150
"""Further photos kept from training, on which the threshold is chosen."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PEOPLE = _words(
    """
    man men woman women boy boys girl girls child children kid kids baby babies toddler toddlers
    person persons people guy guys lady ladies player players team teams crowd couple family
    friend friends he she his her him they their someone somebody adult adults teenager teenagers
    biker bikers cyclist rider riders runner runners surfer surfers skater skateboarder climber
    climbers hiker hikers worker workers bride groom dancer dancers singer performer performers
    swimmer snowboarder skier skiers racer racers athlete athletes audience band group groups male
    female human humans face faces owner hand hands hunter infant gentleman fan fans soldier
    soldiers police officer officers fisherman driver passenger passengers jockey cowboy cowboys
    wrestler gymnast cheerleader cheerleaders student students mother father mom dad son daughter
    brother sister brothers sisters motorcyclist bicyclist skateboarders surfing wakeboarder
    kayaker diver parasailer spectators onlookers pedestrians musician musicians opponent
    teammates batter pitcher catcher goalie referee artist statue doll mannequin one two three
    four five several
    """
)
"""Any of these in a caption leaves a photo out of the background. Counts stand for people too."""

ANIMALS = _words(
    """
    dog dogs puppy puppies cat cats kitten animal animals horse horses cow cows sheep goat goats
    bird birds duck ducks greyhound greyhounds poodle terrier retriever collie dalmatian bulldog
    husky labrador lab beagle shepherd boxer dachshund monkey monkeys elephant elephants bear
    camel camels donkey rabbit pig squirrel squirrels deer lion tiger seagull seagulls
    """
)
COUNTS = _words(
    """
    one two three four five several group groups their his her him he she
    """
)
"""Words of `PEOPLE` that may speak of animals when a caption names no person otherwise."""


@dataclass(frozen=True)
class Photo:
    """One Flickr8k photo.

    grey: (176, 176) uint8, squashed to a square.
    kind: "people", "animals", "both" or "neither", by its captions.
    """

    name: str
    grey: NDArray[np.uint8]
    kind: str
    dog: bool


@dataclass(frozen=True)
class Labelled:
    """A photo with what the teacher saw.

    aspect: width / height it should be stretched to.
    boxes: (F, 4) in 0–1 of width and height; scores: (F,), the teacher's.
    """

    grey: NDArray[np.uint8]
    aspect: float
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class PastedFace:
    """A FER+ face: grey (48, 48) uint8 and its box in those pixels."""

    grey: NDArray[np.uint8]
    box: NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """All that scenes are made of. `background` are grey pictures without a face, any size."""

    photos: list[Labelled]
    faces: list[PastedFace]
    background: list[NDArray[np.uint8]]


def kinds(folder: Path) -> dict[str, tuple[str, bool]]:
    """Photo name → (kind, whether a dog is named), from the five captions together."""
    words: dict[str, set[str]] = {}
    for line in (folder / CAPTIONS).read_text("utf-8").splitlines():
        name, caption = line.split("\t", 1)
        words.setdefault(name, set()).update(re.findall(r"[a-z]+", caption.lower()))
    return {name: _kind(seen) for name, seen in words.items()}


def _kind(words: set[str]) -> tuple[str, bool]:
    animals = bool(words & ANIMALS)
    people = bool(words & (PEOPLE - COUNTS if animals else PEOPLE))
    kind = {(1, 1): "both", (1, 0): "people", (0, 1): "animals", (0, 0): "neither"}
    return kind[people, animals], bool(words & {"dog", "dogs", "puppy", "puppies"})


def rank(name: str) -> str:
    """A fixed pseudo-random order of names, to hold photos out."""
    return hashlib.sha256(name.encode()).hexdigest()


def read_photos(folder: Path, colour: bool = False) -> Iterator[Photo]:
    """All photos in file order; with `colour`, `grey` is (176, 176, 3) BGR instead."""
    kind_of = kinds(folder)
    flag = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    with tarfile.open(folder / PHOTOS) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is None or not member.name.endswith(".jpg"):
                continue
            picture = cv2.imdecode(np.frombuffer(file.read(), np.uint8), flag)
            name = Path(member.name).name
            kind, dog = kind_of.get(name, ("both", False))
            yield Photo(name, picture, kind, dog)


@dataclass(frozen=True)
class HeldOut:
    """Names of photos kept from training; `choosing_*` for the threshold, the others to report."""

    dogs: list[str]
    people: list[str]
    choosing_dogs: list[str]
    choosing_people: list[str]

    def all(self) -> set[str]:
        return {*self.dogs, *self.people, *self.choosing_dogs, *self.choosing_people}


def held_out(folder: Path) -> HeldOut:
    """The same names every time: by the rank of their captions' kind."""
    kind_of = kinds(folder)
    ordered = sorted(kind_of, key=rank)
    dogs = [name for name in ordered if kind_of[name] == ("animals", True)]
    people = [name for name in ordered if kind_of[name][0] == "people"]
    return HeldOut(
        dogs[:HELD_OUT_DOGS],
        people[:HELD_OUT_PEOPLE],
        dogs[HELD_OUT_DOGS:][:CHOOSING_DOGS],
        people[HELD_OUT_PEOPLE:][:CHOOSING_PEOPLE],
    )


def yunet(folder: Path, threshold: float) -> cv2.FaceDetectorYN:
    """The teacher."""
    return cv2.FaceDetectorYN.create(str(folder / TEACHER), "", (320, 320), threshold, 0.3, 5000)


def yunet_boxes(teacher: cv2.FaceDetectorYN, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 5): box in pixels and score, what the teacher finds."""
    teacher.setInputSize((bgr.shape[1], bgr.shape[0]))
    found = teacher.detect(bgr)[1]
    if found is None:
        return np.empty((0, 5), np.float32)
    boxes = found[:, [0, 1, 2, 3, 14]].astype(np.float32)
    boxes[:, 2:4] += boxes[:, :2]
    return boxes


def teach(folder: Path, cache: Path) -> dict[str, NDArray[np.float32]]:
    """Photo name → (F + 1, 5): first row (aspect, 0, 0, 0, 0), then boxes in 0–1 and scores.

    Photos of animals alone need no teacher, photos of animals with people are left out. Minutes;
    kept in `cache`.
    """
    if cache.is_file():
        with np.load(cache) as stored:
            return {name: stored[name] for name in stored.files}
    teacher = yunet(folder, UNSURE)
    seen: dict[str, NDArray[np.float32]] = {}
    for photo in read_photos(folder, colour=True):
        if photo.kind not in ("people", "neither"):
            continue
        tries = []
        for width, height in SHAPES:
            picture = cv2.resize(photo.grey, (width, height), interpolation=cv2.INTER_CUBIC)
            found = yunet_boxes(teacher, picture)
            found[:, :4] /= (width, height, width, height)
            tries.append((width / height, found))
            # A face is most face-like in its own shape; clear ones settle it at once.
            if len(found) and found[:, 4].max() > 0.88:
                break
        aspect, found = max(tries, key=lambda shaped: shaped[1][:, 4].sum())
        seen[photo.name] = np.vstack([[aspect, 0, 0, 0, 0], found]).astype(np.float32)
        if len(seen) % 500 == 0:
            print(f"teacher: {len(seen)} photos", flush=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(cache, **seen)
    return seen


# From MediaPipe's mesh bounds to YuNet's box in 48-pixel FER+ frames: medians of each, see
# face_net.BOXES, subtracted.
MESH_TO_TEACHER = np.array([0.9, -4.2, -1.6, -0.3], np.float32)


def pasted_faces(folder: Path) -> list[PastedFace]:
    """FER+ faces on which MediaPipe found a mesh."""
    with np.load(folder / FACES) as file:
        greys = file["images"]
    with np.load(folder / MESHES) as file:
        boxes = file["face_xyxy_48"].astype(np.float32) + MESH_TO_TEACHER
    size = boxes[:, 2:] - boxes[:, :2]
    usable = np.isfinite(boxes).all(1) & (size > 20).all(1) & (size < 56).all(1)
    return [PastedFace(greys[i], boxes[i]) for i in np.flatnonzero(usable)]


def drawing(rng: np.random.Generator, side: int = 256) -> NDArray[np.uint8]:
    """A vector-like picture: flat shapes, hills, dots, smileys and lettering, grey."""
    picture = np.full((side, side), rng.integers(256), np.uint8)
    if rng.random() < 0.5:  # a sky
        ramp = np.linspace(rng.integers(256), rng.integers(256), side)
        picture[:] = (ramp[:, None] if rng.random() < 0.7 else ramp[None]).astype(np.uint8)
    for _ in range(rng.integers(3, 25)):
        tone = int(rng.integers(256))
        x, y = (int(v) for v in rng.integers(0, side, 2))
        a, b = (int(v) for v in rng.integers(3, side // 3, 2))
        fill = -1 if rng.random() < 0.7 else int(rng.integers(1, 5))
        match rng.integers(7):
            case 0:
                cv2.ellipse(
                    picture,
                    (x, y),
                    (a, b),
                    float(rng.integers(180)),
                    0,
                    360,
                    tone,
                    fill,
                    cv2.LINE_AA,
                )
            case 1:
                cv2.rectangle(picture, (x, y), (x + a, y + b), tone, fill)
            case 2:
                corners = rng.normal((x, y), a, (int(rng.integers(3, 7)), 2)).astype(np.int32)
                cv2.fillPoly(picture, [corners], tone, cv2.LINE_AA)
            case 3:  # a ridge of hills
                ridge = y + np.cumsum(rng.normal(0, 12, 12))
                xs = np.linspace(0, side, 12)
                line = np.stack([xs, ridge], 1)
                hills = np.vstack([line, [[side, side], [0, side]]]).astype(np.int32)
                cv2.fillPoly(picture, [hills], tone, cv2.LINE_AA)
            case 4:
                letters = "".join(rng.choice(list("abcdefghijkABCDEFGH0123456789&?!"), 6))
                cv2.putText(
                    picture,
                    letters,
                    (x - 40, y),
                    int(rng.integers(8)),
                    float(rng.uniform(0.4, 3)),
                    tone,
                    int(rng.integers(1, 6)),
                    cv2.LINE_AA,
                )
            case 5:  # two dots and a bow, in and out of a disc: a drawn face is not a face
                r = a // 2 + 4
                if rng.random() < 0.7:
                    cv2.circle(picture, (x, y), r, tone, fill, cv2.LINE_AA)
                ink = int((tone + rng.integers(80, 176)) % 256)
                for eye in (-1, 1):
                    cv2.circle(
                        picture,
                        (x + eye * r // 3, y - r // 4),
                        max(1, r // 8),
                        ink,
                        -1,
                        cv2.LINE_AA,
                    )
                cv2.ellipse(
                    picture,
                    (x, y + r // 8),
                    (r // 2, r // 3),
                    0,
                    20,
                    160,
                    ink,
                    max(1, r // 10),
                    cv2.LINE_AA,
                )
            case _:
                for i in range(int(rng.integers(2, 9))):
                    cv2.circle(
                        picture, (x + i * a // 2, y), max(2, b // 6), tone, fill, cv2.LINE_AA
                    )
    return picture


def texture(rng: np.random.Generator, side: int = 256) -> NDArray[np.uint8]:
    """Noise of some grain, stripes or a chequerboard, grey."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    match rng.integers(3):
        case 0:
            n = int(rng.integers(4, side))
            values = cv2.resize(
                rng.normal(0, 1, (n, n)).astype(np.float32),
                (side, side),
                interpolation=cv2.INTER_CUBIC,
            )
        case 1:
            angle, period = rng.uniform(0, np.pi), rng.uniform(3, 60)
            values = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
            values += np.sin(y / rng.uniform(2, 40)) * rng.uniform(0, 1)
        case _:
            step = int(rng.integers(3, 40))
            values = ((x // step + y // step) % 2).astype(np.float32)
            values += rng.normal(0, rng.uniform(0, 0.5), values.shape)
    values = (values - values.min()) / (np.ptp(values) + 1e-6)
    low, high = sorted(rng.uniform(0, 255, 2))
    return (low + values * (high - low)).astype(np.uint8)


def material(folder: Path, cache: Path, seed: int = 0) -> Material:
    """Read everything; the held-out photos are not in it."""
    seen = teach(folder, cache)
    kept = held_out(folder).all()
    photos: list[Labelled] = []
    background: list[NDArray[np.uint8]] = []
    for photo in read_photos(folder):
        if photo.name in kept or photo.kind == "both":
            continue
        rows = seen.get(photo.name)
        if rows is None or (photo.kind == "neither" and (rows[1:, 4] < SURE).all()):
            background.append(photo.grey)
        elif photo.kind == "people":
            aspect, found = float(rows[0, 0]), rows[1:]
            photos.append(Labelled(photo.grey, aspect, found[:, :4], found[:, 4]))
    rng = np.random.default_rng(seed)
    background += [drawing(rng) for _ in range(250)]
    background += [texture(rng) for _ in range(80)]
    return Material(photos, pasted_faces(folder), background)


@dataclass
class Scene:
    """A training picture: grey (side, side) uint8, faces (F, 4), regions to ignore (G, 4)."""

    grey: NDArray[np.uint8]
    faces: list[NDArray[np.float32]]
    ignore: list[NDArray[np.float32]]


def turned_box(
    centre: NDArray[np.float64], width: float, height: float, angle: float
) -> NDArray[np.float32]:
    """The upright box around a face's ellipse turned by `angle` (radians)."""
    c, s = np.cos(angle), np.sin(angle)
    half_w = 0.5 * np.hypot(width * c, height * s)
    half_h = 0.5 * np.hypot(width * s, height * c)
    x, y = centre
    return np.array([x - half_w, y - half_h, x + half_w, y + half_h], np.float32)


class SceneMaker:
    """Draws training scenes at random.

    `scene()` gives a square picture of `side` pixels with faces of about 10 to 130 px, now and
    then a larger one that fills it. With `cuts`, many faces are cut by the border of a picture;
    one of which more than a third is hidden is boxed as far as it is seen.
    """

    def __init__(self, material: Material, side: int = 256, seed: int = 0) -> None:
        self.material = material
        self.side = side
        self.rng = np.random.default_rng(seed)
        self.cuts = False
        self.with_faces = [photo for photo in material.photos if (photo.scores >= SURE).any()]

    def scene(self) -> Scene:
        rng, side = self.rng, self.side
        scene = Scene(np.empty((side, side), np.uint8), [], [])
        columns, rows = [(1, 1), (1, 1), (2, 1), (1, 2), (2, 2)][rng.integers(5)]
        xs = self._cuts(columns)
        ys = self._cuts(rows)
        for x0, x1 in pairwise(xs):
            for y0, y1 in pairwise(ys):
                self._tile(scene, x0, y0, x1, y1)
        for _ in range(rng.poisson(1.0)):
            self._patch(scene)
        for _ in range(rng.poisson(2.0)):
            self._free_face(scene)
        scene.grey = self._spoil(scene.grey)
        if rng.random() < 0.5:
            scene.grey = np.ascontiguousarray(scene.grey[:, ::-1])
            for boxes in (scene.faces, scene.ignore):
                boxes[:] = [np.array([side - b[2], b[1], side - b[0], b[3]]) for b in boxes]
        return scene

    def _cuts(self, parts: int) -> list[int]:
        if parts == 1:
            return [0, self.side]
        return [0, int(self.side * self.rng.uniform(0.3, 0.7)), self.side]

    def _size(self) -> float:
        """A face's size, √(width · height), pixels; small ones are the most frequent."""
        if self.rng.random() < 0.04:
            return float(self.rng.uniform(130, 240))
        return float(np.exp(self.rng.uniform(np.log(11), np.log(115))))

    def _background(self) -> NDArray[np.uint8]:
        return self.material.background[self.rng.integers(len(self.material.background))]

    def _tile(self, scene: Scene, x0: int, y0: int, x1: int, y1: int) -> None:
        rng = self.rng
        width, height = x1 - x0, y1 - y0
        # First something without a face that covers the tile; it shows where the photo ends.
        picture = self._background()
        scale = max(width, height) / min(picture.shape) * np.exp(rng.uniform(0, 0.9))
        stretch = np.exp(rng.uniform(0, 0.3))
        matrix = self.matrix(
            picture.shape, (0.5, 0.5), scale * stretch, scale, 0.0, (width / 2, height / 2)
        )
        tile = cv2.warpAffine(
            picture,
            matrix,
            (width, height),
            flags=self._interpolation(scale),
            borderMode=cv2.BORDER_REFLECT,
        )
        if rng.random() < 0.72:
            photos = self.with_faces if rng.random() < 0.9 else self.material.photos
            tile = self._photo(scene, tile, photos[rng.integers(len(photos))], x0, y0)
        scene.grey[y0:y1, x0:x1] = tile

    def _interpolation(self, scale: float) -> int:
        return cv2.INTER_LINEAR if self.rng.random() < 0.7 or scale < 1 else cv2.INTER_CUBIC

    @staticmethod
    def matrix(
        shape: tuple[int, ...],
        focus: tuple[float, float],
        scale_x: float,
        scale_y: float,
        angle: float,
        target: tuple[float, float],
    ) -> NDArray[np.float64]:
        """Stretch, then turn, so that `focus` (0–1 of the picture) comes to lie at `target`."""
        c, s = np.cos(angle), np.sin(angle)
        linear = np.array([[c * scale_x, -s * scale_y], [s * scale_x, c * scale_y]])
        point = np.array([focus[0] * shape[1], focus[1] * shape[0]])
        return np.column_stack([linear, np.array(target) - linear @ point])

    def _photo(
        self, scene: Scene, tile: NDArray[np.uint8], photo: Labelled, x0: int, y0: int
    ) -> NDArray[np.uint8]:
        rng = self.rng
        height, width = tile.shape
        aspect = photo.aspect * np.exp(rng.normal(0, 0.08))
        angle = np.deg2rad(rng.uniform(-38, 38) if rng.random() < 0.6 else rng.normal(0, 4))
        sure = np.flatnonzero(photo.scores >= SURE)
        focus = (0.5, 0.5)
        scale = max(width, height) / SIDE * np.exp(rng.uniform(-0.5, 0.7))
        if len(sure):
            # One face is given a size and put where it is seen whole. Faces are drawn by area,
            # and not enlarged beyond what a blurred photo would show.
            box = photo.boxes[sure[rng.integers(len(sure))]]
            size = SIDE * np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
            scale = min(self._size() / size, 3.0)
            focus = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        scale_x, scale_y = scale * np.sqrt(aspect), scale / np.sqrt(aspect)
        target = (width * rng.uniform(0.15, 0.85), height * rng.uniform(0.15, 0.85))
        if self.cuts and rng.random() < 0.35:
            target = self._at_border(width, height, size * scale if len(sure) else 0.0)
        source = photo.grey
        if scale < 0.7:  # a plain warp would alias
            source = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            k = SIDE / source.shape[0]
            scale_x, scale_y = scale_x * k, scale_y * k
        matrix = self.matrix(source.shape, focus, scale_x, scale_y, angle, target)
        tile = cv2.warpAffine(
            source,
            matrix,
            (width, height),
            dst=tile,
            flags=self._interpolation(scale),
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        linear = np.array([source.shape[1], source.shape[0]])
        for box, score in zip(photo.boxes, photo.scores, strict=True):
            centre = matrix[:, :2] @ ((box[:2] + box[2:]) / 2 * linear) + matrix[:, 2]
            w = (box[2] - box[0]) * source.shape[1] * scale_x
            h = (box[3] - box[1]) * source.shape[0] * scale_y
            moved = turned_box(centre, w, h, angle)
            inside = np.clip(moved, 0, (width, height, width, height))
            area = np.prod(moved[2:] - moved[:2])
            visible = np.prod(np.maximum(inside[2:] - inside[:2], 0)) / max(area, 1e-6)
            if visible < 0.1:
                continue
            offset = np.array([x0, y0, x0, y0], np.float32)
            if score < SURE or visible < (0.35 if self.cuts else WHOLE):
                scene.ignore.append(inside + offset)
                continue
            scene.faces.append((moved if visible >= WHOLE else inside) + offset)
            if rng.random() < 0.4 and w > 9:
                self._paste(tile, self._face(), centre, w, h, angle)
        return tile

    def _at_border(self, width: int, height: int, size: float) -> tuple[float, float]:
        """Where the middle of a face of `size` pixels lies when a border cuts it; often the top."""
        rng = self.rng
        x, y = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.9)
        inwards = size * rng.uniform(-0.1, 0.4)
        match rng.integers(5):
            case 0 | 1:
                y = inwards
            case 2:
                x = inwards
            case 3:
                x = width - inwards
            case _:
                y = height - inwards
        return x, y

    def _face(self) -> PastedFace:
        return self.material.faces[self.rng.integers(len(self.material.faces))]

    def _free_face(self, scene: Scene) -> None:
        """A FER+ face anywhere, where it hides no other."""
        rng = self.rng
        face = self._face()
        size = min(self._size(), 115.0)
        extent = face.box[2:] - face.box[:2]
        w, h = extent * size / np.sqrt(np.prod(extent)) * np.exp(rng.normal(0, 0.05, 2))
        centre = rng.uniform(size * 0.45, self.side - size * 0.45, 2)
        angle = np.deg2rad(rng.uniform(-38, 38) if rng.random() < 0.6 else rng.normal(0, 4))
        if self.cuts and rng.random() < 0.3:
            centre = np.array(self._at_border(self.side, self.side, size))
        box = turned_box(centre, w, h, angle)
        if any(_overlap(box, other) > 0.02 for other in scene.faces + scene.ignore):
            return
        self._paste(scene.grey, face, centre, w, h, angle)
        inside = np.clip(box, 0, self.side)
        visible = np.prod(inside[2:] - inside[:2]) / np.prod(box[2:] - box[:2])
        if visible < 0.35:
            scene.ignore.append(inside)
        else:
            scene.faces.append(box if visible >= WHOLE else inside)

    def _patch(self, scene: Scene) -> None:
        """A piece of background in the same soft oval: an oval's rim is no sign of a face."""
        picture = self._background()
        y, x = (int(self.rng.integers(n - 48)) for n in picture.shape)
        patch = PastedFace(picture[y : y + 48, x : x + 48], np.array([5, 1, 42, 47], np.float32))
        size = min(self._size(), 115.0)
        centre = self.rng.uniform(size * 0.45, self.side - size * 0.45, 2)
        box = turned_box(centre, size * 0.9, size * 1.1, 0)
        if not any(_overlap(box, other) > 0.02 for other in scene.faces + scene.ignore):
            self._paste(scene.grey, patch, centre, size * 0.9, size * 1.1, 0)

    def _paste(
        self,
        picture: NDArray[np.uint8],
        face: PastedFace,
        centre: NDArray[np.float64],
        w: float,
        h: float,
        angle: float,
    ) -> None:
        """Blend a face into `picture`, in place, so that its box is (w, h) around `centre`."""
        rng = self.rng
        reach = int(0.75 * np.hypot(w, h)) + 2
        left, top = int(centre[0]) - reach, int(centre[1]) - reach
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * reach, picture.shape[1]), min(top + 2 * reach, picture.shape[0])
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        box = face.box
        grey = face.grey
        scale_x, scale_y = w / (box[2] - box[0]), h / (box[3] - box[1])
        shrink = min(scale_x, scale_y)
        if shrink < 0.7:
            sigma = 0.45 / shrink
            grey = cv2.GaussianBlur(grey, (0, 0), sigma)
        middle = ((box[0] + box[2]) / 96, (box[1] + box[3]) / 96)
        matrix = self.matrix(
            (48, 48), middle, scale_x, scale_y, angle, (centre[0] - x0, centre[1] - y0)
        )
        size = (x1 - x0, y1 - y0)
        moved = cv2.warpAffine(
            grey, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32)
        mask = cv2.warpAffine(_oval(box, float(rng.uniform(1.0, 1.3))), matrix, size)
        below = picture[y0:y1, x0:x1].astype(np.float32)
        # Towards the light around it, as a real face would be, but not always.
        pull = rng.uniform(0, 1) * (below.mean() - moved.mean()) * 0.6
        moved = (moved - moved.mean()) * rng.uniform(0.6, 1.25) + moved.mean() + pull
        blended = below + mask * (moved - below)
        picture[y0:y1, x0:x1] = np.clip(blended, 0, 255).astype(np.uint8)

    def _spoil(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Light, blur, low resolution, noise and JPEG, each now and then."""
        rng = self.rng
        levels = np.arange(256, dtype=np.float32) / 255
        if rng.random() < 0.6:
            levels = levels ** np.exp(rng.normal(0, 0.4))
        if rng.random() < 0.5:
            levels = (levels - 0.5) * rng.uniform(0.5, 1.3) + 0.5 + rng.uniform(-0.15, 0.15)
        if rng.random() < 0.15:  # low light
            levels = levels * rng.uniform(0.12, 0.5)
        grey = (np.clip(levels, 0, 1) * 255).astype(np.uint8)[grey]
        if rng.random() < 0.2:
            grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.4))
        if rng.random() < 0.25:
            noise = rng.integers(-128, 128, grey.shape, np.int8)
            grey = cv2.addWeighted(grey, 1.0, cv2.convertScaleAbs(noise), rng.uniform(0, 0.12), 0)
        if rng.random() < 0.3:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
            grey = cv2.imdecode(cv2.imencode(".jpg", grey, quality)[1], cv2.IMREAD_GRAYSCALE)
        return grey


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over the smaller area."""
    size = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (size <= 0).any():
        return 0.0
    return float(np.prod(size) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))


def _oval(box: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """A mask (48, 48) of 1 on the face, falling to 0 before the frame ends."""
    y, x = np.mgrid[:48, :48].astype(np.float32)
    centre = (box[:2] + box[2:]) / 2
    half = (box[2:] - box[:2]) / 2 * spread
    r = np.hypot((x - centre[0]) / half[0], (y - centre[1]) / half[1])
    soft = np.clip((1.08 - r) / 0.22, 0, 1)
    edge = np.minimum(np.minimum(x, 47 - x), np.minimum(y, 47 - y))
    return np.asarray(soft * np.clip(edge / 3, 0, 1), np.float32)
