"""Odd but real answers of model servers: refusals, thoughts, lists of tokens, sizes, streams."""

from __future__ import annotations

import base64
import io
import json
import math

import numpy as np
import pytest
from model_server import ModelServer
from PIL import Image
from test_annotate import records
from test_mllm_endpoint import TALK, agent_of, endpoint
from tiny_models import picture, user

from kuleshov.tools import mllm as models
from kuleshov.tools.mllm import MllmError, usage
from kuleshov.tools.mllm.base import CannotScoreError, EndpointError, ServerRefusedError
from kuleshov.tools.mllm.endpoint import EndpointMllm, Limits
from kuleshov.tools.mllm.top_logprobs import read_list

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
JSON = {"content-type": "application/json"}


def said(status: int, text: str) -> tuple[int, dict, str]:
    return status, JSON, json.dumps({"error": {"message": text}})


def completion(content: str | None, finish: str = "stop", **message) -> tuple[int, dict, str]:
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    return 200, JSON, json.dumps({"choices": [choice]})


def stream(*deltas: dict, finish: str | None = "stop") -> tuple[int, dict, str]:
    events = [{"choices": [{"delta": delta}]} for delta in deltas]
    if finish:
        events.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return 200, {"content-type": "text/event-stream"}, text + ("data: [DONE]\n\n" if finish else "")


@pytest.mark.parametrize(
    "refusal",
    [
        said(401, "token expired"),
        said(402, "Insufficient credits"),
        said(403, "Your account is not allowed to use this"),
        said(404, "model 'tiny-vl' not found"),
        said(400, "Model is unloaded. Please load a model first."),
        said(429, "You exceeded your current quota, please check your plan and billing details"),
    ],
    ids=lambda refusal: str(refusal[0]),
)
def test_a_refusal_of_everything_ends_the_run_and_the_rest_stays_undone(refusal, tmp_path):
    (tmp_path / "set").mkdir()
    for n in range(8):
        picture(n, (200, 100)).save(tmp_path / "set" / f"{n:02}.png")
    with ModelServer(lambda n, _: refusal if n >= 7 else None) as server:
        model = agent_of(server)
        with pytest.raises(ServerRefusedError) as error:
            model.annotate(tmp_path / "set", tmp_path / "run", workers=1)
        assert json.loads(refusal[2])["error"]["message"].rstrip(".") in str(error.value)
        before = records(tmp_path / "run")
        assert 0 < len(before) < 8
        assert all(not record["gaps"] for record in before.values())
        assert not (tmp_path / "run" / "failures.jsonl").read_text()
        server.script = None
        ended = model.annotate(tmp_path / "set", tmp_path / "run", workers=1)
    assert (ended.failed, ended.skipped) == (0, len(before))
    assert len(records(tmp_path / "run")) == 8


@pytest.mark.parametrize(
    "refusal",
    [
        said(422, "this picture cannot be processed"),
        said(403, "your input was flagged by moderation"),
        completion(None, "content_filter"),
        completion(None, refusal="I cannot infer emotions of real people."),
    ],
)
def test_a_refusal_of_one_item_is_its_own_and_is_asked_once(refusal, tmp_path):
    with ModelServer(lambda *_: refusal) as server:
        with pytest.raises(EndpointError) as error:
            endpoint(server).generate(TALK)
        assert not isinstance(error.value, ServerRefusedError)
        assert not error.value.passing
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps({"detail": [{"loc": ["body", "n"], "msg": "Extra inputs"}]}), "Extra inputs"),
        (json.dumps({"detail": "no such thing"}), "no such thing"),
        (json.dumps({"error": "an Ollama sentence"}), "an Ollama sentence"),
        ("<html><head><title>400 Bad Request</title></head><h1>x</h1></html>", "400 Bad Request"),
        ("plain words\nsecond line", "plain words"),
    ],
)
def test_the_servers_own_sentence_is_shown(text, words):
    with (
        ModelServer(lambda *_: (400, {}, text)) as server,
        pytest.raises(EndpointError, match=words),
    ):
        endpoint(server).generate(TALK)


def test_an_error_in_an_answer_with_200_is_a_refusal():
    wrong = (200, JSON, json.dumps({"error": {"message": "context length exceeded", "code": 400}}))
    with ModelServer(lambda *_: wrong) as server:
        with pytest.raises(EndpointError, match="context length exceeded"):
            endpoint(server).generate(TALK)
        assert len(server.bodies) == 1


def test_from_a_grammar_to_any_json_to_words_and_no_way_back():
    def script(_, body):
        if "response_format" in body:
            return said(500, "failed to load model vocabulary required for format")
        return completion('Here it is:\n```json\n{"a": 1}\n```')

    with ModelServer(script) as server, usage.meter_usage() as meter:
        model = endpoint(server)
        assert json.loads(model.generate(TALK, schema=SCHEMA).text) == {"a": 1}
        model.generate(TALK, schema=SCHEMA)
    asked = [body.get("response_format", {}).get("type") for body in server.bodies]
    assert asked == ["json_schema", "json_object", None, None]
    assert '"a"' in server.bodies[-1]["messages"][-1]["content"][-1]["text"]
    assert meter.to_dict()["answer_form"] == "words"


@pytest.mark.parametrize("word", ["temperature", "seed", "stream"])
def test_what_a_server_refuses_is_left_out_and_told(word):
    def script(_, body):
        return said(400, f"Unsupported parameter: '{word}'") if word in body else None

    with ModelServer(script) as server, usage.meter_usage() as meter:
        assert endpoint(server).generate(TALK).text == "happiness"
    assert len(server.bodies) == 2
    assert word in meter.to_dict()["left_out"]


def test_servers_that_list_five_tokens_are_asked_for_five():
    def script(_, body):
        if body.get("top_logprobs", 0) > 5:
            return said(400, "Requested sample logprobs of 20, greater than max allowed: 5")
        return None

    with ModelServer(script, probe=lambda body: script(0, body)) as server:
        logs = endpoint(server).score(TALK, ["happiness", "sadness"])
    assert logs[0] == pytest.approx(-0.4)
    assert server.bodies[-1]["top_logprobs"] == 5


@pytest.mark.parametrize(
    "top",
    [
        [("The", -0.3), ("A", -2.0), ("sad", -3.0)],  # an article is no anger
        [("\n", -0.01), (" ", -4.8), ("sad", -7.0)],  # the word would come second
        [("s", -0.1), ("happ", -3.0)],  # begins two labels, and nothing follows
        [("happ", float("nan")), ("sad", -1.0)],
        [("happ", 0.0), ("sad", -9999.0), ("neutral", -9999.0)],  # only what was taken is told
        [("happ", -0.1), ("sad", float("-inf"))],
        [("happ", -0.1)],
    ],
)
def test_lists_that_do_not_tell_the_labels_are_no_scores(top):
    labels = ["anger", "happiness", "sadness", "surprise"]
    with ModelServer(top=lambda _: top) as server, pytest.raises(CannotScoreError):
        endpoint(server).score(TALK, labels)


def test_a_shared_beginning_is_followed_by_its_next_token():
    def top(body):
        if body["messages"][-1]["role"] == "assistant":
            assert body["messages"][-1]["content"] == "s"
            return [("ad", math.log(0.9)), ("urprise", math.log(0.1))]
        return [("s", math.log(0.8)), ("anger", math.log(0.2))]

    with ModelServer(top=top) as server:
        logs = endpoint(server).score(TALK, ["anger", "sadness", "surprise"])
    assert [math.exp(log) for log in logs] == pytest.approx([0.2, 0.72, 0.08])
    assert logs.mass == pytest.approx(1.0)


def test_a_reading_goes_over_to_stated_numbers(tmp_path):
    picture(3, (200, 100)).save(tmp_path / "p.png")
    with ModelServer(top=lambda _: [("The", -0.1), ("A", -3.0)]) as server:
        emotions = agent_of(server).infer(tmp_path / "p.png").people[0].emotions
    assert (emotions.top, emotions.method) == ("fear", "stated")


def test_what_a_server_does_not_tell_is_not_listed():
    top = [("happ", math.log(0.7)), ("sad", math.log(0.2)), ("anger", -9999.0)]
    with ModelServer(top=lambda _: top) as server:
        scores = endpoint(server).score(TALK, ["anger", "happiness", "sadness"])
    assert scores.floored == ("anger",)
    assert [math.exp(log) for log in scores] == pytest.approx([0.2, 0.7, 0.2])  # at most


@pytest.mark.parametrize("most", ["json_schema", "json_object"])
def test_a_scene_told_in_words_or_cut_off_is_read(most, tmp_path):
    """Grammars are refused, or taken and not kept to; the answer is prose, or it breaks off."""
    picture(3, (200, 100)).save(tmp_path / "p.png")

    def script(text, finish):
        def say(_, body):
            asked = body.get("response_format", {})
            if asked.get("type") == "json_schema" and most != "json_schema":
                return said(400, "failed to parse grammar")
            scene = "Look at" in str(body) or '"mood_words"' in json.dumps(asked)
            scene |= "mood_words" in str(body["messages"][-1]["content"])
            return completion(text, finish) if scene else None

        return say

    for text, finish, description, note in (
        ("Two friends talk. They laugh.", "stop", "Two friends talk. They laugh.", "free text"),
        ("Two friends talk. They lau", "length", "Two friends talk.", "free text"),
        ('{"description": "A beach.", "people": 2, "setting": "by th', "length", "A beach.", "cut"),
        ('{"description": "A beach. Two friends lau', "length", "A beach.", "cut"),
        ('```json\n{"description": "A beach.", "hue": "red"}\n```', "stop", "A beach.", None),
    ):
        with ModelServer(script(text, finish)) as server:
            read = agent_of(server).infer(tmp_path / "p.png")
        assert read.scene is not None, read.gaps
        assert read.scene.description == description
        assert read.scene.people is None
        assert read.scene.setting == ("by" if "by th" in text else None)
        notes = [words for words in read.warnings if "the scene" in words]
        assert [note in words for words in notes] == ([True] if note else []), notes


def test_a_refusal_in_words_is_no_scene(tmp_path):
    picture(3, (200, 100)).save(tmp_path / "p.png")
    sorry = "I'm sorry, but I can't help with that."
    with ModelServer(lambda _, body: completion(sorry) if "seed" in body else None) as server:
        read = agent_of(server).infer(tmp_path / "p.png")
    assert read.scene is None
    assert "declined" in next(gap.reason for gap in read.gaps if gap.step == "scene")


def test_thoughts_are_kept_out_and_given_room():
    def think(body):
        if body["max_tokens"] < 500:
            return completion(None, "length", reasoning_content="The user wants")
        return completion("<think>\nIs it joy?\n</think>\n\njoy")

    with ModelServer(lambda _, body: think(body), probe=think) as server:
        model = endpoint(server)
        assert model.generate(TALK, max_new_tokens=20).text == "joy"
    assert not model.info.scores_labels
    assert "it thinks before it answers" in model.info.caveat


def test_a_model_that_can_be_kept_from_thinking_is_scored():
    def probe(body):
        if body.get("chat_template_kwargs") == {"enable_thinking": False}:
            return None
        return completion("<think>")

    with ModelServer(probe=probe) as server:
        model = endpoint(server)
        model.generate(TALK)
    assert model.info.scores_labels
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert "asked not to think" in model.info.caveat


def test_a_server_without_eyes_says_so_at_once():
    blind = said(500, "image input is not supported - hint: provide the mmproj")
    with (
        ModelServer(probe=lambda _: blind) as server,
        pytest.raises(ServerRefusedError, match="takes no pictures: image input is not"),
    ):
        endpoint(server)


def test_no_more_at_once_than_llama_cpp_has_slots():
    with ModelServer(props={"total_slots": 2}) as server:
        assert endpoint(server, Limits(concurrency=8)).batch == 2


def sizes(body: dict) -> list[tuple[int, int]]:
    parts = [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
    data = [part["image_url"]["url"].split(",")[1] for part in parts]
    return [Image.open(io.BytesIO(base64.b64decode(one))).size for one in data]


def test_pictures_are_scaled_and_once_more_where_they_are_too_large():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    big = [user(Image.fromarray(noise), "which emotion?")]
    html = "<html><head><title>413 Request Entity Too Large</title></head></html>"

    def script(_, body):
        return (413, {}, html) if sizes(body)[0][0] > 500 else None

    with ModelServer(script) as server, usage.meter_usage() as meter:
        model = endpoint(server, Limits(picture_pixels=360_000))
        model.generate(big)
        model.generate(big)
    assert [sizes(body)[0] for body in server.bodies] == [(800, 450), (400, 225), (400, 225)]
    told = meter.to_dict()
    assert told["picture_had"] == [1600, 900]
    assert "413" in told["pictures_smaller"]


def test_streams_are_read_and_cut_ones_are_asked_for_again():
    whole = stream({"reasoning_content": "hm"}, {"content": "hap"}, {"content": "piness"})
    answers = [stream({"content": "hap"}, finish=None), whole]
    with ModelServer(lambda n, _: answers[n]) as server:
        told = endpoint(server).generate(TALK)
    assert told.text == "happiness"
    assert len(server.bodies) == 2


def test_an_answer_without_end_is_cut():
    endless = stream(*[{"content": "x" * 100}] * 50, finish=None)
    with ModelServer(lambda *_: endless) as server:
        told = endpoint(server).generate(TALK, max_new_tokens=10)
    assert not told.finished
    assert len(told.text) < 1000
    with (
        ModelServer(lambda *_: completion("x" * (9 << 20))) as server,
        pytest.raises(EndpointError, match="more than 8 MB"),
    ):
        endpoint(server).generate(TALK)


def test_what_cannot_be_unpacked_is_one_sentence():
    with (
        ModelServer(lambda *_: (200, {"content-encoding": "gzip"}, "no gzip")) as server,
        pytest.raises(EndpointError, match="cannot be unpacked"),
    ):
        endpoint(server).generate(TALK)


def test_keys_are_in_no_address_and_in_no_message(monkeypatch):
    with pytest.raises(MllmError) as error:
        models.check_model("http://127.0.0.1/v1?api_key=geheim#m")
    assert "geheim" not in str(error.value)
    monkeypatch.setenv("KULESHOV_API_KEY", "geheim")
    with (
        ModelServer(lambda *_: said(401, "the key geheim is wrong")) as server,
        pytest.raises(ServerRefusedError) as error,
    ):
        endpoint(server).generate(TALK)
    assert "geheim" not in str(error.value)


def test_a_proxy_of_the_environment_is_used_only_where_asked(monkeypatch):
    with ModelServer() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        far = "http://model.invalid/v1#tiny-vl"
        with pytest.raises(EndpointError, match="cannot be reached"):
            EndpointMllm(far, allow_remote=True, limits=Limits(attempts=1))
        asked = EndpointMllm(far, allow_remote=True, limits=Limits(proxy=True))
        assert asked.generate(TALK).text == "happiness"


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>analysis<|message|>She smiles.<|end|><|start|>assistant<|channel|>final"
        "<|message|>A beach.",
        "[THINK]She smiles.[/THINK]A beach.",
        "\u25c1think\u25b7She smiles.\u25c1/think\u25b7A beach.",
        "<seed:think>She smiles.</seed:think>A beach.",
        "<|begin_of_thought|>She smiles.<|end_of_thought|>\n<|begin_of_solution|>A beach."
        "<|end_of_solution|>",
    ],
)
def test_thoughts_in_other_marks_are_kept_out(text):
    told = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    with ModelServer(lambda *_: (200, {}, json.dumps(told))) as server:
        assert endpoint(server).generate(TALK).text == "A beach."


@pytest.mark.parametrize(
    "error",
    [
        {"code": "401", "message": "no"},
        {"code": "insufficient_quota", "message": "no"},
        {"type": "authentication_error", "message": "no"},
        {"status": "PERMISSION_DENIED", "message": "no"},
        {"code": 400, "message": "model_not_supported"},
    ],
)
def test_refusals_of_everything_that_are_named_in_an_answer_with_200(error):
    with (
        ModelServer(lambda *_: (200, {}, json.dumps({"error": error}))) as server,
        pytest.raises(ServerRefusedError),
    ):
        endpoint(server).generate(TALK)


def test_a_log_probability_of_null_is_left_out_of_a_list():
    listed = [{"token": "happiness", "logprob": -0.1}, {"token": "sadness", "logprob": -3.0}]
    assert len(read_list([*listed, {"token": "fear", "logprob": None}])) == 2
