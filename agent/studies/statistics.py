"""Statistics that several rooms need: Krippendorff's α, and calibration of probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

Level = Literal["nominal", "ordinal", "interval", "ratio"]
Code = str | float


def krippendorff_alpha(
    codes: Sequence[Sequence[Code]], level: Level
) -> tuple[float | None, str | None]:
    """Krippendorff's alpha of units with one code a coder, or None and why.

    Args:
        codes: a list for each unit, in the coders' order; NaN where a coder gave none. A unit
            with one code has nothing to agree with.
        level: nominal, ordinal, interval or ratio.
    """
    import numpy as np

    krippendorff = _import_krippendorff()
    paired = [known for unit in codes if len(known := [c for c in unit if not _is_missing(c)]) > 1]
    if len(paired) < 2:
        return None, "alpha needs at least two units"
    if len({c for known in paired for c in known}) < 2:
        return None, "all codes are the same"
    width = max(map(len, codes))
    words = sorted({c for unit in codes for c in unit if isinstance(c, str)})
    place = {c: i for i, c in enumerate(words)}
    table = np.full((width, len(codes)), np.nan)
    for column, unit in enumerate(codes):
        for row, c in enumerate(unit):
            if not _is_missing(c):
                table[row, column] = place[c] if isinstance(c, str) else c
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement=level)), None


def alpha_of_counts(counts: NDArray[Any]) -> float:
    """Krippendorff's alpha, nominal, from how many coders gave each unit each label.

    Args:
        counts: (units, labels); units with fewer than two codes tell nothing and do not count.

    Returns:
        NaN where one label alone was given, or fewer than two units count.
    """
    import numpy as np

    counts = np.rint(np.asarray(counts, float)).astype(int)
    counts = counts[counts.sum(axis=1) > 1]
    if len(counts) < 2 or (counts.sum(axis=0) > 0).sum() < 2:
        return math.nan
    return float(_import_krippendorff().alpha(value_counts=counts, level_of_measurement="nominal"))


def _import_krippendorff() -> Any:
    try:
        import krippendorff
    except ImportError:
        raise KuleshovError(
            "agreement needs the package krippendorff: run `pip install 'kuleshov[analysis]'`."
        ) from None
    return krippendorff


def _is_missing(c: Code) -> bool:
    return isinstance(c, float) and math.isnan(c)


# ------------------------------------------------------------------------- calibration


class Bin(Record):
    """Items whose first label has a probability in one stretch of 0-1.

    confidence: mean probability of the first label. accuracy: share where it is right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability_bins(given: NDArray[Any], truth: NDArray[Any], bins: int = 10) -> list[Bin]:
    """A reliability diagram: bins of equal width, the empty ones left out.

    Args:
        given: (items, labels) probabilities.
        truth: (items,) index of each item's label.
    """
    import numpy as np

    sure, hit = given.max(axis=1), given.argmax(axis=1) == truth
    group = np.minimum((sure * bins).astype(int), bins - 1)
    return [
        Bin(
            low=b / bins,
            high=(b + 1) / bins,
            n=int((group == b).sum()),
            confidence=float(sure[group == b].mean()),
            accuracy=float(hit[group == b].mean()),
        )
        for b in np.unique(group).tolist()
    ]


def calibration_error(given: NDArray[Any], truth: NDArray[Any], bins: int = 10) -> float:
    """Expected calibration error of the first label, 0-1 (Naeini, Cooper & Hauskrecht 2015, AAAI).

    Items are grouped by the probability of their first label into `bins` of equal width; the mean
    distance, weighted by size, of each group's share of hits from its mean probability.
    """
    found = reliability_bins(given, truth, bins)
    return sum(abs(b.accuracy - b.confidence) * b.n for b in found) / len(truth)


def brier_score(given: NDArray[Any], truth: NDArray[Any]) -> float:
    """Brier score of all labels, 0-2, lower is better (Brier 1950, Monthly Weather Review 78, 1-3).

    The squared distance of each distribution from the one that is 1 on the item's label, averaged.
    It is lowest for the true probabilities; ECE alone is also low for the base rates of everything.

    Args:
        given: (items, labels) probabilities.
        truth: (items,) index of each item's label.
    """
    import numpy as np

    meant = np.eye(given.shape[1])[truth]
    return float(((given - meant) ** 2).sum(axis=1).mean())


def classwise_ece(given: NDArray[Any], truth: NDArray[Any], bins: int = 10) -> float:
    """Calibration error of every label's probability, not of the first's alone, 0-1.

    For each label, items are grouped by its probability into `bins` of equal width; the mean
    distance, weighted by size, of its share from its mean probability, averaged over labels (Kull
    et al. 2019, Beyond temperature scaling, NeurIPS 32).

    Args:
        given: (items, labels) probabilities.
        truth: (items,) index of each item's label.
    """
    import numpy as np

    errors = []
    for label in range(given.shape[1]):
        p, hit = given[:, label], (truth == label).astype(float)
        group = np.minimum((p * bins).astype(int), bins - 1)
        gaps = np.abs(np.bincount(group, hit - p, bins))
        errors.append(float(gaps.sum()) / len(truth))
    return float(np.mean(errors))
