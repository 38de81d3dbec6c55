"""The session: what was said and read so far, and what can be done next."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kuleshov.agent import Agent, Event
from kuleshov.asking import gate
from kuleshov.asking.views import PersonView
from kuleshov.evidence import generated
from kuleshov.output import view
from kuleshov.session import record_answer, template_answer
from kuleshov.session.answer import CitedAnswer, check_answer
from kuleshov.session.compare import ReadingComparison, compare_readings
from kuleshov.session.open_medium import Looked, OpenMedium, Words
from kuleshov.session.parse import plain_supposition
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import MediaChangedError
from kuleshov.tools.media.transcript import Cue
from kuleshov.types import Inference, Person

REMEMBERED = 6  # questions with their answers that a new question comes after
LONGEST_QUESTION = 4000  # characters


@dataclass(frozen=True)
class Step:
    """One turn: what was asked, and what came of it. `reading`: its place in the readings."""

    kind: Literal["reading", "question", "what_if", "context", "settings", "person"]
    asked: str
    answer: CitedAnswer | None = None
    reading: int | None = None
    comparison: ReadingComparison | None = None


@dataclass(frozen=True)
class _Stand:
    """Where a session stands, all of it; undo goes back to the one before.

    What a turn changes is in here and nowhere else, so that it stands or falls as one.
    """

    agent: Agent
    words: Words
    settings: dict[str, Any]
    person: int | None = None
    base: int | None = None  # the reading without a supposition
    shown: int | None = None  # the reading that questions are about
    looked: Looked | None = None  # what was seen for it
    steps: int = 0


class Session:
    """One picture or clip, for one user at a time; the model may be shared with other sessions."""

    def __init__(
        self,
        agent: Agent,
        source: Any,
        *,
        words: Words | None = None,
        transcript: str | os.PathLike[str] | Sequence[Cue] | None = None,
    ) -> None:
        """Open; nothing is read before `read`.

        Args:
            agent: reads; other settings are put around its parts.
            source: as for `Agent.infer`.
            words: what is known of the situation from the start.
            transcript: what is said in a clip with its times.
        """
        self._first = agent
        self.held = OpenMedium(agent, source)
        self.transcript = transcript
        self.steps: list[Step] = []
        self.readings: list[Inference] = []
        self._now = _Stand(agent, words or Words(), {})
        self._before: list[_Stand] = []

    # ------------------------------------------------------------------------ what stands

    @property
    def current(self) -> Inference:
        """The reading that questions are about, a what-if included. KuleshovError if none."""
        if self._now.shown is None:
            raise KuleshovError("nothing has been read yet.")
        return self.readings[self._now.shown]

    @property
    def agent(self) -> Agent:
        """The one that judges now."""
        return self._now.agent

    @property
    def words(self) -> Words:
        return self._now.words

    @property
    def supposing(self) -> bool:
        """The current reading is that of a what-if."""
        return bool(self._now.words.supposed)

    @property
    def person(self) -> Person | None:
        """Whom questions are about: the chosen one, or the only one; None: everybody."""
        people = self.current.people
        if self._now.person is not None:
            return next((p for p in people if p.id == self._now.person), None)
        return people[0] if len(people) == 1 else None

    # ------------------------------------------------------------------------ turns

    def read(
        self,
        *,
        influence: bool | None = None,
        progress: Callable[[float, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """The first reading; yields as `Agent.stream` does. Raises MediaError."""
        events = self.held.read(
            self.agent,
            self.words,
            influence=influence,
            transcript=self.transcript,
            progress=progress,
            stop=stop,
        )
        for event, looked in events:
            if event.inference is not None:
                step = Step("reading", view.media_title(event.inference.media))
                self._took(step, event.inference, replace(self._now, looked=looked))
            yield event

    def what_if(self, text: str, *, stop: threading.Event | None = None) -> Iterator[Event]:
        """Judge as if `text` held. It is marked as supposed, and takes the place of the last one.

        Afterwards the last of `steps` has the comparison with the reading without it.
        """
        told = plain_supposition(text)
        if not told:
            raise KuleshovError("say what to suppose, for example: what if this were a funeral?")
        yield from self._again("what_if", told, self.words.supposing(told), stop=stop)

    def add_context(self, text: str, *, stop: threading.Event | None = None) -> Iterator[Event]:
        """Judge again, knowing `text` of the situation from now on."""
        if not text.strip():
            raise KuleshovError("say what you know of the situation.")
        known = replace(self.words, context=(*self.words.context, text.strip()), supposed=())
        yield from self._again("context", text.strip(), known, stop=stop)

    def change(self, *, stop: threading.Event | None = None, **settings: Any) -> Iterator[Event]:
        """Judge again under other settings, e.g. labels="emotic" or examples="shots/".

        Raises:
            KuleshovError: a setting that is unknown or impossible; the session stays as it was.
        """
        agent = self.agent.with_settings(**settings)
        asked = ", ".join(f"{name} = {value}" for name, value in settings.items())
        yield from self._again(
            "settings",
            asked,
            self.words,
            agent=agent,
            settings={**self._now.settings, **settings},
            stop=stop,
        )

    def influence(self, *, stop: threading.Event | None = None) -> Iterator[Event]:
        """Judge again, face alone and context alone as well."""
        asked = "face alone, context alone, and the two together"
        yield from self._again("settings", asked, self.words, influence=True, stop=stop)

    def choose(self, number: int | None) -> Person | None:
        """Speak of person `number` from now on; None: of everybody. Raises KuleshovError."""
        known = [person.id for person in self.current.people]
        if number is not None and number not in known:
            there = ", ".join(map(str, known)) or "nobody"
            raise KuleshovError(f"there is no person {number} in this reading, only {there}.")
        self._stand(replace(self._now, person=number), Step("person", str(number or "everybody")))
        return self.person

    def ask(
        self,
        question: str,
        *,
        on_token: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> CitedAnswer:
        """Answer a free question by the model, with the evidence before it, citing it by number.

        What the record and FACS answer by themselves (units, people, evidence, certainty …) is
        answered from them (`by` "record"); so is everything by a model that was never taught to
        answer questions, and the note says so.

        Args:
            on_token: called with each piece of the answer as it is written.
            stop: once set, the answer ends where it is (`finished` False).

        Raises:
            KuleshovError: nothing was read yet, the question is empty or too long, or the model
                failed; the session stays as it was.
        """
        question = question.strip()
        if not question:
            raise KuleshovError("ask something.")
        if len(question) > LONGEST_QUESTION:
            raise KuleshovError(
                f"the question has {len(question):,} characters; at most {LONGEST_QUESTION:,} can "
                "be asked."
            )
        person, inference = self.person, self.current
        assert self._now.looked is not None
        state = self.held.asked_about(self._now.looked, inference, person.id if person else None)
        shown = PersonView(self.agent.crew, state)
        info = self.agent.crew.mllm.info
        labels = self.agent.crew.labels
        known = record_answer.answer_from_record(question, inference, person, labels)
        if known is not None or not info.taught_questions:
            text = known or template_answer.answer_why(question, inference, person, labels)
            note: str | None = None if known else template_answer.NOTE.format(model=info.id)
            answer = check_answer(
                question, text, shown.evidence, shown.face, by="record", note=note
            )
            if on_token is not None:
                on_token(text)
        else:
            text, finished, note = self._write(question, shown, on_token, stop)
            answer = check_answer(
                question,
                text,
                shown.evidence,
                shown.face,
                by="mllm",
                finished=finished,
                note=note,
            )
        self._stand(self._now, Step("question", question, answer=answer))
        return answer

    def undo(self) -> Step:
        """Take the last turn back; returns it. KuleshovError where there is none."""
        if len(self._before) < 2:  # the first reading stays
            raise KuleshovError("there is nothing to undo.")
        self._now = self._before.pop()
        taken = self.steps[-1]
        del self.steps[self._now.steps :]
        return taken

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the current record, the report and the conversation into `folder`.

        Raises:
            KuleshovError: the folder cannot be written.
        """
        from kuleshov.output import report

        target = Path(folder)
        inference = self.current
        try:
            target.mkdir(parents=True, exist_ok=True)
            record, page, talk = (
                target / name for name in ("inference.json", "report.html", "conversation.txt")
            )
            record.write_text(inference.to_json(indent=1), encoding="utf-8")
            report.write_report(page, [inference], {inference.media.sha256: self.held.pictures()})
            talk.write_text("\n".join(_step_lines(self.steps)), encoding="utf-8")
        except OSError as error:
            raise KuleshovError(f"{target} cannot be written: {error.strerror}.") from None
        return [record, page, talk]

    def close(self) -> None:
        """Take its pictures off the desk."""
        self.held.close()

    # ------------------------------------------------------------------------ to keep and resume

    def plain(self) -> dict[str, Any]:
        """Everything but pixels, as plain values; `restore` goes on from it."""
        looked: list[Looked] = []
        stands = [self._plain_stand(stand, looked) for stand in (*self._before[1:], self._now)]
        return {
            **stands[-1],
            "before": stands[:-1],
            "looked": [{"known": one.known, "gaps": list(one.gaps)} for one in looked],
            "steps": [
                {
                    "kind": step.kind,
                    "asked": step.asked,
                    "reading": step.reading,
                    "answer": step.answer.model_dump(mode="json") if step.answer else None,
                    "comparison": step.comparison.model_dump(mode="json")
                    if step.comparison
                    else None,
                }
                for step in self.steps
            ],
            "readings": [
                reading.model_dump(mode="json", by_alias=True) for reading in self.readings
            ],
        }

    def restore(self, kept: dict[str, Any], *, stop: threading.Event | None = None) -> None:
        """Stand where `plain` stood, undo included: its pixels are opened again, nothing is read.

        A conversation that an earlier version kept is looked at again.

        Raises:
            MediaError: the source cannot be opened any more.
            KuleshovError: it is another file than the one that was read.
        """
        readings = [Inference.model_validate(reading) for reading in kept["readings"]]
        if "looked" in kept:
            looked = [Looked(one["known"], tuple(one["gaps"])) for one in kept["looked"]]
            max_pixels = self._first.settings.max_pixels
            try:
                self.held.lay_out(readings[0].media, max_pixels=max_pixels)
            except MediaChangedError:
                raise self._another(readings[0]) from None
        else:
            looked = [self._look_again(kept, readings, stop)]
            kept = {**kept, "before": [], "at": 0, "turns": len(kept["steps"])}
        steps = [
            Step(
                step["kind"],
                step["asked"],
                CitedAnswer.model_validate(step["answer"]) if step["answer"] else None,
                step["reading"],
                ReadingComparison.model_validate(step["comparison"])
                if step["comparison"]
                else None,
            )
            for step in kept["steps"]
        ]
        now = self._stand_of(kept, looked)
        try:
            before = [self._stand_of(stand, looked) for stand in kept["before"]]
        except KuleshovError:  # examples or labels that are gone: nothing to go back to
            before = []
        self.readings, self.steps = readings, steps
        self._before, self._now = [_Stand(self._first, Words(), {}), *before], now

    @staticmethod
    def _plain_stand(stand: _Stand, looked: list[Looked]) -> dict[str, Any]:
        """A stand as plain values; `at`: where in `looked`, which it is added to, its own is."""
        if stand.looked is not None and stand.looked not in looked:
            looked.append(stand.looked)
        return {
            "words": asdict(stand.words),
            "settings": stand.settings,
            "person": stand.person,
            "base": stand.base,
            "shown": stand.shown,
            "turns": stand.steps,
            "at": None if stand.looked is None else looked.index(stand.looked),
        }

    def _stand_of(self, kept: dict[str, Any], looked: Sequence[Looked]) -> _Stand:
        words = {name: _to_tuples(value) for name, value in kept["words"].items()}
        settings = kept["settings"]
        return _Stand(
            agent=self._first.with_settings(**settings) if settings else self._first,
            words=Words(**words),
            settings=settings,
            person=kept["person"],
            base=kept["base"],
            shown=kept["shown"],
            looked=None if kept["at"] is None else looked[kept["at"]],
            steps=kept["turns"],
        )

    def _look_again(
        self,
        kept: dict[str, Any],
        readings: Sequence[Inference],
        stop: threading.Event | None,
    ) -> Looked:
        """What is seen now, for a conversation that was kept without what was seen then."""
        stand = self._stand_of({**kept, "at": None, "turns": 0}, ())
        found = None
        events = self.held.read(stand.agent, stand.words, transcript=self.transcript, stop=stop)
        for event, looked in events:
            if event.inference is not None:
                found = looked if event.inference.media.sha256 == readings[0].media.sha256 else None
        if found is None:
            raise self._another(readings[0])
        return found

    @staticmethod
    def _another(first: Inference) -> KuleshovError:
        return KuleshovError(
            f"{view.media_title(first.media)} is no longer the file that was read; open it anew."
        )

    # ------------------------------------------------------------------------ inside

    def _again(
        self,
        kind: Literal["what_if", "context", "settings"],
        asked: str,
        words: Words,
        *,
        agent: Agent | None = None,
        settings: dict[str, Any] | None = None,
        influence: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        looked = self._now.looked
        if looked is None:
            raise KuleshovError("nothing has been read yet.")
        agent = agent or self.agent
        base = self._now.base
        before = self.readings[base] if kind != "settings" and base is not None else self.current
        events = self.held.again(agent, looked, words, influence=influence, stop=stop)
        for event, looked in events:
            if event.inference is not None:
                supposed = kind == "what_if"
                moved = compare_readings(before, event.inference, asked, supposed=supposed)
                stand = replace(
                    self._now,
                    agent=agent,
                    words=words,
                    settings=self._now.settings if settings is None else settings,
                    looked=looked,
                )
                self._took(Step(kind, asked, comparison=moved), event.inference, stand)
            yield event

    def _took(self, step: Step, reading: Inference, stand: _Stand) -> None:
        """A reading stands: `stand`, with all but its place."""
        place = len(self.readings)
        self.readings.append(reading)
        known = [person.id for person in reading.people]
        stand = replace(
            stand,
            person=stand.person if stand.person in known else None,
            base=stand.base if stand.words.supposed and stand.base is not None else place,
            shown=place,
        )
        self._stand(stand, replace(step, reading=place))

    def _stand(self, stand: _Stand, step: Step) -> None:
        self._before.append(self._now)
        self.steps.append(step)
        self._now = replace(stand, steps=len(self.steps))

    def _write(
        self,
        question: str,
        shown: PersonView,
        on_token: Callable[[str], None] | None,
        stop: threading.Event | None,
    ) -> tuple[str, bool, str | None]:
        """The model's answer, whether it came to its end, and why not."""
        crew = self.agent.crew
        whole, crop = shown.pictures("both")
        earlier = [
            (step.answer.question, step.answer.text)
            for step in self.steps
            if step.answer is not None and step.answer.by == "mllm"
        ][-REMEMBERED:]
        talk = crew.writer.question(
            whole,
            crop,
            shown.number,
            shown.evidence,
            self._told(),
            [*earlier, (question, "")],
        )
        parts: list[str] = []

        def heard(text: str) -> None:
            parts.append(text)
            if on_token is not None:
                on_token(text)

        try:
            with gate.reading_run(stop):
                written = crew.ask(talk, step="answer", on_token=heard)
        except gate.StoppedError as stopped:
            return "".join(parts), False, str(stopped)
        text = written.text
        notes = []
        if not written.finished:
            text = generated.to_last_sentence(text)
            notes.append(f"cut off after {crew.settings.max_new_tokens} tokens")
        if generated.is_repetitive(written.text):
            text = generated.to_first_repeat(text)
            notes.append("the model repeated itself: what it said anew stands")
        elif generated.why_unanswered(text):
            notes.append("the model declined: unanswered")
        return text, written.finished, "; ".join(notes) or None

    def _told(self) -> str:
        """The current reading in words, for the model."""
        people = [self.person] if self.person else list(self.current.people)
        told = []
        for person in people:
            reading = view.brief_scores(person.emotions) if person.emotions else "unanswered"
            why = f" {view.clean_line(person.explanation.text)}" if person.explanation else ""
            told.append(f"person {person.id}: {reading}.{why}")
        if self.supposing:
            told.append(f"This supposes that {self.words.supposed[0]}.")
        return " ".join(told) or "nobody was read."


def _to_tuples(value: Any) -> Any:
    return tuple(_to_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _step_lines(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        yield f"> {step.kind.replace('_', ' ')}: {step.asked}"
        if step.answer is not None:
            yield step.answer.text
            if step.answer.note:
                yield f"({step.answer.note})"
        for shift in step.comparison.shifts if step.comparison else ():
            yield f"person {shift.person}: {shift.top_before} → {shift.top_after}"
        yield ""
