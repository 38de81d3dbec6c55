"""The gate: after a stop nothing reaches the model, what is asked is counted, failures are told."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_server import ModelServer
from test_agent import INFO, PICTURE, agent, script
from test_clip import moving, scripted

from kuleshov import Agent, Inference, Settings, prompts
from kuleshov.apps.cli.main import main
from kuleshov.asking.coding.candidates import Situation
from kuleshov.asking.gate import PriorKey, Priors, reading_run
from kuleshov.session.session import Session
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm import MllmError, ScriptedMllm
from kuleshov.tools.mllm.endpoint import EndpointMllm

from parts import NO_FROWN, SMILE, HandFaces, face

ROOT = Path(__file__).resolve().parents[3]
WIDE = np.full((100, 500, 3), 90, np.uint8)
FIVE = [face(SMILE, NO_FROWN, box=(10 + 100 * k, 10, 60 + 100 * k, 70)) for k in range(5)]
STOPPED = "stopped by the user"
SITUATIONS = [Situation(name=name, text=f"a {name}") for name in ("wedding", "funeral")]
ASKS = {"generate", "score", "score_many", "features"}


class StopsAfter:
    """A model that counts its calls; somebody stops during the n-th."""

    def __init__(self, inner: Any, calls: int) -> None:
        self.inner, self.info, self.left = inner, inner.info, calls
        self.stop, self.late = threading.Event(), 0
        self._lock = threading.Lock()

    def _count(self) -> None:
        with self._lock:
            self.late += self.stop.is_set()
            self.left -= 1
            if not self.left:
                self.stop.set()

    def generate(self, conversation: Any, **options: Any) -> Any:
        self._count()
        return self.inner.generate(conversation, **options)

    def score(self, conversation: Any, answers: Any) -> list[float]:
        self._count()
        return self.inner.score(conversation, answers)


def follows_schema() -> ScriptedMllm:
    """As `script`, and lists and stories by their schema."""
    inner = script()

    def answer(call: Any) -> str:
        wanted = (call.schema or {}).get("properties", {})
        if "before_evidence" in wanted or not {"cues", "description"} & set(wanted):
            return json.dumps(dict.fromkeys(wanted))
        return inner._answers(call)

    return ScriptedMllm(answer, inner._scores, info=INFO)


def infer_one(made: Agent, stop: threading.Event) -> Inference:
    made.crew.faces.faces = FIVE[:1]
    return made.infer(PICTURE, stop=stop)


def infer_five(made: Agent, stop: threading.Event) -> Inference:
    return made.infer(WIDE, stop=stop)


def infer_streamed(made: Agent, stop: threading.Event) -> Inference:
    return [event.inference for event in made.stream(WIDE, stop=stop)][-1]


WORK: dict[str, tuple[Callable[[Agent, threading.Event], Inference], dict[str, Any]]] = {
    "one person": (infer_one, {"influence": True, "fusion": "text"}),
    "people": (infer_five, {}),
    "people, streamed": (infer_streamed, {}),
    "influence": (infer_five, {"fusion": "text", "influence": True}),
    "coded people": (infer_five, {"scheme": "default"}),
    "coding": (lambda made, stop: made.code(WIDE, stop=stop), {"scheme": "default"}),
    "contexts": (lambda made, stop: made.contexts(WIDE, SITUATIONS, stop=stop), {}),
}


@pytest.mark.parametrize("calls", [1, 2, 4, 7])
@pytest.mark.parametrize("work", WORK)
def test_after_a_stop_no_call_reaches_the_model(work: str, calls: int) -> None:
    read, settings = WORK[work]
    whole = StopsAfter(follows_schema(), 10_000)
    read(agent(whole, HandFaces(*FIVE), **settings), whole.stop)
    assert 10_000 - whole.left > calls, "there would be nothing left to stop"
    model = StopsAfter(follows_schema(), calls)
    found = read(agent(model, HandFaces(*FIVE), **settings), model.stop)
    assert model.stop.is_set()
    # people are read side by side: a call of each of the other four may have passed the gate before
    assert model.late <= (4 if "people" in work or work == "influence" else 0)
    told = [gap for gap in found.gaps if gap.reason == STOPPED]
    assert told
    assert len({gap.step for gap in told}) == len(told)
    if calls > 1:  # the first is made while the faces are looked for
        assert len(found.people) == (1 if work == "one person" else 5)


@pytest.mark.parametrize("strategy", ["text", "context", "people", "bayes"])
def test_who_was_read_before_the_stop_is_kept_and_the_others_say_why_not(strategy: str) -> None:
    """The last call but a few: some people are whole, some are not."""
    whole = StopsAfter(script(), 10_000)
    agent(whole, HandFaces(*FIVE), fusion=strategy).infer(WIDE, stop=whole.stop)
    calls = 10_000 - whole.left - 2
    model = StopsAfter(script(), calls)
    read = agent(model, HandFaces(*FIVE), fusion=strategy).infer(WIDE, stop=model.stop)
    assert model.late <= 4
    by_strategy = [p for p in read.people if p.emotions and p.emotions.fusion == strategy]
    others = [p for p in read.people if p not in by_strategy]
    if strategy in ("people", "bayes"):  # the face had been read; the context says that it was not
        halves = [p for p in others if p.emotions]
        assert {p.emotions.fusion for p in halves} <= {"face"}
        assert any("rests on the face alone" in text for text in read.warnings) == bool(halves)
    else:
        assert others
        assert {(p.emotions, p.unanswered) for p in others} == {(None, STOPPED)}
    assert len([gap for gap in read.gaps if gap.reason == STOPPED]) <= 3


def test_a_word_of_an_answer_stops_everything() -> None:
    model, stop = StopsAfter(script(), 10_000), threading.Event()
    before = None
    for event in agent(model, HandFaces(*FIVE)).stream(WIDE, stop=stop):
        if event.kind == "token" and event.step == "judge" and not stop.is_set():
            stop.set()
            model.stop.set()
            before = event
        elif event.kind == "inference":
            read = event.inference
    assert before is not None
    assert model.late <= 4
    assert read.scene is not None  # had been read


@pytest.mark.parametrize("calls", [1, 3, 5])
def test_the_moments_of_a_clip_are_not_read_after_a_stop(tmp_path: Path, calls: int) -> None:
    made, _ = scripted()
    model = StopsAfter(made.crew.mllm, calls)
    read = made.with_model(model).infer(moving(tmp_path), stop=model.stop)
    assert model.late <= 4
    assert any(gap.reason == STOPPED for gap in read.gaps)


def test_an_answer_of_a_session_ends_at_the_stop() -> None:
    stop = threading.Event()
    inner = script()
    talk = Session(agent(ScriptedMllm(inner._answers, inner._scores, info=INFO)), PICTURE)
    list(talk.read())
    answer = talk.ask("Why?", on_token=lambda _: stop.set(), stop=stop)
    assert (answer.finished, answer.note) == (False, STOPPED)


def test_a_stop_is_seen_while_another_reading_asks_for_the_same_prior() -> None:
    key, priors = PriorKey("direct", ("a", "b")), Priors()
    asked, free, stop = threading.Event(), threading.Event(), threading.Event()

    def ask(keys: Any) -> list[list[float]]:
        asked.set()
        assert free.wait(60)
        return [[1.0, 2.0]]

    other = threading.Thread(target=lambda: priors.find([key], ask))
    other.start()
    assert asked.wait(60)
    stop.set()
    with reading_run(stop), pytest.raises(KuleshovError, match=STOPPED):
        priors.find([key], lambda _: pytest.fail("asked twice"))
    free.set()
    other.join(60)
    assert priors.find([key], lambda _: pytest.fail("asked twice")) == [[1.0, 2.0]]


def test_a_prior_that_failed_is_asked_again() -> None:
    key, priors = PriorKey("direct", ("a",)), Priors()
    with pytest.raises(MllmError):
        priors.find([key], lambda _: (_ for _ in ()).throw(MllmError("no")))
    assert priors.find([key], lambda _: [[3.0]]) == [[3.0]]


def test_no_other_file_of_the_agent_calls_a_model() -> None:
    """`crew.score` and the like pass the gate; a model's own methods are called there alone."""
    found = []
    for path in sorted((ROOT / "agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "kuleshov.tools.mllm.local.packing"
            ):
                names = {alias.name for alias in node.names} - {"Question"}
                found += [f"{path.name}: imports {name}" for name in names]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = ast.unparse(node.func.value).split(".")[-1]
                if node.func.attr in ASKS and of not in ("crew", "gate", "self"):
                    found.append(f"{path.name}: {ast.unparse(node.func)}")
    assert {one for one in found if not one.startswith("gate.py: ")} == set()
    assert {one.split(".")[-1] for one in found} >= ASKS


# ----------------------------------------------------------------------------- every call fails


def broken(error: Exception) -> ScriptedMllm:
    return ScriptedMllm(lambda _: error, lambda _: error, info=INFO)


FAILS = "the server says: no credit is left."


@pytest.mark.parametrize(
    "read",
    [
        lambda made: made.infer(PICTURE),
        lambda made: list(made.stream(PICTURE)),
        lambda made: made.code(PICTURE),
        lambda made: made.contexts(PICTURE, SITUATIONS),
    ],
)
def test_a_model_that_fails_at_every_call_is_an_error(read: Callable[[Agent], Any]) -> None:
    with pytest.raises(MllmError, match=FAILS):
        read(agent(broken(MllmError(FAILS)), scheme="default"))
    with pytest.raises(MllmError, match="RuntimeError: out of luck"):
        read(agent(broken(RuntimeError("out of luck\nand more")), scheme="default"))


def test_a_reading_that_ends_in_an_error_leaves_no_thread_behind() -> None:
    """While somebody holds the error: a thread that waits would keep the program from ending."""
    before = set(threading.enumerate())
    with pytest.raises(MllmError) as held:
        list(agent(broken(MllmError(FAILS))).stream(PICTURE))
    assert held.value
    left = set(threading.enumerate()) - before
    assert [thread.name for thread in left if thread.name.startswith("ThreadPool")] == []


def test_the_face_alone_needs_no_model() -> None:
    read = agent(broken(MllmError(FAILS)), fusion="face").infer(PICTURE)
    assert read.people[0].emotions.fusion == "face"
    assert {gap.reason for gap in read.gaps} == {FAILS}


def test_one_answer_makes_a_record_with_gaps() -> None:
    read = agent(script(judge=MllmError(FAILS), label=MllmError(FAILS))).infer(PICTURE)
    assert read.scene is not None
    assert FAILS in {gap.reason for gap in read.gaps}


def test_the_command_and_a_run_tell_it(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from PIL import Image

    (tmp_path / "set").mkdir()
    photo = tmp_path / "set" / "a.png"
    Image.fromarray(PICTURE).save(photo)
    made = agent(broken(MllmError(FAILS)))
    monkeypatch.setattr(Agent, "load", staticmethod(lambda *_, **__: made))
    assert main(["infer", str(photo), "--json"]) == 2
    out, err = capsys.readouterr()
    assert (out, FAILS in err) == ("", True)
    ended = made.annotate(tmp_path / "set", tmp_path / "run")
    assert (ended.done, ended.failed, ended.last_failure) == (0, 1, FAILS)
    mended = agent()
    again = mended.annotate(tmp_path / "set", tmp_path / "run", retry_failed=True)
    assert (again.done, again.failed) == (1, 0)


# ----------------------------------------------------------------------------- what is recorded


def test_coding_and_contexts_are_metered() -> None:
    with ModelServer() as server:
        mllm = EndpointMllm(server.url)
        made = Agent(mllm, HandFaces(face(SMILE, NO_FROWN)), Settings.load(scheme="default"))
        for read in (
            made.infer(PICTURE),
            made.code(PICTURE),
            made.contexts(PICTURE, SITUATIONS),
        ):
            assert read.provenance.usage["requests"] > 0


def test_a_warning_is_told_once_also_with_a_scheme() -> None:
    tiny = face(SMILE, NO_FROWN, box=(10, 10, 20, 25))
    read = agent(follows_schema(), HandFaces(tiny), scheme="default").infer(PICTURE)
    assert any("too small to read" in text for text in read.warnings)
    assert len(set(read.warnings)) == len(read.warnings)


@pytest.mark.parametrize("family", prompts.FAMILIES)
def test_every_template_that_is_rendered_has_its_digest(family: str, monkeypatch: Any) -> None:
    rendered = set()
    environment = prompts._make_environment()
    load = environment.loader.get_source

    def noted(made: Any, name: str) -> Any:
        rendered.add(name)
        return load(made, name)

    known = set(prompts.template_digests(family))
    monkeypatch.setattr(environment.loader, "get_source", noted)
    environment.cache.clear()
    for name in [name for name in known if name.startswith(f"{family}/")]:
        source = load(environment, name)[0]
        for other in prompts._referenced_templates(name, source):
            environment.get_template(other)
    assert rendered <= known
    if family == "review":
        assert {"full/_evidence.jinja", "full/question.jinja"} <= known
