"""Result files of toolboxes: Py-Feat's real samples, each format's quirks, and broken files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuleshov.studies import agreement
from kuleshov.tools import faces
from kuleshov.tools.faces import ToolError, files, observe_faces
from kuleshov.tools.faces.fex import FexRow, write_fex
from kuleshov.tools.faces.files import FileError
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.types import ActionUnit, Face

from parts import face

BLACK = np.zeros((100, 200, 3), np.uint8)


def still(name: str = "photo.jpg", sha: str = "a") -> Media:
    return Media(path=name, sha256=sha, kind="image", size=(200, 100))


def clip(*frames: tuple[int, float], lasts: float, name: str = "clip.mp4") -> Media:
    return Media(
        path=name,
        sha256="c",
        kind="clip",
        size=(200, 100),
        duration_s=lasts,
        frames=tuple(Frame(index=index, time_s=time_s) for index, time_s in frames),
    )


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def numbers(units: tuple[ActionUnit, ...], scale: str) -> dict[int, Any]:
    return {u.unit: getattr(u, scale) for u in units if getattr(u, scale) is not None}


# ------------------------------------------------------------------------------- real samples


def test_openface_sample(feat_data: Path) -> None:
    rows = files.load_file("openface", feat_data / "OpenFace_Test.csv").results.rows
    assert (len(rows), [row.frame for row in rows]) == (100, list(range(100)))
    first = rows[0]
    assert (first.row, first.media, first.time_s, first.person, first.found) == (
        2,
        None,
        0,
        "",
        True,
    )
    assert first.box == (277.3, 164.7, 380.6, 260.9)
    assert first.face["score"] == 0.8833
    units = first.face["action_units"]
    assert numbers(units, "intensity") == {
        1: 0.6773, 2: 0.4275, 4: 0.2435, 5: 0.3434, 6: 0, 7: 0, 9: 0, 10: 0, 12: 0, 14: 0, 15: 0,
        17: 0, 20: 0, 23: 0.4543, 25: 0, 26: 0, 45: 0.0235,
    }  # fmt: skip
    shown = {2, 5, 23}
    assert numbers(units, "presence") == {u.unit: u.unit in shown for u in units}
    assert {u.unit for u in units} - set(numbers(units, "intensity")) == {28}
    assert numbers(units, "probability") == {}


def test_facet_sample(feat_data: Path) -> None:
    rows = files.load_file("facet", feat_data / "iMotions_Test_v6.txt").results.rows
    assert len(rows) == 519
    assert sum(row.found for row in rows) == 304
    first = rows[0]
    assert (first.row, first.media, first.frame, first.time_s) == (7, None, 0, 0.035)
    assert (first.box, first.label) == ((388, 258, 646, 516), "neutral")
    assert numbers(first.face["action_units"], "log_odds") == {
        1: -0.4470609, 2: -0.2880095, 4: -1.653416, 5: -2.247393, 6: -1.788609, 7: -1.755694,
        9: -3.312851, 10: -0.02749643, 12: -0.803076, 14: -0.03232405, 15: -0.4960648,
        17: 0.1783236, 18: -0.4289641, 20: -0.3234296, 23: -0.5248345, 24: 0.117705,
        25: -1.102732, 26: -0.2415139, 28: -0.353606, 43: -0.5640358,
    }  # fmt: skip


def test_facet_sample_of_two_stimuli(feat_data: Path) -> None:
    tool = files.load_file("facet", feat_data / "iMotions_Test_v5.txt")
    rows = tool.results.rows
    assert {row.media for row in rows} == {"Emotient_Baseline", "screen_data"}
    first = rows[0]
    # row 9 is FACET's frame -1, row 10 another sensor's that repeats it
    assert (first.row, first.frame, first.time_s, first.box) == (11, 0, 0, (236, 209, 399, 372))
    assert numbers(first.face["action_units"], "log_odds")[1] == -0.05462527
    seen = observe_faces(tool, [BLACK], clip((0, 0.0), lasts=12, name="recording.mp4"))
    assert seen.faces == [[]]
    assert seen.gaps == (
        "iMotions_Test_v5.txt has no row for recording.mp4 "
        "(it names Emotient_Baseline, screen_data)",
    )
    seen = observe_faces(tool, [BLACK], clip((0, 0.0), lasts=12, name="Emotient_Baseline.mp4"))
    assert [len(found) for found in seen.faces] == [1]


def test_affectiva_sample(feat_data: Path) -> None:
    path = feat_data / "sample_affectiva-api-app_output.json"
    (row,) = files.load_file("affdex", path).results.rows
    assert (row.media, row.time_s, row.label) == ("JinHyunCheong.jpg", None, "happiness")
    assert row.face["valence"] == 0.7812
    assert numbers(row.face["action_units"], "activation") == {
        1: 0.062994, 2: 0.000192, 4: 0, 5: 0.000007, 6: 0.94181, 7: 0.115722, 9: 0.079657,
        10: 0.295515, 12: 1, 14: 0, 15: 0, 17: 0.000021, 18: 0, 20: 0.002625, 24: 0.000054,
        25: 0.999999, 26: 0.829921, 28: 0, 43: 0,
    }  # fmt: skip
    assert numbers(row.face["action_units"], "probability") == {}
    seen = observe_faces(faces.load(f"affdex:{path}"), [BLACK], still("x/JinHyunCheong.jpg"))
    ((found,),) = seen.faces
    assert found.xyxy == (0, 0, 200, 100)
    assert found.notes == (
        "the file gives no box: the whole picture stands for it",
        "affdex names one expression, without a distribution: happiness",
    )


def test_pyfeat_samples(feat_data: Path) -> None:
    (row,) = files.load_file("pyfeat", feat_data / "Feat_Test.csv").results.rows
    assert (row.frame, row.box, row.face["score"]) == (0, (197.0, 141.0, 370.8, 398.6), 0.9997)
    assert row.face["pose"] is None  # degrees or radians: an old file does not tell
    assert row.face["expression"].top == "happiness"
    assert numbers(row.face["action_units"], "probability") == {
        1: 0.5631, 2: 0.5107, 4: 0.188, 5: 0.1779, 6: 0.8742, 7: 0.6946, 9: 0.3193, 10: 0.9271,
        11: 0.4151, 12: 0.9644, 14: 0.6466, 15: 0.3393, 17: 0.2386, 20: 0.2593, 23: 0.224,
        24: 0.0394, 25: 0.9661, 26: 0.3891, 28: 0.142, 43: 0.141,
    }  # fmt: skip
    tool = files.load_file("pyfeat", feat_data / "001.csv")
    assert len(tool.results.rows) == 40
    seen = observe_faces(tool, [BLACK] * 2, clip((3, 0.1), (39, 1.3), lasts=1.33, name="001.mp4"))
    assert [found[0].frame for found in seen.faces] == [3, 39]


# ----------------------------------------------------------------- formats that have no sample


def test_openface_headers_with_spaces_and_frames_without_a_face(tmp_path: Path) -> None:
    path = written(
        tmp_path / "clip.csv",
        "frame, face_id, timestamp, confidence, success, AU12_r, AU28_c",
        "1, 0, 0.0, 0.98, 1, 2.5, 1",
        "2, 0, 0.04, 0.1, 0, 0, 0",
    )
    seen = observe_faces(
        files.load_file("openface", path), [BLACK] * 2, clip((0, 0), (1, 0.04), lasts=0.08)
    )
    ((first,), second) = seen.faces
    assert first.action_units == (
        ActionUnit(unit=12, intensity=2.5),
        ActionUnit(unit=28, presence=True),
    )
    assert (first.frame, first.time_s, first.score) == (0, 0, 0.98)
    assert (second, seen.gaps) == ([], ())


def test_openface_faces_of_one_picture(tmp_path: Path) -> None:
    path = written(
        tmp_path / "photo.csv",
        "face,confidence,AU12_r,AU12_c",
        "0,0.9,3.0,1",
        "1,0.8,0.0,0",
    )
    ((first, second),) = observe_faces(files.load_file("openface", path), [BLACK], still()).faces
    assert [f.unit(12) for f in (first, second)] == [
        ActionUnit(unit=12, intensity=3, presence=True),
        ActionUnit(unit=12, intensity=0, presence=False),
    ]


OPENFACE3 = (
    "timestamp,image_path,face_id,face_detection,landmarks,emotion,gaze_yaw,gaze_pitch,action_units"
)


def test_openface3_repeats_face_0(tmp_path: Path) -> None:
    units = "[[0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.7, 0.05]]"
    path = written(
        tmp_path / "face_analysis_photo.csv",
        OPENFACE3,
        f'10:00:00,in/photo.jpg,0,"[10.0, 20.0, 50.0, 70.0, 0.99]",,1,0.1,0.2,"{units}"',
        f'10:00:00,in/photo.jpg,1,"[90.0, 20.0, 130.0, 70.0, 0.98]",,1,0.1,0.2,"{units}"',
        "10:00:01,in/empty.jpg,,,,,,,",
    )
    tool = files.load_file("openface3", path)
    ((first, second),) = observe_faces(tool, [BLACK], still()).faces
    assert (first.xyxy, first.score) == ((10, 20, 50, 70), 0.99)
    assert numbers(first.action_units, "activation") == {
        1: 0.1, 2: 0.2, 4: 0.3, 6: 0.4, 9: 0.5, 12: 0.9, 25: 0.7, 26: 0.05
    }  # fmt: skip
    assert [unit.value for unit in second.action_units] == [None] * 8
    assert second.notes == ("OpenFace 3 repeats face 0's numbers for this face: unknown",)
    seen = observe_faces(tool, [BLACK], still())
    assert seen.gaps == ("openface3: 1 of 2 faces could not be measured",)
    assert observe_faces(tool, [BLACK], still("empty.jpg")).faces == [[]]


def test_libreface_seconds_named_milliseconds(tmp_path: Path) -> None:
    path = written(
        tmp_path / "clip.csv",
        "frame_idx,frame_time_in_ms,pitch,yaw,roll,au_1,au_12,au_12_intensity,au_25_intensity,"
        "facial_expression,gaze_yaw",
        "0,0.0,1,2,3,0,1,2.75,0.5,Happiness,3.0",
        "50,2.0,1,2,3,1,0,0.0,,Neutral,3.0",
    )
    media = clip((0, 0.0), (25, 1.0), (50, 2.0), lasts=2.04)
    seen = observe_faces(files.load_file("libreface", path), [BLACK] * 3, media)
    ((first,), missing, (last,)) = seen.faces
    assert first.action_units == (
        ActionUnit(unit=1, presence=False),
        ActionUnit(unit=12, presence=True, intensity=2.75),
        ActionUnit(unit=25, intensity=0.5),
    )
    assert "libreface names one expression, without a distribution: happiness" in first.notes
    assert last.unit(25) == ActionUnit(unit=25)
    assert (missing, seen.gaps) == ([], ("clip.csv has no row for frame 25 (1.00 s)",))


def test_pyafar_leaves_frames_out(tmp_path: Path) -> None:
    path = written(
        tmp_path / "clip.csv",
        "Frame,Person_ID,Occ_au_1,Occ_au_12,Int_au_12,Pitch",
        "0,0,0.02,0.97,3.1,0.1",
        "0,1,0.5,0.1,0.0,0.1",
        "2,0,nan,0.9,3.0,0.1",
    )
    seen = observe_faces(
        files.load_file("pyafar", path), [BLACK] * 3, clip((0, 0), (1, 0.1), (2, 0.2), lasts=0.3)
    )
    assert [len(found) for found in seen.faces] == [2, 0, 1]
    assert seen.faces[0][0].action_units == (
        ActionUnit(unit=1, probability=0.02),
        ActionUnit(unit=12, probability=0.97, intensity=3.1),
    )
    assert seen.faces[2][0].unit(1) == ActionUnit(unit=1)
    assert seen.gaps == ("clip.csv has no row for frame 1 (0.10 s)",)


def affdex_file(path: Path, *rows: str) -> Path:
    meta = [f"#METADATA,{k}" for k in range(24)]
    header = (
        "Row,Timestamp,EventSource,SampleNumber,Anger,Joy,Neutral,Valence,Brow Furrow,Smile,"
        "EventSource"
    )
    path.write_text("\ufeff" + "\n".join([*meta, header, *rows]) + "\n", encoding="utf-8")
    return path


def test_affdex_metadata_mark_and_other_sensors(tmp_path: Path) -> None:
    path = affdex_file(
        tmp_path / "clip.csv",
        "1,0,1,1,0.5,90.25,1,75.0,2.0,99.5,x",
        "2,10,2,2,,,,,,,GSR",
        "3,40,1,3,0.5,10,60,-10.0,2.0,0.0,x",
    )
    seen = observe_faces(
        files.load_file("affdex", path), [BLACK] * 2, clip((0, 0), (1, 0.04), lasts=0.08)
    )
    ((first,), (second,)) = seen.faces
    assert first.valence == 0.75
    assert numbers(first.action_units, "activation") == {4: 0.02, 12: 0.995}
    told = [f.unit(12).shown for f in (first, second)]  # type: ignore[union-attr]
    assert told == ["far above its threshold", "absent"]
    assert "neutral" in second.notes[-1]


def test_our_own_fex_file_comes_back_with_its_scale(tmp_path: Path) -> None:
    seen = face(
        ActionUnit(unit=12, intensity=3.2, presence=True),
        ActionUnit(unit=45, intensity=0.5),
        units_measured=(12, 45),
    )
    write_fex([FexRow("photo.jpg", seen), FexRow("b.jpg", None)], tmp_path / "faces.csv")
    tool = files.load_file("pyfeat", tmp_path / "faces.csv")
    ((back,),) = observe_faces(tool, [BLACK], still()).faces
    assert back.unit(12) == ActionUnit(unit=12, intensity=3.2, presence=True)
    assert back.unit(45) == ActionUnit(unit=45, intensity=0.5)
    assert back.unit(1) == ActionUnit(unit=1)
    assert observe_faces(tool, [BLACK], still("b.jpg")).faces == [[]]


# ------------------------------------------------------------------------------------ matching


def test_a_file_without_names_belongs_to_one_medium(tmp_path: Path) -> None:
    path = written(tmp_path / "photo.csv", "face,confidence,AU12_r", "0,0.9,3.0")
    tool = files.load_file("openface", path)
    assert observe_faces(tool, [BLACK], still()).gaps == ()
    with pytest.raises(FileError, match=r"photo.csv names no files.*one table for each"):
        observe_faces(tool, [BLACK], still("other.jpg", sha="b"))
    assert observe_faces(tool, [BLACK], still()).gaps == ()


def test_a_finder_gives_the_boxes_that_a_file_lacks(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.csv", "Frame,Occ_au_12", "0,0.97")
    tool = faces.load(f"pocket+pyafar:{path}")
    found = Face(xyxy=(10, 10, 60, 70), score=0.9, tool="pocket", version="1")
    tool.finder = _Finder([[found]])  # type: ignore[attr-defined]
    seen = observe_faces(tool, [BLACK], clip((0, 0.0), lasts=0.04))
    ((both,),) = seen.faces
    assert (both.xyxy, both.score) == ((10, 10, 60, 70), 0.9)
    assert both.unit(12) == ActionUnit(unit=12, probability=0.97)
    assert both.tool == f"pocket+pyafar:{path}"


def test_boxes_decide_which_face_is_which(tmp_path: Path) -> None:
    rows = [
        FexRow("photo.jpg", face(ActionUnit(unit=12, probability=p), box=box))
        for p, box in ((0.1, (100, 10, 150, 70)), (0.9, (12, 8, 62, 72)), (0.5, (180, 0, 190, 9)))
    ]
    write_fex(rows, tmp_path / "faces.csv")
    tool = faces.load(f"pocket+pyfeat:{tmp_path / 'faces.csv'}")
    here = [
        Face(xyxy=box, tool="pocket", version="1")
        for box in ((10, 10, 60, 70), (105, 12, 155, 72), (60, 80, 70, 90))
    ]
    tool.finder = _Finder([here])  # type: ignore[attr-defined]
    seen = observe_faces(tool, [BLACK], still())
    assert [f.unit(12) and f.unit(12).probability for f in seen.faces[0]] == [0.9, 0.1, None]  # type: ignore[union-attr]
    assert seen.faces[0][2].notes == ("no row of faces.csv matches this face",)
    assert "1 face of faces.csv match no face that was found" in seen.gaps


class _Finder:
    def __init__(self, found: list[list[Face]]) -> None:
        self.found = found
        self.info = faces.load("pocket").info

    def observe(self, images: Any) -> list[list[Face]]:
        return self.found


# ------------------------------------------------------------------------------------ bad input

OPENFACE = "frame,timestamp,confidence,success,AU12_r,AU12_c"


@pytest.mark.parametrize(
    ("tool", "rows", "says"),
    [
        (
            "openface",
            ["frame,timestamp,confidence,AU12_r", "1,0,0.9,1"],
            "row 1: a result file of OpenFace 2 has the columns frame, confidence, success, AU12_r;"
            " missing: success (found: frame, timestamp, confidence, AU12_r).",
        ),
        (
            "openface",
            [OPENFACE, "1,0,0.9,1,2.0,1", "2,0.04,0.9,1,2.0,1", "1,0,0.9,1,2.0,1"],
            "row 4: repeats frame 0 of row 2; each face of a frame must have one row.",
        ),
        (
            "openface",
            [OPENFACE, "1,0,0.9,1,2.0,1", "2,0.04,0.9"],
            "row 3: has 3 fields but row 1 names 6 columns (frame … AU12_c): the file was cut off "
            "or damaged.",
        ),
        (
            "openface",
            [OPENFACE, "1,0,0.9,1,high,1"],
            "row 2: AU12_r must be a number but is 'high'.",
        ),
        (
            "openface",
            [OPENFACE, "1,0,0.9,1,87.0,1"],
            "row 2: AU12_r must lie in 0 to 5 but is 87: is this file of another tool?",
        ),
        (
            "openface",
            [OPENFACE, "1.5,0,0.9,1,1,1"],
            "row 2: frame must be a whole number but is 1.5.",
        ),
        (
            "libreface",
            ["Frame,Occ_au_1", "0,0.5"],
            "row 1: a result file of LibreFace has the columns facial_expression, au_1; missing: "
            "facial_expression, au_1 (found: Frame, Occ_au_1). It looks like a file of pyafar: use "
            "pyafar:",
        ),
        (
            "openface3",
            [OPENFACE3, '0,a.jpg,0,"[1,2,3,4,1]",,9,0,0,"[1]"'],
            "row 2: emotion must be 0 to 7 but is 9.",
        ),
        (
            "openface3",
            [OPENFACE3, '0,a.jpg,0,"[1,2,3,4,1]",,1,0,0,"[[1, 2]]"'],
            "row 2: action_units must hold 8 numbers but holds 2.",
        ),
        ("openface", [""], "has no header row that could be of this tool, or is empty."),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, tool: str, rows: list[str], says: str) -> None:
    path = written(tmp_path / "result.csv", *rows)
    with pytest.raises(FileError) as error:
        files.load_file(tool, path)
    assert str(path) in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("last_row", "lasts", "end"), [(10, 12.0, "0.4"), (1000, 1.0, "40.0"), (26, 1.0, None)]
)
def test_a_file_of_another_clip(tmp_path: Path, last_row: int, lasts: float, end: str) -> None:
    rows = [f"{k},{(k - 1) / 25},0.9,1,2.0,1" for k in range(1, last_row + 1)]
    tool = files.load_file("openface", written(tmp_path / "r.csv", OPENFACE, *rows))
    frames = [(0, 0.0), (20, 0.8)] if lasts == 1 else [(0, 0.0), (275, 11.0)]
    if end is None:
        assert observe_faces(tool, [BLACK] * 2, clip(*frames, lasts=lasts)).gaps == ()
        return
    with pytest.raises(FileError) as error:
        observe_faces(tool, [BLACK] * 2, clip(*frames, lasts=lasts))
    assert str(error.value) == (
        f"{tmp_path / 'r.csv'}, row {last_row + 1}: ends at {end} s, but clip.mp4 lasts {lasts} s: "
        "the file belongs to another clip."
    )


def test_a_clips_file_for_a_picture(tmp_path: Path) -> None:
    rows = [OPENFACE, "1,0,0.9,1,2.0,1", "2,0.04,0.9,1,2.0,1"]
    tool = files.load_file("openface", written(tmp_path / "r.csv", *rows))
    with pytest.raises(FileError, match=r"holds 2 frames, but photo.jpg is one picture"):
        observe_faces(tool, [BLACK], still())


def test_a_face_without_numbers_is_a_gap(tmp_path: Path) -> None:
    path = written(tmp_path / "photo.csv", OPENFACE, "1,0,0.9,1,nan,")
    seen = observe_faces(files.load_file("openface", path), [BLACK], still())
    assert seen.faces[0][0].action_units == (ActionUnit(unit=12),)
    assert seen.gaps == ("openface: 1 of 1 faces could not be measured",)


def test_binary_and_latin_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04\0\0")
    with pytest.raises(FileError, match=r"is not a text table \(CSV\): it holds binary data"):
        files.load_file("openface", tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(OPENFACE.encode() + b"\n1,0,0.9,1,2.0,\xe9\n")
    with pytest.raises(FileError, match=r"row 2: AU12_c must be a number but is 'é'"):
        files.load_file("openface", tmp_path / "b.csv")


# -------------------------------------------------------------------------------- choosing tools


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("openfaces:x.csv", "no reader for result files of 'openfaces' (did you mean openface?)"),
        ("openface:missing.csv", "there is no result file 'missing.csv' (openface:FILE)."),
        ("affdex", "affdex is read from its result file: use affdex:FILE."),
        ("rules", "rules measures faces that another tool has found: use e.g. pocket+rules"),
        ("pocket+yunet", "yunet finds faces itself and cannot measure those of pocket;"),
        ("pockett+rules", "there is no face tool 'pockett' (did you mean pocket?)"),
        ("", "there is no face tool ''"),
    ],
)
def test_names_that_cannot_work(name: str, says: str) -> None:
    with pytest.raises(ToolError) as error:
        faces.find_entry(name)
    assert says in str(error.value)


def test_openface_presence_decides_and_pose_and_gaze_are_the_persons_own(feat_data: Path) -> None:
    """On the real file: no unit that AU_c codes present is told as absent, none the other way."""
    _, seen = agreement.read_sightings(f"openface:{feat_data}/OpenFace_Test.csv")
    units = [unit for one in seen for unit in one.face.action_units if unit.presence is not None]
    assert sum(unit.presence is True for unit in units) > 260
    assert all((unit.shown != "absent") == unit.presence for unit in units)
    assert sum(unit.at_odds for unit in units) == 353
    poses = [one.face.pose for one in seen]
    gazes = [one.face.gaze for one in seen]
    assert None not in poses
    assert None not in gazes
    # the nose lies right of the middle of the jaw where the face is turned to the person's left
    with (feat_data / "OpenFace_Test.csv").open() as file:
        table = list(csv.DictReader(file, skipinitialspace=True))

    def x(row: dict[str, str], point: int) -> float:
        return float(row[f"x_{point}"])

    turned = [
        (x(row, 30) - (x(row, 0) + x(row, 16)) / 2) / (x(row, 16) - x(row, 0)) for row in table
    ]
    yaw = [pose.yaw for pose in poses if pose is not None]
    assert np.corrcoef(turned, yaw)[0, 1] > 0.9
    left = [float(row["gaze_0_x"]) + float(row["gaze_1_x"]) for row in table]
    assert np.corrcoef(left, [gaze.yaw for gaze in gazes if gaze is not None])[0, 1] > 0.9
