"""The nodes for a whole picture or clip: open it, see faces and scene, number the evidence, finish.

Each takes the state and returns only what it changes. A face tool or model that fails leaves a
recorded gap, and the reading goes on from what there is.
"""

from __future__ import annotations

import json
import time
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Send

from kuleshov import conditions, conversation, evidence, people
from kuleshov.crew import Crew, gap, plain
from kuleshov.state import Picture, State
from kuleshov.tools import media
from kuleshov.tools.faces import observe
from kuleshov.tools.media import Media
from kuleshov.tools.types import Face, KuleshovError
from kuleshov.types import Evidence, Gap, Inference, Scene


class PictureNodes:
    """Bound to a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def open_media(self, state: State) -> State:
        """Open the source. A source that cannot be opened ends the run with its MediaError."""
        begun = time.perf_counter()
        settings, desk = self.crew.settings, self.crew.desk
        opened = media.open_media(
            desk.source(state["key"]), max_pixels=settings.max_pixels, frames=settings.frames
        )
        desk.lay_out(state["key"], opened.images)
        return {
            "media": opened.media.model_dump(mode="json"),
            "seconds": {"open": time.perf_counter() - begun},
        }

    def observe_faces(self, state: State) -> State:
        begun = time.perf_counter()
        pictures = self.crew.desk.pictures(state["key"])
        try:
            seen = observe(self.crew.faces, pictures, Media.model_validate(state["media"]))
        except Exception as error:
            return {"faces": [[] for _ in pictures], "gaps": [gap("faces", error)]}
        return {
            "faces": [plain(faces) for faces in seen.faces],
            "gaps": [Gap(step="faces", reason=reason).model_dump() for reason in seen.gaps],
            "seconds": {"faces": time.perf_counter() - begun},
        }

    def describe_scene(self, state: State, config: RunnableConfig) -> State:
        begun = time.perf_counter()
        mllm, writer = self.crew.mllm, self.crew.writer
        shown = [conversation.image(picture) for picture in self.scene_pictures(state["key"])]
        try:
            scene = self._described(shown, config)
            if scene.people_present is None and mllm.info.scores_labels:
                yes, no = mllm.score(writer.probe(shown, "a person"), ["yes", "no"])
                scene = scene.model_copy(update={"people_present": yes > no})
        except Exception as error:
            return {"scene": None, "gaps": [gap("scene", error)]}
        return {
            "scene": scene.model_dump(mode="json"),
            "seconds": {"scene": time.perf_counter() - begun},
        }

    def _described(self, shown: list[Any], config: RunnableConfig) -> Scene:
        """The scene of the pictures, in words; the small families say no more than a sentence."""
        writer, most = self.crew.writer, self.crew.settings.max_new_tokens
        short = {"brief": min(60, most), "review": most}.get(writer.family)
        answer = self.crew.ask(
            writer.scene(shown),
            config,
            step="scene",
            schema=None if short else conversation.SCENE_SCHEMA,
            most=short,
        )
        try:
            told = {"description": answer.text.strip()} if short else json.loads(answer.text)
        except json.JSONDecodeError:
            raise KuleshovError("the model's description could not be read: unanswered") from None
        scene = Scene(**told, mean_logprob=answer.mean_logprob)
        if not scene.description.strip():
            raise KuleshovError("the model described nothing")
        return scene

    def cover_faces(self, state: State, config: RunnableConfig) -> State:
        """The scene once more with every face covered, where a reading of context goes by it."""
        crew = self.crew
        apart = state.get("apart") or crew.strategy in ("bayes", "context")
        picture = crew.desk.pictures(state["key"])
        middle = len(picture) // 2
        found = [Face.model_validate(face) for face in state["faces"][middle]]
        if crew.writer.family == "full" or not apart or not found or not state.get("scene"):
            return {"covered": None}
        begun = time.perf_counter()
        shown = [conversation.image(conditions.covered(picture[middle], found))]
        try:
            scene = self._described(shown, config)
        except Exception as error:
            return {"covered": None, "gaps": [gap("cover_faces", error)]}
        return {
            "covered": scene.model_dump(mode="json"),
            "seconds": {"cover_faces": time.perf_counter() - begun},
        }

    def gather(self, state: State) -> State:
        """Number the people and all evidence about them and their situation."""
        settings = self.crew.settings
        frames = [[Face.model_validate(face) for face in faces] for faces in state["faces"]]
        boxes = state.get("boxes", [])
        found, left_out = people.targets(frames, 10_000 if boxes else settings.max_people)
        if boxes:
            found = people.in_boxes(found, boxes)
        scene = Scene.model_validate(state["scene"]) if state.get("scene") else None
        warnings = list(state["media"].get("notes", []))
        if left_out:
            warnings.append(
                f"{len(found) + left_out} faces were found; the {len(found)} largest were read "
                f"(max_people = {settings.max_people})"
            )
        for target in found if boxes else []:
            if target["face"] is None:
                warnings.append(
                    f"person {target['id']}: no face was found in the box given: judged from "
                    "context alone"
                )
        if not found and scene is not None and scene.people_present:
            found = [{"id": 1, "face": None, "picture": 0, "expression": None, "timeline": []}]
            warnings.append("no face was found: the person is judged from context alone")
        items: list[Evidence] = []
        for target in found:
            face = Face.model_validate(target["face"]) if target["face"] else None
            if face is None:
                continue
            items += evidence.collect(face, None, person=target["id"], first=len(items) + 1)
            if target["timeline"]:
                track = [Face.model_validate(face) for face in target["timeline"]]
                items += evidence.over_time(track, person=target["id"], first=len(items) + 1)
            if face.width < people.SMALL_FACE_PX:
                warnings.append(
                    f"person {target['id']}: the face is {face.width:.0f} px wide, too small to "
                    "read with confidence"
                )
        items += evidence.collect(None, scene, state["contexts"], first=len(items) + 1)
        notes = state.get("notes", {})
        there = {target["id"] for target in found}
        warnings += [
            f"the note on person {number} is left out: there is no such person"
            for number in notes
            if number and number not in there
        ]
        items += evidence.told(
            state.get("said", []),
            [
                (number or None, text)
                for number, text in notes.items()
                if not number or number in there
            ],
            first=len(items) + 1,
        )
        return {"targets": found, "evidence": plain(items), "warnings": warnings}

    def to_people(self, state: State) -> list[Send] | str:
        """Each person to a judgement of their own; nobody: straight to the end."""
        sends = []
        for target in state["targets"]:
            own = [e for e in state["evidence"] if e["person"] in (None, target["id"])]
            if own:
                sends.append(
                    Send(
                        "person",
                        {
                            "key": state["key"],
                            "target": target,
                            "evidence": own,
                            "faces": state["faces"],
                            "covered": state["covered"]["description"]
                            if state.get("covered")
                            else None,
                            "apart": bool(state.get("apart")),
                            "several": len(state["targets"]) > 1,
                            "tries": 0,
                        },
                    )
                )
        return sends or "finish"

    def finish(self, state: State) -> State:
        known = {key: state[key] for key in ("media", "scene", "evidence") if key in state}
        if state.get("covered"):
            known["covered_scene"] = state["covered"]
        warnings = [*state.get("warnings", [])]
        for caveat in (self.crew.mllm.info.caveat, self.crew.faces.info.caveat):
            if caveat and caveat not in warnings:
                warnings.append(caveat)
        seconds = {**state.get("seconds", {}), "total": time.perf_counter() - state["begun"]}
        inference = Inference.model_validate(
            {
                **known,
                "people": sorted(state.get("people", []), key=lambda person: person["id"]),
                "gaps": state.get("gaps", []),
                "warnings": warnings,
                "provenance": {
                    **self.crew.provenance,
                    "seconds": {step: round(value, 4) for step, value in seconds.items()},
                },
            }
        )
        return {"inference": inference.model_dump(mode="json", by_alias=True)}

    def scene_pictures(self, key: str) -> list[Picture]:
        """What the scene step sees: up to four frames of a clip where the model takes several."""
        pictures = self.crew.desk.pictures(key)
        if len(pictures) == 1 or not self.crew.mllm.info.many_images:
            return [self.crew.middle_picture(key)]
        step = max(1, -(-len(pictures) // 4))
        return list(pictures[::step])
