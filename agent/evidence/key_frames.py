"""The few frames of a clip that are kept as pictures while the rest streams past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kuleshov.tools.media import Frame, FrameSample
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.types import Face

SPARE = 3  # candidates kept for each frame wanted, because the best are known only at the end


@dataclass(frozen=True)
class KeptFrame:
    frame: Frame
    image: Rgb
    worth: float


class KeyFrames:
    """Holds at most `SPARE` times `most` pictures, whatever the clip's length.

    When one too many is there, the one goes that is worth least for the time it stands for: an
    expressive face and the begin of a shot are worth more, and so is a frame far from the next.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[KeptFrame] = []

    def add(self, sample: FrameSample, faces: Sequence[Face]) -> None:
        worth = 0.25 + max((face_expressiveness(face) for face in faces), default=0.0)
        if sample.cut or not self.kept:
            worth += 0.5
        self.kept.append(KeptFrame(sample.frame, sample.image, worth))
        if len(self.kept) > SPARE * self.most:
            del self.kept[self._cheapest()]

    def _cheapest(self) -> int:
        times = [kept.frame.time_s for kept in self.kept]

        def value(i: int) -> float:
            return self.kept[i].worth * (times[i + 1] - times[i - 1])

        return min(range(1, len(times) - 1), key=value)

    def choose(self, wanted: Iterable[float]) -> list[KeptFrame]:
        """The frames nearest to the wanted times, and others spread evenly up to `most`."""
        chosen = {self.nearest(time) for time in wanted} if self.kept else set()
        while len(chosen) < min(self.most, len(self.kept)):
            if not chosen:
                chosen.add(len(self.kept) // 2)
                continue
            times = [kept.frame.time_s for kept in self.kept]
            chosen.add(
                max(
                    (i for i in range(len(times)) if i not in chosen),
                    key=lambda i: min(abs(times[i] - times[j]) for j in chosen),
                )
            )
        return [self.kept[i] for i in sorted(chosen)]

    def nearest(self, time_s: float) -> int:
        return min(range(len(self.kept)), key=lambda i: abs(self.kept[i].frame.time_s - time_s))


def face_expressiveness(face: Face) -> float:
    """0-1: how far the face is from neutral, by its expression, else by its clearest unit."""
    if face.expression is not None and "neutral" in face.expression.probabilities:
        return 1 - face.expression.probabilities["neutral"]
    strengths = (0.0, 0.3, 0.6, 1.0)
    return max((strengths[u.level] for u in face.action_units if u.level is not None), default=0.0)
