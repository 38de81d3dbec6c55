"""The agent: a model and a face tool, loaded once, and the graph that puts them to work."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, overload

from kuleshov import prompts
from kuleshov._version import __version__
from kuleshov.asking import examples, fusion_choice, situation, writer
from kuleshov.asking.coding.candidates import Situation
from kuleshov.asking.coding.scheme import Scheme
from kuleshov.asking.examples import Album, Examples
from kuleshov.asking.family import PromptFamily, find_family
from kuleshov.asking.gate import ReadingRun
from kuleshov.asking.parts import Crew, plain_records
from kuleshov.asking.progress import Pace
from kuleshov.evidence import fusion, observer, people, temperatures
from kuleshov.graph import builder
from kuleshov.output import objects
from kuleshov.output.terminal import working
from kuleshov.settings import Settings
from kuleshov.tools import collector, process
from kuleshov.tools import faces as face_tools
from kuleshov.tools import mllm as models
from kuleshov.tools import speech as recognisers
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.media import transcript as transcripts
from kuleshov.tools.media.transcript import Cue
from kuleshov.tools.mllm.base import Mllm
from kuleshov.tools.mllm.endpoint import Limits
from kuleshov.tools.speech import Recogniser
from kuleshov.tools.types import EmotionScores
from kuleshov.types import ContextAsked, Inference

if TYPE_CHECKING:
    from kuleshov.runs.local_engine import Progress

LIBRARIES = (
    "torch",
    "transformers",
    "accelerate",
    "bitsandbytes",
    "langgraph",
    "llguidance",
    "py-feat",
    "opencv-python",
    "pillow",
    "numpy",
)

LONGEST_TEXT = 20_000  # characters of one note, context or line that is said


objects.attach_views()


@dataclass(frozen=True)
class Event:
    """What happens while a picture is read: a step done, a piece of text, the inference."""

    kind: Literal["step", "token", "inference"]
    step: str | None = None
    person: int | None = None
    text: str | None = None
    change: dict[str, Any] | None = None
    inference: Inference | None = None


LOADED = (
    "model",
    "faces",
    "paths",
    "tool_timeout_s",
    "device",
    "dtype",
    "quantization",
    "device_map",
    "speech",
    "speech_language",
    "allow_remote",
    "concurrency",
    "requests_per_minute",
    "price_in",
    "price_out",
)
"""Settings of the parts: chosen when they are loaded."""


class Agent:
    """Reads emotion from face and context, one picture or clip at a time.

    `Agent.load()` chooses and loads the parts; the constructor takes parts that are loaded. An
    agent may be used by many threads, and so may its copies (`with_settings`), which share its
    parts. In a forked child it goes on in one thread; where that cannot work (the process was
    forked in mid-reading, a GPU, a face tool with threads of its own) it raises KuleshovError at
    once. It cannot be pickled: `again()` can, and makes the same in another process.
    """

    settings: Settings
    crew: Crew

    def __init__(
        self,
        mllm: Mllm,
        faces: FaceTool,
        settings: Settings | None = None,
        *,
        speech: Recogniser | None = None,
    ) -> None:
        """Bind the parts; `speech` recognises the words of clips, None: their sound is ignored.

        Raises:
            KuleshovError: an unknown label set, a fusion strategy that these parts cannot do, a
                calibration that was fitted for others, or speech that nothing recognises.
        """
        self._loaded = False  # by `load`, so that its settings name all of it
        process.note_loaded()
        self._bind(mllm, faces, settings or Settings.load(), speech)

    def _bind(
        self,
        mllm: Mllm,
        faces: FaceTool,
        settings: Settings,
        speech: Recogniser | None,
        like: Agent | None = None,
    ) -> None:
        """Bind the parts; `like`: the agent that this is a copy of, around some of its parts."""
        if settings.speech and speech is None:
            raise KuleshovError(
                f"the settings ask for speech recognition by {settings.speech}, which was not "
                "loaded; use Agent.load, or give the recogniser as `speech`."
            )
        labels = LabelSet.load(settings.labels)
        scheme = Scheme.load(settings.scheme) if settings.scheme else None
        family = find_family(mllm.info.prompts if settings.prompts == "auto" else settings.prompts)
        weight = settings.context_weight
        if weight is None:
            weight = mllm.info.context_weight
        fitted = (
            temperatures.load_calibration(settings.calibration) if settings.calibration else None
        )
        weights, of_weights = observer.read_observer(settings.observer)
        prior, prior_source = _tool_prior(faces, labels)
        self.settings = settings
        album = Album()
        if like is not None and faces is like.crew.faces:
            album = like.crew.album if mllm is like.crew.mllm else like.crew.album.of_model()
        shots = None
        asker = writer.Writer(family, mllm.info, labels)
        reads_words = situation.asks_situation(
            mllm.info, asker, labels, settings.examples is not None
        )
        asked: ContextAsked = situation.ASKED if reads_words else "direct"
        if settings.examples is not None:
            _check_examples(settings, labels, family)
            shots = Examples(settings.examples, settings, labels, faces, mllm, album)
        self.crew = Crew(
            mllm=mllm,
            faces=faces,
            settings=settings,
            labels=labels,
            fusion=fusion_choice.choose_fusion(settings, labels, faces, mllm, family),
            context_weight=weight,
            observer=weights,
            prior=prior,
            prior_source=prior_source,
            writer=asker,
            context_asked=asked,
            scheme=scheme,
            speech=speech,
            temperatures=fitted.temperatures() if fitted else {},
            provenance={
                "kuleshov": __version__,
                "mllm": mllm.info.model_dump(mode="json"),
                "faces": faces.info.model_dump(mode="json"),
                "prompts": prompts.template_digests(family.name),
                "settings": {**settings.model_dump(mode="json"), "prompts": family.name},
                "settings_files": plain_records(settings.files),
                "label_set": labels.model_dump(mode="json"),
                "examples": shots.provenance() if shots else None,
                "scheme": scheme.facts if scheme else None,
                "observer": of_weights,
                "context_asked": asked,
                "calibration": fitted.model_dump(mode="json", by_alias=True) if fitted else None,
                "seed": settings.seed,
                "versions": list_versions(),
                # Provenance leaves the field out (None) where no speech recognition was asked for
                **({"speech": speech.info.model_dump(mode="json")} if speech else {}),
            },
            examples=shots,
            album=album,
        )
        if like is not None:
            self.crew.desk, self.crew.born = like.crew.desk, like.crew.born
            self._loaded = like._loaded and faces is like.crew.faces
        if self.crew.fusion == "people":
            weights.check_labels(labels.names, settings.observer)
        if fitted is not None:
            fitted.check_labels(labels, settings.calibration or "")
            fitted.check(self.crew.provenance, settings.calibration or "")
        if shots is not None and settings.shot_selection in ("fixed", "balanced"):
            pin = getattr(mllm, "pin", None)
            if pin is not None:
                pin(self.crew.writer.example_turns(shots.choose(None, None), labels.names))
        self.graph = builder.build_graph(self.crew)
        self._back: dict[tuple[Situation, ...], Any] = {}

    @classmethod
    def load(
        cls, settings: str | os.PathLike[str] | Settings | None = None, **overrides: Any
    ) -> Agent:
        """Choose and load the parts.

        Args:
            settings: a TOML file; None: `kuleshov.toml` here, as far as it is harmless, and the
                user's own, if there is one; or settings that are whole: then no file and no
                environment is read.
            **overrides: any field of `Settings`, e.g. model="pocket", faces="pocket".

        Raises:
            KuleshovError: a setting, tool, model or label set that is unknown or cannot be had.
        """
        if isinstance(settings, Settings):
            chosen = settings.changed(**overrides)
        else:
            chosen = Settings.load(settings, **overrides)
        with collector.pause_collector():
            return cls._load(chosen)

    @classmethod
    def _load(cls, chosen: Settings) -> Agent:
        """The parts that `chosen` names."""
        process.note_loaded()
        # what is quick to find wrong is looked at before anything is loaded
        labels = LabelSet.load(chosen.labels)
        if chosen.examples is not None:
            examples.read_examples(chosen.examples, labels)
        if chosen.scheme:
            Scheme.load(chosen.scheme)
        observer.read_observer(chosen.observer)
        if chosen.calibration:
            temperatures.load_calibration(chosen.calibration).check_labels(
                labels, chosen.calibration
            )
        tool = face_tools.find_entry(chosen.faces, chosen.paths, chosen.tool_timeout_s)
        models.check_model(
            chosen.model,
            device=chosen.device,
            quantization=chosen.quantization,
            allow_remote=chosen.allow_remote,
        )
        if chosen.speech:
            recognisers.check_recogniser(chosen.speech)
        faces = tool.load(device=chosen.device)
        speech = None
        if chosen.speech:
            speech = recognisers.load_recogniser(
                chosen.speech,
                language=chosen.speech_language,
                device=chosen.device,
                dtype=chosen.dtype,
            )
        model = models.load_model(
            chosen.model,
            device=chosen.device,
            dtype=chosen.dtype,
            quantization=chosen.quantization,
            device_map=chosen.device_map,
            allow_remote=chosen.allow_remote,
            limits=Limits(
                concurrency=chosen.concurrency,
                requests_per_minute=chosen.requests_per_minute,
                timeout_s=chosen.server_timeout_s,
                proxy=chosen.server_proxy,
                picture_pixels=chosen.picture_pixels,
                price_in=chosen.price_in,
                price_out=chosen.price_out,
            ),
        )
        agent = cls(model, faces, chosen, speech=speech)
        agent._loaded = True
        return agent

    def __repr__(self) -> str:
        crew = self.crew
        model, faces = crew.mllm.info, crew.faces.info
        return (
            f"<Agent: model {model.id} ({model.device}, {model.dtype}), face tool {faces.name} "
            f"{faces.version}, labels {crew.labels.name}, fusion {crew.fusion}>"
        )

    @overload
    def infer(
        self,
        source: list[Any] | tuple[Any, ...],
        *,
        context: str | Sequence[str] | None = (),
        said: str | Sequence[str] | None = (),
        who: str | Mapping[int, str] | None = None,
        boxes: Sequence[Sequence[float]] | None = (),
        influence: bool | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> list[Inference]: ...

    @overload
    def infer(
        self,
        source: Any,
        *,
        context: str | Sequence[str] | None = (),
        said: str | Sequence[str] | None = (),
        who: str | Mapping[int, str] | None = None,
        boxes: Sequence[Sequence[float]] | None = (),
        influence: bool | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Inference: ...

    def infer(
        self,
        source: Any,
        *,
        context: str | Sequence[str] | None = (),
        said: str | Sequence[str] | None = (),
        who: str | Mapping[int, str] | None = None,
        boxes: Sequence[Sequence[float]] | None = (),
        influence: bool | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Inference | list[Inference]:
        """Read one picture or clip.

        Args:
            source: a path, the bytes of a file, a PIL image, or an array (H, W, 3) uint8 RGB; or a
                list of them, which gives a list of inferences.
            context: what the user knows of the situation; quoted to the model as evidence.
            said: words that are heard, a line each; quoted as evidence.
            who: a note on who somebody is in this situation ("the bride"), by the person's
                number, or for everybody; quoted as evidence.
            boxes: the people to judge, each (x0, y0, x1, y1) in pixels of the upright picture,
                numbered as given, at most 100; what reaches outside is cut off and said in the
                warnings; none: everybody who is found.
            influence: read face alone, context alone and the two together; None: as the settings
                say.
            transcript: what is said in a clip with its times: a file (.srt, .vtt,
                .TextGrid, .eaf, .cha, .txt …), or cues.
            progress: told of a clip how many seconds of how many have been read.
            stop: once set, a clip is read no further and nothing more is asked of the model; an
                answer that is being written ends at its next word. What has been read is kept;
                whoever was not read is unanswered, and the record says where it stopped.

        Raises:
            MediaError: the source cannot be opened; its text is one sentence.
            KuleshovError: a box that is none or lies outside; the model failed whenever it was
                asked (in its own words), unless the readings are the face tool's (fusion "face").
        """
        if isinstance(source, list | tuple):
            wishes = {
                "context": context,
                "said": said,
                "who": who,
                "boxes": boxes,
                "influence": influence,
                "transcript": transcript,
                "progress": progress,
                "stop": stop,
            }
            return self._infer_all(source, wishes)
        run = ReadingRun(stop)
        with self._laid_out(source) as key, _without_tracing(), process.at_work():
            state = self.graph.invoke(
                self.start(key, context, said, who, boxes, influence) | self.words(transcript),
                self._config(run, progress),
            )
        self._check_judged(run)
        return Inference.model_validate(state["inference"])

    def _infer_all(self, sources: Sequence[Any], wishes: dict[str, Any]) -> list[Inference]:
        found: list[Inference] = []
        with working(f"0 of {len(sources)}") as tell:
            for source in sources:
                tell(f"{len(found)} of {len(sources)}")
                found.append(self.infer(source, **wishes))
        return found

    def stream(
        self,
        source: Any,
        *,
        context: str | Sequence[str] | None = (),
        said: str | Sequence[str] | None = (),
        who: str | Mapping[int, str] | None = None,
        boxes: Sequence[Sequence[float]] | None = (),
        influence: bool | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """As `infer`, yielding each step as it ends and the model's words as it writes them.

        The last event carries the inference. Once `stop` is set, an answer that is being written
        ends there too.
        """
        with self._laid_out(source) as key:
            start = self.start(key, context, said, who, boxes, influence)
            start |= self.words(transcript)
            yield from self.events(self.graph, start, progress=progress, stop=stop)

    def events(
        self,
        graph: Any,
        start: dict[str, Any],
        *,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Run a compiled graph of this crew from the state `start`; the source lies on its desk.

        `state` is filled with the graph's values as it goes.
        """
        wanted = ["updates", "custom", *(["values"] if state is not None else [])]
        run = ReadingRun(stop)
        events = graph.stream(
            start,
            self._config(run, progress, streaming=True),
            stream_mode=wanted,
            subgraphs=True,
        )
        # closed, also where an error ends the reading: a thread of LangGraph's waits until then
        with _without_tracing(), process.at_work(), closing(events):
            for space, mode, data in events:
                if mode == "values":
                    if state is not None and not space:
                        state.update(data)
                    continue
                if mode == "custom":
                    yield Event(
                        "token", step=data["step"], person=data["person"], text=data["token"]
                    )
                    continue
                for step, change in data.items():
                    if step == "finish":
                        self._check_judged(run)
                        inference = Inference.model_validate(change["inference"])
                        yield Event("inference", step=step, inference=inference)
                    elif step != "person":
                        yield Event("step", step=step, change=change)

    def code(
        self,
        source: Any,
        *,
        said: str | Sequence[str] | None = (),
        boxes: Sequence[Sequence[float]] | None = (),
        wordings: Mapping[str, tuple[str, bool]] | None = None,
        stop: threading.Event | None = None,
    ) -> Inference:
        """Code the context of one picture or clip by the scheme of the settings; nobody is judged.

        Args:
            source: as for `infer`.
            said: words that are heard, a line each, for the variables that ask about them.
            boxes: the people to code, as for `infer`.
            wordings: by variable's name another question, and whether its options are listed in
                reverse order.
            stop: once set, nothing more is asked of the model; what is missing says so.

        Raises:
            KuleshovError: there is no scheme in the settings; the source cannot be opened; a box
                that is none or lies outside; the model failed whenever it was asked.
        """
        if self.crew.scheme is None:
            raise KuleshovError("coding needs a scheme: scheme='default', or a .toml of your own.")
        run = ReadingRun(stop)
        with self._laid_out(source) as key, _without_tracing(), process.at_work():
            coding = builder.coding_graph(self.crew)
            start = {**self.start(key, said=said, boxes=boxes), "wordings": dict(wordings or {})}
            state = coding.invoke(start, self._config(run))
        run.check_answered()
        return Inference.model_validate(state["inference"])

    def contexts(
        self,
        source: Any,
        situations: Sequence[Situation],
        *,
        stop: threading.Event | None = None,
    ) -> Inference:
        """In which of the candidate situations does each face belong? Nobody is judged.

        Args:
            source: as for `infer`.
            situations: the candidates, see `kuleshov.asking.coding.candidates.load_candidates`; at
                least two.
            stop: once set, nothing more is asked of the model; what is missing says so.

        Returns:
            a record whose people carry `contexts`.

        Raises:
            KuleshovError: the source cannot be opened; the model failed whenever it was asked.
        """
        asked = tuple(situations)
        if asked not in self._back:  # what does not depend on the face is asked once
            self._back[asked] = builder.back_graph(self.crew, asked)
        run = ReadingRun(stop)
        with self._laid_out(source) as key, _without_tracing(), process.at_work():
            state = self._back[asked].invoke(self.start(key), self._config(run))
        run.check_answered()
        return Inference.model_validate(state["inference"])

    def annotate(
        self,
        source: Any,
        out: str | os.PathLike[str],
        *,
        context: str | Sequence[str] | None = (),
        engine: Literal["local", "ray"] = "local",
        workers: int | None = None,
        batch: int | None = None,
        retry_failed: bool = False,
        redo: Literal["changed"] | None = None,
        watch: Callable[[Progress], None] | None = None,
    ) -> Progress:
        """Annotate a data set into the run directory `out`, or go on where a run stopped.

        Args:
            source: a folder, glob, manifest, data set, tar or an iterable of paths; see
                `kuleshov.inputs.items.read_items`.
            out: holds `annotations.jsonl` (one record per line), `failures.jsonl`, `run.json`, and
                in `items.jsonl` what each item was, so that later changes are noticed.
            context: holds for every item, besides its own.
            engine: "ray" spreads over the nodes of a Ray cluster (extra `[ray]`).
            workers: graphs at once (local), or actors (ray); None: by the model.
            batch: most answers written by the model at once; None: by the device.
            retry_failed: try again what failed before; what failed for a passing cause, such as a
                server that was down, is tried again by every call.
            redo: "changed" does items again whose row or file has changed since they were done;
                None: they are counted in `Progress.changed` and told, and their records stay.
            watch: called about twice a second with how far the run is.

        Raises:
            KuleshovError: the data set cannot be read, the run directory cannot be written, is
                another's, or was begun with other settings.
        """
        from kuleshov.runs import annotate

        self.crew.check_own()
        given = [context] if isinstance(context, str) else list(context or ())
        return annotate.annotate_run(
            self,
            source,
            out,
            context=given,
            engine=engine,
            workers=workers,
            batch=batch,
            retry_failed=retry_failed,
            redo=redo,
            watch=watch,
        )

    def again(self) -> Callable[[], Agent]:
        """What makes the same agent anew, in another process; it can be pickled.

        Raises:
            KuleshovError: it was made of parts that its settings do not name.
        """
        if not self._loaded:
            raise KuleshovError(
                "an agent that was made of loaded parts cannot be made anew in another process; "
                "use Agent.load."
            )
        return partial(Agent.load, self.settings)

    def __reduce__(self) -> Any:
        raise KuleshovError(
            "an agent holds loaded models and cannot be pickled or copied; pickle agent.again(), "
            "which makes the same anew in another process."
        )

    def with_settings(self, **changes: Any) -> Agent:
        """An agent with other settings around the same model, face tool and open media.

        A value that is given is the value, also None; no file or environment is read. Examples
        that it shares with this one are not measured again.

        Raises:
            KuleshovError: a setting that is unknown or that these parts cannot do.
        """
        chosen = self.settings.changed(**changes)
        for name in LOADED:
            if getattr(chosen, name) != getattr(self.settings, name):
                what = "speech recognition" if name == "speech" else f"the setting {name}"
                raise KuleshovError(f"{what} is chosen when an agent is loaded.")
        return self._copied(settings=chosen)

    def with_model(self, mllm: Mllm) -> Agent:
        """The same agent with another way to the model."""
        return self._copied(mllm=mllm)

    def with_faces(self, faces: FaceTool) -> Agent:
        """The same agent with another face tool."""
        return self._copied(faces=faces)

    def _copied(
        self,
        *,
        mllm: Mllm | None = None,
        faces: FaceTool | None = None,
        settings: Settings | None = None,
    ) -> Agent:
        self.crew.check_own()
        other = object.__new__(type(self))
        other._bind(
            mllm or self.crew.mllm,
            faces or self.crew.faces,
            settings or self.settings,
            self.crew.speech,
            like=self,
        )
        return other

    def start(
        self,
        key: str,
        context: str | Sequence[str] | None = (),
        said: str | Sequence[str] | None = (),
        who: str | Mapping[int, str] | None = None,
        boxes: Sequence[Sequence[float]] | None = (),
        influence: bool | None = None,
    ) -> dict[str, Any]:
        """The state that a graph begins with.

        Raises:
            KuleshovError: words that are too long; the agent was loaded before this process was
                forked.
        """
        self.crew.check_own()
        notes = {0: who} if isinstance(who, str) else dict(who or {})
        return {
            "key": key,
            "begun": time.perf_counter(),
            "contexts": check_texts(context, "the context"),
            "said": check_texts(said, "what is said"),
            "notes": {
                number: text
                for number, note in notes.items()
                for text in check_texts(note, "the note on a person")
            },
            "boxes": people.check_boxes(boxes or ())[0],
            "apart": self.settings.influence if influence is None else influence,
        }

    def words(
        self, transcript: str | os.PathLike[str] | Sequence[Cue] | None
    ) -> dict[str, list[dict[str, Any]]]:
        """Lines of a transcript, or of its file, as the graph's state holds them.

        Raises:
            KuleshovError: the file cannot be read; words are recognised from the sound too.
        """
        if transcript is None:
            return {"words": []}
        if self.crew.speech is not None:
            raise KuleshovError(transcripts.TWICE)
        named = isinstance(transcript, (str, os.PathLike))
        notes: list[str] = []
        cues = transcripts.read_transcript(transcript, notes) if named else transcript  # type: ignore[arg-type]
        lines = [cue.model_dump(mode="json") for cue in cues]  # type: ignore[union-attr]
        return {"words": lines, "warnings": notes}  # type: ignore[dict-item]

    def _config(
        self,
        run: ReadingRun,
        progress: Callable[[float, float], None] | None = None,
        *,
        streaming: bool = False,
    ) -> Any:
        """What the nodes are told besides the state. `run` is what the gate goes by."""
        return {
            "configurable": {
                "run": run,
                "stop": run.stop,
                "progress": self._pace(progress),
                "streaming": streaming,
            }
        }

    def _check_judged(self, run: ReadingRun) -> None:
        """A record of faces alone is no reading, unless the face alone was to be read."""
        if self.crew.fusion != "face":
            run.check_answered()

    def _pace(self, progress: Callable[[float, float], None] | None) -> Pace | None:
        if progress is None:
            return None
        return Pace(progress, "faces", *(["speech"] if self.crew.speech else []))

    def _laid_out(self, source: Any) -> _LaidOut:
        return _LaidOut(self, source)


class _LaidOut:
    """The source lies on the desk while it is read, and is cleared away whatever happens."""

    def __init__(self, agent: Agent, source: Any) -> None:
        agent.crew.check_own()  # before the desk's lock
        self.desk, self.source = agent.crew.desk, source

    def __enter__(self) -> str:
        self.key = self.desk.put(self.source)
        return self.key

    def __exit__(self, *_: object) -> None:
        self.desk.clear(self.key)


def check_texts(given: str | Sequence[str] | None, what: str) -> list[str]:
    """The texts that say something. Raises KuleshovError where one is longer than can be read."""
    texts = [given] if isinstance(given, str) else list(given or ())
    for text in texts:
        if len(text) > LONGEST_TEXT:
            raise KuleshovError(
                f"{what} has {len(text):,} characters; at most {LONGEST_TEXT:,} can be read."
            )
    return [text for text in texts if text.strip()]


def _without_tracing() -> AbstractContextManager[Any]:
    """No traces to LangSmith, even where LANGSMITH_TRACING is set: what is read stays here."""
    from langsmith import tracing_context

    return tracing_context(enabled=False)


def _check_examples(settings: Settings, labels: LabelSet, family: PromptFamily) -> None:
    if labels.mode != "single":
        raise KuleshovError(
            f"examples need labels that exclude one another, and {labels.name} are not; use "
            "--labels ekman-7 or another such set."
        )
    if not family.takes_examples:
        raise KuleshovError("the review's prompts take no examples; use --prompts full or brief.")


def list_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a reading depends on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _tool_prior(faces: FaceTool, labels: LabelSet) -> tuple[dict[str, float] | None, str]:
    """p(e) that the face tool brings along, over the labels, and where it is from."""
    info = faces.info
    if info.prior is None:
        return None, f"uniform: {info.name} does not say what it was trained on"
    shares = EmotionScores(
        labels=info.label_set or "", probabilities=info.prior, method=info.prior_source or info.name
    )
    found, why = fusion.map_scores(shares, labels) if labels.names else (None, "no list of labels")
    if found is None:
        return None, f"uniform: {why}"
    return dict(found.probabilities), f"{info.name}: {found.method}"
