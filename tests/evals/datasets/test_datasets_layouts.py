"""Every data set from a small tree in its layout, and what is said of a tree that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuleshov.evals.datasets.registry import TASKS
from kuleshov.evals.metrics import registry as metrics
from kuleshov.evals.types import Sample
from kuleshov.tools.errors import KuleshovError


def touch(root: Path, *names: str) -> None:
    """Files that are only listed, never opened by a reader."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def read(name: str, root: Path, split: str | None = None) -> list[Sample]:
    return list(TASKS[name].read(root, split))


def fails(name: str, root: Path, says: str, split: str | None = None) -> None:
    with pytest.raises(KuleshovError, match=says) as caught:
        read(name, root, split)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


# ---------------------------------------------------------------------------------- EMOTIC


def struct(*people: dict[str, Any]) -> np.ndarray:
    """A MATLAB struct array, 1 × n, as the file has them."""
    fields = list(people[0])
    made = np.empty((1, len(people)), dtype=[(field, object) for field in fields])
    for number, person in enumerate(people):
        for field in fields:
            made[0, number][field] = person[field]
    return made


def cells(*words: str) -> np.ndarray:
    made = np.empty((1, len(words)), dtype=object)
    made[0, :] = words
    return made


def vad(valence: float, arousal: float) -> np.ndarray:
    return struct({"valence": valence, "arousal": arousal, "dominance": 5.0})


def picture(name: str, folder: str, *people: dict[str, Any]) -> dict[str, Any]:
    return {
        "filename": name,
        "folder": folder,
        "image_size": struct({"n_col": 100, "n_row": 50}),
        "original_database": struct({"name": folder}),
        "person": struct(*people),
    }


def write_emotic(root: Path) -> None:
    from scipy.io import savemat

    one = {
        "bbox": np.array([[10.0, 5.0, 40.0, 45.0]]),
        "annotations_categories": struct({"categories": cells("Happiness", "Doubt/Confusion")}),
        "annotations_continuous": vad(10.0, 1.0),
        "gender": "Female",
        "age": "Adult",
    }
    two = {
        **one,
        "bbox": np.array([[-3.0, 5.0, 140.0, 45.0]]),
        "annotations_continuous": vad(np.nan, 3),
    }
    rated = {
        "bbox": np.array([[10.0, 5.0, 40.0, 45.0]]),
        "annotations_categories": struct(
            {"categories": cells("Anger")}, {"categories": cells("Fear")}
        ),
        "combined_categories": cells("Anger", "Fear"),
        "annotations_continuous": struct(
            {"valence": 4.0, "arousal": 6.0, "dominance": 5.0},
            {"valence": 5.0, "arousal": 7.0, "dominance": 5.0},
        ),
        "combined_continuous": vad(5.5, 10.0),
        "gender": "Male",
        "age": "Kid",
    }
    (root / "Annotations").mkdir(parents=True)
    savemat(
        root / "Annotations" / "Annotations.mat",
        {
            "train": struct(
                picture("a.jpg", "mscoco/images", one, two),
                picture("b.jpg", "framesdb/images", one),
            ),
            "val": struct(picture("a.jpg", "mscoco/images", rated)),
            "test": struct(picture("c.jpg", "mscoco/images", rated, rated)),
        },
    )
    touch(
        root / "emotic",
        "mscoco/images/a.jpg",
        "framesdb/images/b.jpg",
        "mscoco/images/c.jpg",
    )


def test_emotic(tmp_path: Path):
    write_emotic(tmp_path)
    first, second, third = read("emotic", tmp_path, "train")
    assert first.source == tmp_path / "emotic/mscoco/images/a.jpg"
    assert first.target.labels == ("doubt/confusion", "happiness")
    assert (first.target.valence, first.target.arousal) == (1.0, -1.0)
    assert first.slices == {"gender": "female", "age": "adult"}
    assert (first.id, second.id) == ("mscoco/images/a.jpg#1", "mscoco/images/a.jpg#2")
    assert first.group == second.group != third.group
    # cut to the picture; a missing number leaves the labels
    assert (second.box_xyxy, second.notes) == (
        (0, 5, 100, 45),
        ("the person's box was cut to the picture",),
    )
    assert (second.target.valence, second.target.arousal) == (None, None)
    assert second.target.labels
    tested = read("emotic", tmp_path)
    assert [sample.target.labels for sample in tested] == [("anger", "fear")] * 2
    assert (tested[0].target.valence, tested[0].target.arousal) == (0.0, 1.0)
    (only,) = read("emotic", tmp_path, "val")
    assert only.target.labels == ("anger", "fear")


def test_emotic_of_another_form(tmp_path: Path):
    from scipy.io import savemat

    write_emotic(tmp_path / "data")
    fails("emotic", tmp_path / "data" / "emotic", "wrong level of EMOTIC.*data has it; give that")
    fails("emotic", tmp_path, "wrong level of EMOTIC: it lacks Annotations/Annotations.mat")
    (tmp_path / "data/emotic/mscoco/images/c.jpg").unlink()
    fails(
        "emotic",
        tmp_path / "data",
        "1 of 1 pictures of test of EMOTIC are missing: mscoco/images/c",
    )
    mat = tmp_path / "data/Annotations/Annotations.mat"
    savemat(mat, {"training": np.zeros(3)})
    fails("emotic", tmp_path / "data", "it holds training; expected train, val, test")
    savemat(mat, {"test": struct({"name": "c.jpg", "people": 3})})
    fails("emotic", tmp_path / "data", "picture 1: not as EMOTIC is published")
    mat.write_bytes(b"not a matrix")
    fails("emotic", tmp_path / "data", "cannot be read as MATLAB 5 data")


def test_emotic_with_a_label_of_its_own(tmp_path: Path):
    from scipy.io import savemat

    write_emotic(tmp_path)
    person = {
        "bbox": np.array([[1.0, 1.0, 9.0, 9.0]]),
        "annotations_categories": struct({"categories": cells("Boredom")}),
        "annotations_continuous": vad(5, 5),
        "gender": "Male",
        "age": "Adult",
    }
    savemat(
        tmp_path / "Annotations/Annotations.mat",
        {"train": struct(picture("a.jpg", "mscoco/images", person))},
    )
    fails("emotic", tmp_path, "has 1 class that EMOTIC does not have: Boredom", "train")


# ---------------------------------------------------------------------------------- CAER-S

CAERS = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


def test_caers(tmp_path: Path):
    touch(tmp_path, *(f"{part}/{name}/0001.png" for part in ("train", "test") for name in CAERS))
    put(tmp_path, "test.txt", "test/Sad/0001.png,5,294,89,396,191\n")
    samples = read("caer-s", tmp_path)
    assert [sample.target.label for sample in samples] == [
        "anger",
        "disgust",
        "fear",
        "happiness",
        "neutral",
        "sadness",
        "surprise",
    ]
    assert [s.box_xyxy for s in samples if s.box_xyxy] == [(294, 89, 396, 191)]
    fails("caer-s", tmp_path / "test", "wrong level of CAER-S: it lacks train")
    touch(tmp_path, "test/Contempt/0001.png")
    fails(
        "caer-s", tmp_path, "has 1 class that CAER-S does not have: Contempt; expected Anger, Dis"
    )
    (tmp_path / "test/Contempt/0001.png").unlink()
    (tmp_path / "test/Contempt").rmdir()
    (tmp_path / "test/Fear/0001.png").unlink()
    fails("caer-s", tmp_path, "1 of 7 pictures of whole classes, test, of CAER-S are missing: Fear")
    (tmp_path / "test/Fear").rmdir()
    fails("caer-s", tmp_path, "1 of 7 class folders of test of CAER-S are missing: Fear")
    put(tmp_path, "train.txt", "train/Sad/0001.png,5,294,89\n")
    fails("caer-s", tmp_path, "line 1: expected picture,class,x0,y0,x1,y1", "train")


# ---------------------------------------------------------------------------------- AffectNet


def write_affectnet(root: Path) -> None:
    for n, (expression, valence, arousal) in {
        "7": ("1", "0.8", "0.3"),
        "12": ("7", "-2", "-2"),
        "101": ("0", "0.0", "-0.1"),
    }.items():
        touch(root, f"val_set/images/{n}.jpg")
        folder = root / "val_set" / "annotations"
        folder.mkdir(exist_ok=True)
        for part, text in (("exp", expression), ("val", valence), ("aro", arousal)):
            np.save(folder / f"{n}_{part}.npy", np.array(text))
        np.save(folder / f"{n}_lnd.npy", np.zeros(136))


def test_affectnet(tmp_path: Path):
    write_affectnet(tmp_path)
    samples = read("affectnet", tmp_path)
    assert [(s.id, s.target.label, s.target.valence) for s in samples] == [
        ("7", "happiness", 0.8),
        ("12", "contempt", None),
        ("101", "neutral", 0.0),
    ]
    assert [s.target.label for s in read("affectnet-7", tmp_path)] == ["happiness", "neutral"]
    fails("affectnet", tmp_path / "val_set", "wrong level of AffectNet")
    np.save(tmp_path / "val_set/annotations/7_exp.npy", np.array("9"))
    fails("affectnet", tmp_path, "holds the class 9; AffectNet's eight classes are 0")
    (tmp_path / "val_set/annotations/12_aro.npy").unlink()
    fails(
        "affectnet", tmp_path, "1 of 9 annotation files of val_set of AffectNet are missing: 12_aro"
    )
    (tmp_path / "val_set/images/12.jpg").unlink()
    (tmp_path / "val_set/images/101.jpg").unlink()
    fails(
        "affectnet",
        tmp_path,
        "2 of 3 pictures of val_set of AffectNet are missing: 12.jpg, 101.jpg",
    )
    fails("affectnet", tmp_path, "is not AffectNet: there is no train_set in it", "train")


def test_affectnet_with_a_table_instead(tmp_path: Path):
    touch(tmp_path, "val_set/images/7.jpg", "val_set/annotations/validation.csv")
    fails("affectnet", tmp_path, "holds no <id>_exp.npy, .* it holds validation.csv")


# ---------------------------------------------------------------------------------- RAF-DB


def test_rafdb(tmp_path: Path):
    base = tmp_path / "basic"
    put(
        base,
        "EmoLabel/list_patition_label.txt",
        "train_00001.jpg 5\ntest_0001.jpg 4\ntest_0002.jpg 1\n",
    )
    touch(base, "Image/aligned/test_0001_aligned.jpg", "Image/original/test_0002.jpg")
    put(base, "Annotation/manual/test_0001_manu_attri.txt", "1\t2\n" * 5 + "1\n0\n2\n")
    first, second = read("raf-db", tmp_path)
    assert (first.target.label, second.target.label) == ("happiness", "surprise")
    assert first.source == base / "Image/aligned/test_0001_aligned.jpg"
    assert second.source == base / "Image/original/test_0002.jpg"
    assert first.slices == {"gender": "female", "race": "Caucasian", "age": "20-39"}
    fails(
        "raf-db", tmp_path, "1 of 1 pictures of train of RAF-DB are missing: train_00001", "train"
    )
    fails("raf-db", base, f"wrong level of RAF-DB.*{tmp_path} has it")
    put(base, "EmoLabel/list_patition_label.txt", "test_0001.jpg 8\n")
    fails("raf-db", tmp_path, "line 1: expected a name and a class 1-7 but found 'test_0001.jpg 8'")


def test_rafdb_compound(tmp_path: Path):
    base = tmp_path / "compound"
    put(base, "EmoLabel/list_patition_label.txt", "test_0001.jpg 1\ntest_0002.jpg 11\n")
    touch(base, "Image/aligned/test_0001_aligned.jpg", "Image/aligned/test_0002_aligned.jpg")
    first, second = read("raf-db-compound", tmp_path)
    assert (first.target.label, second.target.label) == (
        "happily surprised",
        "disgustedly surprised",
    )
    put(base, "EmoLabel/list_patition_label.txt", "test_0001.jpg 12\n")
    fails("raf-db-compound", tmp_path, "line 1: expected a name and a class 1-11 but found")


def test_cexpr(tmp_path: Path):
    touch(
        tmp_path,
        "trimmed_videos/Sadly-Angry/7_Sadly-Angry_2.mp4",
        "trimmed_videos/Happily-Surprised/7-1_Happily-Surprised_0.mp4",
        "trimmed_videos/Other/7_Other_1.mp4",
    )
    first, second = read("c-expr-db", tmp_path)
    assert [(s.target.label, s.group) for s in (first, second)] == [
        ("happily surprised", "7-1"),
        ("sadly angry", "7"),
    ]
    touch(tmp_path, "trimmed_videos/Bored/1_Bored_1.mp4")
    fails("c-expr-db", tmp_path, "has 1 class that C-EXPR-DB does not have: bored")


def test_meld(tmp_path: Path):
    head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"
    put(
        tmp_path,
        "test_sent_emo.csv",
        head + '1,"Why, yes!",Ross,joy,positive,0,0\n2,No.,Monica,anger,negative,0,1\n',
    )
    touch(tmp_path, "output_repeated_splits_test/dia0_utt0.mp4")
    fails("meld", tmp_path, "1 of 2 clips of test of MELD are missing: dia0_utt1")
    touch(tmp_path, "output_repeated_splits_test/dia0_utt1.mp4")
    first, second = read("meld", tmp_path)
    assert (first.target.label, first.transcript, first.group) == (
        "happiness",
        "Why, yes!",
        "dialogue 0",
    )
    assert second.target.label == "anger"
    put(tmp_path, "dev/dev_sent_emo.csv", head + "1,So?,Ross,fear,negative,110,7\n")
    touch(tmp_path, "dev/dev_splits_complete/dia1_utt1.mp4")
    assert read("meld", tmp_path, "dev") == []  # the release itself lacks this clip
    put(tmp_path, "test_sent_emo.csv", head + "1,So?,Ross,bored,negative,0,0\n")
    fails("meld", tmp_path, "has 1 class that MELD does not have: bored")


# ---------------------------------------------------------------------------------- DFEW


def test_dfew(tmp_path: Path):
    for fold in range(1, 6):
        put(
            tmp_path,
            f"EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv",
            f"video_name,label\n{2 * fold - 1},1\n{2 * fold},7\n",
        )
    for n in range(1, 11):
        touch(tmp_path, f"Clip/clip_224x224_16f/{n:05d}/00001.jpg")
    touch(tmp_path, "Clip/original/2.mp4", "Clip/clip_224x224_avi/00002.avi")
    first, second = read("dfew", tmp_path, "fold1")
    assert (first.id, first.target.label) == ("fold1/00001", "happiness")
    assert first.source == tmp_path / "Clip/clip_224x224_16f/00001"
    assert first.notes == ("the cropped face, not the whole clip",)
    assert (second.source, second.notes) == (tmp_path / "Clip/original/2.mp4", ())
    assert second.target.label == "fear"
    every = read("dfew", tmp_path)
    assert len({sample.id for sample in every}) == 10
    assert {sample.split for sample in every} == {f"fold{n}" for n in range(1, 6)}
    fails("dfew", tmp_path / "Clip", "wrong level of DFEW")
    put(
        tmp_path,
        "EmoLabel_DataSplit/test(single-labeled)/set_1.csv",
        "video_name,label\n1,1\n99,2\n",
    )
    fails("dfew", tmp_path, "1 of 10 clips of all of DFEW are missing: 00099")
    put(tmp_path, "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", "order,annotation\n1,1\n")
    fails("dfew", tmp_path, "lacks the column video_name, label; found order, annotation")
    (tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_2.csv").unlink()
    fails("dfew", tmp_path, "set_2.csv, the annotation file of DFEW, is missing", "fold2")


# ---------------------------------------------------------------------------------- MER, EMER, OV


def test_mer2023(tmp_path: Path):
    put(tmp_path, "test3-label.csv", "name,discrete\nsample_1,worried\nsample_2,happy\n")
    put(tmp_path, "test1-label.csv", "name,discrete,valence\nsample_3,neutral,-2.5\n")
    put(tmp_path, "transcription-engchi-polish.csv", "name,english,chinese\nsample_1,Why?,为什么\n")
    touch(tmp_path, "test3/sample_1.avi", "test3/sample_2.mp4", "test1/sample_3.mp4")
    first, second = read("mer2023", tmp_path)
    assert (first.target.label, second.target.label) == ("worry", "happiness")
    assert (first.transcript, second.transcript) == ("Why?", None)
    assert (first.source, first.target.valence) == (tmp_path / "test3/sample_1.avi", None)
    (third,) = read("mer2023", tmp_path, "test1")
    assert third.target.valence == -0.5
    (tmp_path / "test3/sample_2.mp4").unlink()
    fails("mer2023", tmp_path, "1 of 2 clips of test3 of MER2023 are missing: sample_2")
    put(tmp_path, "test3-label.csv", "name,discrete\nsample_1,bored\n")
    fails("mer2023", tmp_path, "has 1 class that MER2023 does not have: bored; expected neutral")
    fails("mer2023", tmp_path / "test3", f"wrong level of MER2023.*{tmp_path} has it")


def test_mer2023_as_processed_is_not_unpickled(tmp_path: Path):
    touch(tmp_path, "label-6way.npz", "video/sample_1.mp4")
    fails("mer2023", tmp_path, "holds pickled objects that are not opened here; give the folder")


def test_emer(tmp_path: Path):
    put(
        tmp_path,
        "final-EMER-reason.csv",
        'names,chinese,english\nsample_1,他笑,"He smiles, so glad."\n',
    )
    touch(tmp_path, "video/sample_1.mp4")
    (sample,) = read("emer", tmp_path)
    assert sample.target.text == "He smiles, so glad."
    put(tmp_path, "final-EMER-reason.csv", "name,chinese,english\nsample_1,他笑,He smiles.\n")
    assert read("emer", tmp_path)[0].id == "sample_1"
    put(tmp_path, "final-EMER-reason.csv", "names,chinese,english\nsample_1,他笑,\n")
    fails("emer", tmp_path, "1 of 1 English descriptions of EMER are missing: sample_1")
    put(tmp_path, "final-EMER-reason.csv", "names,emotions,subtitles,reasons\n")
    fails("emer", tmp_path, "lacks the column chinese, english; found names, emotions")
    put(tmp_path, "final-EMER-reason.csv", "names,chinese,english\nsample_9,他笑,He smiles.\n")
    fails("emer", tmp_path, r"1 of 1 clips \(they are MER2023's\) of EMER are missing: sample_9")


def test_ovmer(tmp_path: Path):
    put(tmp_path, "ovlabel.csv", "name,openset\ns1,\"['Happy', 'proud']\"\ns2,[]\n")
    put(tmp_path, "subtitle_eng.csv", "name,sentence\ns1,We won!\n")
    touch(tmp_path, "video/s1.mp4", "video/s2.mp4")
    first, second = read("ov-mer", tmp_path)
    assert (first.target.labels, first.transcript) == (("happy", "proud"), "We won!")
    assert second.target.labels == ()
    touch(tmp_path.parent / "empty", "readme.txt")
    fails(
        "ov-mer", tmp_path.parent / "empty", "there is no ovlabel.csv, video in it; it holds readme"
    )


# ---------------------------------------------------------------------------------- affect


def test_oasis(tmp_path: Path):
    head = '"",Theme,Category,Source,Valence_mean,Valence_SD,Valence_N,Arousal_mean,Arousal_SD\n'
    put(
        tmp_path,
        "OASIS.csv",
        head + "I1,Acorns 1 ,Object,Pixabay,4,1,100,1,1\nI2,Dog 2,Animal,x,5.5,1,100,7,1\n",
    )
    touch(tmp_path, "Images/Acorns 1.jpg", "Images/Dog 2.jpg")
    first, second = read("oasis", tmp_path)
    assert (first.target.valence, first.target.arousal) == (0.0, -1.0)
    assert (second.target.valence, second.target.arousal) == (0.5, 1.0)
    assert (first.source, first.slices) == (
        tmp_path / "Images/Acorns 1.jpg",
        {"category": "Object"},
    )
    (tmp_path / "Images/Dog 2.jpg").unlink()
    fails("oasis", tmp_path, "1 of 2 pictures of OASIS are missing: Dog 2.jpg")
    put(tmp_path, "OASIS.csv", head + "I1,Acorns 1,Object,Pixabay,9,1,100,1,1\n")
    fails("oasis", tmp_path, "Valence_mean: 9 lies outside the scale 1–7")
    put(tmp_path, "OASIS.csv", "Theme,Valence_mean_men,Valence_mean_women\n")
    fails("oasis", tmp_path, "lacks the column Category, Valence_mean, Arousal_mean")


def test_veatic(tmp_path: Path):
    for name, length in (("2", 10), ("10", 4)):
        touch(tmp_path, *(f"frames/{name}/{n}.jpg" for n in range(length)))
        for what, sign in (("valence", 1), ("arousal", -1)):
            rows = "".join(f"{n / 25},{sign * n / 10}\n" for n in range(length))
            put(tmp_path, f"rating_averaged/{name}_{what}.csv", rows)
    samples = read("veatic", tmp_path)
    # the last 30 %: from frame ⌊7⌋ of 10, from frame ⌊2.8⌋ of 4
    assert [s.id for s in samples] == ["2/7", "2/8", "2/9", "10/2", "10/3"]
    assert (samples[0].target.valence, samples[0].target.arousal) == (0.7, -0.7)
    assert (samples[0].group, samples[0].frame) == ("2", 7)
    assert len(read("veatic", tmp_path, "train")) == 7 + 2
    touch(tmp_path, "frames/10/4.jpg")
    fails("veatic", tmp_path, "last numbered 4, and VEATIC's ratings of video 10 are for 4 frames")
    (tmp_path / "rating_averaged/10_arousal.csv").unlink()
    fails("veatic", tmp_path, "1 of 4 tables of ratings of VEATIC are missing: 10_arousal.csv")
    put(tmp_path, "rating_averaged/10_arousal.csv", "0,3\n" * 9)
    fails("veatic", tmp_path, "10_arousal.csv, line 1: 3 lies outside −1…1")


def test_veatic_without_frames(tmp_path: Path):
    touch(tmp_path, "video/1.mp4", "rating_averaged/1_valence.csv", "rating_averaged/1_arousal.csv")
    fails("veatic", tmp_path, "no folder frames; make it of the videos with the authors'")


# ---------------------------------------------------------------------------------- RAER, BAH


def test_raer(tmp_path: Path):
    put(
        tmp_path,
        "annotation/test.txt",
        "dataset/RAER/clips/a b/001 120 1\ndataset/RAER/clips/c/002.mp4 60 5\nclips/c/003 9 3\n",
    )
    touch(tmp_path, "clips/a b/001/0.jpg", "clips/c/002.mp4", "clips/c/003/0.jpg")
    put(
        tmp_path,
        "bounding_box/face.json",
        json.dumps({"/x/c/003": {"0.jpg": None, "1.jpg": [1, 2, 3, 4]}}),
    )
    put(tmp_path, "bounding_box/body.json", json.dumps({"/x/RAER/clips/a b/001": [5, 6, 70, 80]}))
    first, second, third = read("raer", tmp_path)
    assert [s.target.label for s in (first, second, third)] == [
        "neutrality",
        "distraction",
        "confusion",
    ]
    assert (first.source, second.source) == (
        tmp_path / "clips/a b/001",
        tmp_path / "clips/c/002.mp4",
    )
    assert (first.box_xyxy, second.box_xyxy, third.box_xyxy) == ((5, 6, 70, 80), None, (1, 2, 3, 4))
    # whose box it is cannot be told where two clips' paths end alike
    doubled = {"/x/c/003": [1, 2, 3, 4], "/y/c/003": [5, 6, 7, 8]}
    put(tmp_path, "bounding_box/face.json", json.dumps(doubled))
    assert read("raer", tmp_path)[2].box_xyxy is None
    put(tmp_path, "annotation/test.txt", "clips/c/003 9 0\n")
    fails("raer", tmp_path, r"line 1: the class 0; RAER's are 1 \(neutrality\) to 5")
    put(tmp_path, "annotation/test.txt", "clips/c/004 9 1\n")
    fails("raer", tmp_path, "1 of 1 clips of test of RAER are missing: clips/c/004")
    put(tmp_path, "annotation/test.txt", "clips/c/004\n")
    fails("raer", tmp_path, "expected path, number of frames and class but found 'clips/c/004'")


def test_bah(tmp_path: Path):
    split = "dataset-splits/video-level/BAH_DB/split-0/test.txt"
    put(
        tmp_path,
        split,
        "Videos/82711/V1/q1.mp4,1,Well, maybe, I do not know.\nVideos/9/V1/q 2.mp4,0,\n",
    )
    touch(tmp_path, "Videos/82711/V1/q1.mp4", "Videos/9/V1/q 2.mp4")
    first, second = read("bah", tmp_path)
    assert (first.target.label, second.target.label) == ("ambivalence or hesitancy", "neither")
    assert (first.transcript, second.transcript) == ("Well, maybe, I do not know.", None)
    assert (first.group, second.group) == ("82711", "9")
    fails("bah", tmp_path, "no val.txt; copy it from dataset-splits/video-level", "val")
    fails("bah", tmp_path / "Videos", f"wrong level of BAH.*{tmp_path} has it")
    (tmp_path / "Videos/9/V1/q 2.mp4").unlink()
    fails("bah", tmp_path, "1 of 2 videos of test of BAH are missing: Videos/9/V1/q 2.mp4")
    put(tmp_path, split, "Videos/82711/V1/q1/0001.jpg 1\n")
    fails("bah", tmp_path, "with the label 0 or 1 but found the label ''; frame-level lists")


# ---------------------------------------------------------------------------------- all of them

NAMES = [name for name in TASKS if name != "manifest"]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_told_what_was_expected(name: str, tmp_path: Path):
    with pytest.raises(KuleshovError, match="it holds nothing; expected") as caught:
        read(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_is(name: str):
    task = TASKS[name]
    assert task.name == name
    for text in (task.title, task.licence, task.source, task.protocol, task.layout):
        assert text.strip()
    for metric in task.metrics:
        assert metric in metrics.METRICS or metric in metrics.ON_WHEELS
    for told in task.published:
        assert told.metric in task.metrics
        assert told.source
        metric = metrics.METRICS.get(told.metric)
        low, high = metric.range or (0, 1) if metric else (0, 1)
        assert low <= told.value <= high
    if task.kind in ("single", "votes", "multi") and name != "manifest":
        assert task.label_set is not None
        assert task.label_set.mode == ("multi" if task.kind == "multi" else "single")
