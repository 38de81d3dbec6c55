"""Photos with captions and faces with expressions: reading, wording, splits, views.

Flickr8k (Hodosh, Young & Hockenmaier 2013) and FER2013 with FER+ votes (Barsoum et al. 2016);
terms in the data folder's README: research use.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from kuleshov.tools.faces.pocket import PocketFaces
from kuleshov.tools.types import Face
from training.face import data as face_data

PHOTOS = "flickr8k_176.tar"
CAPTIONS = "flickr8k_captions.tsv"
DEFAULT_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"

STORED = 144
"""Side at which photos are kept in memory, pixels: room for crops at full detail."""

MEAN = (0.45, 0.44, 0.41)
STD = (0.27, 0.265, 0.285)
"""Mean and standard deviation of Flickr8k's RGB values, scaled to 0–1."""


def word_set(text: str) -> frozenset[str]:
    """The words of a space-separated list."""
    return frozenset(text.split())


PEOPLE_WORDS = word_set(
    "person people child children baby couple crowd parent parents someone player players "
    "skateboarder surfer rider biker cyclist bicyclist skier snowboarder climber runner runners "
    "racer dancer dancers performer performers soldier soldiers team audience family families "
    "adult adults teenager teenagers toddler toddlers athlete athletes swimmer jogger hiker "
    "hikers worker workers singer musician musicians cheerleaders cheerleader friends friend "
    "motorcyclist cowboy fisherman wrestlers newlywed newlyweds student students pedestrians "
    "spectators referee quarterback kayaker skater golfer pitcher goalie batter"
)
"""Words of normalised captions that say that somebody is there."""

# Captions guess gender and origin from looks; the pocket model is taught not to. Order matters.
_WORDING: tuple[tuple[str, str], ...] = (
    (r"\b(?:bride and (?:the |a |her )?groom|groom and (?:the |a |his )?bride)\b", "newlyweds"),
    (r"\b(?:bride|groom)\b", "newlywed"),
    (
        r"\b(?:asian|african[- ]american|african|caucasian|hispanic|latino|latina|indian|oriental|"
        r"middle[- ]eastern|european|mexican|chinese|japanese|arab|muslim|ethnic)"
        r"(?:[- ]looking)?\s+"
        r"(?=(?:\w+\s+){0,2}(?:m[ae]n|wom[ae]n|boys?|girls?|lad(?:y|ies)|guys?|people|person|"
        r"child(?:ren)?|kids?|famil(?:y|ies)|males?|females?|couples?|bab(?:y|ies)|teens?)\b)",
        "",
    ),
    (
        r"\b(?:black|white|dark[- ]skinned|light[- ]skinned)\s+"
        r"(?=(?:m[ae]n|wom[ae]n|boys?|girls?|lad(?:y|ies)|guys?|people|person|kids?|males?|"
        r"females?|child(?:ren)?)\b)",
        "",
    ),
    (
        r"\b(?:fe)?male (?=(?:is|in|with|on|and|wearing|at|who|has|that|to|stands?|sits?|runs?|"
        r"jumps?|sitting|standing|playing|holding|looking|riding|walking|running)\b)",
        "person ",
    ),
    (r"\b(?:fe)?males\b", "people"),
    (r"\b(?:fe)?male\b(?=\s+\w)", ""),
    (r"\b(?:fe)?male\b", "person"),
    (
        r"\b(?:an? )?(?:(?:little|young|small|teenage|older) )?(?:boy|girl) and (?:an? )?"
        r"(?:(?:little|young|small|teenage|older) )?(?:boy|girl)\b",
        "two children",
    ),
    (
        r"\b(?:an? |the )?(?:man|woman|guy|lady) and (?:an? |another |the )?"
        r"(?:man|woman|guy|lady)\b",
        "two people",
    ),
    (r"\b(?:men|women|ladies|guys|gentlemen|gals|dudes|chicks|fellows)\b", "people"),
    (r"\b(?:man|woman|lady|guy|gentleman|dude|fellow|gal|chick)\b", "person"),
    (r"\b(?:boys|girls|kids|youngsters|kiddies)\b", "children"),
    (r"\b(?:boy|girl|kid|youngster|lad|schoolboy|schoolgirl)\b", "child"),
    (r"\b(?:mother|mom|mommy|father|dad|daddy)\b", "parent"),
    (r"\b(?:mothers|moms|fathers|dads)\b", "parents"),
    (r"\b(?:grand(?:mother|father|ma|pa))\b", "grandparent"),
    (r"\b(?:son|daughter|brother|sister|nephew|niece)\b", "child"),
    (r"\b(?:sons|daughters|brothers|sisters)\b", "children"),
    (r"\b(?:wife|husband|girlfriend|boyfriend)\b", "partner"),
    (
        r"\bher(?=$|[ .,;]*$| ?[,.;]| (?:while|as|and|in|on|with|at|from|to|by|through|near|is|are|"
        r"into|over|before|during|after|off|up|down|for)\b)",
        "them",
    ),
    (r"\b(?:his or her|his/her|his|her|hers)\b", "their"),
    (r"\b(?:himself|herself)\b", "themselves"),
    (r"\b(?:he|she)(?:'s| is| 's)\b", "who is"),
    (r"\b(?:he|she)\b", "the person"),
    (r"\bhim\b", "them"),
    (r"\bskateboarder person\b", "skateboarder"),
    (r"\b(?:a|one) person and (?:a|another|one) person\b", "two people"),
    (r"\btwo person\b", "two people"),
)
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _WORDING)


def normalise(caption: str) -> str:
    """A caption without gender or origin, as a sentence: capital letter, full stop."""
    text = " ".join(re.sub(r'["`]', "", caption.lower()).split())
    for pattern, words in _COMPILED:
        text = pattern.sub(words, text)
    text = re.sub(r"\s+([,.!?;:')])", r"\1", text)
    text = re.sub(r"\ban (?=[bcdfgjklmnpqrstvwxyz])", "a ", text)
    text = re.sub(r"\ba (?=[aeio]|un(?!i)|um)(?!one\b|once\b|eu)", "an ", text)
    text = " ".join(text.split()).strip(" .,;")
    return (text[:1].upper() + text[1:] + ".") if text else ""


def words_of(caption: str) -> list[str]:
    """Lower-case words of a caption."""
    return re.findall(r"[a-z]+(?:-[a-z]+)*", caption.lower())


@dataclass(frozen=True)
class Photos:
    """N photos with five captions each.

    names: N file names. captions: N lists of normalised captions.
    images: (N, 144, 144, 3) uint8 RGB, squashed to a square as the source is.
    part: (N,) str: "train", "dev" (for choosing) or "test" (for the figures only).
    """

    names: list[str]
    captions: list[list[str]]
    images: np.ndarray
    part: np.ndarray

    def rows(self, part: str) -> np.ndarray:
        return np.flatnonzero(self.part == part)

    def told(self, part: str) -> list[str]:
        """All captions of the photos of `part`."""
        return [caption for row in self.rows(part) for caption in self.captions[row]]


def part_of(name: str) -> str:
    """The part a photo belongs to, from its name alone: 6 % test, 3 % dev, else train."""
    number = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
    return "test" if number < 6 else "dev" if number < 9 else "train"


EXPRESSION = re.compile(
    r"\b(?:smil|laugh|grin(?:s|n\w+)?\b|giggl|frown|scowl|cry\b|cry?ing|cries|happ[yi]|joy|sad(?:ly)?\b|angr)",
    re.I,
)
"""Begins a word that tells an expression or a feeling."""


def read_captions(folder: Path) -> dict[str, list[str]]:
    """Photo name → its normalised captions.

    A caption that tells an expression is left out where another one remains: at 112 pixels none
    can be seen, and a model that learns to guess it lets every portrait smile.
    """
    path = folder / CAPTIONS
    if not path.is_file():
        raise FileNotFoundError(f"{CAPTIONS} is not in {folder}; see the data folder's README")
    captions: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        name, _, caption = line.partition("\t")
        if len(words_of(caption)) >= 2:
            captions.setdefault(name, []).append(normalise(caption))
    for name, several in captions.items():
        captions[name] = [one for one in several if not EXPRESSION.search(one)] or several
    return captions


def read_photos(folder: Path, cache: Path | None = None, parts: tuple[str, ...] = ()) -> Photos:
    """Read all photos, or those of `parts`; `cache` is an .npy that saves the decoding."""
    captions = read_captions(folder)
    if not (folder / PHOTOS).is_file():
        raise FileNotFoundError(f"{PHOTOS} is not in {folder}; see the data folder's README")
    with tarfile.open(folder / PHOTOS) as tar:
        names = sorted(captions.keys() & set(tar.getnames()))
    if parts:
        names = [name for name in names if part_of(name) in parts]
    if cache is not None and cache.is_file():
        images = np.load(cache, mmap_mode="r")
    else:
        place = {name: i for i, name in enumerate(names)}
        images = np.zeros((len(names), STORED, STORED, 3), np.uint8)
        with tarfile.open(folder / PHOTOS) as tar:
            for member in tar:
                if member.name in place:
                    file = tar.extractfile(member)
                    assert file is not None, member.name
                    picture = Image.open(io.BytesIO(file.read())).convert("RGB")
                    small = picture.resize((STORED, STORED), Image.Resampling.BICUBIC)
                    images[place[member.name]] = np.asarray(small)
        if cache is not None:
            np.save(cache, images)
    return Photos(
        names=names,
        captions=[captions[name] for name in names],
        images=images,
        part=np.array([part_of(name) for name in names]),
    )


STOP_WORDS = word_set(
    "a an the in on of and with is are to at by for from as while it its their them they there "
    "this that who which has have being be one two's s t the or into out up down over through "
    "his her person's some something other another each very what where who's looks look"
)


def word_targets(photos: Photos, least: int = 25) -> tuple[list[str], np.ndarray]:
    """Words that `least` training photos' captions use, and each photo's share of captions
    using them: (N, words) float32 in 0–1."""
    sets = [[set(words_of(caption)) for caption in several] for several in photos.captions]
    counts: Counter[str] = Counter()
    for row in photos.rows("train"):
        counts.update(set().union(*sets[row]) - STOP_WORDS)
    words = sorted(word for word, count in counts.items() if count >= least)
    place = {word: i for i, word in enumerate(words)}
    targets = np.zeros((len(sets), len(words)), np.float32)
    for row, several in enumerate(sets):
        for caption in several:
            for word in caption:
                if word in place:
                    targets[row, place[word]] += 1 / len(several)
    return words, targets


def views(images: Tensor, size: int, train: bool) -> Tensor:
    """Normalised pictures (B, 3, size, size) from uint8 RGB (B, H, W, 3).

    In training: a random crop of 55–100 % of the area, a mirror, contrast and brightness.
    """
    x = images.permute(0, 3, 1, 2).float().div(255)
    if train:
        count = len(x)

        def uniform(low: float, high: float) -> Tensor:
            return torch.rand(count, device=x.device) * (high - low) + low

        side, stretch = torch.sqrt(uniform(0.55, 1.0)), torch.exp(uniform(-0.12, 0.12))
        width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
        mirror = (torch.rand(count, device=x.device) < 0.5).float() * 2 - 1
        middle = [(1 - width) * uniform(-1, 1), (1 - height) * uniform(-1, 1)]
        x = lit(crop(x, torch.stack([*middle, width * mirror, height], 1), size))
    elif x.shape[-1] != size:
        x = functional.interpolate(x, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    return normalised(x)


def crop(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Float pictures (B, 3, H, W) cut to `boxes` (B, 4): (B, 3, size, size).

    A box is middle x, middle y, width, height; the picture is −1…1 in both directions, sizes are
    shares of it. A negative width mirrors.
    """
    matrix = torch.zeros(len(boxes), 2, 3, device=images.device)
    matrix[:, 0, 0], matrix[:, 1, 1] = boxes[:, 2], boxes[:, 3]
    matrix[:, :, 2] = boxes[:, :2]
    grid = functional.affine_grid(matrix, [len(boxes), 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def lit(x: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in 0–1 with random contrast and brightness."""

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(len(x), device=x.device) * (high - low) + low)[:, None, None, None]

    middle = x.mean((1, 2, 3), keepdim=True)
    return ((x - middle) * torch.exp(uniform(-0.3, 0.3)) + middle + uniform(-0.12, 0.12)).clamp(
        0, 1
    )


def normalised(x: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in 0–1 as the tower takes them."""
    mean = torch.tensor(MEAN, device=x.device)[None, :, None, None]
    std = torch.tensor(STD, device=x.device)[None, :, None, None]
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Faces:
    """FER+ faces that the raters agree on.

    images: (N, 48, 48) uint8 grey. soft: (N, 8) vote fractions.
    label: (N,) majority class, order of `kuleshov.tools.pocket.face_net.EXPRESSIONS`, or −1.
    part: (N,) str, "train", "dev" (8 % of Training) or "test" (FER+ PublicTest).
    """

    images: np.ndarray
    soft: np.ndarray
    label: np.ndarray
    part: np.ndarray


PARTS = {"train": "train", "held_out": "dev", "public_test": "test"}
"""The face net's name of a part of FER+, and the name here."""


def read_faces(folder: Path) -> Faces:
    """Labelled faces; the split of FER+ Training is the face net's own."""
    faces = face_data.read(folder)
    rows = np.flatnonzero(faces.labelled)
    return Faces(
        images=faces.images[rows],
        soft=faces.soft[rows],
        label=faces.majority[rows],
        part=np.array([PARTS[part] for part in faces.part[rows]]),
    )


def face_views(images: np.ndarray, size: int, train: bool) -> Tensor:
    """Faces (B, 48, 48) uint8 grey as RGB pictures (B, 3, size, size), as `views` gives them."""
    grey = torch.from_numpy(np.ascontiguousarray(images))[..., None].expand(-1, -1, -1, 3)
    if not train:
        return views(grey, size, train=False)
    x = grey.permute(0, 3, 1, 2).float()
    count = len(x)
    angle = (torch.rand(count) - 0.5) * 0.5
    zoom = torch.exp((torch.rand(count) - 0.5) * 0.3)
    mirror = (torch.rand(count) < 0.5).float() * 2 - 1
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = torch.cos(angle) * zoom * mirror, -torch.sin(angle) * zoom
    matrix[:, 1, 0], matrix[:, 1, 1] = torch.sin(angle) * zoom * mirror, torch.cos(angle) * zoom
    matrix[:, :, 2] = (torch.rand(count, 2) - 0.5) * 0.24
    grid = functional.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False) / 255
    return normalised(lit(x))


def tinted(pixels: Tensor) -> Tensor:
    """Grey pictures (B, 3, H, W) with a random warm or cool tint, so that not only grey ones
    count as faces."""
    tint = (torch.rand(len(pixels), 1, device=pixels.device) - 0.3) * 0.8
    gain = torch.cat([tint, torch.zeros_like(tint), -tint], 1)[:, :, None, None]
    return pixels + gain


def measured(folder: Path, part: str, most: int = 700) -> list[Face]:
    """FER+ faces of `part` as the bundled face tool measures them, up to `most` an expression.

    Only faces on which the blendshapes' teacher found a mesh: its bounds are the box.
    """
    faces = face_data.read(folder)
    with np.load(folder / face_data.BLENDSHAPES) as file:
        boxes = file["face_xyxy_48"].astype(float)
    here = np.array([PARTS[name] == part for name in faces.part])
    usable = here & faces.found & np.isfinite(boxes).all(1)
    rows = [np.flatnonzero(usable & (faces.majority == i))[:most] for i in range(8)]
    chosen = np.sort(np.concatenate(rows))
    images = [np.repeat(faces.images[row][..., None], 3, 2) for row in chosen]
    bare = [[Face(xyxy=tuple(boxes[row]), tool="mesh", version="0")] for row in chosen]
    return [face for several in PocketFaces().measure(images, bare) for face in several]
