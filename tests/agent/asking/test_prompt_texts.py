"""What each family of prompts is rendered to, whole: a change of wording is a change of results and
shows here. `python tests/agent/asking/test_prompt_texts.py` writes the texts anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

if __name__ == "__main__":  # the folders that pytest's settings name
    sys.path[:0] = [str(Path(__file__).resolve().parents[place]) for place in (2, 3)]

from tiny_models import LLAVA_TEMPLATE, NEXT_TEMPLATE, ONEVISION_TEMPLATE
from tracks import write_clip
from zoo_models import GEMMA, SEEN, chat_ml

from kuleshov import Agent, Settings
from kuleshov.asking.writer import assistant_turn, name_pictures, user_turn
from kuleshov.tools.mllm.base import Conversation, MllmInfo
from kuleshov.tools.mllm.scripted import Call, ScriptedMllm

from parts import NO_FROWN, SMILE, HandFaces, face, scores

TEXTS = Path(__file__).with_name("prompt_texts")
FAMILIES = ("brief", "full", "review")
CASES = ("one person", "five people", "clip", "examples")
PAIRS = [
    (family, case)
    for family in FAMILIES
    for case in CASES
    if (family, case) != ("review", "examples")  # which takes none
]
TEMPLATES = {
    "llava-1.5": LLAVA_TEMPLATE,
    "llava-next": NEXT_TEMPLATE,
    "onevision": ONEVISION_TEMPLATE,
    "qwen-vl": chat_ml(SEEN),
    "gemma": GEMMA,
}
INFO = MllmInfo(id="scripted", kind="scripted", device="cpu", dtype="none", many_images=True)
SCENE = {
    "description": "Friends stand on a beach at dusk.",
    "setting": "beach",
    "activity": "posing",
    "people": "some friends",
    "people_present": True,
    "objects": ["ball"],
    "mood_words": ["calm"],
}
STAGES = ("before", "after", "interpretation", "conclusion", "explanation")
WORDS = "They have just lost the final."


def answer(call: Call) -> str:
    fields = (call.schema or {}).get("properties", {})
    if "cues" in fields:
        told: dict[str, Any] = {"cues": [{"evidence": 1, "text": "a smile"}]}
        return json.dumps({**told, **{name: "A smile." for name in STAGES if name in fields}})
    return json.dumps(SCENE) if "mood_words" in fields else "Friends stand on a beach."


def asked(family: str, case: str, folder: Path) -> list[Conversation]:
    """All that the model is asked in one reading, each conversation once, in the order of their
    texts: people are read side by side."""
    mllm = ScriptedMllm(answer, lambda call: [0.0] * len(call.answers), info=INFO)
    picture = np.full((200, 600, 3), 90, np.uint8)
    given: dict[str, Any] = {"prompts": family, "fusion": "text"}
    smile = scores(happiness=0.8, neutral=0.1)
    count = 5 if case == "five people" else 1
    faces = [
        face(SMILE, NO_FROWN, box=(110 * k, 10, 110 * k + 60, 90), expression=smile)
        for k in range(count)
    ]
    source: Any = picture
    if case == "clip":
        source = write_clip(folder / "clip.mp4", [picture[:96, :128]] * 12)
        given["rate"] = 5
    if case == "examples":
        for name, label, shade in (("a.png", "sadness", 40), ("b.png", "happiness", 200)):
            cv2.imwrite(str(folder / name), np.full((200, 600, 3), shade, np.uint8))
            with (folder / "shots.csv").open("a") as file:
                file.write(f"{name},{label}\n" if file.tell() else f"path,label\n{name},{label}\n")
        given["examples"] = str(folder / "shots.csv")
    Agent(mllm, HandFaces(*faces), Settings.load(**given)).infer(source, context=WORDS)
    found: dict[str, Conversation] = {}
    for call in mllm.calls:
        found.setdefault(as_text(call.conversation), call.conversation)
    return [found[text] for text in sorted(found)]


def as_text(talk: Conversation) -> str:
    lines = []
    for turn in talk:
        lines.append(f"<{turn['role']}>")
        lines += [part.get("text") or f"<{part['type']}>" for part in turn["content"]]
    return "\n".join(lines)


def text_of(family: str, case: str, folder: Path) -> str:
    return "\n\n=====\n\n".join(as_text(talk) for talk in asked(family, case, folder)) + "\n"


def in_templates() -> str:
    """A conversation of every kind of part, by the templates that models come with."""
    from transformers.utils.chat_template_utils import render_jinja_template

    talk = [user_turn("Instructions.", "image", "image", "The question."), assistant_turn("One.")]
    talk[0]["content"][1:3] = [{"type": "image"}, {"type": "image"}]
    talk += [user_turn("The next question.")]
    found = []
    for name, template in TEMPLATES.items():
        (text,), _ = render_jinja_template(
            [talk], chat_template=template, add_generation_prompt=True, bos_token="<s>"
        )
        found.append(f"== {name}\n{text}")
    return "\n\n".join(found) + "\n"


@pytest.mark.parametrize(("family", "case"), PAIRS)
def test_the_whole_text_of_every_question(family: str, case: str, tmp_path: Path) -> None:
    path = TEXTS / f"{family}, {case}.txt"
    assert text_of(family, case, tmp_path) == path.read_text("utf-8")


def test_questions_in_the_templates_of_real_models() -> None:
    assert in_templates() == (TEXTS / "templates.txt").read_text("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_only_pictures_that_are_there_are_named_and_no_tool_or_bare_code(
    case: str, tmp_path: Path
) -> None:
    for talk in asked("full", case, tmp_path):
        for turn in talk:
            pictures = sum(part["type"] in ("image", "video") for part in turn["content"])
            words = "\n".join(part.get("text", "") for part in turn["content"])
            assert "faces:" not in words
            assert "feels" not in words
            for code in ("AU12", "AU4"):
                assert words.count(code) == words.count(f"({code})")
            if "Picture 2" in words:
                assert pictures >= 2


def test_a_sheet_and_a_video_are_named_as_what_they_are() -> None:
    assert "The video is the clip." in name_pictures(["frame"], 1)


if __name__ == "__main__":
    import tempfile

    TEXTS.mkdir(exist_ok=True)
    for family, case in PAIRS:
        with tempfile.TemporaryDirectory() as scratch:
            text = text_of(family, case, Path(scratch))
        (TEXTS / f"{family}, {case}.txt").write_text(text, "utf-8")
    (TEXTS / "templates.txt").write_text(in_templates(), "utf-8")
