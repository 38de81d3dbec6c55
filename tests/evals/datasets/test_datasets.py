"""Readers of data sets, on small trees in the layout as published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kuleshov.evals.datasets import base, ferplus
from kuleshov.evals.datasets.registry import TASKS, find_task
from kuleshov.evals.types import Answer, Target
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError


def test_a_target_says_what_it_needs():
    with pytest.raises(ValueError, match="at least one part"):
        Target()
    with pytest.raises(ValueError, match="valence must lie in −1…1 but is 5"):
        Target(valence=5)
    with pytest.raises(ValueError, match="one above it"):
        Target(votes={"anger": 0})
    assert Target(votes={"anger": 3, "fear": 1}).distribution == {"anger": 0.75, "fear": 0.25}


def test_an_answers_labels_follow_from_its_probabilities():
    answer = Answer(probabilities={"anger": 0.4, "fear": 0.6})
    assert answer.top == "fear"
    assert answer.several == ("fear",)
    assert Answer().top is None
    assert Answer().several is None


def test_ratings_are_carried_to_one_scale():
    assert [base.rescale_rating(value, 1, 7) for value in (1, 4, 7)] == [-1, 0, 1]
    with pytest.raises(ValueError, match="8 lies outside the scale 1–7"):
        base.rescale_rating(8, 1, 7)


def test_unknown_tasks_and_splits_name_the_nearest():
    with pytest.raises(KuleshovError, match=r"no task 'ferplu' \(did you mean ferplus\?\)"):
        find_task("ferplu")
    with pytest.raises(KuleshovError, match=r"no split 'publictest' \(did you mean PublicTest"):
        TASKS["ferplus"].read(".", "publictest")
    with pytest.raises(KuleshovError, match="there is no file or folder"):
        TASKS["ferplus"].read("nowhere")


# ---------------------------------------------------------------------------------- FER+

#         neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
CLEAR = [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]  # without the single vote: 4 of 9, no majority
MAJORITY = [0, 8, 1, 0, 0, 0, 0, 0, 1, 0]  # 8 of 8
UNKNOWN = [1, 0, 1, 1, 1, 0, 0, 0, 6, 0]


def write_ferplus(root: Path, split: str = "PublicTest") -> None:
    folder = root / ferplus.FOLDERS[split]
    folder.mkdir()
    rows = []
    for n, votes in enumerate((CLEAR, MAJORITY, UNKNOWN)):
        name = f"fer000000{n}.png"
        (folder / name).write_bytes(ferplus._encode_png(np.full((48, 48), 40 * n, np.uint8)))
        rows.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}')
    (folder / "label.csv").write_text("\n".join(rows) + "\n")


def test_ferplus_votes_follow_the_published_protocol():
    no_majority = ferplus.votes_target(CLEAR)
    assert no_majority is not None
    assert no_majority.label is None
    assert no_majority.votes == {
        **dict.fromkeys(ferplus.EMOTIONS, 0),
        "neutral": 4,
        "anger": 3,
        "disgust": 2,
    }
    majority = ferplus.votes_target(MAJORITY)
    assert majority is not None
    assert (majority.label, majority.votes["happiness"]) == ("happiness", 8)
    assert ferplus.votes_target(UNKNOWN) is None
    assert ferplus.votes_target([1] * 10) is None


def test_ferplus_from_its_folders(tmp_path: Path):
    root = tmp_path / "data"
    root.mkdir()
    write_ferplus(root)
    samples = list(TASKS["ferplus"].read(root))
    assert [(s.id, s.target.label, s.split) for s in samples] == [
        ("fer0000000.png", None, "PublicTest"),
        ("fer0000001.png", "happiness", "PublicTest"),
    ]
    assert media.open_media(samples[1].source).images[0][0, 0].tolist() == [40, 40, 40]
    with pytest.raises(KuleshovError, match="wrong level of FER"):
        TASKS["ferplus"].read(root / "FER2013Valid")
    with pytest.raises(KuleshovError, match=r"wrong level of FER\+: .* has FER2013Valid/label.csv"):
        TASKS["ferplus"].read(tmp_path)
    with pytest.raises(KuleshovError, match="lacks FER2013Test, which holds PrivateTest"):
        TASKS["ferplus"].read(root, "PrivateTest")
    (root / "FER2013Valid" / "fer0000001.png").unlink()
    with pytest.raises(
        KuleshovError, match=r"1 of 2 pictures of FER2013Valid of FER\+ are missing: fer0000001.png"
    ):
        TASKS["ferplus"].read(root)


def test_ferplus_from_kaggles_table(tmp_path: Path):
    head = "Usage,Image name," + ",".join(ferplus.VOTES)
    votes = [CLEAR, MAJORITY, [0] * 9 + [10]]
    names = ["fer0000000.png", "fer0000001.png", ""]
    usage = ["Training", "PublicTest", "PublicTest"]
    rows = [f"{u},{n},{','.join(map(str, v))}" for u, n, v in zip(usage, names, votes, strict=True)]
    (tmp_path / ferplus.LABELS).write_text("\n".join([head, *rows]))
    with pytest.raises(KuleshovError, match=r"put Kaggle's fer2013.csv there"):
        TASKS["ferplus"].read(tmp_path)
    pixels = " ".join(["7"] * 48 * 48)
    lines = ["emotion,pixels,Usage", *(f"0,{pixels},{u}" for u in usage)]
    (tmp_path / ferplus.PIXELS).write_text("\n".join(lines))
    (sample,) = TASKS["ferplus"].read(tmp_path)
    assert (sample.id, sample.target.label) == ("fer0000001.png", "happiness")
    assert media.open_media(sample.source).images[0].shape == (48, 48, 3)
    (tmp_path / ferplus.PIXELS).write_text("\n".join(lines[:-1]))
    with pytest.raises(KuleshovError, match=r"fer2013.csv has 2 rows and fer2013new.csv 3"):
        TASKS["ferplus"].read(tmp_path)
    (tmp_path / ferplus.LABELS).write_text("emotion,pixels,Usage\n")
    with pytest.raises(KuleshovError, match=r"lacks the column Image name, neutral"):
        TASKS["ferplus"].read(tmp_path)


def test_ferplus_from_one_table(tmp_path: Path):
    np.savez(
        tmp_path / ferplus.TABLE,
        images=np.zeros((2, 48, 48), np.uint8),
        votes=np.array([CLEAR, MAJORITY], np.uint8),
        vote_names=np.array(ferplus.VOTES),
        usage=np.array(["Training", "PublicTest"]),
        names=np.array(["a.png", "b.png"]),
    )
    (sample,) = TASKS["ferplus"].read(tmp_path)
    assert sample.id == "b.png"
    with pytest.raises(KuleshovError, match="no face of PrivateTest; it has PublicTest, Training"):
        TASKS["ferplus"].read(tmp_path, "PrivateTest")


# ---------------------------------------------------------------------------------- manifest


def test_a_manifest_brings_its_own_kind(tmp_path: Path):
    table = tmp_path / "mine.csv"
    table.write_text(
        "path,label,split,subject,box,context,gender\n"
        "a.jpg,anger,test,s1,1 2 30 40,at work,female\n"
        "b.jpg,fear,train,s2,,,\n"
        "c.jpg,,test,s1,,,\n"
    )
    task = find_task("manifest", table)
    assert (task.kind, task.metrics[0]) == ("single", "accuracy")
    (sample,) = task.read(table, "test")
    assert sample.source == tmp_path / "a.jpg"
    assert (sample.target.label, sample.group, sample.split) == ("anger", "s1", "test")
    assert sample.box_xyxy == (1, 2, 30, 40)
    assert (sample.context, sample.slices) == (("at work",), {"gender": "female"})
    assert [s.id for s in task.read(table)] == ["a.jpg", "b.jpg"]
    with pytest.raises(KuleshovError, match="of the split 'dev'; its splits are test, train"):
        task.read(table, "dev")


def test_a_manifest_of_distributions_sets_and_ratings(tmp_path: Path):
    rows = [
        {"path": "a.jpg", "label": {"anger": 3, "fear": 1}},
        {"path": "b.jpg", "labels": ["anger", "fear"]},
        {"path": "c.jpg", "valence": 0.5, "arousal": -0.5},
        {"path": "d.jpg", "text": "He smiles."},
    ]
    kinds = []
    for row in rows:
        table = tmp_path / "one.jsonl"
        table.write_text(json.dumps(row))
        kinds.append(find_task("manifest", table).kind)
    assert kinds == ["votes", "multi", "affect", "text"]
    table.write_text("\n".join(map(json.dumps, rows)))
    targets = [sample.target for sample in TASKS["manifest"].read(table)]
    assert targets[1].labels == ("anger", "fear")
    assert (targets[2].valence, targets[2].arousal) == (0.5, -0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\na.jpg,\n", "no row of .* has an answer of people"),
        ("path,label\na.jpg,fear\na.jpg,anger\n", "'a.jpg' is used in rows 1 and 2"),
        ("path,valence\na.jpg,3\n", "row 1: valence must lie in −1…1 but is 3"),
        ("path,valence\na.jpg,high\n", "valence is 'high', not a number"),
        ("path,label,box\na.jpg,fear,1 2 3\n", "is not four numbers"),
        ("image_,label\na.jpg,fear\n", "has no column 'path'"),
    ],
)
def test_a_wrong_manifest_is_told_in_one_sentence(tmp_path: Path, text: str, says: str):
    table = tmp_path / "mine.csv"
    table.write_text(text)
    with pytest.raises(KuleshovError, match=says):
        list(find_task("manifest", table).read(table))
