"""The conversation: a line in, what it asks for done and printed."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuleshov.agent import Agent, Event
from kuleshov.apps.chat import inline
from kuleshov.apps.chat.conversations import KeptConversation, Memory
from kuleshov.apps.chat.printer import ShownReading, Written
from kuleshov.output import view
from kuleshov.session.compare import compare_readings
from kuleshov.session.parse import parse_line
from kuleshov.session.session import Session
from kuleshov.tools.errors import KuleshovError, first_line, shorten_text, suggest_word
from kuleshov.tools.home import expand_path
from kuleshov.tools.labels import LabelSet, shipped_label_sets
from kuleshov.tools.structured_text import parse_count
from kuleshov.types import Person

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Command:
    """A slash command. `takes`: its argument in the help; brackets where it may be left out."""

    takes: str
    help: str


COMMANDS = {
    "open": Command("PATH", "read another picture or clip"),
    "person": Command("[N|all]", "speak of person N, or of everybody; alone: who is there"),
    "units": Command("", "the action units measured on the face"),
    "scene": Command("", "what the model sees around the face"),
    "evidence": Command("", "the numbered evidence"),
    "context": Command("TEXT", "judge again, knowing TEXT of the situation"),
    "labels": Command("[NAME]", "judge again with another label set; alone: which there are"),
    "examples": Command("[SHOTS|off]", "judge again with few-shot examples, or without"),
    "influence": Command("", "face alone, context alone, and the two together"),
    "compare": Command("[PATH]", "the first reading and the one now, or another picture's"),
    "save": Command("[FOLDER]", "write record, report and conversation"),
    "undo": Command("", "take the last turn back"),
    "help": Command("", "this list"),
    "quit": Command("", "leave"),
}
HINT = "Ask anything, suppose (what if …), or /help."


class Chat:
    """One user, one console. Nothing that goes wrong in a turn ends it."""

    def __init__(
        self,
        agent: Agent,
        console: Console,
        *,
        memory: Memory | None = None,
        picture: inline.Protocol | None = None,
    ) -> None:
        """Args: memory: None keeps nothing; picture: how the terminal draws one, if it can."""
        self.agent = agent
        self.console = console
        self.shown = ShownReading(console)
        self.memory = memory
        self.picture = picture
        self.session: Session | None = None
        self.path = ""
        self.id = ""
        self.failed = 0
        self.over = False

    # ------------------------------------------------------------------------ turns

    def line(self, text: str) -> None:
        """One turn. A mistake is told in a sentence, and the conversation stays as it was."""
        with self._turn():
            self._do(text.strip())

    def open(self, path: str, **words: Any) -> None:
        """Read a picture or clip and show the reading; one that cannot be read changes nothing."""
        with self._turn():
            self._open(path, **words)

    def resume(self, kept: KeptConversation) -> None:
        """Go on with a conversation that was kept."""
        with self._turn():
            session = Session(self.agent, kept.path)
            try:
                with self._stoppable() as stop, self._busy("looking at the picture again"):
                    _restore_session(session, kept, stop)
            except BaseException:
                session.close()
                raise
            self._took(session, kept.path, kept.id)
            first, now = session.readings[0].provenance.mllm, self.agent.crew.mllm.info
            if first and first.get("id") != now.id:
                self.shown.wrapped(
                    f"read by {view.clean_line(first.get('id'))}; it goes on with "
                    f"{view.clean_line(now.id)}"
                )
            self._reading()
            self.shown.steps(session.steps)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        steps = self._steps()
        try:
            yield
        except KuleshovError as error:
            self._wrong(str(error))
        except KeyboardInterrupt:
            self._wrong("stopped; the conversation stays as it was.")
        except BrokenPipeError:
            raise
        except Exception as error:  # a library's own; the conversation outlives it
            logging.getLogger(__name__).debug("a turn failed", exc_info=True)
            self._wrong(f"this turn failed ({type(error).__name__}: {first_line(error)}).")
        if self.memory is not None and self.session is not None and self._steps() != steps:
            try:
                title = view.media_title(self.session.current.media)
                self.memory.keep(self.id, self.path, title, self.session.plain())
            except KuleshovError as error:
                self._wrong(str(error))

    def _steps(self) -> tuple[str, int]:
        return self.id, len(self.session.steps) if self.session else 0

    def _wrong(self, sentence: str) -> None:
        self.failed += 1
        self.shown.wrapped(f"kuleshov: {view.clean_line(sentence)}", style="yellow")
        self.shown.line()

    def _do(self, text: str) -> None:
        if not text:
            return
        file = _dropped_file(text)
        if file is not None:
            self._open(file)
            return
        if text.startswith("/"):
            name, _, rest = text[1:].partition(" ")
            if name not in COMMANDS:
                hint = suggest_word(name, list(COMMANDS))
                raise KuleshovError(f"there is no command /{name}{hint}; /help lists them.")
            if COMMANDS[name].takes == "" and rest.strip():
                raise KuleshovError(f"/{name} takes nothing after it.")
            getattr(self, f"_{name}")(rest.strip())
            return
        asked = parse_line(text)
        if asked.kind == "person":
            self._person(str(asked.person))
            return
        if asked.kind == "what_if":
            self._judge(lambda s, stop: s.what_if(asked.text, stop=stop))
            return
        self._ask(text)

    def _ask(self, question: str) -> None:
        session = self._there()
        written = Written(self.console)
        with self._stoppable() as stop, contextlib.ExitStack() as waiting:
            waiting.enter_context(self._busy("thinking"))

            def heard(text: str) -> None:
                waiting.close()
                written.add(text)

            try:
                answer = session.ask(question, on_token=heard, stop=stop)
            finally:
                waiting.close()
                written.end()
        self.shown.answer(answer)

    def _judge(self, again: Callable[[Session, threading.Event], Iterator[Event]]) -> bool:
        """Judge again and show both readings; False where it was stopped."""
        session = self._there()
        steps = len(session.steps)
        with self._stoppable() as stop, self._busy("judging again") as tell:
            for event in again(session, stop):
                tell(event)
        if stop.is_set():
            if len(session.steps) > steps:
                session.undo()
            raise KeyboardInterrupt
        moved = session.steps[-1].comparison
        if moved is not None:
            if session.person is not None:  # the user asked about this person only
                own = tuple(s for s in moved.shifts if s.person == session.person.id)
                moved = moved.model_copy(update={"shifts": own})
            self.shown.comparison(moved)
        for gap in session.current.gaps:
            self.shown.wrapped(
                f"gap: {view.clean_line(gap.step)}: {view.clean_line(gap.reason)}", 2
            )
        return True

    # ------------------------------------------------------------------------ slash commands

    def _open(self, path: str, **words: Any) -> None:
        if not path:
            raise KuleshovError("say which: /open PATH")
        path = _whole_path(path)
        session = Session(self.agent, path, **words)
        try:
            with self._stoppable() as stop, self._busy("opening") as tell:
                for event in session.read(stop=stop):
                    tell(event)
        except BaseException:
            session.close()
            raise
        self._took(session, path, Memory.new())
        if stop.is_set():
            self.shown.wrapped("stopped: this is what was read until then.", style="yellow")
        self._reading()
        self.shown.wrapped(HINT, style="dim")
        self.shown.line()

    def _person(self, number: str) -> None:
        session = self._there()
        if not number:
            for person in session.current.people:
                self.shown.brief(person)
            self.shown.line()
            return
        if number.lower() in ("all", "everybody"):
            session.choose(None)
            self.shown.wrapped("Of everybody from now on.")
            self.shown.line()
            return
        wanted = parse_count(number)
        if wanted is None:
            raise KuleshovError(f"a person is a number, or all, not {shorten_text(number)!r}.")
        chosen = session.choose(wanted)
        if chosen is not None:
            self.shown.brief(chosen)
            self.shown.line()

    def _units(self, _: str) -> None:
        if not self._people():
            raise KuleshovError("nobody was found, so no units were measured.")
        self.shown.all_units(self._people())

    def _scene(self, _: str) -> None:
        self.shown.whole_scene(self._there().current)

    def _evidence(self, _: str) -> None:
        self.shown.evidence(self._there().current)
        self.shown.line()

    def _context(self, text: str) -> None:
        self._judge(lambda s, stop: s.add_context(text, stop=stop))

    def _labels(self, name: str) -> None:
        session = self._there()
        if name:
            self._judge(lambda s, stop: s.change(labels=name, stop=stop))
            return
        now = session.agent.settings.labels
        for shipped in shipped_label_sets():
            mark = "now" if shipped == now else ""
            labels = LabelSet.load(shipped)
            self.shown.wrapped(f"{mark:>3}  {shipped:<18} {labels.source}", hang=24)
        self.shown.line()

    def _examples(self, shots: str) -> None:
        now = self._there().agent.settings.examples
        if shots == "off":
            if now is None:
                raise KuleshovError("no examples are shown.")
            self._judge(lambda s, stop: s.change(examples=None, stop=stop))
        elif shots:
            given = os.fspath(expand_path(shots))
            self._judge(lambda s, stop: s.change(examples=given, stop=stop))
            known = self._there().agent.crew.examples
            if known is not None and known.left_out.rows:
                self.shown.wrapped(f"examples: {view.clean_line(str(known.left_out))}")
                self.shown.line()
        else:
            self.shown.wrapped(f"examples: {view.clean_line(now or 'none')}")
            self.shown.line()

    def _influence(self, _: str) -> None:
        if self._judge(lambda s, stop: s.influence(stop=stop)):
            self.shown.influences(self._people())

    def _compare(self, path: str) -> None:
        session = self._there()
        if path:
            self._beside(session, path)
            return
        if session.current is session.readings[0]:
            raise KuleshovError("nothing has changed since the first reading.")
        asked = [s.asked for s in session.steps if s.comparison is not None]
        self.shown.comparison(
            compare_readings(
                session.readings[0],
                session.current,
                f"since the first reading: {'; '.join(asked)}",
                supposed=session.supposing,
            )
        )

    def _beside(self, session: Session, path: str) -> None:
        """Read another picture, and show its people beside those of this one, by number."""
        other = Session(self.agent, _whole_path(path), words=session.words)
        try:
            with self._stoppable() as stop, self._busy("opening") as tell:
                for event in other.read(stop=stop):
                    tell(event)
            names = [view.media_title(s.current.media) for s in (session, other)]
            self.shown.comparison(
                compare_readings(session.current, other.current, " → ".join(names))
            )
        finally:
            other.close()

    def _save(self, folder: str) -> None:
        session = self._there()
        target = expand_path(folder) if folder else _free_folder(Path(self.path).stem + "-chat")
        for path in session.save(target):
            self.shown.wrapped(f"written: {view.clean_line(path)}")
        self.shown.line()

    def _undo(self, _: str) -> None:
        taken = self._there().undo()
        self.shown.wrapped(
            f"Taken back ({taken.kind.replace('_', ' ')}): {view.clean_line(taken.asked)}"
        )
        self.shown.line()

    def _help(self, _: str) -> None:
        for name, command in COMMANDS.items():
            head = f"/{name} {command.takes}".rstrip()
            self.shown.wrapped(f"  {head:<22} {command.help}", hang=25)
        self.shown.line()
        self.shown.wrapped(
            "Everything else is a question, “what if …”, or “look only at person 2”. Alt-Enter, or "
            "a backslash at the end, begins a new line; Ctrl-C stops an answer.",
            2,
        )
        self.shown.line()

    def _quit(self, _: str) -> None:
        self.over = True

    # ------------------------------------------------------------------------ inside

    def _took(self, session: Session, path: str, id: str) -> None:
        if self.session is not None:
            self.session.close()
        self.session, self.path, self.id = session, path, id

    def _reading(self) -> None:
        session = self._there()
        if self.picture is not None:
            pictures = session.held.pictures()
            middle = pictures[len(pictures) // 2]
            people = session.current.people if len(pictures) == 1 else ()
            columns = min(60, self.console.width)
            self.console.file.write(
                inline.encode_picture(inline.draw_png(middle, people), self.picture, columns)
            )
        self.shown.reading(session.current)

    def _there(self) -> Session:
        if self.session is None:
            raise KuleshovError("no picture is open: /open PATH")
        return self.session

    def _people(self) -> list[Person]:
        session = self._there()
        return [session.person] if session.person else list(session.current.people)

    @contextlib.contextmanager
    def _stoppable(self) -> Iterator[threading.Event]:
        """The first Ctrl-C sets the event, a second one interrupts."""
        stop = threading.Event()
        if threading.current_thread() is not threading.main_thread():
            yield stop
            return

        def first(*_: object) -> None:
            stop.set()
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = signal.signal(signal.SIGINT, first)
        try:
            yield stop
        finally:
            signal.signal(signal.SIGINT, before)

    @contextlib.contextmanager
    def _busy(self, doing: str) -> Iterator[Callable[[Event], None]]:
        """On a terminal, what is being done; the line is gone when it is done."""
        if not self.console.is_terminal:
            yield lambda event: None
            return
        with self.console.status(f"{doing} … (Ctrl-C stops)") as status:

            def tell(event: Event) -> None:
                if event.kind == "step" and event.step in view.NEXT_STEP:
                    status.update(f"{view.NEXT_STEP[event.step]} … (Ctrl-C stops)")

            yield tell


def _dropped_file(text: str) -> str | None:
    """The file that a line is, as when it is dropped into the terminal."""
    path = text.strip("'\"").replace("\\ ", " ")
    if "\n" in path or len(path) > 1000 or not os.path.splitext(path)[1]:
        return None
    with contextlib.suppress(OSError, ValueError, KuleshovError):
        if expand_path(path).is_file():
            return path
    return None


def _free_folder(name: str) -> Path:
    """A folder of this name that is not there yet."""
    folder, count = Path(name), 1
    while folder.exists():
        count += 1
        folder = Path(f"{name}-{count}")
    return folder


def _whole_path(path: str) -> str:
    return os.path.abspath(expand_path(path.strip("'\"")))


def _restore_session(
    session: Session, kept: KeptConversation, stop: threading.Event | None
) -> None:
    """As `Session.restore`. Raises KuleshovError also where what was kept is not whole."""
    try:
        session.restore(kept.session, stop=stop)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, KuleshovError):
            raise
        raise KuleshovError(
            f"the conversation {kept.id} cannot be gone on with: it is damaged, or of another "
            "version."
        ) from None
