"""A model behind a real local HTTP server that fails in many ways."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from model_server import ModelServer
from test_annotate import records
from tiny_models import assistant, picture, user

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.tools import mllm as models
from kuleshov.tools.mllm import MllmError
from kuleshov.tools.mllm.base import CannotScoreError
from kuleshov.tools.mllm.endpoint import EndpointError, EndpointMllm, Limits, first_words, is_here

from parts import NO_FROWN, SMILE, HandFaces, face

QUICK = Limits(attempts=4, timeout_s=0.3, wait_s=0.4)
TALK = [user(picture(1), "which emotion?")]
LABELS = ["anger", "happiness", "sadness", "surprise", "neutral"]


def endpoint(server: ModelServer, limits: Limits = QUICK, **options) -> EndpointMllm:
    return EndpointMllm(server.url, limits=limits, **options)


def test_what_is_sent_and_what_comes_back():
    with ModelServer() as server:
        model = endpoint(server)
        told = model.generate(TALK, max_new_tokens=7, seed=3)
        talk = [*TALK, assistant("joy"), user("sure?")]
        model.generate(talk, schema={"type": "object", "properties": {"a": {}}})
    assert model.info.id == "tiny-vl"
    assert (told.text, told.tokens, told.finished) == ("happiness", 10, True)
    first, second = server.bodies
    assert {k: first[k] for k in ("model", "temperature", "seed", "max_tokens")} == {
        "model": "tiny-vl",
        "temperature": 0.0,
        "seed": 3,
        "max_tokens": 7,
    }
    assert first["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg")
    assert second["messages"][1] == {"role": "assistant", "content": "joy"}
    assert second["response_format"]["json_schema"]["schema"]["properties"] == {"a": {}}


@pytest.mark.parametrize("wrong", [429, 500, 502, 503, "cut", "slow", "html", "empty"])
def test_what_passes_is_tried_again(wrong):
    with ModelServer(lambda n, _: wrong if n < 2 else None) as server:
        assert endpoint(server).generate(TALK).text == "happiness"
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (429, "answered 429: told to say 429"),
        ("cut", "cannot be reached"),
        ("slow", "did not answer within 0.3 s"),
        ("html", "not a chat completion in JSON"),
    ],
)
def test_what_does_not_pass_is_one_sentence(wrong, told):
    with ModelServer(lambda *_: wrong) as server, pytest.raises(EndpointError) as error:
        endpoint(server).generate(TALK)
    assert told in str(error.value)
    tries = 3 if wrong == "slow" else 4  # the same work would be done again and again
    assert f"({tries} tries)" in str(error.value)
    assert error.value.passing
    assert len(server.bodies) == tries


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (401, "refuses the key"),
        (404, "answered 404: told to say 404"),
        (400, "answered 400: told to say 400"),
        ((307, {"location": "http://example.org/v1"}, ""), "points to another address"),
    ],
)
def test_what_will_not_pass_is_told_at_once(wrong, told):
    with ModelServer(lambda *_: wrong) as server, pytest.raises(EndpointError) as error:
        endpoint(server).generate(TALK)
    assert told in str(error.value)
    assert not error.value.passing
    assert len(server.bodies) == 1


def test_the_server_says_when_to_come_back():
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    later = formatdate(time.time() + 3600, usegmt=True)
    answers = [(429, {"retry-after": "0.2"}, "{}"), (503, {"retry-after": later}, "{}"), None]
    with ModelServer(lambda n, _: answers[n]) as server:
        endpoint(server, sleep=sleep).generate(TALK)
    assert pauses[0] == pytest.approx(0.2)
    assert max(pauses) == pytest.approx(0.4)  # an hour is cut to the longest wait that was set
    assert server.times[1] - server.times[0] >= 0.19


def test_no_more_requests_at_once_than_set_nor_more_a_minute():
    def slowly(*_):
        time.sleep(0.02)

    with ModelServer(slowly) as server:
        limits = Limits(concurrency=3, requests_per_minute=1200)
        model = endpoint(server, limits)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: model.generate(TALK), range(12)))
    assert server.most_busy <= 3
    gaps = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert server.times[-1] - server.times[0] >= 11 * 0.05 * 0.9, gaps


def test_labels_by_the_first_word_listed():
    with ModelServer() as server:
        logs = endpoint(server).score(TALK, LABELS)
    # "s" begins two labels and counts for none; what is not listed is at most the least listed
    assert logs == pytest.approx([-5.0, -0.4, -1.5, -5.0, -2.5])
    assert server.bodies[0]["top_logprobs"] == 20
    assert first_words([('"Fear', -1.0), ("fe", -1.0)], ["fear"]) == pytest.approx(
        [-0.3069], abs=1e-3
    )


@pytest.mark.parametrize("logprobs", [False, "refused"])
def test_without_log_probabilities_it_says_so(logprobs):
    with ModelServer(logprobs=logprobs) as server:
        model = endpoint(server)
        assert not model.info.scores_labels
        with pytest.raises(CannotScoreError):
            model.score(TALK, LABELS)
    assert not server.bodies


def test_answers_that_are_not_listed_are_unanswered():
    with ModelServer() as server, pytest.raises(CannotScoreError, match="lists none of relief"):
        endpoint(server).score(TALK, ["relief", "pride"])


def test_a_server_that_knows_no_schemas_is_asked_for_any_json():
    def script(_, body):
        if body.get("response_format", {}).get("type") == "json_schema":
            return (400, {}, json.dumps({"error": {"message": "response_format: unknown type"}}))
        if "max_tokens" in body:
            said = "use max_completion_tokens instead"
            return (400, {}, json.dumps({"error": {"message": said}}))
        return None

    with ModelServer(script) as server:
        endpoint(server).generate(TALK, schema={"type": "object"})
    assert server.bodies[-1]["response_format"] == {"type": "json_object"}
    assert "max_completion_tokens" in server.bodies[-1]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("api.openai.com", False),
        ("192.168.0.7", False),
        ("localhost.example.org", False),
        ("0x7f.1", False),
    ],
)
def test_which_hosts_are_this_machine(host, here):
    assert is_here(host) == here


def test_another_machine_has_to_be_allowed(capsys, tmp_path):
    with pytest.raises(MllmError, match="--allow-remote"):
        models.check_model("https://api.example.org/v1#x")
    models.check_model("https://api.example.org/v1#x", allow_remote=True)
    call = ["infer", "x.jpg", "--model", "https://api.example.org/v1#x"]
    picture(0).save(tmp_path / "x.png")
    call[1] = str(tmp_path / "x.png")
    assert main([*call, "--faces", "pocket"]) == 2
    assert "faces would leave it" in capsys.readouterr().err
    with pytest.raises(MllmError, match="it would be recorded"):
        models.check_model("http://me:secret@127.0.0.1/v1")


def test_the_key_is_sent_and_never_recorded(monkeypatch):
    monkeypatch.setenv("KULESHOV_API_KEY", "sk-secret")
    with ModelServer() as server:
        model = endpoint(server)
        model.generate(TALK)
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in model.info.model_dump_json()


def test_a_server_of_several_models_wants_a_name():
    with ModelServer(models=("a", "b")) as server:
        with pytest.raises(EndpointError, match="2 models; name one after a #: a, b"):
            endpoint(server)
        assert EndpointMllm(f"{server.url}#b", limits=QUICK).info.id == "b"


def agent_of(server: ModelServer, **settings) -> Agent:
    chosen = Settings.load(
        model=server.url, labels="ekman-7", fusion="text", prior_correction=False, **settings
    )
    limits = Limits(attempts=3, timeout_s=5, wait_s=0.2, price_in=2.0, price_out=8.0)
    return Agent(endpoint(server, limits), HandFaces(face(SMILE, NO_FROWN)), chosen)


@pytest.mark.parametrize(
    ("logprobs", "top", "method"),
    [
        (True, "happiness", "top log-probabilities"),
        (False, "fear", "stated"),
    ],
)
def test_a_reading_through_a_server(logprobs, top, method, tmp_path):
    picture(3, (200, 100)).save(tmp_path / "p.png")
    with ModelServer(logprobs=logprobs) as server:
        inference = agent_of(server).infer(tmp_path / "p.png")
    emotions = inference.people[0].emotions
    assert (emotions.top, emotions.method) == (top, method)
    used = inference.provenance.usage
    assert used["requests"] == len(server.bodies)
    assert used["tokens_in"] == 100 * len(server.bodies)
    assert used["cost"] == pytest.approx(len(server.bodies) * (100 * 2 + 10 * 8) / 1e6)


def test_many_labels_are_asked_for_as_numbers(tmp_path):
    """The first word of an answer does not tell "joy: yes" from "joy: no"."""
    picture(3, (200, 100)).save(tmp_path / "p.png")
    with ModelServer() as server:
        settings = Settings.load(model=server.url, labels="emotic-26", fusion="text")
        inference = Agent(endpoint(server), HandFaces(face(SMILE)), settings).infer(
            tmp_path / "p.png"
        )
    assert inference.people[0].emotions.method == "stated"


def test_a_run_through_a_server_that_fails_now_and_then_and_then_dies(tmp_path):
    (tmp_path / "set").mkdir()
    for n in range(12):
        picture(n, (200, 100)).save(tmp_path / "set" / f"{n:02}.png")
    faults = [None, 500, None, "cut", None, None, (429, {"retry-after": "0.05"}, "{}")]
    with ModelServer(lambda n, _: faults[n % 7] if n < 20 else 503) as server:
        model = agent_of(server)
        ended = model.annotate(tmp_path / "set", tmp_path / "run")
        assert ended.failed > 0
        assert 0 < ended.done + ended.failed == 12
        assert "answered 503" in (tmp_path / "run" / "failures.jsonl").read_text()
        server.script = None
        again = model.annotate(tmp_path / "set", tmp_path / "run", retry_failed=True)
    assert (again.failed, again.skipped) == (0, ended.done)
    found = records(tmp_path / "run")
    assert len(found) == 12
    assert all(not record["gaps"] for record in found.values())
