"""Speech recognition: a real Whisper with tiny random weights on clips with a sound track.

Random weights write nonsense, so what tokens come to is tested with known tokens.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracks import write_clip

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.output import view
from kuleshov.tools import doctor, mllm, speech
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.sound import RATE, NoSoundError, open_sound
from kuleshov.tools.media.transcript import Cue
from kuleshov.tools.mllm import MllmError, ScriptedMllm, hardware
from kuleshov.tools.speech import SpeechError, whisper
from kuleshov.tools.speech.windows import SpokenLine, Windows, pause_before, window_lines

from parts import HandFaces, face, scores


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_whisper

    return tiny_whisper.build(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def recogniser(folder: Path) -> Any:
    return speech.load_recogniser(str(folder), device="cpu", dtype="float32")


def test_a_small_one_computes_in_float32(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hardware, "_cpu_has_bfloat16", lambda: True)
    assert speech.load_recogniser(str(folder), device="cpu").info.dtype == "float32"
    monkeypatch.setattr(hardware, "EXACT_PARAMETERS", 1)
    assert speech.load_recogniser(str(folder), device="cpu").info.dtype == "bfloat16"


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def with_sound(
    path: Path,
    samples: np.ndarray,
    *,
    rate: int = RATE,
    begin_s: float = 0.0,
    video_s: float | None = None,
    codec: str = "aac",
) -> Path:
    """A clip of a still, 5 frames a second, with a mono sound track that begins at `begin_s`."""
    from fractions import Fraction

    import av

    length = video_s or len(samples) / rate
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream(codec, rate=rate)
        audio.layout = "mono"
        picture = np.full((64, 64, 3), 90, np.uint8)
        for _ in range(round(5 * length)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        for at in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], "fltp", "mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = at + round(begin_s * rate)
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


# ------------------------------------------------------------------- from tokens to lines

ZERO = 1000  # the token of 0 s; one more is 0.02 s


def at(seconds: float) -> int:
    return ZERO + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "length_s", "found", "step_s"),
    [
        # two whole lines and silence behind them
        (
            [at(0), 1, 2, at(2.4), at(2.4), 3, at(5)],
            30.0,
            [(0, 2.4, (1, 2)), (2.4, 5, (3,))],
            30.0,
        ),
        # a second timestamp after the end: what follows was cut off and is heard again
        ([at(1), 1, at(20), at(20)], 30.0, [(1, 20, (1,))], 20.0),
        ([at(1), 1, at(20), at(21), 7, 8], 30.0, [(1, 20, (1,))], 21.0),
        # one line from end to end
        ([at(0), 1, 2], 30.0, [(0, 30, (1, 2))], 30.0),
        # words without any timestamp
        ([1, 2], 12.0, [(0, 12, (1, 2))], 12.0),
        # a step too small to be one: the rest is taken as it is
        ([at(0), 1, at(0.5), at(0.5), 2], 30.0, [(0, 0.5, (1,)), (0.5, 30, (2,))], 30.0),
        # in the padding behind 4 s of sound nobody said anything
        ([at(0), 1, at(6), at(6), 2, at(29)], 4.0, [(0, 4, (1,))], 4.0),
        ([at(3), at(28)], 30.0, [], 30.0),
        ([], 30.0, [], 30.0),
    ],
)
def test_tokens_come_to_lines_and_the_place_to_go_on(
    tokens: list[int], length_s: float, found: list[tuple[Any, ...]], step_s: float
) -> None:
    read = window_lines(tokens, first_timestamp=ZERO, tick_s=0.02, length_s=length_s)
    assert read == ([SpokenLine(*line) for line in found], step_s)


def test_windows_hold_no_more_than_they_must() -> None:
    pieces = (np.full(7, k, np.float32) for k in range(100))
    windows, seen = Windows(pieces, 20), []
    while len(window := windows.window()):
        assert len(windows._held) < 20 + 7
        assert window[0] == windows.at // 7
        seen.append(len(window))
        windows.move(min(15, len(window)))
    assert windows.at == 700
    assert seen == [20] * 46 + [10]


def scripted(recogniser: Any, answers: list[tuple[list[int], float, float, str]]) -> Any:
    """The recogniser with the model's answers to its windows given."""
    model = whisper.Whisper(recogniser.model, recogniser.processor, recogniser.info)
    left = iter(answers)
    model._asked = lambda samples, language: next(left)  # type: ignore[method-assign]
    return model


def written(recogniser: Any, *parts: Any) -> list[int]:
    """Seconds become timestamps, texts their tokens."""
    words = recogniser.processor.tokenizer
    tokens: list[int] = []
    for part in parts:
        if isinstance(part, str):
            tokens += words(part, add_special_tokens=False).input_ids
        else:
            tokens.append(words.convert_tokens_to_ids(f"<|{part:.2f}|>"))
    return tokens


def test_times_beyond_the_first_window_count_from_the_clips_start(recogniser: Any) -> None:
    first = written(recogniser, 0.0, " hello", 2.0, 2.0, " good bye", 25.0, 25.0)
    second = written(recogniser, 1.0, " we want", 4.0)
    heard = scripted(recogniser, [(first, -0.2, 0.0, "de"), (second, -0.2, 0.0, "fr")]).hear(
        iter([noise(5)] * 8), start_s=100.0
    )
    assert heard.cues == [
        Cue(start_s=100.0, end_s=102.0, text="hello"),
        Cue(start_s=102.0, end_s=125.0, text="good bye"),
        Cue(start_s=126.0, end_s=129.0, text="we want"),  # the second window began at 125 s
    ]
    assert heard.until_s == 140.0


def faint(seconds: float, level: float) -> np.ndarray:
    return noise(seconds, 9) * np.float32(level / 0.1)


@pytest.mark.parametrize("level", [0.0, 2e-4, 3e-3])  # silence, a codec's, a room's
def test_the_first_line_begins_where_the_sound_does(recogniser: Any, level: float) -> None:
    said = written(recogniser, 0.0, " hello", 2.0)
    sound = [faint(6, level), noise(3), faint(28, level), noise(2)]
    model = scripted(recogniser, [(said, -0.1, 0.0, "en"), (said, -0.1, 0.0, "en")])
    heard = model.hear(iter(sound), start_s=10.0)
    first = heard.cues[0]
    assert first.start_s == pytest.approx(15.8, abs=0.05)  # 0.2 s before it
    assert first.end_s == pytest.approx(17.8, abs=0.05)
    assert heard.quiet[0] == (10.0, first.start_s)
    # the second window began in the pause
    assert heard.cues[1].start_s == pytest.approx(10 + 6 + 3 + 28 - 0.2, abs=0.05)


def test_what_may_be_speech_is_never_left_out() -> None:
    rng = np.random.default_rng(0)
    syllables = np.repeat(rng.uniform(0.05, 1, 200), RATE // 10).astype(np.float32)
    soft = noise(20) * syllables * np.float32(0.1)
    assert pause_before(np.concatenate([soft, noise(5)])) == 0  # somebody murmurs, then shouts
    assert pause_before(noise(5)) == 0
    assert pause_before(np.concatenate([faint(6, 0.01), noise(3) * 0.2])) == 0  # does not stand out
    assert pause_before(faint(6, 0.01)) == 0
    assert pause_before(np.zeros(100, np.float32)) == 0
    assert pause_before(np.concatenate([faint(6, 0.01), noise(3)])) == pytest.approx(6, abs=0.03)


def test_nothing_is_printed_while_it_hears(folder: Path) -> None:
    """In a process of its own: transformers says each line once a process."""
    code = (
        "import numpy as np\n"
        "from kuleshov.tools import speech\n"
        f"model = speech.load_recogniser({str(folder)!r}, device='cpu')\n"
        "sound = np.random.default_rng(0).normal(0, 0.1, 32000).astype('f4')\n"
        "assert model.hear(iter([sound])).until_s == 2\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr, run.stdout) == (0, "", "")


def test_what_is_not_speech_or_not_certain_is_not_words(recogniser: Any) -> None:
    said = written(recogniser, 0.0, " hello", 2.0)
    loop = written(recogniser, 0.0, " hello" * 30, 29.0)
    answers = [
        (said, -1.5, 0.9, "en"),  # unlikely words, and no speech likely
        (said, -1.5, 0.1, "en"),  # unlikely words
        (loop, -0.1, 0.1, "en"),
        (said, -0.1, 0.9, "en"),  # certain words go before a likely silence (section 4.5)
    ]
    heard = scripted(recogniser, answers).hear(iter([noise(30)] * 4 + [np.zeros(RATE, "f4")]))
    assert heard.quiet == [(0.0, 30.0), (120.0, 121.0)]  # the last without asking
    assert heard.unsure == [(30.0, 60.0), (60.0, 90.0)]
    assert [(cue.start_s, cue.text) for cue in heard.cues] == [(90.0, "hello")]


# ------------------------------------------------------------------- sound


def heard_sound(path: Any, **given: float) -> np.ndarray:
    with open_sound(path, **given) as pieces:
        return np.concatenate([*pieces, np.zeros(0, np.float32)])


def test_sound_lies_on_the_clock_of_the_frames(tmp_path: Path) -> None:
    """48 kHz that begins 1.5 s after the picture: a click at 0.5 s of it is one at 2 s."""
    samples = np.zeros(48_000 * 2, np.float32)
    samples[24_000:24_480] = 0.9
    path = with_sound(tmp_path / "late.mkv", samples, rate=48_000, begin_s=1.5, video_s=4)
    whole = heard_sound(path)
    assert len(whole) / RATE == pytest.approx(3.5, abs=0.1)
    assert np.argmax(np.abs(whole) > 0.3) / RATE == pytest.approx(2.0, abs=0.03)
    assert not np.abs(whole[: RATE + RATE // 4]).any()
    part = heard_sound(path.read_bytes(), start_s=1.9, end_s=2.4)
    assert len(part) == RATE // 2
    assert np.argmax(np.abs(part) > 0.3) / RATE == pytest.approx(0.1, abs=0.03)


def test_a_cut_off_file_is_heard_to_its_end(tmp_path: Path) -> None:
    path = with_sound(tmp_path / "cut.mkv", noise(8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 2 < len(heard_sound(path)) / RATE < 6


def test_no_sound_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "mute.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    with pytest.raises(NoSoundError, match="the clip has no sound"), open_sound(path):
        pass


# ------------------------------------------------------------------- the real model


def test_a_real_whisper_hears_the_same_each_time_and_beyond_its_window(recogniser: Any) -> None:
    first, again = (recogniser.hear(iter([noise(10, k) for k in range(7)])) for _ in range(2))
    assert first == again
    assert first.until_s == 70.0
    assert first.cues
    assert max(cue.start_s for cue in first.cues) > 30
    assert all(0 <= cue.start_s <= cue.end_s <= 70 for cue in first.cues)
    assert first.language in ("en", "de", "fr")
    assert recogniser.info.sha256


def test_the_language_asked_for_is_used_or_refused(folder: Path) -> None:
    heard = speech.load_recogniser(str(folder), language="German", device="cpu").hear(
        iter([noise(2)])
    )
    assert heard.language == "de"
    with pytest.raises(SpeechError, match=r"does not know the language 'xy'; it knows de, en, fr"):
        speech.load_recogniser(str(folder), language="xy", device="cpu")


def test_what_is_no_whisper_is_refused_before_anything_is_loaded(
    folder: Path, tmp_path: Path, tiny_llava: Any
) -> None:
    with pytest.raises(SpeechError, match=r"is no Whisper model \(its config says llava\)"):
        speech.check_recogniser(str(tiny_llava("llava")))
    with pytest.raises(SpeechError, match="no speech recognition is bundled"):
        speech.check_recogniser("pocket")
    with pytest.raises(MllmError, match=r"kuleshov models pull openai/whisper-small`, or give a "):
        speech.check_recogniser("openai/whisper-small")
    with pytest.raises(MllmError, match=r"did you mean openai/whisper-small"):
        speech.check_recogniser("whisper-smal")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((folder / "config.json").read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(MllmError, match=r"holds pytorch_model.bin but no safetensors weights"):
        speech.check_recogniser(str(pickled))


def test_a_model_of_the_hub_s_cache_is_listed_and_loaded_by_its_id(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--openai--whisper-small"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("b" * 40)
    (home / "snapshots").mkdir()
    (home / "snapshots" / ("b" * 40)).symlink_to(folder)
    assert not [
        row for row in doctor.doctor_rows() if row.name == "speech (Whisper)" and not row.ready
    ]
    row = next(row for row in mllm.list_models() if row.id == "openai/whisper-small")
    assert (row.state, row.note) == ("cached", "words of clips (--speech)")
    speech.check_recogniser("openai/whisper-small")
    info = speech.load_recogniser("openai/whisper-small", device="cpu").info
    assert (info.id, info.revision) == ("openai/whisper-small", "b" * 40)


# ------------------------------------------------------------------- the agent


class Glad(HandFaces):
    def observe(self, images: Any) -> list[list[Any]]:
        return [[face(expression=scores(happiness=0.9))] for _ in images]


def agent(recogniser: Any, **settings: Any) -> Agent:
    mllm = ScriptedMllm(
        lambda call: "" if call.schema else "A room.", lambda call: [0.0] * len(call.answers)
    )
    return Agent(mllm, Glad(), Settings.load(rate=1, **settings), speech=recogniser)


def test_recognised_words_go_the_way_of_a_transcript(recogniser: Any, tmp_path: Path) -> None:
    said = written(recogniser, 0.5, " hello", 2.0, 2.0, " what we want", 3.0)
    path = with_sound(tmp_path / "talk.mp4", noise(4))
    told: list[tuple[float, float]] = []
    by = agent(scripted(recogniser, [(said, -0.1, 0.0, "en")]))
    read = by.infer(path, progress=lambda done, whole: told.append((done, whole)))
    words = [item for item in read.evidence if item.kind == "transcript"]
    assert [(w.source, w.start_s, w.end_s, w.text) for w in words] == [
        ("speech", 0.5, 2.0, 'said 0.5-2.0 s: "hello"'),
        ("speech", 2.0, 3.0, 'said 2.0-3.0 s: "what we want"'),
    ]
    made = read.provenance.speech
    assert made is not None
    assert made["sha256"] == recogniser.info.sha256
    assert made["heard"]["words"] == 2
    assert made["heard"]["language"] == "en"
    assert recogniser.info.caveat in read.warnings
    assert ("speech", f"{recogniser.info.id} (language en)") in view.tools_used(read.provenance)
    assert "transformers" in read.provenance.versions
    assert told[-1] == (3.0, 4.0)  # of the faces, which came last
    assert type(read).from_json(read.to_json()) == read
    with pytest.raises(KuleshovError, match="leave out --transcript, or --speech"):
        by.infer(path, transcript=[Cue(text="hello")])


def test_what_is_heard_is_there_for_coding_too(recogniser: Any, tmp_path: Path) -> None:
    said = written(recogniser, 0.5, " hello", 2.0)
    by = agent(scripted(recogniser, [(said, -0.1, 0.0, "en")]), scheme="situations")
    coded = by.code(with_sound(tmp_path / "talk.mp4", noise(3)))
    assert [w.text for w in coded.evidence if w.source == "speech"] == ['said 0.5-2.0 s: "hello"']


def test_no_sound_is_a_gap_and_silence_is_said(recogniser: Any, tmp_path: Path) -> None:
    mute = write_clip(tmp_path / "mute.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20)
    read = agent(recogniser).infer(mute)
    assert [(gap.step, gap.reason) for gap in read.gaps if gap.step == "speech"] == [
        ("speech", "the clip has no sound")
    ]
    assert read.provenance.speech is not None
    assert read.provenance.speech["heard"] == {"words": None}
    silent = with_sound(tmp_path / "silent.mp4", np.zeros(3 * RATE, np.float32))
    read = agent(recogniser).infer(silent)
    assert not [gap for gap in read.gaps if gap.step == "speech"]
    assert "no words were recognised in the clip's sound: it is silent or holds none" in (
        read.warnings
    )
    assert not [item for item in read.evidence if item.kind == "transcript"]
    assert recogniser.info.caveat not in read.warnings


def test_sound_is_ignored_unless_asked(tmp_path: Path) -> None:
    path = with_sound(tmp_path / "talk.mp4", noise(2))
    read = agent(None).infer(path)
    assert read.provenance.speech is None
    assert not [item for item in read.evidence if item.kind == "transcript"]
    with pytest.raises(KuleshovError, match=r"which was not loaded; use Agent\.load"):
        agent(None, speech="openai/whisper-small")


def test_stopped_the_words_heard_until_then_are_kept(recogniser: Any, tmp_path: Path) -> None:
    stop = threading.Event()
    said = written(recogniser, 0.0, " hello", 20.0)
    model = scripted(recogniser, [(said, -0.1, 0.0, "en")])
    ask = model._asked
    model._asked = lambda *given: (stop.set(), ask(*given))[1]
    path = with_sound(tmp_path / "long.mp4", noise(40), rate=RATE)
    read = agent(model).infer(path, stop=stop)
    words = [item.text for item in read.evidence if item.kind == "transcript"]
    assert words == ['said 0.0-20.0 s: "hello"']
    (gap,) = [gap for gap in read.gaps if gap.step == "speech"]
    assert gap.reason == "stopped by the user at 30.0 s of 40.0 s"


@pytest.fixture
def pocket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KULESHOV_MODEL", "pocket")
    monkeypatch.setenv("KULESHOV_FACES", "pocket")
    monkeypatch.setenv("KULESHOV_RATE", "1")


@pytest.mark.usefixtures("pocket")
def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = with_sound(tmp_path / "talk.mp4", noise(2))
    assert main(["infer", str(path), "--speech", str(folder), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["provenance"]["speech"]["id"] == str(folder)
    assert record["provenance"]["settings"]["speech"] == str(folder)
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    for options, told in [
        (["--speech", str(tmp_path / "none")], f"there is no folder {tmp_path / 'none'}."),
        (["--speech", str(folder), "--transcript", str(words)], "leave out --transcript, or"),
    ]:
        assert main(["infer", str(path), *options]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
