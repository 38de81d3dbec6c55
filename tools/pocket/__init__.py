"""The bundled pocket models: a face detector, a face net and a small LLaVA, with their cards.

They ship so that everything runs with nothing downloaded. They are for demonstration.
"""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuleshov.tools.moved import old_names

CAVEAT = "pocket models: for demonstration, see the card (`kuleshov models card pocket`)"

CONTEXT_WEIGHT = 0.25
"""What the bundled LLaVA's reading of a scene weighs in fusion: it must not drive an emotion."""
PROBE_MARGIN = 2.5
"""Log-odds that the bundled LLaVA's answer to "Is there …?" must have to count. Of Flickr8k's test
photos without a face that the bundled detector finds, it sees a person in 24 % of the 83 without
people at 0 and in 7 % at 2.5, and in 92 and 68 % of the 182 with people (chosen on the others)."""
SCALE = Path(__file__).with_name("scale.json")
"""Temperatures of the bundled LLaVA's readings, fitted by `training/llava/scale.py`."""

TAUGHT_PROBES = (
    "a person",
    "a dog",
    "a group of people",
    "water",
    "snow",
    "grass",
    "a ball",
    "a bike",
    "a car",
    "a beach",
    "a building",
    "a tree",
    "a rock",
    "a skateboard",
    "a horse",
    "a hat",
    "a street",
)
"""What the bundled LLaVA was taught to answer "Is there … in the picture?" about. (It was also
taught "a child", which is not asked: no guessing of age.)"""


def weights_folder() -> Path:
    """Where the bundled weights lie."""
    return Path(str(files("kuleshov.tools.pocket")))


@cache
def fitted_scale() -> dict[str, Any]:
    """The fitted temperatures, what each was fitted on, and the weights that they hold for."""
    return dict(json.loads(SCALE.read_text("utf-8")))


def scale_facts(sha256: str) -> dict[str, Any]:
    """The temperatures as a model's facts name them; none for weights that they do not hold for."""
    told = fitted_scale()
    if told["weights_sha256"] != sha256:
        return {}
    parts = ("context", "face")
    return {
        "scale": {part: told[part]["temperature"] for part in parts},
        "scale_source": {part: f"{told[part]['source']}; {told['command']}" for part in parts},
    }


if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
