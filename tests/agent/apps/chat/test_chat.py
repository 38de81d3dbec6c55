"""The chat: whole transcripts, memory, Ctrl-C, and a real terminal."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pexpect
import pytest
from PIL import Image
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from rich.console import Console

from kuleshov import Agent
from kuleshov.apps.chat import inline
from kuleshov.apps.chat.chat import Chat
from kuleshov.apps.chat.conversations import Memory
from kuleshov.apps.chat.printer import Written
from kuleshov.apps.chat.prompt import SlashCompleter
from kuleshov.apps.cli.main import main
from kuleshov.settings import Settings
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm.scripted import ScriptedMllm

from parts import NO_FROWN, SMILE, HandFaces, face

SCENE = {
    "description": "A kitchen.",
    "setting": "kitchen",
    "activity": "cooking",
    "people": "one",
    "people_present": True,
    "objects": [],
    "mood_words": [],
}
JUDGED = {
    "cues": [{"evidence": 2, "text": "a smile"}],
    "before": "",
    "after": "",
    "interpretation": "She smiles.",
    "conclusion": "Joy.",
}


def agent_that(says) -> Agent:
    """An agent whose scripted model answers questions by `says(call)`; a funeral saddens it."""

    def answers(call):
        if call.schema is None:
            return says(call)
        return json.dumps(SCENE if "people_present" in call.schema["properties"] else JUDGED)

    def scores(call):
        parts = [part for turn in call.conversation for part in turn["content"]]
        told = " ".join(part.get("text", "") for part in parts)
        mood = "sadness" if "funeral" in told else "happiness"
        return {label: -1.0 if label == mood else -4.0 for label in call.answers}

    faces = HandFaces(face(SMILE, NO_FROWN))
    settings = Settings(model="scripted", faces="hand", fusion="text", prior_correction=False)
    return Agent(ScriptedMllm(answers, scores), faces, settings)


def chat_with(agent: Agent, **more) -> Chat:
    return Chat(agent, Console(file=io.StringIO(), width=80), **more)


def printed(chat: Chat) -> str:
    """What was printed since the last call."""
    text = chat.console.file.getvalue()
    chat.console.file.seek(0)
    chat.console.file.truncate()
    return text


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(np.full((80, 120, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


TRANSCRIPT = """\
photo.png
=========
120 × 80 px · PNG · 1 person

Scene
  A kitchen.

Person 1: happiness 77%
  happiness  77%  ###############################
  anger       4%  ##
  disgust     4%  ##
  fear        4%  ##
  sadness     4%  ##
  surprise    4%  ##
  neutral     4%  ##
  based on  the model's reading of face and context together
  She smiles. Joy. [2]

Warnings
  - scripted answers: no model looked at anything

Ask anything, suppose (what if …), or /help.

She smiles [2]. [2JThere is no frown [3], but a broad frown [3]. Rain [77].
  confirmed     [2] She smiles
  confirmed     [3] [2JThere is no frown
  contradicted  [3] a broad frown
  [77]: there is no such evidence


Supposed: this is a funeral

  Person 1  happiness → sadness, 0.59 bit apart
               before  supposed
    happiness     77%        4%    −73  #
    sadness        4%       77%    +73  #######################
    anger          4%        4%      =  #
    disgust        4%        4%      =  #
    fear           4%        4%      =  #
    surprise       4%        4%      =  #
    neutral        4%        4%      =  #


Supposed: since the first reading: this is a funeral

  Person 1  happiness → sadness, 0.59 bit apart
               before  supposed
    happiness     77%        4%    −73  #
    sadness        4%       77%    +73  #######################
    anger          4%        4%      =  #
    disgust        4%        4%      =  #
    fear           4%        4%      =  #
    surprise       4%        4%      =  #
    neutral        4%        4%      =  #

Taken back (what if): this is a funeral


Person 1

  Action units  probability that it is shown, 0–1
    AU12  lip corner puller  very probable  0.93
    not shown       AU4
    could not tell  AU1, AU15
    not measured    AU2, AU5, AU6, AU7, AU9, AU10, AU11, AU13, AU14, AU16, AU17,
                    AU18, AU20, AU22, AU23, AU24, AU25, AU26, AU27, AU28, AU43,
                    AU45

kuleshov: there is no command /persn (did you mean person?); /help lists them.

kuleshov: there is no person 2 in this reading, only 1.


Person 1: happiness 77%
  happiness  77%  ###############################
  anger       4%  ##
  disgust     4%  ##
  fear        4%  ##
  sadness     4%  ##
  surprise    4%  ##
  neutral     4%  ##
  based on  the model's reading of face and context together
  She smiles. Joy. [2]

kuleshov: say what you know of the situation.

kuleshov: there is no label set 'ekman-9' (did you mean ekman-8?); shipped:
academic-5, cowen-keltner-28, du-compound-22, ekman-6, ekman-7, ekman-8,
emotic-26, free, goemotions-27, pain-4, plutchik-8; or give the path of a .toml
file.

kuleshov: say which: /open PATH

kuleshov: no examples are shown.

kuleshov: /scene takes nothing after it.

"""


def test_a_whole_transcript(photo):
    says = "She smiles [2]. \x1b[2JThere is no frown [3], but a broad frown [3]. Rain [77]."
    chat = chat_with(agent_that(lambda call: says))
    chat.open(str(photo))
    for line in (
        "why happiness and not fear?",
        "what if this were a funeral?",
        "/compare",
        "/undo",
        "/units",
        "/persn 2",
        "/person 2",
        "look only at person 1",
        "/context",
        "/labels ekman-9",
        "/open",
        "/examples off",
        "/scene now",
    ):
        chat.line(line)
    assert printed(chat) == TRANSCRIPT
    assert chat.failed == 7


def test_without_a_picture_each_command_says_so(tmp_path):
    chat = chat_with(agent_that(str))
    for line in ("why?", "/units", "/scene", "/context x", "/save", "/undo", "/person", "/compare"):
        chat.line(line)
        assert printed(chat) == "kuleshov: no picture is open: /open PATH\n\n"
    chat.line("/help")
    told = printed(chat)
    assert all(f"/{name}" in told for name in ("open PATH", "influence", "quit"))
    chat.line("/quit")
    assert chat.over


def test_a_failing_model_ends_a_turn_not_the_chat(photo):
    def broken(call):
        raise RuntimeError("CUDA out of memory")

    chat = chat_with(agent_that(broken))
    chat.open(str(photo))
    printed(chat)
    chat.line("why?")
    told = printed(chat)
    assert told == "kuleshov: this turn failed (RuntimeError: CUDA out of memory).\n\n"
    chat.line("/units")
    assert "lip corner puller" in printed(chat)


def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(photo):
    def endless(call):
        os.kill(os.getpid(), signal.SIGINT)
        return "word " * 5000

    chat = chat_with(agent_that(endless))
    chat.open(str(photo))
    printed(chat)
    chat.line("why?")
    assert printed(chat).endswith("  (stopped by the user)\n\n")
    assert not chat.session.steps[-1].answer.finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    chat.line("/person 1")
    assert "Person 1: happiness" in printed(chat)


def test_ctrl_c_takes_a_what_if_back(photo):
    agent = agent_that(str)
    chat = chat_with(agent)
    chat.open(str(photo))
    before = chat.session.current
    printed(chat)
    scripted = agent.crew.mllm._answers

    def interrupted(call):
        os.kill(os.getpid(), signal.SIGINT)
        return scripted(call)

    agent.crew.mllm._answers = interrupted
    chat.line("what if this were a funeral?")
    assert printed(chat) == "kuleshov: stopped; the conversation stays as it was.\n\n"
    assert chat.session.current == before
    agent.crew.mllm._answers = scripted
    chat.line("what if this were a funeral?")
    assert "happiness → sadness" in printed(chat)


def words_of(call) -> str:
    """All that the model is told."""
    parts = [part for turn in call.conversation for part in turn["content"]]
    return " ".join(part.get("text", "") for part in parts)


def interrupted_while(chat: Chat, line: str) -> None:
    """Say the line, and press Ctrl-C as soon as the model is asked."""
    mllm = chat.agent.crew.mllm
    before = mllm._answers

    def interrupted(call):
        os.kill(os.getpid(), signal.SIGINT)
        return before(call)

    mllm._answers = interrupted
    chat.line(line)
    mllm._answers = before


@pytest.mark.parametrize(
    "turns",
    [
        ["what if this were a funeral?", "/undo"],
        ["/context It is a funeral.", "/undo"],
        ["what if this were a funeral?", "what if this were a party?", "/undo", "/undo"],
        ["/labels ekman-6", "what if this were a funeral?", "/undo", "/undo"],
        ["Ctrl-C: what if this were a funeral?"],
        ["Ctrl-C: /context It is a funeral."],
        ["what if this were a party?", "Ctrl-C: what if this were a funeral?", "/undo"],
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_turn_that_does_not_stand_leaves_nothing_behind(turns, resumed, photo, tmp_path):
    heard: list[str] = []

    def says(call):
        heard.append(words_of(call))
        return "A smile [2], and a funeral [4]."

    agent = agent_that(says)
    plain = chat_with(agent)
    plain.open(str(photo))
    plain.line("why?")
    memory = Memory(tmp_path / "kept")
    chat = chat_with(agent, memory=memory)
    chat.open(str(photo))
    for turn in turns:
        if turn.startswith("Ctrl-C: "):
            interrupted_while(chat, turn.removeprefix("Ctrl-C: "))
        else:
            chat.line(turn)
    if resumed:
        memory.keep(chat.id, str(photo), "photo.png", chat.session.plain())
        chat = chat_with(agent)
        chat.resume(memory.find("1"))
    chat.line("why?")
    assert heard[1] == heard[0]
    assert "funeral" not in heard[0]
    known = {item.n for item in chat.session.current.evidence}
    answers = [one.session.steps[-1].answer for one in (plain, chat)]
    assert answers[1].cues == answers[0].cues
    assert answers[1].unknown == answers[0].unknown == tuple({2, 4} - known)
    assert chat.session.current.people == plain.session.current.people
    assert chat.session.agent.settings == agent.settings
    memory.close()


def test_undo_goes_on_in_another_run(photo, tmp_path):
    heard: list[str] = []
    agent = agent_that(lambda call: heard.append(words_of(call)) or "So it is.")
    memory = Memory(tmp_path / "kept")
    first = chat_with(agent, memory=memory)
    first.open(str(photo))
    first.line("why?")
    first.line("what if this were a funeral?")
    first.line("/labels ekman-6")
    calls = len(agent.crew.mllm.calls)
    second = chat_with(agent, memory=memory)
    second.resume(memory.find("1"))
    assert len(agent.crew.mllm.calls) == calls  # nothing is read again
    assert second.session.agent.settings.labels == "ekman-6"
    second.line("why sadness?")
    assert "funeral" in heard[-1]
    for _ in range(3):
        second.line("/undo")
    assert second.session.agent.settings.labels == "ekman-7"
    assert second.session.current == second.session.readings[0]
    second.line("/undo")
    second.line("why?")
    assert heard[-1] == heard[0]
    memory.close()


def test_a_conversation_of_an_earlier_version_is_looked_at_again(photo, tmp_path):
    agent = agent_that(lambda call: "So it is.")
    first = chat_with(agent)
    first.open(str(photo))
    first.line("what if this were a funeral?")
    kept = first.session.plain()
    old = {name: kept[name] for name in kept if name not in ("looked", "before", "at", "turns")}
    memory = Memory(tmp_path / "kept")
    memory.keep("1", str(photo), "photo.png", old)
    second = chat_with(agent)
    second.resume(memory.find("1"))
    assert second.session.current == first.session.current
    second.line("why?")
    assert second.session.steps[-1].answer.text == "So it is."
    memory.close()


def test_examples_off_is_off_whatever_the_environment_says(photo, tmp_path, monkeypatch):
    for label in ("anger", "happiness"):
        (tmp_path / "shots" / label).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "shots" / label)
    agent = agent_that(str).with_settings(examples=str(tmp_path / "shots"))
    monkeypatch.setenv("KULESHOV_EXAMPLES", str(tmp_path / "shots"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kuleshov.toml").write_text('examples = "shots"\nseed = 5\n')
    chat = chat_with(agent)
    chat.open(str(photo))
    assert len(chat.session.current.people[0].examples) == 2
    chat.line("/examples off")
    now = chat.session.current
    assert now.people[0].examples == ()
    assert (now.provenance.examples, now.provenance.settings["examples"]) == (None, None)
    assert now.provenance.settings["seed"] == 0
    chat.line("/undo")
    assert chat.session.agent.settings.examples == str(tmp_path / "shots")


# --------------------------------------------------------------------------------- the real models


@pytest.fixture(scope="module")
def pocket() -> Agent:
    return Agent.load(model="pocket", faces="pocket")


def test_kept_it_goes_on_in_another_run(pocket, feat_data, tmp_path):
    path = tmp_path / "anger.jpg"
    shutil.copy(feat_data / "15-f13-anc-ph.jpg", path)
    memory = Memory(tmp_path / "kept")
    first = chat_with(pocket, memory=memory)
    first.open(str(path))
    first.line("why anger and not sadness?")
    first.line("what if this were a funeral?")
    assert "cannot chat" in " ".join(printed(first).split())
    memory.close()

    again = Memory(tmp_path / "kept")
    (kept,) = again.listing()
    assert (kept.path, kept.title) == (str(path), "anger.jpg")
    assert len(list(again.saver.list(None))) == 1  # no state but the last is kept
    second = chat_with(pocket, memory=again)
    second.resume(again.find("1"))
    told = printed(second)
    assert "> what if: this is a funeral" in told
    assert second.session.current == first.session.current
    second.line("/context She has lost her keys.")
    assert again.find(kept.id).session["steps"][-1]["asked"] == "She has lost her keys."
    assert len(again.listing()) == 1

    path.unlink()
    third = chat_with(pocket, memory=again)
    third.resume(again.find("1"))
    assert "anger.jpg" in printed(third).replace("\n", "")  # a long path is wrapped
    assert third.failed == 1
    assert third.session is None
    with pytest.raises(KuleshovError, match="no conversation '2'"):
        again.find("2")
    again.forget(kept.id)
    assert again.listing() == []
    again.close()
    assert (tmp_path / "kept" / "conversations.sqlite").stat().st_mode & 0o077 == 0


def test_a_real_llava_streams_its_answer(tiny_llava, photo):
    """Random weights: what it says means nothing, that it is asked and heard does."""
    folder = tiny_llava("llava_onevision", max_position_embeddings=16384)
    agent = Agent.load(model=str(folder), faces="pocket", device="cpu", max_new_tokens=16)
    chat = chat_with(agent)
    chat.open(str(photo))
    tower = agent.crew.mllm.model.model.vision_tower
    seen = []
    hook = tower.register_forward_hook(lambda *_: seen.append(1))
    chat.line("why?")
    chat.line("and why not fear?")
    hook.remove()
    first, second = (step.answer for step in chat.session.steps[-2:])
    assert first.by == second.by == "mllm"
    assert not seen  # the picture's prefilled state served both questions
    assert "cut off after 16 tokens" in printed(chat)


def test_piped_lines_make_a_transcript(feat_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KULESHOV_DATA", str(tmp_path / "kept"))
    options = ["--model", "pocket", "--faces", "pocket"]
    chat = ["chat", str(feat_data / "15-f13-anc-ph.jpg"), *options]
    lines = "what if \\\nthis were a funeral?\n\n/save " + str(tmp_path / "out") + "\n/quit\nwhy?\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert main([*chat, "--private"]) == 0
    told = capsys.readouterr().out
    assert "> what if this were a funeral?\n\nSupposed: this is a funeral" in told
    assert "\x1b" not in told
    assert "why?" not in told
    assert json.loads((tmp_path / "out" / "inference.json").read_text())["people"]
    assert not (tmp_path / "kept").exists()

    monkeypatch.setattr(sys, "stdin", io.StringIO("/nothing\n"))
    assert main(chat) == 1
    assert "there is no command /nothing" in capsys.readouterr().out
    assert main(["chat", "--resume"]) == 0
    assert re.match(r"  1  [-0-9]+ [:0-9]+  15-f13-anc-ph.jpg, 0 turns\n", capsys.readouterr().out)
    assert main(["chat", "--resume", "1", "--private"]) == 2
    assert "--resume goes with neither" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KULESHOV_DATA", str(tmp_path / "file" / "inside"))
    assert main(chat) == 2
    assert "choose another folder with KULESHOV_DATA" in capsys.readouterr().err


def test_in_a_real_terminal(feat_data, tmp_path):
    env = {**os.environ, "KULESHOV_DATA": str(tmp_path), "TERM": "xterm", "HF_HUB_OFFLINE": "1"}
    env["PROMPT_TOOLKIT_NO_CPR"] = "1"  # this terminal does not say where its cursor is
    command = str(Path(sys.executable).parent / "kuleshov")
    options = ["--model", "pocket", "--faces", "pocket"]
    photo = str(feat_data / "15-f13-anc-ph.jpg")
    child = pexpect.spawn(
        command, ["chat", photo, *options], env=env, timeout=240, dimensions=(40, 90)
    )
    child.expect("jpg>")
    assert b"Person 1" in child.before
    child.send("/un\t")  # completed; only /undo and /units begin so
    child.expect("/un")
    child.send("its\r")
    child.expect("Action units")
    child.send("what if this\x1b\rwere a funeral?\r")
    child.expect("Supposed")
    child.expect(", supposed>")
    child.send("rubbish\x03")
    child.expect("/quit or Ctrl-D leaves")
    child.send("\x1b[A\x03")  # a line of the history, then not sent
    child.expect("were a funeral")
    child.close(force=True)  # the terminal is gone
    (kept,) = Memory(tmp_path).listing()
    assert kept.session["steps"][-1]["kind"] == "what_if"

    child = pexpect.spawn(command, ["chat", "--resume", *options], env=env, timeout=240)
    child.expect("Which one")
    child.send("1\r")
    child.expect(", supposed>")
    child.send("\x04")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


# --------------------------------------------------------------------------------- its small parts


def test_words_are_broken_at_the_width_and_cannot_move_the_cursor():
    console = Console(file=io.StringIO(), width=30)
    written = Written(console)
    for piece in (
        "One two thr",
        "ee four five six seven",
        " eight\n",
        "\x1b[2J\u202enine  ",
        "ten ",
    ):
        written.add(piece)
    written.end()
    assert console.file.getvalue() == ("One two three four five six\nseven eight\n[2Jnine ten\n")


def test_completion(photo):
    chat = chat_with(agent_that(str))
    chat.open(str(photo))

    def offered(text):
        found = SlashCompleter(chat).get_completions(Document(text), CompleteEvent())
        return [completion.text for completion in found]

    assert offered("/un") == ["/units", "/undo"]
    assert "ekman-8" in offered("/labels ek")
    assert offered("/person ") == ["1", "all"]
    assert offered(f"/open {photo.parent}/pho") == ["to.png"]
    assert offered("why") == []


@pytest.mark.parametrize(
    ("environ", "how"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "1"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "foot"}, "sixel"),
        ({}, None),
    ],
)
def test_which_terminals_draw(environ, how):
    assert inline.find_protocol(environ) == how


def test_sixel_draws_every_dot_once():
    picture = np.zeros((32, 480, 3), np.uint8)
    picture[:, 240:] = (255, 0, 0)
    drawn = inline.encode_picture(inline.draw_png(picture), "sixel", 60)
    head, _, data = drawn.partition("#")
    assert head == '\x1bPq"1;1;480;32'
    assert data.endswith("\x1b\\\n")
    colours: dict[int, tuple[int, ...]] = {}
    dots = np.full((36, 480), -1)
    for top, band in enumerate(f"#{data}".removesuffix("\x1b\\\n").split("-")[:-1]):
        for row in band.split("$")[:-1]:
            for number, levels in re.findall(r"#(\d+);2;(\d+;\d+;\d+)", row):
                colours[int(number)] = tuple(map(int, levels.split(";")))
            match = re.search(r"#(\d+)((?:!\d+)?[?-~].*)$", row)
            x = 0
            for count, sign in re.findall(r"(?:!(\d+))?([?-~])", match[2]):
                for _ in range(int(count or 1)):
                    for bit in range(6):
                        if (ord(sign) - 63) >> bit & 1:
                            assert dots[6 * top + bit, x] == -1
                            dots[6 * top + bit, x] = int(match[1])
                    x += 1
    assert (dots[:32] >= 0).all()
    assert (dots[32:] == -1).all()
    assert colours[dots[5, 100]] == (0, 0, 0)
    assert colours[dots[31, 400]] == (100, 0, 0)


@pytest.mark.parametrize("how", ["kitty", "iterm"])
def test_a_picture_in_the_terminal_is_the_png(how):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (90, 1200, 3), np.uint8)
    person = SimpleNamespace(id=1, box_xyxy=(300.0, 30.0, 600.0, 60.0))
    png = inline.draw_png(picture, [person])
    image = Image.open(io.BytesIO(png))
    assert image.size == (800, 60)
    assert image.getpixel((200, 30)) == (255, 0, 0)  # the box's left edge
    drawn = inline.encode_picture(png, how, 60)
    if how == "iterm":
        data = drawn.partition(":")[2].removesuffix("\a\n")
    else:
        parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", drawn)
        assert [keys.endswith("m=1") for keys, _ in parts] == [True] * (len(parts) - 1) + [False]
        assert all(len(part) <= 4096 for _, part in parts)
        data = "".join(part for _, part in parts)
    assert base64.b64decode(data) == png
    chat = chat_with(agent_that(str), picture=how)
    assert chat.picture == how


def test_another_picture_is_read_beside_this_one_and_this_one_stays(photo, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(np.full((60, 60, 3), 200, np.uint8)).save(other)
    chat = chat_with(agent_that(str))
    chat.open(str(photo))
    printed(chat)
    chat.line(f"/compare {other}")
    told = printed(chat)
    assert "photo.png → other.png" in told
    assert "Person 1" in told
    chat.line(f"/compare {tmp_path / 'nowhere.png'}")
    assert "nowhere.png" in printed(chat).replace("\n", "")  # a long path is wrapped
    assert chat.session.current.media.path.endswith("photo.png")
    assert len(chat.session.steps) == 1
