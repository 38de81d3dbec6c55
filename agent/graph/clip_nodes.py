"""The nodes that only a clip needs: follow its faces as it streams past, read its moments."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig

from kuleshov.asking import gate
from kuleshov.asking.parts import Crew, gap_of_error
from kuleshov.asking.views import PersonView
from kuleshov.evidence import collection, fusion, moments, people, timeline
from kuleshov.evidence.key_frames import KeyFrames
from kuleshov.graph.person_nodes import PersonNodes, Reading, make_judgement, unread_judgement
from kuleshov.graph.state import MomentState, State
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import observe_faces
from kuleshov.tools.faces.files import FileError
from kuleshov.tools.faces.tracking import timelines
from kuleshov.tools.faces.tracking.tracker import Tracker
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.media import FrameSample
from kuleshov.tools.types import Face
from kuleshov.types import Evidence, Gap, Judgement, Moment, Plain

AT_ONCE = 16  # frames given to the face tool together, for several cores: 100 MB at 1080p


class ClipNodes:
    """Bound to a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.persons = PersonNodes(crew)

    def follow_faces(self, state: State, config: RunnableConfig) -> State:
        """Stream the clip once: faces in every sampled frame, tracks, units over time, key frames.

        A face tool that fails leaves a gap, and the rest streams on for its pictures. Stopped by
        the user, what was read until then is kept.
        """
        begun = time.perf_counter()
        settings, key = self.crew.settings, state["key"]
        stream = self.crew.desk.clip(key)
        options = config.get("configurable", {})
        tracker, keys = Tracker(), KeyFrames(settings.frames)
        gaps: list[Plain] = []
        reasons: dict[str, None] = {}
        broken = False
        samples = stream.samples(
            settings.sampling, rate=settings.rate, count=settings.frames, start_s=settings.start_s
        )
        read_s = 0.0
        found_in: dict[int, list[Face]] = {}
        end_s: float | None = None
        boxes, told = state.get("boxes", []), list[str]()
        for batch in _sample_batches(samples, AT_ONCE):
            if not read_s:  # the size is known with the first frames
                boxes, told = people.check_boxes(boxes, stream.media().size)
            # a frame that stays on the screen is measured once
            fresh = _first_of_each(batch, known=found_in)
            if fresh and not broken:
                try:
                    with gate.heeding_stop():
                        seen = observe_faces(
                            self.crew.faces,
                            [sample.image for sample in fresh],
                            stream.media(),
                            [sample.frame for sample in fresh],
                        )
                    found_in |= {
                        sample.frame.index: faces
                        for sample, faces in zip(fresh, seen.faces, strict=True)
                    }
                    reasons |= dict.fromkeys(seen.gaps)
                except FileError:  # of another clip: what the user gave is wrong
                    raise
                except gate.StoppedError as stopped:  # of the other frames nothing is known
                    found_in |= {
                        sample.frame.index: faces
                        for sample, faces in zip(fresh, stopped.done, strict=False)
                    }
                    unseen = (k for k, s in enumerate(batch) if s.frame.index not in found_in)
                    batch, whole = batch[: next(unseen, len(batch))], batch
                    if not batch and not keys.kept:
                        keys.add(whole[0], [])  # a picture to show, nobody looked for in it
                except Exception as error:
                    broken = True
                    gaps.append(gap_of_error("faces", error))
            for sample in batch:
                found = [] if broken else found_in.get(sample.frame.index, [])
                tracker.add(
                    found, sample.image, sample.frame.index, sample.frame.time_s, sample.cut
                )
                keys.add(sample, found)
            if batch:
                last = batch[-1].frame
                found_in = {last.index: found_in[last.index]} if last.index in found_in else {}
                read_s = last.time_s
            if options.get("progress"):
                options["progress"]("faces", read_s, stream.duration_s)
            if gate.stop_asked():
                gaps.append(
                    Gap(
                        step="clip",
                        reason=f"{gate.STOPPED} at {read_s:.1f} s of "
                        f"{stream.duration_s:.1f} s; go on with --start-s {read_s:.1f}",
                        stopped_s=read_s,
                    ).model_dump()
                )
                end_s = read_s
                break
        if not keys.kept:
            raise KuleshovError(
                f"{stream.clip.name} has no frame from {settings.start_s:g} s on: it ends at "
                f"{stream.duration_s:.1f} s."
            )
        tracks = [
            timelines.analyse_track(track)
            for track in tracker.tracks(stream.duration_s if end_s is None else end_s)
        ]
        wanted = [0.0, *stream.cuts_s[: settings.frames]]
        for track in sorted(tracks, key=lambda t: -len(t.times_s))[: settings.max_people]:
            wanted += [
                track.times_s[s.peak] for s in moments.choose_segments(track, settings.moments)
            ]
        kept = keys.choose(wanted)
        self.crew.desk.lay_out(key, [one.image for one in kept], [one.frame.time_s for one in kept])
        return {
            "boxes": boxes,
            "warnings": told,
            "media": stream.media(tuple(one.frame for one in kept)).model_dump(mode="json"),
            "faces": [
                [
                    track.face(track.times_s.index(one.frame.time_s)).model_dump(mode="json")
                    for track in tracks
                    if one.frame.time_s in track.times_s
                ]
                for one in kept
            ],
            "tracks": [track.model_dump(mode="json") for track in tracks],
            "gaps": [*gaps, *(Gap(step="faces", reason=r).model_dump() for r in reasons)],
            "seconds": {"faces": time.perf_counter() - begun},
        }

    def moments_of(self, target: Plain, frames: list[Plain]) -> list[Plain]:
        """The moments of one person that are to be read, in order of time."""
        track = Track.model_validate(target["track"])
        course = moments.expression_course(track)
        found: list[Plain] = []
        for segment in moments.choose_segments(track, self.crew.settings.moments):
            place = nearest_picture(frames, track.times_s[segment.peak])
            shown = frames[place]["index"]
            face = track.face(segment.peak).model_copy(update={"expression": course[segment.peak]})
            if shown in track.frames:  # the box is that of the picture which is shown
                box = track.boxes_xyxy[track.frames.index(shown)]
                face = face.model_copy(update={"xyxy": box})
            found.append(
                {
                    "picture": place,
                    "frame": shown,
                    "time_s": track.times_s[segment.peak],
                    "start_s": track.times_s[segment.first],
                    "end_s": track.times_s[segment.last],
                    "label": segment.label,
                    "face": face.model_dump(mode="json"),
                    "before": timeline.before_text(track, track.times_s[segment.first]),
                    "events": [
                        timeline.event_text(event)
                        for event in timeline.going_on(track, track.times_s[segment.peak])
                    ],
                }
            )
        return found

    def read_moment(self, state: MomentState) -> State:
        """One distribution for one moment: the face then, the scene, what came before.

        By the strategy of the whole reading; one label scoring, no explanation.
        """
        begun = time.perf_counter()
        crew, told = self.crew, state["moment"]
        face = Face.model_validate(told["face"])
        items = [Evidence.model_validate(item) for item in state["evidence"]]
        around = [item for item in items if item.start_s is None or item.start_s <= told["end_s"]]
        before = (
            [Evidence(n=1, source=f"faces:{face.tool}", kind="before", text=told["before"])]
            if told["before"]
            else []
        )
        measured = collection.collect_evidence(face, None, person=state["target"]["id"])
        judgements: dict[str, Judgement] = {}
        gaps: list[Plain] = []
        if face.expression is not None and crew.labels.mode != "free":
            scores, note = fusion.map_scores(face.expression, crew.labels)
            judgements["face"] = Judgement(
                condition="face",
                source=f"faces:{face.tool}",
                emotions=scores,
                unanswered=None if scores else note,
            )
        shown = PersonView(crew, {**state, "evidence": [*measured, *before, *around]})
        if crew.labels.mode != "free" and crew.fusion != "face":
            gaps += self._model_readings(shown, judgements)
        fused, lacking = self.persons.fuse(judgements, shown, has_face=True)
        if lacking:
            gaps.append(Gap(step="moment", reason=lacking).model_dump())
        why = "no source gave a distribution over these labels"
        if crew.labels.mode == "free":
            why = "the model's own words are asked for the whole clip only"
        elif gate.stop_asked():
            why = gate.STOPPED
        moment = Moment(
            time_s=told["time_s"],
            start_s=told["start_s"],
            end_s=told["end_s"],
            frame=told["frame"],
            expression=told["label"],
            emotions=fused,
            unanswered=None if fused else why,
            judgements=tuple(judgements.values()),
            evidence=(*(item.text for item in shown.evidence), *told["events"]),
        )
        return {
            "moments": [
                {"person": state["target"]["id"], "moment": moment.model_dump(mode="json")}
            ],
            "gaps": gaps,
            "seconds": {"moments": time.perf_counter() - begun},
        }

    def _model_readings(self, shown: PersonView, judgements: dict[str, Judgement]) -> list[Plain]:
        """What the model says of a moment, into `judgements`; what it could not say."""
        labels = self.crew.labels.names
        names: dict[str, Reading] = {"text": "direct", "mllm": "mllm"}
        first = names.get(self.crew.fusion, "context")
        gaps = []
        for name in (first, *self.persons.parts(shown)):
            key: Reading = "both" if name == "direct" else name
            try:
                scores = self.persons.scored(shown, name, labels)
                if scores is not None:
                    judgements[key] = make_judgement(key, scores)
            except Exception as error:
                gaps.append(gap_of_error("moment", error))
                if gate.stop_asked():
                    judgements[key] = unread_judgement(key)
        return gaps


def _sample_batches(samples: Iterator[FrameSample], size: int) -> Iterator[list[FrameSample]]:
    while batch := list(itertools.islice(samples, size)):
        yield batch


def _first_of_each(batch: list[FrameSample], known: dict[int, list[Face]]) -> list[FrameSample]:
    """The samples whose frame is neither known nor earlier in the batch."""
    first: dict[int, FrameSample] = {}
    for sample in batch:
        if sample.frame.index not in known:
            first.setdefault(sample.frame.index, sample)
    return list(first.values())


def nearest_picture(frames: list[Plain], time_s: float) -> int:
    return min(range(len(frames)), key=lambda i: abs(frames[i]["time_s"] - time_s))


def thin_track(track: Plain) -> Plain:
    """The track with the frames alone in which its units begin, peak or end, or its box is new.

    For the sampling `moments`: a small record of a long clip.
    """
    whole = Track.model_validate(track)
    times = {0.0, whole.times_s[0], whole.times_s[-1]}
    for event in whole.events:
        times |= {event.onset_s, event.apex_s, event.offset_s}
    for segment in moments.cut_segments(whole):
        times |= {whole.times_s[p] for p in (segment.first, segment.peak, segment.last)}
    places = sorted({whole.nearest(time) or 0 for time in times})
    change: dict[str, Any] = {
        name: tuple(getattr(whole, name)[p] for p in places)
        for name in (
            "times_s", "frames", "boxes_xyxy", "scores", "valence", "arousal", "pitch", "yaw",
            "roll",
        )
        if getattr(whole, name)
    }  # fmt: skip
    change["units"] = tuple(
        unit.model_copy(update={"values": tuple(unit.values[p] for p in places)})
        for unit in whole.units
    )
    change["expression"] = {
        label: tuple(column[p] for p in places) for label, column in whole.expression.items()
    }
    return whole.model_copy(update=change).model_dump(mode="json")
