"""The bundled pocket models: a face detector, a face net and a small LLaVA, with their cards.

They ship so that everything runs with nothing downloaded. They are for demonstration.
"""

from importlib.resources import files
from pathlib import Path

CAVEAT = "pocket models: for demonstration, see the card (`kuleshov models card pocket`)"

CONTEXT_WEIGHT = 0.25
"""What the bundled LLaVA's reading of a scene weighs in fusion: it must not drive an emotion."""

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


def folder() -> Path:
    """Where the bundled weights lie."""
    return Path(str(files("kuleshov.tools.pocket")))
