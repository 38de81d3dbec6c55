"""`kuleshov integrate`: simulated people are recovered, real ones read, bad tables refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuleshov.apps.cli import main
from kuleshov.evidence.observer import load_observer, pool_log_linear, shipped_observer
from kuleshov.studies import integrate as studies
from kuleshov.studies.ratings import ABOVE_FLOOR, read_ratings
from kuleshov.tools.errors import KuleshovError

LABELS = ("happy", "sad", "angry", "afraid", "surprised")
ONG = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ong2015" / "experiment3.csv"


def people(
    path, *, raters=40, faces=6, contexts=5, face_weight=0.7, context_weight=0.4, spread=0.0, seed=1
):
    """Made-up judgements on 0-100: everybody sees the same cues and pools them with weights of
    their own. Returns the weights by rater."""
    rng = np.random.default_rng(seed)
    face, context = (rng.dirichlet(np.ones(len(LABELS)), n) for n in (faces, contexts))
    weights = {
        f"p{i:03}": np.array([face_weight, context_weight]) + spread * rng.normal(size=2)
        for i in range(raters)
    }
    rows = []

    def rate(condition, f, c, rater, shares):
        noise = np.exp(rng.normal(0, 0.1, len(LABELS)))
        shown = np.clip(100 * (shares * noise) / (shares * noise).sum() - ABOVE_FLOOR, 0, 100)
        rows.append([condition, f, c, rater, *shown.round(2)])

    for rater, (a, b) in weights.items():
        for f in range(faces):
            rate("face", f"f{f}", "", rater, face[f])
        for c in range(contexts):
            rate("context", "", f"c{c}", rater, context[c])
        for f in range(faces):
            for c in range(contexts):
                both = pool_log_linear(face[f][None], context[c][None], a, b)[0]
                rate("both", f"f{f}", f"c{c}", rater, both)
    table = pd.DataFrame(rows, columns=["condition", "face", "context", "rater", *LABELS])
    table.to_csv(path, index=False)
    return weights


def fitted(found, rule):
    return next(fit for fit in found.rules if fit.rule == rule)


def test_the_weights_of_simulated_people_are_recovered(tmp_path):
    path = tmp_path / "ratings.csv"
    people(path, raters=8)
    found = studies.fit_integration(
        read_ratings(path, labels=LABELS, scale=(0, 100)), source="made"
    )
    log_pool = fitted(found, "log-pool")
    assert log_pool.parameters["face_weight"] == pytest.approx(0.7, abs=0.05)
    assert log_pool.parameters["context_weight"] == pytest.approx(0.4, abs=0.05)
    # people who pool are told from those who average, multiply or look at one cue only
    best = min(found.rules, key=lambda fit: fit.over_faces.value)
    assert best.rule in ("log-pool", "log-pool-prior")
    for other in ("face", "context", "mean", "product", "surer"):
        assert fitted(found, other).over_faces.value > 4 * log_pool.over_faces.value
    assert found.ceiling is not None
    assert found.ceiling.divergence < fitted(found, "mean").over_faces.value


def test_each_raters_weights_are_recovered(tmp_path):
    path = tmp_path / "ratings.csv"
    truth = people(path, raters=30, spread=0.2)
    found = studies.fit_integration(
        read_ratings(path, labels=LABELS, scale=(0, 100)), source="made"
    )
    assert len(found.by_rater) == 30
    for i, name in enumerate(("face_weight", "context_weight")):
        told = [getattr(fit, name) for fit in found.by_rater]
        r = np.corrcoef(told, [truth[fit.rater][i] for fit in found.by_rater])[0, 1]
        assert r > 0.9
        assert found.spread[name] == pytest.approx(0.2, abs=0.08)


def test_no_fit_sees_the_faces_it_is_judged_on(tmp_path):
    path = tmp_path / "ratings.csv"
    people(path, raters=3)
    pairs = studies.mean_cells(read_ratings(path, labels=LABELS, scale=(0, 100)))
    rule = next(rule for rule in studies.RULES if rule.name == "log-pool-prior")
    told = studies.held_out(rule, pairs, pairs.face_names)
    out = pairs.face_names == "f0"
    # turning the judgements of the face that is left out upside down changes nothing
    pairs.both[out] = pairs.both[out][:, ::-1]
    again = studies.held_out(rule, pairs, pairs.face_names)
    assert again[out] == pytest.approx(told[out])
    assert not np.allclose(again[~out], told[~out])


@pytest.mark.skipif(not ONG.is_file(), reason="needs ../shared/data/ong2015")
def test_people_neither_multiply_nor_ignore(tmp_path, capsys):
    """The published judgements: the log-linear pool is nearest, the product far."""
    command = [
        "integrate",
        str(ONG),
        "--labels",
        "happy,sad,angry,surprised,disgusted,afraid,content,disappointed",
        "--scale",
        "1-9",
        "--name",
        "people",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main.main(command) == 0
    shown = capsys.readouterr().out
    assert "18 faces × 10 contexts, 180 pairs, 465 people" in " ".join(shown.split())
    rows = {row["rule"]: row for row in csv.DictReader((tmp_path / "out/integration.csv").open())}
    kl = {name: round(float(row["kl"]), 3) for name, row in rows.items()}
    # the figures of the first look at these data, made with other code
    assert kl["face"] == 0.123
    assert kl["context"] == 0.175
    assert kl["product"] == 0.155
    assert kl["product-over-prior"] == 0.084
    assert kl["mean"] == 0.057
    assert kl["log-pool"] == 0.048
    observer = load_observer(tmp_path / "out/observer.toml")
    people = shipped_observer()
    assert observer.face_weight == pytest.approx(people.face_weight, abs=2e-3)
    assert observer.context_weight == pytest.approx(people.context_weight, abs=2e-3)
    assert json.loads((tmp_path / "out/integration.json").read_text("utf-8"))["pairs"] == 180
    assert (tmp_path / "out/integration.png").stat().st_size > 10_000


def test_long_tables_and_choices_are_read(tmp_path):
    wide = tmp_path / "wide.csv"
    people(wide, raters=2, faces=2, contexts=2)
    table = pd.read_csv(wide)
    long = table.melt(["condition", "face", "context", "rater"], LABELS, "label", "rating")
    long.to_csv(tmp_path / "long.csv", index=False)
    a = read_ratings(wide, labels=LABELS, scale=(0, 100))
    b = read_ratings(tmp_path / "long.csv", scale=(0, 100))
    assert set(b.labels) == set(LABELS)
    order = [b.labels.index(name) for name in LABELS]
    assert sorted(map(tuple, b.values[:, order])) == sorted(map(tuple, a.values))
    table["choice"] = table[list(LABELS)].idxmax(axis=1)
    table.drop(columns=list(LABELS)).to_csv(tmp_path / "choices.csv", index=False)
    chosen = read_ratings(tmp_path / "choices.csv", labels=LABELS)
    assert chosen.chosen
    assert chosen.values.sum(axis=1).tolist() == [1.0] * len(chosen)


def drop_condition(table, name):
    return table[table.condition != name]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: drop_condition(t, "both"), "no judgement of both"),
        (lambda t: drop_condition(t, "face"), "no judgement of the face alone"),
        (lambda t: t[(t.face == "f0") | t.face.isna()], "one face only"),
        (lambda t: t[(t.context == "c0") | t.context.isna()], "one context only"),
        (lambda t: t.assign(happy=t.happy.where(t.condition != "face")), "no rating of happy in"),
        (lambda t: t.assign(happy=400.0), "outside the scale 0-100"),
        (lambda t: t.assign(**dict.fromkeys(LABELS, 5.0)), "are alike"),
        (lambda t: t.drop(columns="condition"), "no column for the condition"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, change, says):
    path = tmp_path / "ratings.csv"
    people(path, raters=2, faces=2, contexts=2)
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(KuleshovError, match=says) as told:
        read_ratings(path, labels=LABELS, scale=(0, 100))
    assert "\n" not in str(told.value)


def test_names_that_differ_between_conditions_are_told(tmp_path):
    path = tmp_path / "ratings.csv"
    people(path, raters=2, faces=2, contexts=2)
    table = pd.read_csv(path)
    alone = table.condition == "face"
    table.loc[alone, "face"] = "x" + table.face[alone]
    table.to_csv(path, index=False)
    ratings = read_ratings(path, labels=LABELS, scale=(0, 100))
    with pytest.raises(KuleshovError, match="called alike"):
        studies.fit_integration(ratings, source="made")


def test_a_label_that_nobody_gives_is_unknown_not_zero(tmp_path):
    path = tmp_path / "ratings.csv"
    people(path, raters=2)
    pd.read_csv(path).assign(afraid=0.0).to_csv(path, index=False)
    found = studies.fit_integration(
        read_ratings(path, labels=LABELS, scale=(0, 100)), source="made"
    )
    assert any(warning.startswith("afraid: rated alike") for warning in found.warnings)
    afraid = next(one for one in found.emotions if one.label == "afraid")
    assert afraid.face is None
    assert afraid.r_both is None


def test_one_rater_is_said_and_read(tmp_path):
    path = tmp_path / "ratings.csv"
    people(path, raters=1)
    found = studies.fit_integration(
        read_ratings(path, labels=LABELS, scale=(0, 100)), source="made"
    )
    assert found.ceiling is None
    assert any("one rater only" in warning for warning in found.warnings)
    assert any("noise ceiling is not known" in warning for warning in found.warnings)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    (tmp_path / "empty.csv").write_bytes(b"")
    for arguments, says in (
        ([str(tmp_path / "none.csv")], "cannot read the ratings"),
        ([str(tmp_path / "empty.csv")], "is not a table of ratings"),
        ([str(tmp_path / "none.csv"), "--scale", "9-1"], "lowest and highest"),
        ([str(tmp_path / "none.csv"), "--column", "rater"], "PART=NAME"),
    ):
        assert main.main(["integrate", *arguments]) == 2
        assert says in capsys.readouterr().err


def test_results_that_cannot_be_written_are_one_sentence(tmp_path, capsys):
    table, out = tmp_path / "ratings.csv", tmp_path / "out"
    people(table, raters=2, faces=2, contexts=2)
    call = ["integrate", str(table), "--labels", ",".join(LABELS), "--scale", "0-100"]
    out.write_text("a file")
    assert main.main([*call, "--out", str(out)]) == 2
    assert f"cannot write to the folder {out}" in capsys.readouterr().err
    out.unlink()
    (out / "integration.csv").mkdir(parents=True)  # a folder in the place of the table
    assert main.main([*call, "--out", str(out)]) == 2
    assert f"cannot write to the folder {out}" in capsys.readouterr().err
