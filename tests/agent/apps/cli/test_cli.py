"""The command line: what is printed where, exit codes, and one sentence for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import jsonschema
import pytest
from PIL import Image
from test_agent import GOOD, script
from test_agent import agent as scripted_agent

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.types import Inference

from parts import NO_FROWN, SMILE, HandFaces, face, scores


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
    return path


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kuleshov infer` with scripted answers and a hand-made face; settings are real."""

    def load(settings=None, **choices):
        return Agent(script(), HandFaces(face(SMILE, NO_FROWN)), Settings.load(settings, **choices))

    monkeypatch.setattr(Agent, "load", staticmethod(load))


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What went to stderr; nothing may have gone to stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


@pytest.mark.usefixtures("by_hand")
def test_json_is_one_record_a_line_and_nothing_else(picture, tmp_path, capsys):
    report = tmp_path / "report.html"
    assert (
        main(
            [
                "infer",
                str(picture),
                str(picture),
                "--json",
                "--report",
                str(report),
                "--context",
                "They won",
                "--labels",
                "ekman-6",
            ]
        )
        == 0
    )
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == 2
    for record in records:
        jsonschema.validate(record, Inference.json_schema())
    assert records[0]["people"][0]["emotions"]["labels"] == "ekman-6"
    assert records[0]["evidence"][-1]["text"] == 'context: "They won"'
    assert str(report) in err
    assert "AU12" in report.read_text("utf-8")


@pytest.mark.usefixtures("by_hand")
def test_the_card_names_photo_person_and_evidence(picture, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["infer", str(picture), "-v"]) == 0
    out, _ = capsys.readouterr()
    for words in (
        "photo.png",
        "happiness",
        "The smile fits the outing.",
        "confirmed",
        "lip corner puller",
        "Friends on a beach.",
    ):
        assert words in out


@pytest.mark.usefixtures("by_hand")
def test_stream_shows_words_on_stderr_and_the_record_on_stdout(picture, capsys):
    assert main(["infer", str(picture), "--stream", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "The smile fits the outing." in err
    assert json.loads(out)["schema"] == "kuleshov/inference@1"


@pytest.mark.usefixtures("by_hand")
def test_the_other_inputs_are_still_done(picture, tmp_path, capsys):
    pdf = tmp_path / "paper.jpg"
    pdf.write_bytes(b"%PDF-1.7\n1 0 obj\n")
    assert main(["infer", str(pdf), str(tmp_path / "none.jpg"), str(picture), "--json"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert err.count("kuleshov: ") == 2
    assert "paper.jpg" in err
    assert "none.jpg" in err


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size; decoding it would need gigabytes."""
    import struct

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.usefixtures("by_hand")
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, capsys):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_header(40_000, 40_000))
    assert main(["infer", str(bomb)]) == 2
    err = sentence(capsys)
    assert "bomb.png" in err
    assert "40" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--labels", "ekmann-7"], ["no label set 'ekmann-7'", "did you mean ekman-7?"]),
        (["--faces", "pyfaet"], ["no face tool 'pyfaet'", "did you mean pyfeat?"]),
        (["--model", "pokcet"], ["pokcet", "did you mean pocket?"]),
        (["--fusion", "bays"], ["fusion", "'bays'"]),
        (["--seed", "-3"], ["seed", "-3"]),
        (["--settings", "nowhere.toml"], ["no settings file nowhere.toml"]),
        (["--report", "/nowhere/at/all.html"], ["/nowhere/at/all.html", "no folder"]),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(picture, capsys, arguments, words):
    assert main(["infer", str(picture), *arguments]) == 2
    err = sentence(capsys)
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.usefixtures("by_hand")
def test_infer_is_short_unless_more_is_asked_for(picture, capsys):
    assert main(["infer", str(picture)]) == 0
    short = capsys.readouterr().out
    assert main(["infer", str(picture), "-v"]) == 0
    whole = capsys.readouterr().out
    assert len(short.splitlines()) < 15 < len(whole.splitlines())
    assert "happiness" in short
    assert "AU12" in whole


def test_pocket_is_one_word(picture, capsys):
    assert main(["infer", str(picture), "--pocket", "--model", "some/other"]) == 2
    assert sentence(capsys) == "kuleshov: --pocket and --model some/other: give one of them.\n"


def test_ctrl_c_while_models_load_says_that_nothing_was_done(
    picture, tmp_path, capsys, monkeypatch
):
    """The real loading of the bundled model, into which a real SIGINT comes."""
    from kuleshov.tools.mllm.local import loading

    def load(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loading, "load_folder", load)
    written = tmp_path / "report.html"
    choices = ["--model", "pocket", "--faces", "pocket", "--report", str(written)]
    assert main(["infer", str(picture), *choices]) == 130
    assert capsys.readouterr().err == (
        "kuleshov: interrupted while the models were loading; nothing was done yet.\n"
    )
    assert not written.exists()


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_leave_a_shared_core_unless_the_user_chose(given, spins):
    """In a process of its own: the variable must be set before torch is there."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys; from kuleshov.apps.cli.main import main; main(['labels']); "
            "print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))",
        ],
        env={
            name: value
            for name, value in os.environ.items()
            if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
        }
        | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[-1] == f"False {spins}"


def test_a_directory_where_a_file_is_meant(tmp_path, capsys):
    assert main(["infer", str(tmp_path)]) == 2
    assert tmp_path.name in sentence(capsys)


def test_an_unknown_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["infre"])
    assert caught.value.code == 2
    assert "infre" in capsys.readouterr().err


def test_an_unknown_benchmark_names_those_there_are(capsys):
    assert main(["bench", "agnet"]) == 2
    assert "did you mean agent?" in sentence(capsys)


def test_graph_is_drawn_from_the_compiled_graph_and_stands_in_the_readme(capsys):
    assert main(["graph"]) == 0
    drawn = capsys.readouterr().out
    for node in ("open_media", "observe_faces", "describe_scene", "judge", "ground", "repair"):
        assert node in drawn
    page = Path(__file__).resolve().parents[4] / "docs" / "explanation" / "how-it-works.md"
    assert f"```mermaid\n{drawn.strip()}\n```" in page.read_text("utf-8")


def test_schema_is_a_json_schema_with_stable_names(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {
        "schema",
        "item",
        "media",
        "scene",
        "covered_scene",
        "coded",
        "transcript",
        "evidence",
        "people",
        "gaps",
        "warnings",
        "caveat",
        "provenance",
    }


def test_the_model_cards_are_printed(capsys):
    assert main(["models", "card", "pocket"]) == 0
    assert "CC BY-NC 4.0" in capsys.readouterr().out


def test_doctor_names_every_tool_with_licence_and_command(capsys):
    assert main(["doctor", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["pocket"]["ready"]
    assert "non-commercial" in rows["pyfeat"]["licence"]
    assert rows["pyfeat"]["command"]


def test_help_through_a_pipe_that_closes_is_quiet():
    done = subprocess.run(
        f"{sys.executable} -m kuleshov.apps.cli.main schema | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", ["She is full of anger.", "The funeral, the calm face and the tight lids fit anger."]
)
def test_an_explanation_of_another_feeling_than_the_reading_is_said(
    feat_data, capsys, monkeypatch, tmp_path, words
):
    told = {**GOOD, "interpretation": words, "conclusion": "It is anger."}
    mllm = script(
        judge=told, repair=told, label=lambda call: [5.0 * (a == "neutral") for a in call.answers]
    )
    faces = HandFaces(face(SMILE, NO_FROWN, expression=scores(neutral=0.9)))
    made = scripted_agent(mllm, faces)
    monkeypatch.setattr(Agent, "load", staticmethod(lambda *_, **__: made))
    page = tmp_path / "report.html"
    assert main(["infer", str(feat_data / "single_face.jpg"), "--report", str(page)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "the explanation speaks of anger; the reading is neutral" in out
    assert "the explanation speaks of anger; the reading is neutral" in page.read_text("utf-8")
