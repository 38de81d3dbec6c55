"""Reading faces under contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kuleshov.agent import Agent
from kuleshov.asking import combining, images
from kuleshov.asking.parts import Crew
from kuleshov.asking.scoring import Likelihood
from kuleshov.evidence import collection
from kuleshov.evidence.influence import measure_influence
from kuleshov.studies.contrast.types import (
    Context,
    ContextAlone,
    Contrast,
    FaceAlone,
    Pair,
    decompose_variance,
    unit_text,
)
from kuleshov.tools import faces as face_tools
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.types import EmotionScores, Face
from kuleshov.types import Evidence, FusedScores, Gap

MOST_PAIRS = 100_000
LONGEST_SCENE = 300  # tokens


@dataclass
class _Seen:
    """A context as the model is shown it."""

    context: Context
    picture: Rgb | None
    words: str


class Experiment:
    """Reads faces under contexts with an agent's parts."""

    def __init__(self, agent: Agent) -> None:
        crew = agent.crew
        if crew.labels.mode != "single":
            raise KuleshovError(
                "a contrast needs labels that exclude one another: use --labels ekman-7."
            )
        if crew.fusion not in (*combining.COMPUTED, "text"):
            raise KuleshovError(
                f"a contrast compares face and context: fusion {crew.fusion!r} leaves one out; "
                "use --fusion people, bayes or text."
            )
        self.agent, self.crew = agent, crew
        self.likelihood = Likelihood(crew)
        self.gaps: list[Gap] = []
        self.cuts: dict[str, Rgb] = {}
        # the same examples for every reading, or they would be part of what differs
        self.shots = crew.examples.choose(None, None) if crew.examples is not None else []

    def run(
        self,
        faces: Sequence[str],
        contexts: Sequence[Context],
        watch: Callable[[int, int], None] | None = None,
    ) -> Contrast:
        """Read everything.

        Args:
            faces: pictures; of each the largest face is read. One that cannot be opened or shows
                no face becomes a gap.
            contexts: from `read_contexts`.
            watch: called with the readings done and those to do.

        Raises:
            KuleshovError: no picture shows a face, no context can be opened, or too many pairs.
        """
        if len(faces) * len(contexts) > MOST_PAIRS:
            raise KuleshovError(
                f"{len(faces):,} faces under {len(contexts):,} contexts are more than "
                f"{MOST_PAIRS:,} readings; give fewer of either."
            )
        alone = [found for found in map(self._face, _distinct_names(faces)) if found is not None]
        if not alone:
            raise KuleshovError("none of the pictures shows a face that can be read.")
        seen = [found for found in map(self._seen, contexts) if found is not None]
        settings = [self._context(found) for found in seen]
        if not settings:
            raise KuleshovError("none of the contexts can be read.")
        pairs, total = [], len(alone) * len(settings)
        for face, cut in alone:
            for context, shown in zip(settings, seen, strict=True):
                pairs.append(
                    Pair(
                        face=face.name,
                        context=context.name,
                        influence=measure_influence(
                            face.emotions,
                            context.emotions,
                            self._both(face, cut, shown),
                            computed=self._computed(face, context, shown),
                        ),
                    )
                )
                if watch is not None:
                    watch(len(pairs), total)
        provenance = {k: v for k, v in self.crew.provenance.items() if k != "seconds"}
        return Contrast(
            faces=tuple(face for face, _ in alone),
            contexts=tuple(settings),
            pairs=tuple(pairs),
            effects=tuple(decompose_variance(pairs, self.crew.labels.names)),
            gaps=tuple(self.gaps),
            fusion=self.crew.fusion,
            unit=unit_text(len(alone), len(settings)),
            provenance=provenance,
        )

    def _face(self, named: tuple[str, str]) -> tuple[FaceAlone, Rgb] | None:
        name, path = named
        try:
            opened = self._opened(path)
            picture = opened.images[0]
            found = self._faces_in(picture, opened)
            if not found:
                raise KuleshovError(f"{path}: no face was found.")
            face = max(found, key=lambda face: face.area)
            cut = images.face_alone(picture, face)
            scores = self._alone(face, cut)
        except KuleshovError as error:
            self.gaps.append(Gap(step="face", reason=str(error)))
            return None
        self.cuts[name] = cut
        return FaceAlone(name=name, face=face, emotions=scores), cut

    def _alone(self, face: Face, cut: Rgb) -> EmotionScores:
        return self._direct(cut, None, collection.collect_evidence(face, None, person=1))

    def _seen(self, context: Context) -> _Seen | None:
        if context.picture is None:
            return _Seen(context, None, context.text or "")
        try:
            opened = self._opened(context.picture)
            picture = opened.images[0]
            # whoever is in the scene: their faces are not part of the context
            found = self._faces_in(picture, opened)
            picture = images.cover_faces(picture, found)
            words = ""
            if not self._sees_both():
                told = self.crew.ask(
                    self.crew.writer.scene([images.to_image(picture)]),
                    step="scene",
                    schema=self.crew.writer.family.scene_schema,
                    most=self.crew.writer.family.scene_tokens or LONGEST_SCENE,
                )
                words = scene_description(told.text, self.crew)
        except KuleshovError as error:
            self.gaps.append(Gap(step="context", reason=f"{context.name}: {error}"))
            return None
        return _Seen(context, picture, words)

    def _sees_both(self) -> bool:
        """Whether the model takes scene and face as two pictures; else it is told the scene."""
        return self.crew.writer.several and self.crew.writer.family.several_pictures

    def _context(self, seen: _Seen) -> ContextAlone:
        picture = seen.picture
        if picture is None:
            picture = np.asarray(images.blank_image())
        return ContextAlone(
            name=seen.context.name,
            seen=seen.words if seen.picture is not None and seen.words else None,
            emotions=self._direct(picture, None, self._items(seen)),
        )

    def _items(self, seen: _Seen, first: int = 1) -> list[Evidence]:
        if seen.picture is None:
            return collection.collect_evidence(None, None, [seen.words], first=first)
        if not seen.words:
            return []
        return [Evidence(n=first, source="mllm", kind="scene", text=f"scene: {seen.words}")]

    def _computed(self, face: FaceAlone, context: ContextAlone, seen: _Seen) -> FusedScores:
        """What the rule makes of the two alone; stands beside the reading of both."""
        part = combining.ContextPart(context.emotions, told=seen.picture is None)
        return combining.combine_scores(self.crew, face.emotions, [part], by_model=True)

    def _both(self, face: FaceAlone, cut: Rgb, seen: _Seen) -> EmotionScores:
        items = collection.collect_evidence(face.face, None, person=1)
        items += self._items(seen, first=len(items) + 1)
        if seen.picture is not None and self._sees_both():
            return self._direct(seen.picture, cut, items)
        return self._direct(cut, None, items)

    def _direct(self, whole: Rgb, crop: Rgb | None, items: Sequence[Evidence]) -> EmotionScores:
        labels = self.crew.labels.names
        talk = self.crew.writer.direct(
            images.to_image(whole),
            None if crop is None else images.to_image(crop),
            None if crop is None else 1,
            list(items),
            labels,
        )
        talk = [*self.crew.writer.example_turns(self.shots, labels), *talk]
        return self.likelihood.scores(talk, labels, "direct", self.shots)

    def _opened(self, path: str) -> media.Opened:
        return media.open_media(path, max_pixels=self.crew.settings.max_pixels, frames=1)

    def _faces_in(self, picture: Rgb, opened: media.Opened) -> list[Face]:
        return face_tools.observe_faces(self.crew.faces, [picture], opened.media).faces[0]


def scene_description(text: str, crew: Crew) -> str:
    """The scene's description out of what the model wrote of it."""
    try:
        return str(crew.writer.family.read_scene(text)["description"])
    except ValueError:
        raise KuleshovError("the model's description could not be read.") from None


def _distinct_names(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Each path with its file's name, made longer where two would be the same."""
    stems = [Path(path).stem for path in paths]
    return [
        (stem if stems.count(stem) == 1 else path, path)
        for stem, path in zip(stems, paths, strict=True)
    ]
