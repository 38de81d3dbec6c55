"""The protocols: their measures worked by hand, and the real pocket agent on real pictures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuleshov import Agent
from kuleshov.evals.datasets import registry as tasks
from kuleshov.evals.harness import evaluate
from kuleshov.evals.harness.samples import KnownSample
from kuleshov.evals.harness.systems import Outcome
from kuleshov.evals.protocols import fairness, hallucination, registry, sensitivity, shots, units
from kuleshov.evals.protocols.base import Findings, Trial
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import ActionUnit

import parts

PICTURES = {
    "0-f15-hao-ph.jpg": "happiness",
    "0-f1-su-ph.jpg": "surprise",
    "15-f13-anc-ph.jpg": "anger",
}


# ------------------------------------------------------------------------- by hand


def test_nobody_keeps_the_own_evidence():
    faces = [parts.face(parts.SMILE), None, parts.face(parts.NO_FROWN), parts.face()]
    given = units.draw_donors(faces, seed=0)
    assert given[1] is None
    assert all(a is not b for a, b in zip(faces, given, strict=True) if a is not None)
    assert {id(face) for face in given if face} == {id(face) for face in faces if face}
    with pytest.raises(KuleshovError, match="at least two samples with a face"):
        units.draw_donors([parts.face(), None], seed=0)


def test_a_changed_face_stays_where_it_is():
    own, donor = parts.face(parts.SMILE, valence=0.5), parts.face(parts.NO_FROWN, box=(0, 0, 5, 5))
    bare = units.swap_measures(own, None)
    assert (bare.xyxy, bare.action_units, bare.expression, bare.valence) == (
        own.xyxy,
        (),
        None,
        None,
    )
    other = units.swap_measures(own, donor)
    assert (other.xyxy, other.action_units) == (own.xyxy, donor.action_units)


def test_words_that_follow_the_evidence_are_told_from_those_that_look():
    smiling = parts.face(parts.SMILE, ActionUnit(unit=4, probability=0.02))
    frowning = parts.face(
        ActionUnit(unit=12, probability=0.02), ActionUnit(unit=4, probability=0.9)
    )
    # of a smiling face shown with a frown's evidence
    assert units.followed_claims(["a frown"], smiling, frowning) == [True]
    assert units.followed_claims(["a smile"], smiling, frowning) == [False]
    assert units.followed_claims(["no smile"], smiling, frowning) == [True]
    assert (
        units.followed_claims(["a smile"], smiling, smiling) == []
    )  # they say the same: it tells nothing
    assert units.followed_claims(["a wet street"], smiling, frowning) == []


def test_things_that_a_text_names():
    assert hallucination.parse_things(" Dog; ball ;dog") == ("dog", "ball")
    vocabulary = ["dog", "cat", "bus", "box"]
    assert hallucination.named_things("Two dogs and boxes; a category of buses", vocabulary) == {
        "dog",
        "box",
        "bus",
    }
    places, counts = hallucination.chair_counts(
        ["A dog and a cat.", None, "Nothing."], [{"dog"}, {"cat"}, {"bus", "box"}], vocabulary
    )
    assert (places, counts) == ([0, 2], [(2, 1, 1), (0, 0, 2)])


def test_orders_of_examples_differ():
    assert shots.orders_of(1) == [None]
    for count in (2, 3, 8):
        seeds = shots.orders_of(count)
        orders = {tuple(np.random.default_rng(seed).permutation(count)) for seed in seeds}
        assert len(orders) == len(seeds) == min(2 if count == 2 else 3, shots.ORDERS)


def test_labels_in_another_order():
    labels = LabelSet.load("ekman-7")
    back = sensitivity.order_labels(labels, None)
    assert back.names == labels.names[::-1]
    assert sorted(sensitivity.order_labels(labels, 1).names) == sorted(labels.names)
    assert sensitivity.order_labels(labels, 1).names != labels.names


def by_hand(known: list[KnownSample], task: str = "ferplus") -> Any:
    labels = LabelSet.load("ekman-7")
    facts = {"seed": 0, "split": "test", "samples": len(known), "of": len(known), "data": "."}
    return evaluate.Evaluation(tasks.TASKS[task], Path(), labels, known, facts, "")


def nobody(settings: Any) -> Any:
    raise AssertionError("nothing is to be loaded")


def test_the_gap_between_slices_by_hand():
    known = [
        KnownSample(
            str(n),
            Target(label="anger"),
            "t",
            None,
            {"gender": "f" if n < 20 else "m", "id": str(n)},
        )
        for n in range(40)
    ]
    trial = Trial(by_hand(known), nobody, resamples=50)
    slices = fairness._sample_slices(trial)
    assert {name: [*values] for name, values in slices.items()} == {"gender": ["f", "m"]}
    said = [Answer(label="anger" if n < 15 or n >= 30 else "fear") for n in range(40)]
    gap, p = fairness.widest_gap(trial, said, list(slices["gender"].values()))
    assert gap.value == pytest.approx(15 / 20 - 10 / 20)
    assert gap.low is not None
    assert gap.low <= gap.value <= (gap.high or 0)
    assert 0.05 < (p or 0) < 0.5  # 15 against 10 of 20 right: Fisher's exact test says .19
    everything = [Answer(label="anger" if n < 20 else "fear") for n in range(40)]
    _, clear = fairness.widest_gap(trial, everything, list(slices["gender"].values()))
    assert clear == pytest.approx(1 / 51)
    _, none = fairness.widest_gap(
        trial, [Answer(label="anger")] * 40, list(slices["gender"].values())
    )
    assert none == 1


def test_slices_of_other_classes_do_not_differ_by_that_alone():
    """Fear is never found and anger always; one slice is mostly fear, the other mostly anger."""
    fear = [n % 20 < (16 if n < 20 else 4) for n in range(40)]
    known = [
        KnownSample(
            str(n), Target(label="fear" if f else "anger"), "t", None, {"place": "ab"[n >= 20]}
        )
        for n, f in enumerate(fear)
    ]
    trial = Trial(by_hand(known), nobody, resamples=50)
    slices = list(fairness._sample_slices(trial)["place"].values())
    said = [Answer(label="anger")] * 40
    metric_gap, p = fairness.widest_gap(trial, said, slices)
    assert metric_gap.value == pytest.approx(0.6)
    assert p == 1
    # as many of each class in both, and fear is read in one of them alone: that is a difference
    known = [
        KnownSample(
            str(n), Target(label="fear" if n % 2 else "anger"), "t", None, {"place": "ab"[n >= 20]}
        )
        for n in range(40)
    ]
    trial = Trial(by_hand(known), nobody, resamples=50)
    told = [Answer(label="fear" if n % 2 and n < 20 else "anger") for n in range(40)]
    _, clear = fairness.widest_gap(
        trial, told, list(fairness._sample_slices(trial)["place"].values())
    )
    assert clear == pytest.approx(1 / 51)


def test_one_more_coder_among_the_people():
    from kuleshov.evals.protocols import votes

    known = [
        KnownSample("0", Target(votes={"anger": 3}), "t", None, {}),
        KnownSample("1", Target(votes={"fear": 3}), "t", None, {}),
    ]
    trial = Trial(by_hand(known), nobody)
    agreeing = [Outcome(Answer(label="anger")), Outcome(Answer(label="fear"))]
    assert votes.with_system(trial, agreeing) == pytest.approx(1)
    # coincidences of [[3, 1], [0, 4]] by hand: o = anger-fear 1 + 1 of 8; e = (3·5 + 5·3) / 7
    mixed = [Outcome(Answer(label="fear")), Outcome(Answer(label="fear"))]
    assert votes.with_system(trial, mixed) == pytest.approx(1 - 2 / (30 / 7))
    known[0].target.votes["anger"] = 0.5  # type: ignore[index]
    assert votes.with_system(trial, agreeing) is None
    two = [
        Outcome(Answer({"anger": 0.501, "fear": 0.499})),
        Outcome(Answer({"anger": 0.504, "fear": 0.496})),
    ]
    assert votes.label_spread(two) == (1, 1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fairness", "needs what annotators noted"),
        ("hallucination", "column objects"),
        ("votes", "needs people's votes"),
    ],
)
def test_a_protocol_says_what_it_needs(name: str, says: str):
    trial = Trial(by_hand([KnownSample("0", Target(label="anger"), "t", None, {})]), nobody)
    with pytest.raises(KuleshovError, match=says):
        registry.find_protocol(name).run(trial)


def test_unknown_protocols_name_the_nearest():
    with pytest.raises(KuleshovError, match=r"no protocol 'unit' \(did you mean units\?\)"):
        registry.find_protocol("unit")


# ------------------------------------------------------------------------- the real agent


@pytest.fixture(scope="module")
def pocket() -> Agent:
    return Agent.load(model="pocket", faces="pocket")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, feat_data: Path) -> evaluate.Evaluation:
    folder = tmp_path_factory.mktemp("set")
    rows = ["path,label,objects,split"]
    for name, label in PICTURES.items():
        shutil.copy(feat_data / name, folder)
        rows.append(f"{name},{label},person; dog; zebra,test")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    task = tasks.find_task("manifest", folder / "list.csv")
    return evaluate.begin_evaluation(task, str(folder / "list.csv"), folder / "out")


def run(name: str, begun: evaluate.Evaluation, pocket: Agent, **changes: Any) -> Findings:
    trial = Trial(
        begun,
        lambda settings: evaluate.reset_agent(pocket, settings),
        resamples=20,
        options={"workers": 2},
        **changes,
    )
    return registry.find_protocol(name).run(trial)


def test_units_of_the_pocket_model_are_copied(begun, pocket):
    found = run("units", begun, pocket)
    assert found.numbers["with_f1"] == 1
    # it was taught to go by its evidence list: with another's evidence it says that
    assert found.numbers["copied"] in (1, None)
    assert (found.numbers["swapped_shown_f1"] or 0) > (found.numbers["swapped_f1"] or 0)
    assert found.tables[0].rows[1][0] == "without evidence"


def test_influence_is_read_under_three_conditions(begun, pocket):
    found = run("influence", begun, pocket)
    assert len(found.points) == len(PICTURES)
    subsets = {row[0]: int(row[1]) for row in found.tables[0].rows}
    whole, _, parted, rest = subsets.values()
    assert whole == len(PICTURES) == parted + rest
    assert 0 <= (found.numbers["index"] or 0) <= 1
    assert found.tables[0].head[-2:] == ("face and context", "computed from the two alone")
    assert abs(found.numbers["shift"]) <= found.numbers["shift_whole"]


def test_answers_repeat_across_batches(begun, pocket):
    found = run("repeatability", begun, pocket)
    assert found.numbers["8 at once: largest difference"] == 0
    assert found.numbers["once more: same words"] == 1


def test_things_are_probed_where_the_model_was_taught_them(begun, pocket):
    found = run("hallucination", begun, pocket)
    (note,) = found.notes
    assert "zebra" in note
    assert "not measured by this model" in note
    assert found.tables[1].title == "Yes or no"


def test_examples_come_from_the_user_or_the_training_split(begun, pocket, feat_data, tmp_path):
    with pytest.raises(KuleshovError, match="give --examples"):
        run("shots", begun, pocket, shots=(0, 1))
    for name, label in PICTURES.items():
        (tmp_path / label).mkdir()
        shutil.copy(feat_data / name, tmp_path / label)
    found = run("shots", begun, pocket, shots=(0, 2), examples=str(tmp_path))
    assert [row[0] for row in found.tables[0].rows] == ["0", "2", "2"]
    assert "never taught with examples" in found.notes[1]
    assert found.tables[1].rows[0][:2] == ("2", "2")
