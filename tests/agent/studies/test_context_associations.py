"""Associations over an annotated run: estimates, intervals, correction, groups, table, heat map."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from PIL import Image

from kuleshov import Agent, Inference
from kuleshov.apps.cli.main import main
from kuleshov.studies import associations
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import Media
from kuleshov.tools.types import ActionUnit
from kuleshov.types import CodedVariable, FusedScores, Item, Person, Provenance

from parts import face, scores


def coded(name, p, people=(), kind="yes/no"):
    return CodedVariable(
        name=name,
        scheme="mine",
        type=kind,
        scope="person" if people else "scene",
        people=people,
        question="?",
        value="yes" if p > 0.5 else "no",
        probabilities={"yes": p, "no": 1 - p},
        method="made by hand",
    )


def record(i, party, smile, touched, video, happy=None):
    """One picture with one person: `party` of the scene, `touched` of the person."""
    happy = smile if happy is None else happy
    units = (ActionUnit(unit=12, probability=smile), ActionUnit(unit=4, probability=0.0))
    seen = face(*units, expression=scores(happiness=happy))
    person = Person(
        id=1,
        face=seen,
        emotions=FusedScores(**scores(happiness=happy).model_dump(), fusion="bayes"),
    )
    unanswered = CodedVariable(
        name="weather", scheme="mine", type="yes/no", question="?", unanswered="not measured"
    )
    return Inference(
        item=Item(id=f"item-{i}", extra={"video": video}),
        media=Media(path=f"{i}.jpg", sha256=f"{i:064d}", kind="image", size=(100, 100)),
        coded=(coded("party", party), coded("touched", touched, (1,)), unanswered),
        people=(person,),
        provenance=Provenance(kuleshov="0"),
    )


def write(folder, records):
    folder.mkdir(exist_ok=True)
    lines = [r.to_json() for r in records]
    (folder / "annotations.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "run.json").write_text("{}")
    return str(folder)


@pytest.fixture
def run(tmp_path):
    """60 pictures: a party goes with smiles, touch with nothing."""
    random = np.random.default_rng(3)
    records = []
    for i in range(60):
        party = random.uniform()
        smile = float(np.clip(0.8 * party + random.normal(0, 0.1), 0.01, 0.99))
        records.append(record(i, party, smile, random.uniform(), f"v{i % 6}"))
    return write(tmp_path / "run", records)


def table(run, **options):
    data, contexts, outcomes = associations.build_frame(
        associations.read_run(run),
        options.pop("outcomes", ("face", "units")),
        options.pop("group", "media"),
    )
    return associations.measure_associations(data, contexts, outcomes, **options)


def one(found, context, outcome):
    (row,) = found[(found["context"] == context) & (found["outcome"] == outcome)].itertuples()
    return row


def test_estimates_are_scipys_and_corrected_by_statsmodels(run):
    from scipy.stats import pearsonr
    from statsmodels.stats.multitest import multipletests

    found = table(run)
    assert list(found.columns) == list(associations.COLUMNS)
    records = list(associations.read_run(run))
    x = [r.coded[0].probabilities["yes"] for r in records]
    y = [r.people[0].face.action_units[0].probability for r in records]
    row = one(found, "party", "AU12")
    expected = pearsonr(x, y)
    assert row.estimate == pytest.approx(expected.statistic)
    assert row.estimate > 0.8
    assert (row.ci_low, row.ci_high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (row.n, row.groups, row.method, row.correction) == (60, 60, "Pearson's r", "fdr_by")
    tested = found[found["p"].notna()]
    assert list(tested["p_corrected"]) == pytest.approx(
        list(multipletests(tested["p"], method="fdr_by")[1])
    )
    assert one(found, "touched", "AU12").p_corrected > 0.05
    assert one(found, "party", "AU4").unanswered == "the outcome is constant"
    assert np.isnan(one(found, "party", "AU4").estimate)
    assert "weather" not in set(found["context"])
    holm = table(run, correction="holm")
    assert one(holm, "touched", "AU12").p_corrected >= one(found, "touched", "AU12").p_corrected


def test_repeated_people_in_a_mixed_model(tmp_path):
    """Within each video there is no association; between videos there is: the model tells."""
    random = np.random.default_rng(5)
    records = []
    for video in range(8):
        base = video / 8
        for i in range(12):
            party = float(np.clip(base + random.normal(0, 0.04), 0.01, 0.99))
            smile = float(np.clip(base + random.normal(0, 0.04), 0.01, 0.99))
            records.append(record(100 * video + i, party, smile, 0.5, f"v{video}"))
    run = write(tmp_path / "run", records)
    plain = one(table(run), "party", "AU12")
    mixed = one(table(run, group="video", mixed=True), "party", "AU12")
    assert plain.estimate > 0.9
    assert mixed.estimate < 0.4
    assert (mixed.groups, mixed.method) == (8, "mixed model, slope")
    assert mixed.ci_low < mixed.estimate < mixed.ci_high
    alone = one(table(run, mixed=True), "party", "AU12")
    assert alone.unanswered == "no group has more than one face: use the plain correlation"


@pytest.mark.parametrize(("pictures", "faces", "common"), [(60, 10, 0.5), (100, 5, 0.6)])
def test_faces_of_one_picture_are_not_counted_as_independent(pictures, faces, common):
    """Without an association about 5 % of the tests find one; of independent faces 28 to 40 %."""
    random = np.random.default_rng(1)
    contexts = np.repeat(random.normal(size=(pictures, 20)), faces, axis=0)
    shared = np.repeat(random.normal(size=(pictures, 30)), faces, axis=0)
    own = random.normal(size=shared.shape)
    outcomes = np.sqrt(common) * shared + np.sqrt(1 - common) * own
    columns = [f"context: c{i}" for i in range(20)], [f"AU{i}" for i in range(30)]
    data = pandas.DataFrame(np.hstack([contexts, outcomes]), columns=columns[0] + columns[1])
    data["group"] = np.repeat(np.arange(pictures), faces)
    found = associations.measure_associations(data, *columns)
    assert (found["p"] < 0.05).mean() <= 0.06
    assert not (found["p_corrected"] < 0.05).any()
    assert set(found["method"]) == {"Pearson's r, jackknife over groups"}
    assert ((found["ci_low"] < found["estimate"]) & (found["estimate"] < found["ci_high"])).all()


@pytest.mark.parametrize("column", [None, "clip", "subject"])
def test_the_manifest_tells_whose_faces_repeat(tmp_path, column, capsys):
    random = np.random.default_rng(1)
    records = []
    for i in range(24):
        one_of = record(i, random.uniform(), random.uniform(), 0.5, f"v{i % 8}")
        extra = {column: f"p{i % 6}", "take": i} if column else {"take": i}
        records.append(one_of.model_copy(update={"item": Item(id=f"{i}", extra=extra)}))
    run = write(tmp_path / "run", records)
    assert main(["associations", run]) == 0
    assert f"24 faces by {column or 'media'}" in capsys.readouterr().out
    found = pandas.read_csv(tmp_path / "run" / "associations" / "associations.csv")
    row = one(found, "party", "AU12")
    assert (row.groups, row.grouped_by) == ((6, column) if column else (24, "media"))
    assert row.method == "Pearson's r" + (", jackknife over groups" if column else "")


def test_an_association_between_groups_is_still_found(tmp_path):
    random = np.random.default_rng(2)
    records = []
    for i in range(40):
        party = random.uniform()
        for _ in range(3):
            smile = float(np.clip(0.8 * party + random.normal(0, 0.1), 0.01, 0.99))
            records.append(record(i, party, smile, 0.5, f"v{i}"))
    row = one(table(write(tmp_path / "run", records), group="auto"), "party", "AU12")
    assert row.p_corrected < 0.001
    assert row.ci_low > 0.7
    few = one(table(write(tmp_path / "few", records[:12])), "party", "AU12")
    assert few.unanswered == "only 4 groups: no interval"
    assert np.isnan(few.p)


def test_shares_that_sum_to_1_are_taken_as_log_ratios():
    """Anger goes with the context. Fear and joy keep their ratio: what they give way is no
    association of either against the other."""
    from scipy.stats import pearsonr

    random = np.random.default_rng(4)
    x = random.uniform(size=200)
    anger = 0.1 + 0.7 * x
    split = random.uniform(0.2, 0.8, size=200)
    shares = np.column_stack([anger, (1 - anger) * split, (1 - anger) * (1 - split)])
    data = pandas.DataFrame(shares, columns=["face: anger", "face: fear", "face: joy"])
    data = data.assign(group=range(200), **{"context: c": x, "AU12": shares[:, 1]})
    outcomes = ["face: anger", "face: fear", "face: joy", "AU12"]
    found = associations.measure_associations(data, ["context: c"], outcomes)
    logs = np.log(shares)
    right = (logs - logs.mean(axis=1, keepdims=True)).T
    for row, column in zip(found.itertuples(), right, strict=False):
        assert row.estimate == pytest.approx(pearsonr(x, column).statistic)
        assert row.method == "Pearson's r, shares as log-ratios"
    assert found["method"].iloc[3] == "Pearson's r"  # one column alone is no composition


def test_a_reading_that_saw_the_context_is_marked(run):
    found = table(run, outcomes=("units", "reading"))
    assert one(found, "party", "reading: happiness").shares_context
    assert not one(found, "party", "AU12").shares_context


def test_few_faces_are_not_tested(tmp_path):
    few = write(tmp_path / "few", [record(i, i / 9, i / 9, 0.5, "v") for i in range(5)])
    assert set(table(few)["unanswered"]) == {"only 5 faces have both"}


def test_the_command_writes_table_and_heat_map(run, tmp_path, capsys):
    assert main(["associations", run, "--outcomes", "face,units,reading"]) == 0
    told = capsys.readouterr()
    assert "60 faces" in told.out
    assert "AU12" in told.out
    assert "reading: happiness*" in told.out
    assert "* this reading has seen the context" in told.out
    found = pandas.read_csv(f"{run}/associations/associations.csv")
    assert list(found.columns) == list(associations.COLUMNS)
    picture = Image.open(f"{run}/associations/associations.png")
    assert picture.width > 400
    assert len(set(picture.convert("RGB").resize((80, 60)).getdata())) > 30


def test_what_cannot_be_associated(run, tmp_path, capsys):
    assert main(["associations", str(tmp_path / "gone")]) == 2
    assert main(["associations", run, "--outcomes", "units,faces"]) == 2
    assert "no outcome 'faces' (did you mean face?)" in capsys.readouterr().err
    assert main(["associations", run, "--group", "clip"]) == 2
    assert "no item of the run has the column 'clip'" in capsys.readouterr().err
    assert main(["associations", run, "--correction", "none"]) == 2
    assert "there is no correction 'none'" in capsys.readouterr().err
    empty = write(tmp_path / "empty", [])
    with pytest.raises(KuleshovError, match="holds no annotations"):
        list(associations.read_run(empty))
    bare = [record(1, 0.5, 0.5, 0.5, "v").model_copy(update={"coded": None})]
    assert main(["associations", write(tmp_path / "bare", bare)]) == 2
    assert "annotate with --scheme default" in capsys.readouterr().err


def test_a_run_of_the_bundled_models(photos, tmp_path, capsys):
    agent = Agent.load(model="pocket", faces="pocket", scheme="default", fusion="face")
    agent.annotate([str(p) for p in sorted(photos.iterdir())], tmp_path / "run")
    assert main(["associations", str(tmp_path / "run")]) == 0
    assert "faces" in capsys.readouterr().out
    found = pandas.read_csv(tmp_path / "run" / "associations" / "associations.csv")
    assert {"someone", "snow", "group"} <= set(found["context"])
    tested = found[found["p"].notna()]
    assert len(tested) > 20
    assert (tested["ci_low"] <= tested["estimate"]).all()
    assert not {"place: home", "posture: sitting"} & set(found["context"])
