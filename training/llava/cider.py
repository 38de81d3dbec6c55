"""CIDEr-D, how much captions say of what several people say of a picture.

Vedantam, Zitnick & Parikh 2015 (CVPR): tf-idf vectors of 1- to 4-grams, counts clipped, a Gaussian
penalty on the difference in length (σ = 6), times 10. Words are lower-case runs of letters and
digits; no stemming.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Gram = tuple[str, ...]


def _grams(text: str) -> list[Counter[Gram]]:
    words = re.findall(r"[a-z0-9']+", text.lower())
    return [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in range(1, 5)]


@dataclass(frozen=True)
class Frequencies:
    """In how many of `photos` pictures' captions each 1- to 4-gram comes; one counter a length."""

    photos: int
    seen: list[Counter[Gram]]

    @classmethod
    def of(cls, references: Sequence[Sequence[str]]) -> Frequencies:
        seen: list[Counter[Gram]] = [Counter() for _ in range(4)]
        for several in references:
            grams = [_grams(text) for text in several]
            for n in range(4):
                seen[n].update({gram for each in grams for gram in each[n]})
        return cls(len(references), seen)

    def vector(self, grams: Counter[Gram], n: int) -> dict[Gram, float]:
        """tf-idf of the n-grams of one caption; `n` counts from 0."""
        most = math.log(self.photos)
        return {g: c * (most - math.log(max(1, self.seen[n][g]))) for g, c in grams.items()}


def cider(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    frequencies: Frequencies | None = None,
) -> np.ndarray:
    """CIDEr-D of each candidate, on the scale where papers report 1.2 for 120 (N,).

    `frequencies`: those of `references` unless given.
    """
    idf = frequencies or Frequencies.of(references)
    scores = []
    for text, several in zip(candidates, references, strict=True):
        mine = _grams(text)
        length = sum(mine[0].values())
        total = 0.0
        for reference in several:
            theirs = _grams(reference)
            away = length - sum(theirs[0].values())
            for n in range(4):
                a, b = idf.vector(mine[n], n), idf.vector(theirs[n], n)
                norm = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
                if norm:
                    dot = sum(min(v, b[g]) * b[g] for g, v in a.items() if g in b)
                    total += dot / norm * math.exp(-(away**2) / (2 * 6.0**2))
        scores.append(10 * total / 4 / len(several))
    return np.array(scores)
