"""Few-shot examples: reading, choosing, showing, order; with real (tiny, pocket) models."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.asking import examples
from kuleshov.asking.examples import unit_distance
from kuleshov.studies.example_orders import measure_spread, under_orders
from kuleshov.tools import faces as face_tools
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm import Call, ScriptedMllm
from kuleshov.tools.mllm.base import MllmInfo
from kuleshov.tools.mllm.local.model import TransformersMllm
from kuleshov.tools.types import ActionUnit
from kuleshov.types import Inference

from parts import face

EKMAN7 = LabelSet.load("ekman-7")
POCKET = ["--model", "pocket", "--faces", "pocket"]
FILES = {
    "happiness": "0-f15-hao-ph.jpg",
    "surprise": "0-f1-su-ph.jpg",
    "anger": "15-f13-anc-ph.jpg",
}


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory, feat_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("shots")
    for label, name in FILES.items():
        (folder / label).mkdir()
        shutil.copy(feat_data / name, folder / label)
    return folder


@pytest.fixture(scope="module")
def pocket_faces() -> Any:
    return face_tools.load("pocket")


def test_a_folder_per_label_and_a_manifest_say_the_same(shots: Path, tmp_path: Path):
    from_folder = examples.read_examples(str(shots), EKMAN7)
    assert [example.label for example in from_folder] == ["anger", "happiness", "surprise"]
    rows = [
        {"path": str(shots / "happiness" / FILES["happiness"]), "label": "joy", "reason": "teeth"},
        {"path": str(shots / "anger" / FILES["anger"]), "label": {"angry": 0.51, "disgust": 0.49}},
    ]
    manifest = tmp_path / "shots.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    first, second = examples.read_examples(str(manifest), EKMAN7)
    assert (first.label, first.rationale) == ("happiness", "teeth")  # a synonym of the set
    assert (second.label, second.votes) == ("anger", {"anger": 0.51, "disgust": 0.49})


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "empty|no picture|no rows|holds no"),
        ([("a.jpg", "happines"), ("b.jpg", "anger")], "did you mean happiness"),
        ([("a.jpg", "anger"), ("b.jpg", "angry")], "all 2 are 'anger'"),
        ([("a.jpg", ""), ("b.jpg", "anger")], "without a label"),
        ([("a.jpg", "anger"), ("none.jpg", "fear")], "none.jpg"),
        ([("a.jpg", "anger"), ("broken.jpg", "fear")], "broken.jpg"),
    ],
)
def test_bad_examples_are_one_sentence_before_a_model_is_loaded(
    rows, sentence, tmp_path, feat_data, monkeypatch, pocket_faces
):
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(feat_data / "single_face.jpg", tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    manifest = tmp_path / "shots.csv"
    manifest.write_text("path,label\n" + "".join(f"{a},{b}\n" for a, b in rows), "utf-8")
    with pytest.raises(KuleshovError, match=sentence) as told:
        agent(ScriptedMllm([], []), pocket_faces, manifest)
    assert "\n" not in str(told.value)


def test_examples_without_a_label_of_the_set_are_left_out_and_told(
    shots: Path, tmp_path: Path, pocket_faces, capsys
):
    shutil.copytree(shots, tmp_path / "shots")
    for name in ("angst", "unknown"):
        shutil.copytree(shots / "anger", tmp_path / "shots" / name)
    (tmp_path / "shots" / "notes.txt").write_text("x")
    made = agent(scripted(), pocket_faces, tmp_path / "shots")
    assert made.crew.examples is not None
    assert len(made.crew.examples.all) == 3
    passed = made.crew.provenance["examples"]["passed_over"]
    assert passed == {".txt": {"files": 1, "first": "notes.txt"}}
    told = made.crew.provenance["examples"]
    assert (told["count"], told["left_out"]["rows"]) == (3, 2)
    assert told["left_out"]["words"] == {"angst": 1}
    assert "left_out" not in agent(scripted(), pocket_faces, shots).crew.provenance["examples"]
    photo = str(next((shots / "anger").iterdir()))
    pattern = str(tmp_path / "shots" / "*")
    shutil.copy(photo, tmp_path / "shots" / "a.jpg")
    main(["infer", pattern, "--examples", str(tmp_path / "shots"), "--json", *POCKET])
    said = capsys.readouterr().err
    assert f"{pattern}: passed over, no picture or clip: 1 × .txt" in said
    assert f"examples {tmp_path / 'shots'}: passed over, no picture or clip: 1 × .txt" in said
    assert "left out: 1 row (angst/" in said
    assert "labelled 'angst' (did you mean anger?), which is no label of ekman-7" in said
    for label in FILES:
        shutil.rmtree(tmp_path / "shots" / label)
    with pytest.raises(KuleshovError, match="none has a label"):
        examples.read_examples(str(tmp_path / "shots"), EKMAN7)


def agent(mllm: Any, faces: Any, folder: Path, **settings: Any) -> Agent:
    return Agent(mllm, faces, Settings.load(examples=str(folder), **settings))


def scripted(many: bool = True, calls: list[Call] | None = None) -> ScriptedMllm:
    answer = {
        "cues": [{"evidence": 1, "text": "a face"}],
        "before": "",
        "after": "",
        "interpretation": "It fits.",
        "conclusion": "Open.",
    }
    info = MllmInfo(id="s", kind="s", device="cpu", dtype="none", many_images=many)
    scene = {
        "description": "A room.",
        "setting": "",
        "activity": "",
        "people": "",
        "people_present": True,
        "objects": [],
        "mood_words": [],
    }
    return ScriptedMllm(
        lambda call: json.dumps(answer if "Which evidence" in call.text else scene),
        lambda call: [0.0] * len(call.answers),
        info=info,
    )


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("fixed", ["anger", "happiness"]),
        ("balanced", ["anger", "happiness"]),
        ("nearest-units", ["surprise", "happiness"]),  # the nearest stands next to the question
    ],
)
def test_selection(selection, expected, shots, pocket_faces, feat_data):
    reader = agent(scripted(), pocket_faces, shots, shots=2, shot_selection=selection)
    read = reader.infer(feat_data / "single_face.jpg")  # a smile
    used = [name.split("/")[0] for name in read.people[0].examples]
    if selection == "nearest-units":
        assert used[-1] == "happiness"
    else:
        assert used == expected
    told = read.provenance.examples
    assert (told["count"], told["shown_as"]) == (3, "pictures")
    assert read.provenance.settings["shot_selection"] == selection


@pytest.mark.parametrize("many", [True, False])
def test_examples_are_turns_before_the_question(many, shots, pocket_faces, feat_data):
    mllm = scripted(many)
    reader = agent(mllm, pocket_faces, shots, shots=3, fusion="text")
    read = reader.infer(feat_data / "single_face.jpg")
    asked = next(
        call
        for call in mllm.calls
        if call.kind == "score" and "N/A" not in str(call.conversation[-3:])
    )
    turns = asked.conversation
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 4 + ["user"]
    given = [turn["content"][0]["text"] for turn in turns[1:6:2]]
    assert given == ["anger", "happiness", "surprise"]
    pictures = [part["type"] for turn in turns[:6:2] for part in turn["content"]].count("image")
    assert pictures == (3 if many else 0)
    assert "AU12" in turns[2]["content"][-1]["text"]
    assert read.provenance.examples["shown_as"] == ("pictures" if many else "text only")


def test_the_prior_is_taken_after_the_same_examples(shots, pocket_faces, feat_data):
    mllm = scripted()
    agent(mllm, pocket_faces, shots, shots=2, fusion="text").infer(feat_data / "single_face.jpg")
    prior = next(
        call for call in mllm.calls if call.kind == "score" and "N/A" in str(call.conversation[-3:])
    )
    assert [turn["content"][0]["text"] for turn in prior.conversation[1:4:2]] == [
        "anger",
        "happiness",
    ]


def test_the_examples_are_read_by_the_model_once_for_many_items(
    shots, pocket_faces, feat_data, tiny_llava: Callable[..., Path], monkeypatch
):
    folder = tiny_llava("llava_onevision", max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name="tiny", device="cpu")
    seen: list[int] = []
    tower = mllm.model.model.vision_tower
    real = tower.forward

    def count(pixel_values: Any, *rest: Any, **options: Any) -> Any:
        seen.append(len(pixel_values))
        return real(pixel_values, *rest, **options)

    monkeypatch.setattr(tower, "forward", count)
    options: dict[str, Any] = {"shots": 3, "fusion": "text", "prompts": "full"}
    options |= {"max_new_tokens": 16, "prior_correction": False}
    reader = agent(mllm, pocket_faces, shots, **options)
    assert len(seen) == 3  # the examples, when they are pinned
    for name in ("single_face.jpg", "0-f1-su-ph.jpg", "45-m7-di-ph.jpg"):
        before = len(seen)
        reader.infer(feat_data / name)
        # the scene's picture, then the whole picture and the person after the examples
        assert len(seen) - before == 3


def test_examples_in_words_are_read_once_too(
    shots, pocket_faces, feat_data, tiny_llava: Callable[..., Path], monkeypatch
):
    folder = tiny_llava("llava", max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name="tiny", device="cpu", many_images=False)
    widths: list[int] = []
    real = mllm._read

    def count(inputs: Any, ids: Any, cache: Any) -> None:
        widths.append(ids.shape[1])
        real(inputs, ids, cache)

    monkeypatch.setattr(mllm, "_read", count)
    options: dict[str, Any] = {"shots": 3, "fusion": "context", "prompts": "full"}
    options |= {"max_new_tokens": 16, "prior_correction": False}
    reader = agent(mllm, pocket_faces, shots, **options)
    read = [reader.infer(feat_data / name) for name in ("single_face.jpg", "0-f1-su-ph.jpg")]
    assert [one.provenance.examples["shown_as"] for one in read] == ["text only"] * 2
    opening = max(widths)
    assert widths.count(opening) == 1
    fresh = TransformersMllm(mllm.model, mllm.processor, mllm.info)
    alone = agent(fresh, pocket_faces, shots, **options).infer(feat_data / "0-f1-su-ph.jpg")
    assert alone.people == read[1].people  # to the bit


def test_nearest_features_come_from_the_models_own_vision(
    shots, pocket_faces, feat_data, tiny_llava: Callable[..., Path]
):
    folder = tiny_llava("llava", max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name="tiny", device="cpu")
    rows = mllm.features([np.full((60, 40, 3), shade, np.uint8) for shade in (10, 200)])
    assert rows.shape[0] == 2
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)
    reader = agent(mllm, pocket_faces, shots, shots=1, shot_selection="nearest-features")
    examples_ = reader.crew.examples
    for example in examples_.all:
        (chosen,) = examples_.choose(example.face, example.picture)
        assert chosen.id == example.id  # every picture is nearest to itself
    with pytest.raises(KuleshovError, match="offers no vision features"):
        agent(ScriptedMllm([], []), pocket_faces, shots, shot_selection="nearest-features")


def test_only_units_that_both_measured_count():
    a = face(ActionUnit(unit=12, probability=0.9), ActionUnit(unit=4, probability=0.1))
    b = face(ActionUnit(unit=12, probability=0.5), ActionUnit(unit=6, probability=0.1))
    assert unit_distance(a, b) == pytest.approx(0.4)
    scale = face(ActionUnit(unit=12, intensity=4.5))
    assert unit_distance(a, scale) is None  # a probability is no intensity
    assert unit_distance(scale, face(ActionUnit(unit=12, intensity=2.0))) == pytest.approx(0.5)
    assert unit_distance(a, None) is None
    assert unit_distance(a, face(ActionUnit(unit=12))) is None


def test_the_order_of_examples_can_be_measured(shots, feat_data, capsys):
    reader = Agent.load(model="pocket", faces="pocket", fusion="text", examples=str(shots))
    readings = under_orders(reader, feat_data / "45-m7-di-ph.jpg", [0, 1, 2])
    orders = [reading.people[0].examples for reading in readings]
    assert len(set(orders)) > 1
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(orders[0]))}
    (found,) = measure_spread(readings)
    assert found.orders == 3
    assert 0 <= found.mean_js <= found.most_js <= 1
    assert found.most_js > 0
    assert all(found.least[label] <= found.most[label] for label in found.least)
    assert "never taught with examples" in " ".join(readings[0].warnings)
    photo = str(feat_data / "45-m7-di-ph.jpg")
    options = [*POCKET, "--examples", str(shots), "--shuffle-seeds", "0,1", "--json"]
    assert main(["infer", photo, *options]) == 0
    told = capsys.readouterr()
    lines = [Inference.from_json(line) for line in told.out.splitlines()]
    assert [line.provenance.settings["shot_seed"] for line in lines] == [0, 1]
    assert "2 orders of the examples" in told.err
    assert main(["infer", photo, *POCKET, "--shuffle-seeds", "0,1"]) == 2
    assert "give examples with --examples" in capsys.readouterr().err


# ---------------------------------------------------------------------------- kuleshov match


def matched(capsys: Any, *arguments: str) -> list[dict[str, str]]:
    assert main(["match", *arguments, *POCKET]) in (0, 1)
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_smiles_are_found_by_a_smile(shots, feat_data, tmp_path, capsys):
    page = tmp_path / "sheet.html"
    rows = matched(
        capsys, str(shots / "happiness"), str(feat_data / "*.jpg"), "--report", str(page)
    )
    names = [Path(row["path"]).name for row in rows]
    assert names[0] == FILES["happiness"]  # itself
    smiling = {"multi_face.jpg", "single_face.jpg"}
    assert set(names[1:5]) <= smiling
    assert float(rows[0]["units"]) == 0
    distances = [float(row["distance"]) for row in rows]
    assert distances == sorted(distances)
    assert page.read_text("utf-8").count("data:image/jpeg") == len(rows) + 1


@pytest.mark.parametrize("by", ["expression", "features"])
def test_other_measures(by, shots, feat_data, capsys):
    rows = matched(capsys, str(shots / "surprise"), str(feat_data / "*.jpg"), "--by", by)
    assert Path(rows[0]["path"]).name == FILES["surprise"]
    assert float(rows[0][by]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere", "*.jpg"), "there is no file or folder nowhere"),
        (("SHOTS", "SHOTS", "--by", "magic"), "not by 'magic'"),
        (("SHOTS", "SHOTS", "--by", "model"), "cannot compare several pictures"),
        (("FACELESS", "SHOTS"), "shows a face that can be read"),
    ],
)
def test_what_cannot_be_matched_is_said(arguments, sentence, shots, feat_data, tmp_path, capsys):
    shutil.copy(feat_data / "free-mountain-vector-01.jpg", tmp_path)
    places = {"SHOTS": str(shots), "FACELESS": str(tmp_path)}
    assert main(["match", *(places.get(a, a) for a in arguments), *POCKET]) == 2
    assert sentence in capsys.readouterr().err


def test_a_model_of_many_pictures_is_asked_whether_they_are_the_same(
    shots, pocket_faces, tiny_llava: Callable[..., Path]
):
    from kuleshov.studies.match import Matcher

    folder = tiny_llava("llava_onevision", max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name="tiny", device="cpu")
    reader = Agent(mllm, pocket_faces, Settings.load(prompts="full"))
    found, cuts = Matcher(reader, str(shots), "model").rank(str(shots))
    assert len(found) == len(cuts) == 3
    assert all(0 < match.model < 1 and match.distance == match.model for match in found)
