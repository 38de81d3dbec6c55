"""Temperatures: the fit against known ones, the sample's mistakes, and the whole path."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_agent import INFO, content_free, script

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.evidence import temperatures
from kuleshov.studies import calibrate
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm import ScriptedMllm

from parts import SMILE, HandFaces, face

EKMAN7 = LabelSet.load("ekman-7")
POCKET = ["--model", "pocket", "--faces", "pocket"]


def drawn(temperature: float, items: int = 4000, labels: int = 7, seed: int = 1):
    """Distributions that are too certain by `temperature`, and labels drawn from the true ones."""
    random = np.random.default_rng(seed)
    logs = random.normal(0, 1.5, (items, labels))
    true = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(labels, p=row) for row in true])
    return calibrate.temper_table(true, 1 / temperature), truth


# ------------------------------------------------------------------------- the figures


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fit_finds_the_temperature_that_made_the_sample(temperature):
    given, truth = drawn(temperature)
    found, at_edge = calibrate.fit_temperature(given, truth)
    assert found == pytest.approx(temperature, rel=0.06)
    assert not at_edge


def test_a_temperature_never_changes_which_label_is_first():
    given, _ = drawn(3.0, items=200)
    for temperature in (0.3, 2.0, 10.0):
        changed = calibrate.temper_table(given, temperature)
        assert (changed.argmax(axis=1) == given.argmax(axis=1)).all()
        assert changed.sum(axis=1) == pytest.approx(np.ones(200))


def test_tempering_a_distribution_is_dividing_its_log_likelihoods():
    from kuleshov.evidence import fusion

    logs = [-3.0, -1.0, -7.5]
    once = np.array([fusion.softmax(logs)])
    assert calibrate.temper_table(once, 2.5)[0] == pytest.approx(fusion.softmax(logs, 2.5))


def test_nll_and_ece_by_hand():
    given = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.62, 0.38]])
    truth = np.array([0, 1, 1, 0])
    expected = -np.log([0.9, 0.2, 0.7, 0.62])
    assert calibrate.log_losses(given, truth) == pytest.approx(expected)
    # groups .9: |1-.9|, .8: |0-.8|, .7: |1-.7|, .6: |1-.62|, a quarter each
    assert calibrate.calibration_error(given, truth) == pytest.approx((0.1 + 0.8 + 0.3 + 0.38) / 4)
    assert calibrate.calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_no_item_is_judged_by_a_fit_that_saw_it():
    given, truth = drawn(2.0, items=60, labels=3)
    folds = calibrate._make_folds(truth, seed=0)
    for label in range(3):
        sizes = np.bincount(folds[truth == label], minlength=calibrate.FOLDS)
        assert sizes.max() - sizes.min() <= 1
    before = calibrate._held_out(given, truth, folds)
    # another truth for one item changes nothing about its own distribution
    changed = truth.copy()
    changed[7] = (truth[7] + 1) % 3
    after = calibrate._held_out(given, changed, folds)
    assert after[7] == pytest.approx(before[7])
    other = np.flatnonzero(folds != folds[7])[0]
    assert not np.allclose(after[other], before[other])


@pytest.mark.parametrize(("people", "folds"), [(12, 5), (3, 3)])
def test_one_persons_items_lie_in_one_fold(people, folds):
    given, truth = drawn(2.0, items=120, labels=3)
    groups = np.arange(120) % people
    found = calibrate._make_folds(truth, 0, groups)
    assert len(np.unique(found)) == folds
    assert all(len(set(found[groups == one])) == 1 for one in range(people))
    assert not np.isnan(calibrate._held_out(given, truth, found)).any()
    # all of one person: as items of their own
    assert (
        calibrate._make_folds(truth, 0, np.zeros(120, int)) == calibrate._make_folds(truth, 0)
    ).all()


def test_intervals_are_wider_where_persons_repeat():
    """The same ten items forty times are no four hundred."""
    given, truth = drawn(3.0, items=10)
    given, truth = np.tile(given, (40, 1)), np.tile(truth, 40)
    groups = np.arange(400) % 10
    plain, whole = (
        calibrate._fit_figures(1.0, False, given, given, truth, 0, g) for g in (None, groups)
    )
    assert plain.nll_before.value == whole.nll_before.value

    def width(found):
        return found.nll_before.high - found.nll_before.low

    assert width(whole) > 4 * width(plain)
    assert 0 < plain.brier_before.value <= 2
    assert 0 <= plain.classwise_ece_before.value <= 1


def test_what_is_gained_is_told_with_intervals():
    given, truth = drawn(3.0, items=300)
    temperature, at_edge = calibrate.fit_temperature(given, truth)
    apart = calibrate._held_out(given, truth, calibrate._make_folds(truth, 0))
    told = calibrate._fit_figures(temperature, at_edge, given, apart, truth, 0)
    assert told.nll_change.high < 0
    assert told.ece_after.value < told.ece_before.value
    assert told.nll_before.low < told.nll_before.value < told.nll_before.high
    assert told == calibrate._fit_figures(temperature, at_edge, given, apart, truth, 0)


# ------------------------------------------------------------------------- with an agent


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Two labels, twenty pictures each; how dark it is tells the label but for one of five."""
    for label, grey in (("anger", 60), ("Happy", 180)):
        folder = tmp_path / "sample" / label
        folder.mkdir(parents=True)
        for i in range(20):
            shade = 240 - grey if i % 5 == 0 else grey
            Image.new("RGB", (200, 100), (shade + i, shade, shade)).save(folder / f"{i}.png")
    return tmp_path / "sample"


def certain() -> ScriptedMllm:
    """Goes by how dark the picture is, with 9 nats of certainty where it is right in 4 of 5."""

    def score(call):
        if content_free(call):
            return [0.0] * len(call.answers)
        shown = [p["image"] for p in call.conversation[0]["content"] if p["type"] == "image"]
        dark = np.asarray(shown[0])[0, -1].mean() < 120
        likely = "anger" if dark else "happiness"
        return [9.0 * (a == likely) for a in call.answers]

    return ScriptedMllm(script()._answers, score, info=INFO)


def reader(mllm, **settings) -> Agent:
    return Agent(mllm, HandFaces(face(SMILE)), Settings.load(**settings))


def test_a_calibration_is_fitted_written_used_and_recorded(sample, tmp_path):
    agent = reader(certain(), fusion="text")
    found = calibrate.fit_calibration(agent, calibrate.read_sample(sample, EKMAN7))
    fit = found.fits["explained"]
    assert fit.items == 40
    # 4 of 5 right, the fifth being one of the six others
    assert fit.temperature == pytest.approx(9 / math.log(6 * 4), rel=0.2)
    assert fit.nll_change.high < 0
    assert found.counts == {"happiness": 20, "anger": 20}
    path = tmp_path / "c.toml"
    path.write_text(found.to_toml())
    assert temperatures.load_calibration(path) == found

    plain = agent.infer(sample / "anger" / "1.png")
    calibrated = reader(certain(), fusion="text", calibration=str(path))
    read = calibrated.infer(sample / "anger" / "1.png")
    emotions = read.people[0].emotions
    raw = plain.people[0].emotions.probabilities["anger"]
    assert emotions.probabilities["anger"] < raw
    expected = calibrate.temper_table(
        np.array([list(plain.people[0].emotions.probabilities.values())]), fit.temperature
    )
    assert list(emotions.probabilities.values()) == pytest.approx(expected[0].tolist())
    assert emotions.method.endswith(f", temperature {fit.temperature:.3g}")
    assert read.provenance.calibration["fits"]["explained"]["temperature"] == fit.temperature
    assert read.provenance.settings["calibration"] == str(path)
    assert plain.provenance.calibration is None


def test_the_persons_of_a_table_are_kept_together_and_that_is_recorded(sample, tmp_path):
    rows = ["path,label,subject"]
    for label in ("anger", "Happy"):
        rows += [f"{sample / label / f'{i}.png'},{label},s{i % 7}" for i in range(20)]
    table = tmp_path / "sample.csv"
    table.write_text("\n".join(rows) + "\n")
    read = calibrate.read_sample(table, EKMAN7)
    assert {example.group for example in read} == {f"s{i}" for i in range(7)}
    found = calibrate.fit_calibration(reader(certain(), fusion="text"), read)
    assert (found.folds, found.groups) == (5, 7)
    fit = found.fits["explained"]
    assert fit.brier_after.value < fit.brier_before.value
    path = tmp_path / "c.toml"
    path.write_text(found.to_toml())
    assert temperatures.load_calibration(path) == found
    assert "classwise_ece_after" in path.read_text()
    alone = calibrate.fit_calibration(
        reader(certain(), fusion="text"), calibrate.read_sample(sample, EKMAN7)
    )
    assert alone.groups is None


def test_under_bayes_the_context_is_calibrated_and_the_fused_reading_is_judged(sample):
    agent = reader(certain())
    found = calibrate.fit_calibration(agent, calibrate.read_sample(sample, EKMAN7))
    assert set(found.fits) == {"direct", "explained"}
    assert found.fused.temperature == found.fits["direct"].temperature
    assert found.fused.items == 40


def test_a_calibration_for_something_else_is_refused(sample, tmp_path):
    path = tmp_path / "c.toml"
    found = calibrate.fit_calibration(
        reader(certain(), fusion="text"), calibrate.read_sample(sample, EKMAN7)
    )
    path.write_text(found.to_toml())
    for settings, sentence in (
        ({"labels": "ekman-6"}, "fitted for the labels ekman-7, and these are ekman-6"),
        ({"prior_correction": False}, "fitted with prior_correction True, and this is False"),
        ({"prompts": "brief"}, "fitted with prompts full, and this is brief"),
    ):
        with pytest.raises(KuleshovError, match=sentence):
            reader(certain(), calibration=str(path), **settings)
    other = ScriptedMllm(info=INFO.model_copy(update={"id": "another"}))
    with pytest.raises(KuleshovError, match="fitted with model scripted, and this is another"):
        reader(other, calibration=str(path))


def test_what_cannot_be_calibrated_is_said(sample):
    rows = calibrate.read_sample(sample, EKMAN7)
    states = ScriptedMllm(info=INFO.model_copy(update={"scores_labels": False}))
    with pytest.raises(KuleshovError, match="states its numbers and scores no labels"):
        calibrate.fit_calibration(reader(states), rows)
    with pytest.raises(KuleshovError, match="asks the model for no label"):
        calibrate.fit_calibration(reader(certain(), fusion="face"), rows)
    with pytest.raises(KuleshovError, match="exclude one another, and emotic-26 is multi-label"):
        calibrate.read_sample(sample, LabelSet.load("emotic-26"))


def test_a_model_that_answers_nothing_leaves_nothing_to_fit(sample):
    mute = ScriptedMllm(script()._answers, lambda call: KuleshovError("no"), info=INFO)
    agent = reader(mute, fusion="text")
    with pytest.raises(KuleshovError, match="gave no reading of any item"):
        calibrate.fit_calibration(agent, calibrate.read_sample(sample, EKMAN7))


# ------------------------------------------------------------------------- the sample


def table(folder: Path, sample: Path, **changes: str) -> Path:
    """A CSV of the sample; `changes` replace the label of a file."""
    lines = ["path,label"]
    for path in sorted(sample.rglob("*.png")):
        name = f"{path.parent.name}/{path.name}"
        lines.append(f"{path},{changes.get(name, path.parent.name)}")
    file = folder / "sample.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_table_is_read_like_a_folder(sample, tmp_path):
    by_folder = calibrate.read_sample(sample, EKMAN7)
    by_table = calibrate.read_sample(table(tmp_path, sample), EKMAN7)
    assert [e.label for e in by_folder] == [e.label for e in by_table]
    assert {e.label for e in by_table} == {"anger", "happiness"}


def test_a_sample_with_labels_of_another_set_is_carried_over_by_its_table(sample, tmp_path):
    file = table(tmp_path, sample)
    file.write_text(file.read_text().replace(",Happy", ",amusement").replace(",anger", ",grief"))
    found = calibrate.read_sample(file, LabelSet.load("ekman-6"), "goemotions-27")
    assert {e.label for e in found} == {"happiness", "sadness"}
    with pytest.raises(KuleshovError, match="no published table from goemotions-27 to ekman-7"):
        calibrate.read_sample(file, EKMAN7, "goemotions-27")


def test_rows_without_a_label_of_the_set_are_left_out_named_and_counted(
    sample, tmp_path, monkeypatch, capsys
):
    rows = {
        "anger/3.png": "angst",
        "anger/4.png": "",
        "anger/6.png": "unknown",
        "Happy/3.png": '"[""happy"", ""sad""]"',
        "Happy/4.png": "['happy']",  # as pandas writes a list
        "Happy/5.png": "\u201cHappy.\u201d",
        "anger/7.png": "angry; don\u2019t know",
    }
    file, out = table(tmp_path, sample, **rows), tmp_path / "c.toml"
    monkeypatch.setattr(
        Agent, "load", staticmethod(lambda *_, **__: reader(certain(), fusion="text"))
    )
    assert main(["calibrate", str(file), "--out", str(out), *POCKET]) == 0
    said = capsys.readouterr().err
    assert (
        "anger/3.png) labelled 'angst' (did you mean anger?), which is no label of ekman-7" in said
    )
    assert "anger/6.png) without a label" in said
    assert "Happy/3.png) with several labels where one is needed" in said
    (sample / "anger" / "notes.txt").write_text("x")
    assert main(["calibrate", str(sample), "--out", str(out), *POCKET]) == 0
    said = capsys.readouterr().err
    assert "passed over, no picture or clip: 1 × .txt (anger/notes.txt)" in said
    assert main(["calibrate", str(file), "--out", str(out), *POCKET]) == 0
    found = temperatures.load_calibration(out)
    assert sum(found.counts.values()) == 36
    assert found.left_out == {
        "angst": 1,
        "without a label": 2,
        "with several labels where one is needed": 1,
    }
    shutil.copy(sample / "anger" / "2.png", sample / "2.png")
    assert len(calibrate.read_sample(sample, EKMAN7)) == 40


def bad_sample(kind: str, sample: Path, tmp_path: Path) -> Path:
    if kind == "one label":
        shutil.rmtree(sample / "Happy")
    elif kind == "too few":
        for i in range(4, 20):
            (sample / "Happy" / f"{i}.png").unlink()
    elif kind == "unreadable":
        (sample / "anger" / "2.png").write_bytes(b"not a picture")
    elif kind == "no label at all":
        for n, path in enumerate(sorted(sample.glob("*/*.png"))):
            path.rename(sample / f"{n}.png")
    elif kind == "missing":
        return tmp_path / "nowhere"
    return sample


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("one label", "holds the label anger alone; a temperature needs at least two labels"),
        ("too few", "holds too few items of happiness (4); each label that occurs needs at least"),
        ("unreadable", "1 of 40 items of"),
        ("no label at all", "holds no labelled item (left out: 40 rows (0.png, "),
        ("missing", "there is no file or folder"),
    ],
)
def test_a_bad_sample_ends_with_one_sentence_and_nothing_written(
    sample, tmp_path, capsys, kind, sentence
):
    out = tmp_path / "c.toml"
    source = bad_sample(kind, sample, tmp_path)
    assert main(["calibrate", str(source), "--out", str(out), *POCKET]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot read the calibration"),
        ("x = ", "is not TOML: Invalid value"),
        ('schema = "kuleshov/calibration@1"', "is not a calibration.*: model: Field required"),
    ],
)
def test_a_bad_calibration_file_gets_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "c.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(KuleshovError, match=sentence) as caught:
        Agent.load(model="pocket", faces="pocket", calibration=str(path))
    assert "\n" not in str(caught.value)


def test_an_out_that_cannot_be_written_is_said_first(sample, tmp_path, capsys):
    out = tmp_path / "nowhere" / "c.toml"
    assert main(["calibrate", str(sample), "--out", str(out), *POCKET]) == 2
    assert "give a file in a folder that is there" in capsys.readouterr().err


def test_the_whole_path_with_the_pocket_models(tmp_path, feat_data: Path, capsys):
    for label in ("happiness", "sadness"):
        folder = tmp_path / "sample" / label
        folder.mkdir(parents=True)
        for i in range(5):
            whole = Image.open(feat_data / "single_face.jpg").convert("RGB")
            whole.rotate(3 * i).resize((400, 266)).save(folder / f"{i}.jpg")
    out = tmp_path / "c.toml"
    call = ["calibrate", str(tmp_path / "sample"), "--out", str(out), *POCKET]
    assert main([*call, "--fusion", "context"]) == 0
    shown = capsys.readouterr().out
    assert "no items of" in shown
    assert "Cross-validated in 5 folds" in shown
    photo = str(feat_data / "single_face.jpg")
    assert main(["infer", photo, *POCKET, "--fusion", "context", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (
        main(["infer", photo, *POCKET, "--fusion", "context", "--json", "--calibration", str(out)])
        == 0
    )
    read = json.loads(capsys.readouterr().out)
    temperature = read["provenance"]["calibration"]["fits"]["direct"]["temperature"]
    before, after = (
        np.array([list(record["people"][0]["emotions"]["probabilities"].values())])
        for record in (plain, read)
    )
    assert after == pytest.approx(calibrate.temper_table(before, temperature), abs=1e-9)
