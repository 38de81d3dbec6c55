"""The nodes for a whole picture or clip: open it, see faces and scene, number the evidence, finish.

Each takes the state and returns only what it changes. A face tool or model that fails leaves a
recorded gap, and the reading goes on from what there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from langgraph.types import Send

from kuleshov.asking import answers, combining, gate, images, reading_room
from kuleshov.asking.parts import Crew, gap_of_error, plain_records
from kuleshov.asking.views import PersonView
from kuleshov.evidence import collection, generated, people, timeline
from kuleshov.graph import clip_nodes, speech_node
from kuleshov.graph.state import State
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import observe_faces
from kuleshov.tools.faces.base import MediaFaceTool
from kuleshov.tools.faces.files import FileError
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.media import Media, transcript
from kuleshov.tools.media.transcript import Cue
from kuleshov.tools.mllm.base import CannotScoreError
from kuleshov.tools.types import Face
from kuleshov.types import Evidence, Gap, Inference, Plain, Scene, no_face

TURNS = ((2, "upside down"), (1, "a quarter to the left"), (3, "a quarter to the right"))
SURE_FACE = 0.8  # score of a face by which a picture is told to be turned
EVERY_FACE = 10_000  # more than any picture shows

SCENE_IN_WORDS = "the model described the scene in free text, not in the requested form"
CUT_SCENE = "the description of the scene was cut off for length: what is whole of it stands"


class PictureNodes:
    """Bound to a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.clips = clip_nodes.ClipNodes(crew)

    def open_media(self, state: State) -> State:
        """Open the source. A source that cannot be opened ends the run with its MediaError."""
        begun = time.perf_counter()
        settings, desk = self.crew.settings, self.crew.desk
        source, key = desk.source(state["key"]), state["key"]
        stream = media.open_clip(source, max_pixels=settings.max_pixels)
        if stream is not None:
            desk.put_clip(key, stream)
            opened = stream.media()
        else:
            picture = media.open_media(source, max_pixels=settings.max_pixels)
            desk.lay_out(key, picture.images)
            opened = picture.media
        boxes, told = state.get("boxes", []), list[str]()
        if stream is None:  # a clip tells its size with its first frame
            boxes, told = people.check_boxes(boxes, opened.size)
        return {
            "media": opened.model_dump(mode="json"),
            "boxes": boxes,
            "warnings": told,
            "seconds": {"open": time.perf_counter() - begun},
        }

    def after_open(self, state: State) -> list[str]:
        """A still: faces and scene side by side. A clip: its faces first, which choose frames."""
        if state["media"]["kind"] == "clip":
            return ["follow_faces", *(["hear_words"] if self.crew.speech else [])]
        return ["observe_faces", "describe_scene"]

    def observe_faces(self, state: State) -> State:
        begun = time.perf_counter()
        pictures = self.crew.desk.pictures(state["key"])
        try:
            gate.check_stop()
            with gate.heeding_stop():
                seen = observe_faces(
                    self.crew.faces, pictures, Media.model_validate(state["media"])
                )
                turned = self._turned(pictures, seen.faces, state["media"])
        except FileError:  # of another picture: what the user gave is wrong
            raise
        except Exception as error:
            return {"faces": [[] for _ in pictures], "gaps": [gap_of_error("faces", error)]}
        return {
            "faces": [plain_records(faces) for faces in seen.faces],
            "gaps": [Gap(step="faces", reason=reason).model_dump() for reason in seen.gaps],
            "warnings": turned,
            "seconds": {"faces": time.perf_counter() - begun},
        }

    def _turned(
        self, pictures: Sequence[Any], faces: Sequence[Sequence[Face]], told: Plain
    ) -> list[str]:
        """Of a picture without faces: whether there are some once it is turned."""
        if told["kind"] == "clip" or any(faces) or isinstance(self.crew.faces, MediaFaceTool):
            return []
        for quarters, how in TURNS:
            turned = np.ascontiguousarray(np.rot90(pictures[0], quarters))
            found = self.crew.faces.observe([turned])[0]
            sizes = [face.width for face in found if (face.score or 0.0) >= SURE_FACE]
            if max(sizes, default=0.0) >= people.SMALL_FACE_PX:
                count = "a face is" if len(sizes) == 1 else f"{len(sizes)} faces are"
                return [
                    f"no face was found as the picture stands, but {count} once it is turned "
                    f"{how}: turn it, and read it again"
                ]
        return []

    def describe_scene(self, state: State) -> State:
        """The situation in words; of a clip, one description of all shots or one a shot."""
        begun = time.perf_counter()
        try:
            views = self.crew.views(state["key"], state["media"].get("cuts_s", ()))
            told = [self._seen(shown) for _, shown in views]
            scenes = [scene for scene, _ in told]
        except Exception as error:
            return {"scene": None, "gaps": [gap_of_error("scene", error)]}
        scene = scenes[0]
        if len(scenes) > 1:
            times = [time_s for time_s, _ in views]
            words = [f"{at:.1f} s: {s.description}" for at, s in zip(times, scenes, strict=True)]
            logs = [s.mean_logprob for s in scenes if s.mean_logprob is not None]
            scene = Scene(
                description="; ".join(words),
                people_present=_any_known(s.people_present for s in scenes),
                mean_logprob=sum(logs) / len(logs) if logs else None,
            )
        return {
            "scene": scene.model_dump(mode="json"),
            "warnings": list(dict.fromkeys(note for _, note in told if note)),
            "seconds": {"scene": time.perf_counter() - begun},
        }

    def _seen(self, shown: Any) -> tuple[Scene, str | None]:
        scene, note = self._described([shown])
        # where it is one of the fields of the description, there is no question of its own
        asks = not self.crew.writer.family.scene_fields
        if asks and scene.people_present is None and self.crew.mllm.info.scores_labels:
            talk = self.crew.writer.probe([shown], "a person")
            try:
                yes, no = self.crew.score(talk, ["yes", "no"])
            except CannotScoreError:  # a server whose lists do not tell: it stays unknown
                return scene, note
            sure = abs(yes - no) >= self.crew.mllm.info.probe_margin
            scene = scene.model_copy(update={"people_present": yes > no if sure else None})
        return scene, note

    def _described(self, shown: list[Any]) -> tuple[Scene, str | None]:
        """The scene of the pictures in words, and what is to be said of the answer's form.

        A description in free words may be cut for length, and nothing is said of it.
        """
        writer, most = self.crew.writer, self.crew.settings.max_new_tokens
        family = writer.family
        answer = self.crew.ask(
            writer.scene(shown),
            step="scene",
            schema=family.scene_schema,
            most=min(most, family.scene_tokens or most),
        )
        note = None if answer.finished or not family.scene_fields else CUT_SCENE
        try:
            told = family.read_scene(answer.text)
        except ValueError:
            told, note = {"description": answers.read_words(answer.text)}, SCENE_IN_WORDS
        if note == SCENE_IN_WORDS and not told["description"]:
            why = answers.why_unread("the model's description", answer.finished)
            raise KuleshovError(f"{why}: unanswered")
        if not answer.finished and not family.scene_fields:
            told["description"] = generated.to_last_sentence(told["description"])
        if reason := generated.why_unanswered(str(told.get("description", ""))):
            raise KuleshovError(reason.replace("the model", "the model that described the scene"))
        scene = Scene(**told, mean_logprob=answer.mean_logprob)
        if not scene.description.strip():
            raise KuleshovError("the model described nothing")
        return scene, note

    def cover_faces(self, state: State) -> State:
        """The scene once more with a face covered, where a reading of context goes by it.

        With the face of each person judged, or once with every face (the setting `cover`).
        """
        crew = self.crew
        apart = state.get("apart") or crew.fusion in ("people", "bayes", "context")
        if crew.writer.family.by_pixels or not apart or not state.get("scene"):
            return {}
        begun = time.perf_counter()
        known = state.get("covered") or {}  # judged again
        pictures = crew.desk.pictures(state["key"])
        told: dict[str, Plain] = {}
        gaps = []
        for target in state["targets"]:
            name = people.covered_name(target, crew.settings.cover)
            if name in known or name in told:
                continue
            place = target["picture"] if name != people.EVERYBODY else len(pictures) // 2
            hidden = [Face.model_validate(face) for face in self._hidden(state, target)[place]]
            if not hidden:
                continue
            try:
                shown = images.to_image(images.cover_faces(pictures[place], hidden))
                told[name] = self._described([shown])[0].model_dump(mode="json")
            except Exception as error:
                gaps.append(gap_of_error("cover_faces", error))
                if name == people.EVERYBODY:
                    break
        return {
            "covered": {**known, **told},
            "gaps": gaps,
            "seconds": {"cover_faces": time.perf_counter() - begun},
        }

    def _hidden(self, state: State, target: Plain) -> list[list[Plain]]:
        frames = [frame["index"] for frame in state["media"]["frames"]]
        return people.faces_to_cover(target, state["faces"], frames, self.crew.settings.cover)

    def _covered(self, state: State, target: Plain) -> str | None:
        """The scene as described with the target's face, or every face, covered."""
        name = people.covered_name(target, self.crew.settings.cover)
        scene = (state.get("covered") or {}).get(name)
        return scene["description"] if scene else None

    def gather(self, state: State) -> State:
        """Number the people and all evidence about them and their situation."""
        settings = self.crew.settings
        boxes = state.get("boxes", [])
        most = EVERY_FACE if boxes else settings.max_people  # boxes choose among all faces
        others: list[Track] = []
        left_out = 0
        if state["media"]["kind"] == "clip":
            tracks = [Track.model_validate(track) for track in state["tracks"]]
            frames = Media.model_validate(state["media"]).frames
            found, others = people.choose_followed(tracks, frames, most)
        else:
            faces = [Face.model_validate(face) for face in state["faces"][0]]
            found, left_out = people.choose_people(faces, most)
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
        if others:
            warnings.append(people.left_out_text(others))
        if not found and scene is not None and scene.people_present:
            middle = len(state["media"]["frames"]) // 2
            found = [{"id": 1, "face": None, "picture": middle, "expression": None, "timeline": []}]
            why = no_face(map(Gap.model_validate, state["gaps"]))
            warnings.append(f"{why}: the person is judged from context alone")
        elif not found and scene is not None and scene.people_present is None:
            warnings.append(
                f"{no_face(map(Gap.model_validate, state['gaps']))}, and whether anybody is in the "
                "picture is uncertain: the scene is described, nobody is judged"
            )
        warnings += people.covers_of_faces(scene, found)
        items: list[Evidence] = []
        for target in found:
            face = Face.model_validate(target["face"]) if target["face"] else None
            if face is None:
                continue
            items += collection.collect_evidence(
                face, None, person=target["id"], first=len(items) + 1
            )
            if target.get("track"):
                track = Track.model_validate(target["track"])
                items += timeline.collect_timeline(track, person=target["id"], first=len(items) + 1)
                warnings += [f"person {target['id']}: {text}" for text in track.untold]
            if face.width < people.SMALL_FACE_PX:
                warnings.append(
                    f"person {target['id']}: the face is {face.width:.0f} px wide, too small to "
                    "read with confidence"
                )
        items += collection.collect_evidence(
            None, scene, state["contexts"], state.get("supposed", ()), first=len(items) + 1
        )
        notes = state.get("notes", {})
        there = {target["id"] for target in found}
        warnings += [
            f"the note on person {number} is left out: there is no such person"
            for number in notes
            if number and number not in there
        ]
        items += collection.told_evidence(
            state.get("said", []),
            [
                (number or None, text)
                for number, text in notes.items()
                if not number or number in there
            ],
            first=len(items) + 1,
        )
        cues: list[Cue] = []
        if state.get("words"):
            cues, late = _said_lines(state)
            if late:
                warnings.append(f"{late} lines of the transcript begin after the clip's end")
            if len(cues) > transcript.MOST_LINES:
                warnings.append(
                    f"the {len(cues)} lines of the transcript were joined into "
                    f"{transcript.MOST_LINES} for the model, long ones cut; the record and the "
                    "exports hold all of them"
                )
        said = plain_records(transcript.condense_cues(cues))
        source = "speech" if state.get("heard") else "transcript"
        items += timeline.collect_words(said, first=len(items) + 1, source=source)
        items, untold = self._that_fit(items, found, state, len(cues))
        warnings += [*speech_node.speech_notes(self.crew, state), *untold]
        return {"targets": found, "evidence": plain_records(items), "warnings": warnings}

    def _that_fit(
        self, items: list[Evidence], targets: Sequence[Plain], state: State, cues: int
    ) -> tuple[list[Evidence], list[str]]:
        """The evidence with as many lines of what was said as the model reads, and what is said."""
        rest, lines = reading_room.without_lines(items)
        if not lines or not targets:
            return items, []
        crew = self.crew
        shown = PersonView(crew, {**state, "target": targets[0], "evidence": plain_records(rest)})
        coded = len(crew.scheme.variables) if crew.scheme else 0
        texts = [item.text for item in lines]
        chosen = reading_room.choose_lines(
            crew, reading_room.judge_room(crew, shown), texts, coded=coded
        )
        if len(chosen) == len(lines):
            return items, []
        # lines without times that were given one by one come first, then those of the clip
        given = len(lines) - transcript.count_joined(cues)
        spans = [(k + 1, k + 1) for k in range(given)]
        spans += [(first + given, last + given) for first, last in transcript.joined_spans(cues)]
        left = {id(item) for k, item in enumerate(lines) if k not in set(chosen)}
        kept = [item for item in items if id(item) not in left]
        kept = [item.model_copy(update={"n": n}) for n, item in enumerate(kept, start=1)]
        named = reading_room.name_lines(chosen, spans)
        what = f"lines {named} were shown to it" if chosen else "none was shown to it"
        return kept, [
            f"{crew.mllm.info.id} reads at most {crew.mllm.info.context_tokens:,} tokens, too few "
            f"for the {spans[-1][1]} lines that were said: {what}"
        ]

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
                            "hidden": self._hidden(state, target),
                            "covered": self._covered(state, target),
                            "apart": bool(state.get("apart")),
                            "several": len(state["targets"]) > 1,
                            "tries": 0,
                        },
                    )
                )
            if target.get("track"):
                sends += self._moments(state, target)
        return sends or "finish"

    def _moments(self, state: State, target: Plain) -> list[Send]:
        sends = []
        for moment in self.clips.moments_of(target, state["media"]["frames"]):
            about = [
                e
                for e in state["evidence"]
                if e["person"] is None or (e["person"] == target["id"] and e["source"] == "user")
            ]
            sends.append(
                Send(
                    "read_moment",
                    {
                        "key": state["key"],
                        "target": {
                            "id": target["id"],
                            "face": moment["face"],
                            "picture": moment["picture"],
                        },
                        "moment": moment,
                        "evidence": about,
                        "hidden": self._hidden(state, target),
                        "covered": self._covered(state, target),
                    },
                )
            )
        return sends

    def finish(self, state: State) -> State:
        told = ("media", "scene", "evidence")
        known: dict[str, Any] = {key: value for key, value in state.items() if key in told}
        known["transcript"] = _said_lines(state)[0]
        if self.crew.scheme is not None:
            known["coded"] = state.get("coded", [])
        if self.crew.settings.cover == "all":
            known["covered_scene"] = (state.get("covered") or {}).get(people.EVERYBODY)
        warnings = [*state.get("warnings", [])]
        for caveat in (self.crew.mllm.info.caveat, self.crew.faces.info.caveat):
            if caveat and caveat not in warnings:
                warnings.append(caveat)
        if self.crew.examples is not None and not self.crew.mllm.info.taught_examples:
            warnings.append(
                f"{self.crew.mllm.info.id} was never taught with examples: they move its answers, "
                "and nothing says that they better them"
            )
        read = self._people(state)
        if gate.stop_asked() and (halves := _faces_only(read, self.crew.fusion)):
            warnings.append(
                f"stopped before the context was read: the reading of {halves} rests on the face "
                "alone"
            )
        seconds = {**state.get("seconds", {}), "total": time.perf_counter() - state["begun"]}
        made = dict(self.crew.provenance)
        if state["media"]["kind"] == "clip":
            made["mllm"] = {**made["mllm"], "clip_frames": self.crew.frames_as}
        made["speech"] = speech_node.speech_facts(self.crew, state)
        inference = Inference.model_validate(
            {
                **known,
                "people": read,
                "gaps": _told_once(state.get("gaps", [])),
                "warnings": warnings,
                "provenance": {
                    **made,
                    "seconds": {step: round(value, 4) for step, value in seconds.items()},
                    "usage": run.usage.to_dict() if (run := gate.current_run()) else {},
                },
            }
        )
        return {"inference": inference.model_dump(mode="json", by_alias=True)}

    def _people(self, state: State) -> list[Plain]:
        """The people in order, each with the track and the moments that belong to it."""
        tracks = {t["id"]: t["track"] for t in state.get("targets", []) if t.get("track")}
        read = state.get("moments", [])
        found = []
        for person in sorted(state.get("people", []), key=lambda person: person["id"]):
            own = [m["moment"] for m in read if m["person"] == person["id"]]
            track = tracks.get(person["id"])
            if track and self.crew.settings.sampling == "moments":
                track = clip_nodes.thin_track(track)
            own = sorted(own, key=lambda m: m["time_s"])
            scene = (state.get("covered") or {}).get(people.covered_name(person, "judged"))
            if self.crew.settings.cover == "all":
                scene = None
            found.append({**person, "track": track, "moments": own, "covered_scene": scene})
        return found


def _faces_only(people: Sequence[Plain], fusion: str) -> str:
    """Whose reading by `people` or `bayes` lacks the context, in words."""
    found = [
        str(person["id"])
        for person in people
        if fusion in combining.COMPUTED
        and person["emotions"]
        and person["emotions"]["fusion"] == "face"
    ]
    return f"{'person' if len(found) == 1 else 'persons'} {', '.join(found)}" if found else ""


def _told_once(gaps: Iterable[Plain]) -> list[Plain]:
    """The gaps; that somebody stopped is told once a step, however many people were left."""
    found: list[Plain] = []
    for one in gaps:
        if one["reason"] != gate.STOPPED or one not in found:
            found.append(one)
    return found


def _said_lines(state: State) -> tuple[list[Cue], int]:
    """Every line that is said in the clip, and how many begin after its end."""
    cues = [Cue.model_validate(cue) for cue in state.get("words", [])]
    return transcript.cues_within(cues, state["media"]["duration_s"] or float("inf"))


def _any_known(told: Iterable[bool | None]) -> bool | None:
    """True if one is, None if none is and one is not known."""
    known = list(told)
    return True if True in known else None if None in known else False
