"""A transcript longer than the model's context: what fits is shown, and the record says what."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from model_server import ModelServer
from PIL import Image
from tracks import write_clip

from kuleshov import Agent
from kuleshov.apps.cli.main import main
from kuleshov.asking.reading_room import name_lines
from kuleshov.tools.mllm.endpoint import EndpointMllm

from parts import NO_FROWN, SMILE, HandFaces, face

WORDS = "everybody in the room was laughing about it while she said nothing at all and looked " * 4


def test_forty_long_lines_and_a_small_model(feat_data: Path, tmp_path: Path, capsys) -> None:
    photo = Image.open(feat_data / "single_face.jpg").convert("RGB").resize((240, 320))
    clip = write_clip(tmp_path / "c.mp4", [np.asarray(photo)] * 41, rate=1)
    lines = [
        f"{k + 1}\n00:00:{k:02d},000 --> 00:00:{k + 1:02d},000\nline {k + 1}: {WORDS}\n"
        for k in range(40)
    ]
    (tmp_path / "talk.srt").write_text("\n".join(lines))
    call = ["infer", str(clip), "--transcript", str(tmp_path / "talk.srt"), "--json"]
    assert main([*call, "--model", "pocket", "--faces", "pocket"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["gaps"] == []
    (person,) = told["people"]
    assert all(one["emotions"] for one in person["judgements"])
    (warning,) = (text for text in told["warnings"] if "lines that were said" in text)
    named = re.search(r"2,048 tokens.*lines ([\d, ]+) were shown", warning)
    shown = [e["text"] for e in told["evidence"] if e["kind"] == "transcript"]
    assert named
    assert [re.search(r"line (\d+)", text)[1] for text in shown] == named[1].split(", ")
    assert 2 <= len(shown) < 40
    assert [e["n"] for e in told["evidence"]] == list(range(1, len(told["evidence"]) + 1))
    assert len(told["transcript"]) == 40


@pytest.mark.parametrize("length", [6000, 100_000, None])
def test_a_servers_own_length(length: int | None) -> None:
    props = {"total_slots": 1, "default_generation_settings": {"n_ctx": length}}
    said = [f"line {k + 1}: {WORDS}" for k in range(40)]
    with ModelServer(props=props) as server:
        agent = Agent(EndpointMllm(server.url), HandFaces(face(SMILE, NO_FROWN)))
        read = agent.infer(np.full((100, 100, 3), 90, np.uint8), said=said)
        asked = json.dumps(server.bodies)
    cut = [text for text in read.warnings if "lines that were said" in text]
    assert bool(cut) == (length == 6000)
    assert ("line 1: " in asked, "line 2: " in asked) == (True, length != 6000)


def test_lines_are_named_by_their_numbers() -> None:
    assert name_lines([0, 1, 3], [(1, 20), (21, 40), (41, 60), (61, 61)]) == "1-40, 61"
