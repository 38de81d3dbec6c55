"""The Kuleshov experiment: design, effects by hand, and the real path with the pocket models."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from kuleshov import Agent
from kuleshov.apps.cli.main import main
from kuleshov.evidence.influence import measure_influence
from kuleshov.studies.contrast import Contrast, Experiment, read_contexts
from kuleshov.studies.contrast.types import Pair, decompose_variance
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import EmotionScores

POCKET = ["--model", "pocket", "--faces", "pocket"]
VIGNETTES = """
[[contexts]]
name = "soup"
text = "A bowl of soup stands on the table."
[[contexts]]
name = "coffin"
text = "Somebody close has died and lies in the coffin."
"""


@pytest.fixture
def faces(tmp_path: Path, feat_data: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    for name in ("15-f13-anc-ph.jpg", "0-f15-hao-ph.jpg"):
        shutil.copy(feat_data / name, folder)
    return folder


@pytest.fixture
def vignettes(tmp_path: Path) -> Path:
    path = tmp_path / "contexts.toml"
    path.write_text(VIGNETTES, "utf-8")
    return path


def run(faces: Path, contexts: Path, out: Path, *options: str) -> int:
    return main(
        [
            "contrast",
            "--pictures",
            str(faces),
            "--contexts",
            str(contexts),
            "--out",
            str(out),
            *POCKET,
            *options,
        ]
    )


def test_every_face_is_read_under_every_context(faces, vignettes, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(faces, vignettes, out, "--fusion", "text") == 0
    with (out / "readings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 7
    for face in ("15-f13-anc-ph", "0-f15-hao-ph"):
        for context in ("soup", "coffin"):
            own = [row for row in rows if (row["face"], row["context"]) == (face, context)]
            assert sum(float(row["p_both"]) for row in own) == pytest.approx(1)
            for row in own:
                moved = float(row["p_both"]) - float(row["p_face"])
                assert float(row["shift"]) == pytest.approx(moved)
        for context in ("soup", "coffin"):
            own = [row for row in rows if (row["face"], row["context"]) == (face, context)]
            assert sum(float(row["p_computed"]) for row in own) == pytest.approx(1)
    # the same face, another film: the coffin makes it sadder than the soup does
    sad = {
        row["context"]: float(row["p_both"])
        for row in rows
        if row["face"] == "15-f13-anc-ph" and row["label"] == "sadness"
    }
    assert sad["coffin"] > sad["soup"] + 0.1
    found = Contrast.model_validate_json((out / "contrast.json").read_text("utf-8"))
    assert found.provenance["mllm"]["id"] == "pocket"
    page = (out / "contrast.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 2
    assert "for demonstration" in page
    words = re.sub(r"<style>.*?</style>|data:[^\"]*", "", page, flags=re.S)
    assert not re.search(r"[−+-]0(\.0+)?(?![.\d])", words)  # zero has no sign
    told = capsys.readouterr()
    assert "coffin: " in told.out
    # what the figures are of, and their error
    assert "unit of analysis: the pair of a face and a context, 2 × 2, each read once" in told.err
    assert "Unit of analysis: the pair" in page
    with (out / "margins.csv").open(encoding="utf-8", newline="") as file:
        margins = {row["name"]: row for row in csv.DictReader(file)}
    assert margins["soup"]["unit"] == "pair, over faces"
    shifts = [
        float(row["shift"]) for row in rows if (row["context"], row["label"]) == ("soup", "sadness")
    ]
    assert float(margins["soup"]["shift_sadness"]) == pytest.approx(sum(shifts) / 2)
    error = abs(shifts[0] - shifts[1]) / 2  # of two values
    assert float(margins["soup"]["se_shift_sadness"]) == pytest.approx(error)


@pytest.mark.parametrize("fusion", ["text", "people", "bayes"])
def test_it_repeats_to_the_bit_whatever_was_asked_before(fusion, faces, vignettes, feat_data):
    contexts = read_contexts(str(vignettes))
    paths = sorted(str(path) for path in faces.iterdir())
    agent = Agent.load(model="pocket", faces="pocket", fusion=fusion)
    first = Experiment(agent).run(paths, contexts)
    agent.infer(feat_data / "multi_face.jpg", context="They won", influence=True)
    second = Experiment(agent).run(paths, contexts)
    fresh = Agent.load(model="pocket", faces="pocket", fusion=fusion)
    third = Experiment(fresh).run(paths[::-1], contexts[::-1])
    assert first.model_dump_json() == second.model_dump_json()
    assert sorted(map(str, third.rows())) == sorted(map(str, first.rows()))


def test_scenes_are_contexts_with_their_own_faces_covered(faces, feat_data, tmp_path):
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    shutil.copy(feat_data / "multi_face.jpg", scenes / "friends.jpg")
    agent = Agent.load(model="pocket", faces="pocket", fusion="text")
    asked = []
    real = agent.crew.mllm.generate

    def note(talk, **options):
        asked.append(talk)
        return real(talk, **options)

    agent.crew.mllm.generate = note
    paths = sorted(str(path) for path in faces.iterdir())
    found = Experiment(agent).run(paths, read_contexts(str(scenes)))
    assert [context.name for context in found.contexts] == ["friends"]
    assert found.contexts[0].seen
    import numpy as np

    shown = np.asarray(
        next(part["image"] for part in asked[0][0]["content"] if part["type"] == "image")
    )
    five = agent.crew.faces.observe([shown])[0]
    assert len(five) == 0


def test_a_picture_without_a_face_is_a_gap_and_the_rest_is_read(
    faces, vignettes, feat_data, tmp_path, capsys
):
    shutil.copy(feat_data / "free-mountain-vector-01.jpg", faces)
    (faces / "broken.jpg").write_bytes(b"no picture")
    assert run(faces, vignettes, tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "no face was found" in told
    assert "broken.jpg" in told
    found = Contrast.model_validate_json((tmp_path / "out" / "contrast.json").read_text("utf-8"))
    assert (len(found.faces), len(found.gaps)) == (2, 2)


def pair(face: str, context: str, p: float) -> Pair:
    scores = EmotionScores(labels="two", probabilities={"a": p, "b": 1 - p}, method="by hand")
    return Pair(face=face, context=context, influence=measure_influence(scores, scores, scores))


def test_shares_of_variance_by_hand():
    # means: faces .3, .7; contexts .4, .6; grand .5; no interaction
    # total SS .2² + 0 + 0 + .2² + … = .10; faces 2·2·.2²·½ = .08; contexts .02
    cells = [pair("x", "1", 0.2), pair("x", "2", 0.4), pair("y", "1", 0.6), pair("y", "2", 0.8)]
    found = decompose_variance(cells, ["a"])[0]
    assert (found.face, found.context, found.interaction) == (
        pytest.approx(0.8),
        pytest.approx(0.2),
        pytest.approx(0, abs=1e-9),
    )
    # a face that reads differently under each context, and the other the other way round
    crossed = [pair("x", "1", 0.2), pair("x", "2", 0.8), pair("y", "1", 0.8), pair("y", "2", 0.2)]
    assert decompose_variance(crossed, ["a"])[0].interaction == pytest.approx(1)
    still = [pair("x", "1", 0.5), pair("x", "2", 0.5)]
    assert decompose_variance(still, ["a"])[0].face is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no context"),
        ("contexts = 3", "names no context"),
        ("[[contexts]]\nname = 'a'", "needs a name and either text or picture"),
        ("[[contexts]]\nname = 'a'\ntext = 'b'\npicture = 'c.jpg'", "either text or picture"),
        ("[[contexts]]\nname = ''\ntext = 'b'", "not empty"),
        ("[[contexts]]\nname = 'a'\ntext = 'b'\ncolour = 'c'", "takes name, text and picture"),
        ("[[contexts]]\nname = 'a'\npicture = 'none.jpg'", "there is no picture"),
        (
            "[[contexts]]\nname='a'\ntext='b'\n[[contexts]]\nname='a'\ntext='c'",
            "two contexts named",
        ),
        (f"[[contexts]]\nname='a'\ntext='{'word ' * 50_000}'", "at most 20,000"),
        ("[[", "are not TOML"),
    ],
)
def test_bad_contexts_are_one_sentence(text, sentence, tmp_path):
    path = tmp_path / "contexts.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(KuleshovError, match=sentence):
        read_contexts(str(path))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--fusion", "face"], "leaves one out"),
        (["--labels", "nothing"], "there is no label set"),
    ],
)
def test_a_design_that_cannot_be_is_refused(options, sentence, faces, vignettes, tmp_path, capsys):
    assert run(faces, vignettes, tmp_path / "out", *options) == 2
    assert sentence in capsys.readouterr().err


def test_an_empty_folder_of_faces_is_refused(vignettes, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert run(tmp_path / "none", vignettes, tmp_path / "out") == 2
    assert "holds no picture" in capsys.readouterr().err


def test_the_old_names_of_the_folder_and_the_tool_still_work(
    faces: Path, vignettes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["--contexts", str(vignettes), "--out", str(out), "--fusion", "text"]
    old = ["--faces", str(faces), "--model", "pocket", "--face-tool", "pocket"]
    assert main(["contrast", *old, *call]) == 0
    assert (out / "readings.csv").is_file()
    err = capsys.readouterr().err
    assert f"--faces {faces} is now --pictures {faces}; --faces names the face tool." in err
    assert "--face-tool pocket is now --faces pocket." in err
    assert main(["contrast", "--faces", "pocket", *call]) == 2
    assert "--pictures DIR is missing" in capsys.readouterr().err
