"""Find the pictures that show the same expression as these: a ranking, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kuleshov.agent import Agent
from kuleshov.asking import images, writer
from kuleshov.asking.examples import unit_distance
from kuleshov.evidence.influence import js_divergence
from kuleshov.inputs import items
from kuleshov.tools import faces as face_tools
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.types import Face, Record

By = Literal["units", "expression", "features", "model"]
BYS: dict[By, str] = {
    "units": "root mean square difference of the action units that both faces have, 0-1",
    "expression": "Jensen-Shannon divergence of the face tool's expressions, bits",
    "features": "1 − cosine of the model's own vision features",
    "model": "the model's probability that the expression is another",
}
SHOTS_SHOWN = 4  # of the shots, to the model at once


@dataclass(frozen=True)
class Seen:
    """One face of one picture, cut out."""

    path: str
    number: int
    face: Face
    cut: Rgb


class Match(Record):
    """One face, and how far it is from the shots by each measure: 0 is the same.

    Each distance is the mean over the shots. None: not measured.
    """

    path: str
    person: int
    box_xyxy: tuple[float, float, float, float]
    distance: float | None
    units: float | None = None
    common_units: int = 0
    expression: float | None = None
    features: float | None = None
    model: float | None = None


class Matcher:
    """Compares faces with a set of shots."""

    def __init__(self, agent: Agent, shots: str, by: By = "units") -> None:
        """Read the shots.

        Raises:
            KuleshovError: a measure that these parts cannot give; no shot shows a face.
        """
        self.agent, self.by = agent, by
        mllm, faces = agent.crew.mllm, agent.crew.faces
        if by not in BYS:
            raise KuleshovError(f"pictures are matched by {', '.join(BYS)}, not by {by!r}.")
        if by == "units" and not faces.info.units:
            raise KuleshovError(f"{faces.info.name} measures no action units; use --by features.")
        if by == "expression" and not faces.info.expressions:
            raise KuleshovError(f"{faces.info.name} gives no expressions; use --by features.")
        if by == "features" and not hasattr(mllm, "features"):
            raise KuleshovError(f"{mllm.info.id} offers no vision features; use --by units.")
        if by == "model" and not (mllm.info.many_images and mllm.info.scores_labels):
            raise KuleshovError(
                f"{mllm.info.id} cannot compare several pictures; use --by units or features."
            )
        self.problems: list[str] = []
        self.passed: dict[str, media.PassedOver] = {}  # by the folder or pattern
        self.shots = [seen[0] for seen in self.faces(shots, largest=True)]
        if not self.shots:
            raise KuleshovError(f"none of the pictures of {shots} shows a face that can be read.")
        self._features = self._vision([shot.cut for shot in self.shots])

    def faces(self, source: str, *, largest: bool = False) -> Iterator[list[Seen]]:
        """The faces of each picture of a folder, glob or manifest; what fails is noted."""
        passed = self.passed.setdefault(source, media.PassedOver())
        for work in items.read_items(source, passed):
            try:
                if work.problem is not None or not isinstance(work.source, str):
                    raise KuleshovError(work.problem or f"{work.key} is no file of its own.")
                opened = media.open_media(
                    work.source, max_pixels=self.agent.settings.max_pixels, frames=1
                )
                picture = opened.images[0]
                found = face_tools.observe_faces(
                    self.agent.crew.faces, [picture], opened.media
                ).faces[0]
                if not found:
                    raise KuleshovError(f"{work.key}: no face was found.")
            except KuleshovError as error:
                self.problems.append(str(error))
                continue
            if largest:
                found = [max(found, key=lambda face: face.area)]
            yield [
                Seen(work.source, number, face, images.face_alone(picture, face))
                for number, face in enumerate(found, start=1)
            ]

    def rank(
        self, source: str, watch: Callable[[int], None] | None = None
    ) -> tuple[list[Match], dict[tuple[str, int], Rgb]]:
        """All faces of `source`, nearest first, what could not be measured last; and their cuts."""
        found: list[Match] = []
        cuts: dict[tuple[str, int], Rgb] = {}
        for seen in self.faces(source):
            for one in seen:
                found.append(self._match(one))
                cuts[one.path, one.number] = one.cut
            if watch is not None:
                watch(len(found))
        found.sort(key=lambda match: (match.distance is None, match.distance or 0.0, match.path))
        return found, cuts

    def _match(self, seen: Seen) -> Match:
        units = [unit_distance(seen.face, shot.face) for shot in self.shots]
        common = {
            unit.unit
            for unit in seen.face.whole_units()
            for shot in self.shots
            if (other := shot.face.unit(unit.unit)) is not None
            and not unit.weak
            and unit.scale == other.scale
        }
        told: dict[str, Any] = {
            "units": _mean_known(units),
            "expression": _mean_known(
                [_face_distance(seen.face, shot.face) for shot in self.shots]
            ),
        }
        if self._features is not None:
            near = self._features @ self._vision([seen.cut])[0]
            told["features"] = float(1 - near.mean())
        if self.by == "model":
            told["model"] = self._other(seen)
        return Match(
            path=seen.path,
            person=seen.number,
            box_xyxy=seen.face.xyxy,
            distance=told[self.by],
            common_units=len(common),
            **told,
        )

    def _vision(self, cuts: Sequence[Rgb]) -> Any:
        if self.by != "features":
            return None
        return self.agent.crew.features(cuts)

    def _other(self, seen: Seen) -> float:
        """The model's probability of "no" to: is it the same expression?"""
        shown = [images.to_image(shot.cut) for shot in self.shots[:SHOTS_SHOWN]]
        text = self.agent.crew.writer.family.render_prompt("same", shots=len(shown))
        talk = [writer.user_turn(*shown, images.to_image(seen.cut), text)]
        yes, no = self.agent.crew.score(talk, ["yes", "no"])
        return float(1 / (1 + np.exp(yes - no)))


def _face_distance(a: Face, b: Face) -> float | None:
    if a.expression is None or b.expression is None:
        return None
    if set(a.expression.probabilities) != set(b.expression.probabilities):
        return None
    return js_divergence(a.expression.probabilities, b.expression.probabilities)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
