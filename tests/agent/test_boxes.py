"""Boxes that people give: looked at in one place, wherever they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from test_agent import PICTURE, agent, script
from test_clip import moving, scripted

from kuleshov.evidence import people
from kuleshov.tools.errors import KuleshovError

INSIDE = (10, 10, 60, 70)


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((1, 2, 3), "is not four numbers"),
        ("left", "is not four numbers"),
        (5, "is not four numbers"),
        ((10**400, 1, 2, 3), "is not four numbers"),
        ((float("nan"), 0, 5, 5), "is not four finite numbers"),
        ((0, 0, float("inf"), 5), "is not four finite numbers"),
        ((60, 10, 10, 70), "is not x0 < x1, y0 < y1"),
        ((10, 70, 60, 70), "is not x0 < x1, y0 < y1"),
        ((5000, 5000, 6000, 6000), r"box 2, .* lies outside the picture, which has 200 × 100"),
        ((-50, 10, 0, 70), "lies outside the picture"),
        ((200, 10, 260, 70), "lies outside the picture"),
    ],
)
def test_a_box_that_is_none_is_one_sentence_before_anything_is_asked(box, told):
    mllm = script()
    for read in ("infer", "code"):
        with pytest.raises(KuleshovError, match=told) as error:
            getattr(agent(mllm, scheme="default"), read)(PICTURE, boxes=[INSIDE, box])
        assert len(str(error.value)) < 200
    assert mllm.calls == []


def test_what_reaches_outside_is_cut_off_and_said():
    read = agent().infer(PICTURE, boxes=[(-20, -5, 60, 4000), (150, 50, 210, 90)])
    assert [person.box_xyxy for person in read.people] == [INSIDE, (150, 50, 200, 90)]
    told = [text for text in read.warnings if "reaches outside" in text]
    assert told == [
        "box 1, (-20, -5, 60, 4000), reaches outside the picture of 200 × 100 pixels: read as "
        "(0, 0, 60, 100)",
        "box 2, (150, 50, 210, 90), reaches outside the picture of 200 × 100 pixels: read as "
        "(150, 50, 200, 90)",
    ]


def test_of_a_clip_boxes_are_held_against_its_frames(tmp_path: Path):
    made, mllm = scripted()
    with pytest.raises(KuleshovError, match="lies outside the picture, which has 96 × 64"):
        made.infer(moving(tmp_path), boxes=[(100, 0, 120, 60)])
    assert mllm.calls == []
    read = made.infer(moving(tmp_path), boxes=[(0, 0, 96, 90)])
    assert any("reaches outside" in text for text in read.warnings)


def test_so_many_people_can_be_named_and_no_more():
    boxes = [INSIDE] * people.MOST_BOXES
    assert len(people.check_boxes(boxes, (200, 100))[0]) == people.MOST_BOXES
    with pytest.raises(KuleshovError, match="101 boxes were given; at most 100"):
        agent().infer(PICTURE, boxes=[INSIDE, *boxes])
    assert people.check_boxes(None) == ([], [])


def test_one_bad_box_is_one_failure_of_a_run(tmp_path: Path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(
        "path,id,box\na.png,in,10 10 60 70\na.png,out,5000 5000 6000 6000\n"
    )
    ended = agent().annotate(tmp_path / "list.csv", tmp_path / "run")
    assert (ended.done, ended.failed) == (1, 1)
    (line,) = (tmp_path / "run" / "failures.jsonl").read_text("utf-8").splitlines()
    assert "lies outside the picture" in json.loads(line)["reason"]


# ------------------------------------------------------------------------------- the server

pytest.importorskip("fastapi", reason="the extra web is not installed")
import httpx  # noqa: E402
from test_web import Gate, png, post, soon  # noqa: E402
from test_web import agent as served  # noqa: E402
from web_parts import running  # noqa: E402


def test_one_request_cannot_name_a_crowd_or_a_picture_without_end():
    with (
        running(served(), max_people=3, max_pixels=50_000) as server,
        httpx.Client(base_url=server.url, timeout=120) as client,
    ):
        for boxes, told in (
            ([[1, 1, 9, 9]] * 4, "4 boxes were given; at most 3 people are read in one"),
            ([[1, 1, 9, 9]] * 50_000, "50,000 boxes were given"),
            ([[9, 1, 1, 9]], "is not x0 < x1"),
            ([[900, 900, 910, 910]], "lies outside the picture"),
        ):
            answer = post(client, boxes=json.dumps(boxes))
            assert (answer.status_code, told in answer.text) == (400, True), answer.text
        answer = post(client, boxes="[[NaN, 1, 2, 3]]")
        assert (answer.status_code, "finite" in answer.text) == (400, True)
        huge = post(client, png(size=(300, 200)))
        assert (huge.status_code, "0.1 megapixels" in huge.text) == (400, True)
        whole = post(client).json()
        assert whole["provenance"]["settings"]["max_people"] == 3


def test_a_reading_that_takes_too_long_is_stopped():
    gate = Gate()
    with (
        running(served(gate.mllm), longest_s=0.2) as server,
        httpx.Client(base_url=server.url, timeout=120) as client,
    ):
        url = post(client, wait=False).json()["url"]
        assert gate.asked.wait(120)
        job = soon(lambda: server.house.line._running)
        soon(job.stop.is_set)
        calls = len(gate.mllm.calls)
        gate.free.set()
        told = soon(lambda: (s := client.get(url).json())["state"] == "failed" and s)
        assert "longer than the 0.00333 minutes" in told["error"]
        assert len(gate.mllm.calls) == calls  # nothing more was asked
        assert server.uploads == []


def test_a_cancelled_job_asks_nothing_more():
    gate = Gate()
    with (
        running(served(gate.mllm)) as server,
        httpx.Client(base_url=server.url, timeout=120) as client,
    ):
        url = post(client, wait=False).json()["url"]
        assert gate.asked.wait(120)
        client.delete(url)
        calls = len(gate.mllm.calls)
        gate.free.set()
        soon(lambda: not server.house.line.busy)
        assert len(gate.mllm.calls) == calls
