"""A stop is seen inside one long computation: a forward, a pause, a window of sound, a program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_server import ModelServer
from test_clip import moving, scripted
from tiny_models import picture, user

from kuleshov.asking import gate
from kuleshov.asking.gate import STOPPED, StoppedError
from kuleshov.tools import speech, stopping
from kuleshov.tools.faces import programs
from kuleshov.tools.media.sound import RATE
from kuleshov.tools.mllm.endpoint import EndpointMllm, Limits
from kuleshov.tools.mllm.local.batching import BatchedMllm
from kuleshov.tools.mllm.local.model import TransformersMllm

SIDES = ["happiness", "fear"]


class StopsAtLayer:
    """Sets the stop when the model's layers have run so many times; counts those after it."""

    def __init__(self, layers: Any, times: int) -> None:
        self.stop, self.left, self.late = threading.Event(), times, 0
        self.hooks = [layer.register_forward_hook(self._ran) for layer in layers]

    def _ran(self, *_: Any) -> None:
        self.late += self.stop.is_set()
        self.left -= 1
        if self.left == 0:
            self.stop.set()

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


@pytest.fixture(scope="module")
def local(tiny_llava: Callable[..., Path]) -> TransformersMllm:
    return TransformersMllm.load_folder(
        tiny_llava("llava"), name="llava", device="cpu", dtype="float32"
    )


def asked(pixels: Any) -> list[Any]:
    return [([user(pixels, text)], SIDES) for text in ("what does she show?", "and he?", "who?")]


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("how", ["score", "score_many", "generate"])
def test_a_forward_is_left_at_its_next_layer(local, queued, how) -> None:
    model: Any = BatchedMllm(local) if queued else local
    questions = asked(picture())

    def call() -> Any:
        if how == "score_many":
            return gate.score_many(model, questions)
        if how == "score":
            return gate.score_answers(model, *questions[0])
        return gate.generate_text(model, questions[0][0], step="scene", max_new_tokens=4).text

    layers = local.model.model.language_model.layers
    try:
        whole = call()
        local.prefixes.clear()
        if queued:
            model.store.clear()
        midway = StopsAtLayer(layers, 1)
        with gate.reading_run(midway.stop), pytest.raises(StoppedError):
            call()
        assert midway.late == 0
        midway.remove()
        assert call() == whole  # nothing half read was kept
    finally:
        if queued:
            model.close()


def in_thread(work: Callable[[], Any], stop: threading.Event) -> list[BaseException]:
    """What ends a call in a thread that is stopped; fails where it goes on for half a minute."""
    ended: list[BaseException] = []

    def run() -> None:
        with gate.reading_run(stop):
            try:
                work()
            except BaseException as error:
                ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return ended


@pytest.mark.parametrize("silent", [False, True])
def test_pauses_and_silent_servers(silent) -> None:
    stop, free = threading.Event(), threading.Event()

    def script(number: int, body: dict) -> Any:
        stop.set()
        if silent:
            free.wait(60)
            return None
        return 429, {"retry-after": "600"}, "{}"

    with ModelServer(script) as server:
        model = EndpointMllm(server.url, limits=Limits(wait_s=600))
        talk = [{"role": "user", "content": [{"type": "text", "text": "Hello."}]}]
        (error,) = in_thread(lambda: gate.generate_text(model, talk, step="scene"), stop)
        free.set()
    assert isinstance(error, StoppedError)


def test_a_window_of_sound(tmp_path: Path) -> None:
    import tiny_whisper

    recogniser: Any = speech.load_recogniser(
        str(tiny_whisper.build(tmp_path)), device="cpu", dtype="float32"
    )
    midway = StopsAtLayer(recogniser.model.model.encoder.layers, 1)
    noise = np.random.default_rng(0).normal(0, 0.3, 3 * RATE).astype(np.float32)
    heard = recogniser.hear(iter([noise]), stop=midway.stop)
    assert (heard.stopped, heard.until_s, heard.cues, midway.late) == (True, 0.0, [], 0)


class StopsWhileItLooks:
    """Somebody stops while the n-th batch of frames is looked at."""

    def __init__(self, inner: Any, batch: int) -> None:
        self.inner, self.info = inner, inner.info
        self.stop, self.left = threading.Event(), batch

    def observe(self, images: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.stop.set()
        stopping.check()
        return self.inner.observe(images)


@pytest.mark.parametrize(("batch", "people"), [(1, 0), (2, 1)])
def test_faces_of_a_clip(tmp_path: Path, monkeypatch, batch, people) -> None:
    from kuleshov.graph import clip_nodes

    monkeypatch.setattr(clip_nodes, "AT_ONCE", 4)
    made, _ = scripted()
    faces = StopsWhileItLooks(made.crew.faces, batch)
    read = made.with_faces(faces).infer(moving(tmp_path), stop=faces.stop)
    assert len(read.people) == people
    assert [gap.step for gap in read.gaps if gap.reason.startswith(f"{STOPPED} at")] == ["clip"]
    assert not any(gap.step == "faces" for gap in read.gaps)


def test_a_program() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()

    def work() -> None:
        with stopping.heeding(stop):
            programs.run_program(["sleep", "60"], 60, "sleep")

    (error,) = in_thread(work, stop)
    assert isinstance(error, StoppedError)
