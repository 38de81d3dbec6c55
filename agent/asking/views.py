"""Face alone, context alone, face and context: what the model is shown under each condition.

Face alone is the face cut out, with what was measured on it. Context alone is the picture with
the face of the person judged covered, with what the user knows; a small model, which goes by the
evidence list more than by the pixels, is also given its own description of the covered picture. So
neither reading has seen what the other goes by.

The faces of others are context: people judge a person by the faces around as well (Masuda et al.
2008, Placing the face in context, J. Pers. Soc. Psychol. 94:365). The setting `cover` = all covers
them too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

from kuleshov.asking import images
from kuleshov.asking.examples import FewShotExample
from kuleshov.asking.images import cover_faces, face_alone
from kuleshov.asking.parts import Crew
from kuleshov.asking.situation import Surroundings
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.types import Face
from kuleshov.types import Condition, Evidence, Plain

TOLD = ("user", "transcript", "speech")
"""Sources of what is said of a context, or in it; the rest is seen or measured."""


class PersonView:
    """What the model is shown of one person under each condition."""

    def __init__(self, crew: Crew, state: Any) -> None:
        """Args: state: with "key", "target", "evidence", "hidden" and "covered".

        hidden: the faces to cover under the condition context, a list for each picture.
        covered: the scene as described with those covered.
        """
        self.crew = crew
        self.number: int = state["target"]["id"]
        self.face = (
            Face.model_validate(state["target"]["face"]) if state["target"]["face"] else None
        )
        self.evidence = [Evidence.model_validate(item) for item in state["evidence"]]
        self.covered: str | None = state.get("covered")
        self._target, self._key = state["target"], state["key"]
        self._hidden: list[list[Plain]] = state.get("hidden", [])
        self.shots: list[FewShotExample] = []
        if crew.examples is not None:
            self.shots = [crew.examples.by_id[name] for name in state.get("shots", [])]

    def with_crew(self, crew: Crew) -> PersonView:
        """The same, for the model asked in another way."""
        other = copy.copy(self)
        other.crew = crew
        return other

    def items(self, condition: Condition) -> list[Evidence]:
        """The evidence that counts under a condition, with the record's numbers."""
        if condition == "both":
            return self.evidence
        if condition == "face":
            return [item for item in self.evidence if item.source.startswith("faces:")]
        told = [item for item in self.evidence if item.source in TOLD or item.kind == "before"]
        if self.crew.writer.family.by_pixels:
            return told
        if self.covered is not None:
            seen = Evidence(n=1, source="mllm", kind="scene", text=f"scene: {self.covered}")
            return [seen, *told]
        return [item for item in self.evidence if item.source == "mllm"] + told

    def conversation(self, condition: Condition, labels: Sequence[str]) -> Conversation | None:
        """Asks for one label under the condition; None where there is nothing to go by."""
        local, _ = self.crew.writer.family.number_evidence(self.items(condition))
        writer = self.crew.writer
        if condition == "face":
            if self.face is None:
                return None
            picture = images.to_image(face_alone(self._picture(), self.face))
            return self._after_examples(writer.direct(picture, None, None, local, labels))
        if not local and not writer.family.by_pixels:
            return None
        whole, crop = self.pictures(condition)
        number = self.number if crop is not None else None
        return self._after_examples(writer.direct(whole, crop, number, local, labels))

    @property
    def told(self) -> list[Evidence]:
        """What the context is said to be: by the user, or by the words of a clip."""
        return [item for item in self.items("context") if item.source in TOLD]

    def part(self, part: Literal["told", "seen"], labels: Sequence[str]) -> Conversation | None:
        """As the condition context, with what was told alone, or what is seen alone.

        What is told goes beside a blank picture. None where there is nothing to go by.
        """
        around = self.surroundings(part)
        if around is None:
            return None
        writer = self.crew.writer
        talk = writer.direct(around.whole, around.crop, around.number, around.evidence, labels)
        return self._after_examples(talk)

    def surroundings(
        self, part: Literal["context", "told", "seen"] = "context"
    ) -> Surroundings | None:
        """What a reading of the context, or of a part of it, goes by; None: there is nothing."""
        items, told = self.items("context"), self.told
        if part == "told":
            items, whole, crop = told, images.blank_image(), None
        else:
            if part == "seen":
                items = [item for item in items if item not in told]
            whole, crop = self.pictures("context")
        if not items and (part != "context" or not self.crew.writer.family.by_pixels):
            return None
        local, _ = self.crew.writer.family.number_evidence(items)
        return Surroundings(whole, crop, self.number if crop is not None else None, local)

    def expression(self, labels: Sequence[str]) -> Conversation | None:
        """The model as a facial-expression tool: the face alone and no evidence."""
        if self.face is None:
            return None
        picture = images.to_image(face_alone(self._picture(), self.face))
        before = self.crew.writer.expression_example_turns(self.shots, labels)
        return [*before, *self.crew.writer.expression(picture, labels)]

    def judge(self, *, shots: bool = True) -> Conversation:
        """Asks for the explanation, from everything; `shots`: after the examples."""
        local, _ = self.crew.writer.family.number_evidence(self.evidence)
        whole, crop = self.pictures("both")
        talk = self.crew.writer.judge(
            whole, crop, self.number, local, self.crew.labels.mode == "free"
        )
        return self._after_examples(talk) if shots else talk

    def _after_examples(self, talk: Conversation) -> Conversation:
        return [*self.crew.writer.example_turns(self.shots, self.crew.labels.names), *talk]

    def pictures(self, condition: Condition) -> tuple[Any, Any | None]:
        """The whole picture, and the person in a numbered red box where the model takes both."""
        writer, crew = self.crew.writer, self.crew

        def seen(picture: Rgb, place: int) -> Rgb:
            if condition != "context":
                return picture
            return cover_faces(picture, self._hidden_at(place))

        place = self._target["picture"]
        whole = crew.whole(self._key, place, seen, video=True)
        if self.face is None or not writer.several or not writer.family.several_pictures:
            return whole, None
        shot = seen(self._picture(), place)
        return whole, images.person_crop(shot, self.face, self.number)

    def _picture(self) -> Rgb:
        """The picture, or the frame of a clip, that the face was found in."""
        picture: Rgb = self.crew.desk.pictures(self._key)[self._target["picture"]]
        return picture

    def _hidden_at(self, place: int) -> list[Face]:
        found = self._hidden[place] if place < len(self._hidden) else []
        return [Face.model_validate(face) for face in found]
