"""The task ong2015 and the shift that people show, from a small tree in the real layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.evals.datasets.ong2015 import RATED, outcome_sentence
from kuleshov.evals.datasets.registry import TASKS
from kuleshov.evals.harness.systems import Outcome
from kuleshov.evals.protocols import shift
from kuleshov.evals.protocols.base import Trial
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

HEAD = "shown,face,rater,wheel,payoff1,payoff2,payoff3,win," + ",".join(RATED)
WHEELS = {"1": "80,15,70,80", "2": "10,60,90,10"}
PHOTOS = {"1": "single_face.jpg", "2": "45-m7-di-ph.jpg"}


@pytest.fixture
def root(tmp_path: Path, feat_data: Path) -> Path:
    """Two faces, two outcomes, four judges of each; the second outcome is a bad one."""
    folder = tmp_path / "ong2015"
    (folder / "faces").mkdir(parents=True)
    from PIL import Image

    for number, name in PHOTOS.items():
        Image.open(feat_data / name).save(folder / "faces" / f"{number}.png")
    rows, rater = [HEAD], 0
    for shown in ("face", "context", "both"):
        for face in PHOTOS:
            for wheel, spin in WHEELS.items():
                for judge in range(4):
                    rater += 1
                    happy = 5 + judge % 2
                    if shown != "face":
                        happy += 2 if wheel == "1" else -3
                    if shown != "context":
                        happy += 1 if face == "1" else -1
                    ratings = [happy, 10 - happy, 1, 2, 1, 1, happy, 9 - happy + judge % 2]
                    rows.append(
                        f"{shown},{face},{rater},{wheel},{spin},"
                        + ",".join(str(min(9, max(1, r))) for r in ratings)
                    )
    (folder / "experiment3.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def test_the_outcome_is_a_sentence():
    assert outcome_sentence((80, 15, 70), 80) == (
        "The person has just spun a wheel with prizes of $15, $70 and $80 and won $80."
    )


def test_samples_carry_all_three_conditions(root: Path):
    samples = list(TASKS["ong2015"].read(root))
    assert [sample.id for sample in samples] == ["1-1", "1-2", "2-1", "2-2"]
    first = samples[0]
    assert first.group == "1"
    assert first.context == (outcome_sentence((80, 15, 70), 80),)
    target = first.target
    assert sum(target.votes.values()) == pytest.approx(4, abs=1e-3)  # weighed by its judges
    assert sum(target.face_votes.values()) == pytest.approx(8, abs=1e-3)
    assert target.context_votes["happiness"] > samples[1].target.context_votes["happiness"]
    # by hand, above the floor and lifted by .1: happy 8 or 9, so 7.5 of 9 …
    mean = [7.5, 0.5, 0.0, 1.0, 0.0, 0.0, 7.5, 0.0]
    lifted = [value + 0.1 for value in mean]
    happy = (lifted[0] + lifted[6]) / sum(lifted)
    assert target.distribution["happiness"] == pytest.approx(happy, abs=1e-3)
    six = next(iter(TASKS["ong2015-six"].read(root))).target.distribution
    rest = sum(lifted) - lifted[6] - lifted[7]
    assert six["happiness"] == pytest.approx(lifted[0] / rest, abs=1e-3)
    assert set(six) == set(LabelSet.load("ekman-6").names)


def test_a_folder_that_lacks_a_face_is_one_sentence(root: Path):
    (root / "faces" / "2.png").unlink()
    with pytest.raises(KuleshovError, match=r"1 of 2 faces of ong2015 are missing: 2\.png"):
        list(TASKS["ong2015"].read(root))
    shutil.rmtree(root / "faces")
    with pytest.raises(KuleshovError, match="there is no faces in it"):
        list(TASKS["ong2015"].read(root))


def test_end_to_end_through_the_agent(root: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    call = ["eval", "ong2015", "--data", str(root), "--model", "pocket", "--faces", "pocket"]
    call += ["--protocol", "votes", "--strategy", "face,context,people", "--resamples", "20"]
    assert main([*call, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    heads = [table["title"] for table in told["tables"]]
    assert heads[:2] == [
        "Readings against people's, by condition",
        "The shift: both together against the face alone",
    ]
    for condition, system in (
        ("face", "face"),
        ("context", "context"),
        ("both", "people"),
        ("both", "mean"),
        ("both", "face"),
    ):
        assert -1 <= told["numbers"][f"{condition}_{system}_r"] <= 1
        assert told["numbers"][f"{condition}_{system}_kl"] >= 0
    assert told["numbers"]["shift_ceiling_r"] > 0.5
    share = told["numbers"]["shift_people_r"] / told["numbers"]["shift_ceiling_r"]
    assert told["numbers"]["shift_people_share"] == pytest.approx(share)


def trial(targets: list[Target], groups: list[str]) -> Trial:
    found = SimpleNamespace(
        labels=LabelSet.load("ekman-6"),
        targets=targets,
        groups=groups,
        facts={"seed": 0},
        ids=[str(i) for i in range(len(targets))],
    )
    return Trial(found, lambda _: None, resamples=0)


def spread(**given: float) -> dict[str, float]:
    names = LabelSet.load("ekman-6").names
    rest = (1 - sum(given.values())) / (len(names) - len(given))
    return {name: given.get(name, rest) for name in names}


def test_who_reads_as_people_do_shows_their_shift():
    people = [
        ("a", spread(happiness=0.7), spread(sadness=0.6), spread(happiness=0.5, sadness=0.2)),
        ("a", spread(happiness=0.7), spread(fear=0.6), spread(happiness=0.4, fear=0.3)),
        ("b", spread(anger=0.7), spread(sadness=0.6), spread(anger=0.3, sadness=0.4)),
    ]
    targets = [Target(votes=b, face_votes=f, context_votes=c) for _, f, c, b in people]
    answers = {
        "face": [f for _, f, _, _ in people],
        "context": [c for _, _, c, _ in people],
        "people": [b for *_, b in people],
        "text": [f for _, f, _, _ in people],  # knows the face alone: no shift at all
    }
    outcomes = {
        name: [Outcome(Answer(probabilities=shares)) for shares in given]
        for name, given in answers.items()
    }
    tables, numbers = shift.shift_tables(trial(targets, [g for g, *_ in people]), outcomes)
    assert numbers["both_people_kl"] == pytest.approx(0, abs=1e-9)
    assert numbers["shift_people_r"] == pytest.approx(1)
    assert numbers["shift_text_r"] is None
    assert numbers["shift_ceiling_r"] is None  # nothing is known of halves
    assert "no ceiling" in tables[1].note
    assert numbers["both_mean_r"] < numbers["both_people_r"]
    # where people judged both alone, there is no shift to hold a system against
    plain = [Target(votes=target.votes) for target in targets]
    assert shift.shift_tables(trial(plain, ["a", "a", "b"]), outcomes) == ([], {})


def test_a_manifest_may_tell_all_three(tmp_path: Path, feat_data: Path):
    shutil.copy(feat_data / "single_face.jpg", tmp_path)
    row = {
        "path": "single_face.jpg",
        "label": {"happiness": 3, "sadness": 1},
        "label_face": {"happiness": 4},
        "label_context": {"sadness": 2},
    }
    path = tmp_path / "m.jsonl"
    path.write_text(
        json.dumps(row | {k: json.dumps(row[k]) for k in ("label_face", "label_context")}), "utf-8"
    )
    (sample,) = TASKS["manifest"].read(path, "all")
    assert sample.target.face_votes == {"happiness": 4}
    assert sample.target.context_votes == {"sadness": 2}
    path.write_text(json.dumps(row | {"label_face": "happy", "label_context": None}), "utf-8")
    with pytest.raises(KuleshovError, match="label_face is 'happy', not a distribution"):
        list(TASKS["manifest"].read(path, "all"))
