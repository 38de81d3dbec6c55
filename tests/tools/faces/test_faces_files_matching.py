"""Which rows of a result file are a picture's or a clip's: length, rate, path, place, size."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kuleshov.apps.cli.main import main
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import check_inputs, files, observe_faces
from kuleshov.tools.faces.fex import FexRow, write_fex
from kuleshov.tools.faces.files import FileError
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.media.names import NamedFiles
from kuleshov.tools.types import ActionUnit

from parts import face

BLACK = np.zeros((100, 200, 3), np.uint8)
HEAD = "frame,face_id,timestamp,confidence,success,AU12_r"
POCKET = ["--model", "pocket", "--json"]


def still(name: str, sha: str = "a") -> Media:
    return Media(path=name, sha256=sha, kind="image", size=(200, 100))


def clip(count: int = 40, rate: float = 10, **more: object) -> Media:
    told = {"path": "c.mp4", "sha256": "c", "size": (200, 100), "frame_count": count}
    return Media.model_validate({**told, "kind": "clip", "duration_s": count / rate, **more})


def openface(path: Path, count: int, rate: float) -> Path:
    rows = [f"{k + 1},0,{k / rate:.4f},0.9,1,{5 * k / count:.3f}" for k in range(count)]
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


def written_clip(path: Path, size: tuple[int, int], count: int = 20, rate: int = 10) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(count):
            image = np.full((size[1], size[0], 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


# ---------------------------------------------------------------------------------------- length


def test_a_longer_table_is_refused_while_the_clip_streams(tmp_path, capsys) -> None:
    source = written_clip(tmp_path / "c.mp4", (64, 48))
    table = openface(tmp_path / "long.csv", 600, 10)
    assert main(["infer", str(source), *POCKET, "--faces", f"openface:{table}"]) == 2
    said = capsys.readouterr().err
    assert "row 601: ends at 60.0 s, but c.mp4 lasts 2.0 s" in said


@pytest.mark.parametrize(
    ("count", "rate", "intensity"),
    [
        (40, 10, 2.5),  # as the clip counts
        (36, 9, 2.5),  # frames left out: times tell
        (20, 5, 2.5),  # another frame rate
        (40, 0.01, 2.5),  # as many frames: numbers are right whatever the times say
        (40, 0.0101, 2.5),
    ],
)
def test_numbers_or_times_match_a_table(tmp_path, count, rate, intensity) -> None:
    tool = files.load_file("openface", openface(tmp_path / "t.csv", count, rate))
    seen = observe_faces(tool, [BLACK], clip(), [Frame(index=20, time_s=2.0)])
    assert seen.faces[0][0].unit(12).intensity == pytest.approx(intensity, abs=0.15)
    assert seen.gaps == ()


@pytest.mark.parametrize(("count", "rate"), [(60, 10), (46, 10), (80, 30), (120, 25)])
def test_tables_that_cannot_be_of_the_clip(tmp_path, count, rate) -> None:
    tool = files.load_file("openface", openface(tmp_path / "t.csv", count, rate))
    end = count / rate
    if end <= 4.5:  # times fit: matched by them
        assert observe_faces(tool, [BLACK], clip(), [Frame(index=0, time_s=0)]).faces[0]
        return
    with pytest.raises(FileError, match=r"row \d+: ends at .* c.mp4 lasts 4.0 s"):
        observe_faces(tool, [BLACK], clip(), [Frame(index=0, time_s=0)])


def test_a_table_may_end_before_the_clip_where_nobody_is_left(tmp_path) -> None:
    tool = files.load_file("openface", openface(tmp_path / "t.csv", 20, 10))
    seen = observe_faces(tool, [BLACK], clip(), [Frame(index=30, time_s=3.0)])
    assert (seen.faces, seen.gaps) == ([[]], ("t.csv has no row for frame 30 (3.00 s)",))


# ------------------------------------------------------------------------------------ whose rows


@pytest.mark.parametrize(
    ("told", "path", "found"),
    [
        (["data/happy/a.jpg", "data/sad/a.jpg"], "/x/data/sad/a.jpg", "data/sad/a.jpg"),
        (["C:\\d\\happy\\a.jpg", "C:\\d\\sad\\b.jpg"], "/x/sad/a.jpg", None),
        (["C:\\d\\happy\\a.jpg", "C:\\d\\sad\\b.jpg"], "/moved/a.jpg", "C:\\d\\happy\\a.jpg"),
        (["IMG_1.JPG", "IMG_1.MOV"], "img_1.mov", "IMG_1.MOV"),
        (["IMG_1.MOV"], "IMG_1.JPG", None),
        (["clip"], "/x/clip.mp4", "clip"),
        (["e\u0301t.jpg"], "\u00e9t.jpg", "e\u0301t.jpg"),
        (["set/a%20b.jpg", "set/c.jpg"], "/x/set/a b.jpg", "set/a%20b.jpg"),
        (["https://host/set/M%C3%BCller.jpg"], "/x/Müller.jpg", "https://host/set/M%C3%BCller.jpg"),
        (["a%20b.jpg", "a b.jpg"], "/x/a b.jpg", "a b.jpg"),
        (["a%20b.jpg", "a b.jpg"], "/x/a%20b.jpg", "a%20b.jpg"),
        (["a b.jpg"], "/x/a%20b.jpg", None),
    ],
)
def test_files_are_known_by_their_path(told, path, found) -> None:
    assert NamedFiles(told).find(path) == found


def test_two_names_that_fit_alike_are_refused() -> None:
    with pytest.raises(KuleshovError, match="nothing tells which"):
        NamedFiles(["happy/a.jpg", "sad/a.jpg"]).find("/elsewhere/a.jpg")


def test_pictures_of_one_name_in_two_folders(tmp_path) -> None:
    rows = [
        FexRow(name, face(ActionUnit(unit=12, probability=p), box=(10, 10, 50, 60)))
        for name, p in (("happy/a.jpg", 0.9), ("sad/a.jpg", 0.1))
    ]
    write_fex(rows, tmp_path / "t.csv")
    tool = files.load_file("pyfeat", tmp_path / "t.csv")
    for folder, p in (("happy", 0.9), ("sad", 0.1)):
        (found,) = observe_faces(tool, [BLACK], still(f"{folder}/a.jpg", folder)).faces[0]
        assert found.unit(12).probability == p
    with pytest.raises(FileError, match=r"names happy/a.jpg, sad/a.jpg, and nothing tells"):
        observe_faces(tool, [BLACK], still("/elsewhere/a.jpg", "e"))


def test_a_name_is_not_taken_for_a_file_of_another_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_fex([FexRow("happy/a.jpg", face())], tmp_path / "t.csv")
    paths = ["happy/a.jpg", "sad/a.jpg"]
    for order in (paths, paths[::-1]):  # both are given: the one that is named has the rows
        tool = files.load_file("pyfeat", tmp_path / "t.csv")
        check_inputs(tool, order)
        seen = {path: observe_faces(tool, [BLACK], still(path, path)) for path in order}
        assert [len(seen[path].faces[0]) for path in paths] == [1, 0]
        assert "no row for a.jpg" in seen["sad/a.jpg"].gaps[0]
    tool = files.load_file("pyfeat", tmp_path / "t.csv")
    moved = observe_faces(tool, [BLACK], still("elsewhere/a.jpg", "a"))  # told, as it may be wrong
    assert len(moved.faces[0]) == 1
    assert "taken for elsewhere/a.jpg, which lies in another folder" in moved.gaps[0]
    for folder in ("happy", "sad"):  # the named file is there, and it is not this one
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(folder.encode())
    tool = files.load_file("pyfeat", tmp_path / "t.csv")
    assert observe_faces(tool, [BLACK], still("sad/a.jpg", "b")).faces == [[]]
    assert len(observe_faces(tool, [BLACK], still("happy/a.jpg", "c")).faces[0]) == 1


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_members_of_a_shard_have_no_path(tmp_path, feat_data, capsys, named, count) -> None:
    table = tmp_path / "t.csv"
    if named:
        write_fex([FexRow("p0.jpg", face())], table)
    else:
        table.write_text(f"{HEAD}\n1,0,0,0.9,1,3.0\n")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for k in range(count):
            tar.add(feat_data / "single_face.jpg", f"p{k}.jpg")
    faces = f"{'pyfeat' if named else 'openface'}:{table}"
    out = str(tmp_path / "run")
    call = ["annotate", str(tmp_path / "set.tar"), "--out", out, "--model", "pocket"]
    refused = named or count > 1
    assert main([*call, "--faces", faces, "--progress", "quiet"]) == (2 if refused else 0)
    said = capsys.readouterr().err
    assert ("has no path to find its rows by" in said) == named
    assert ("names no files" in said) == (not named and count > 1)


def test_a_bare_name_is_not_two_pictures(tmp_path) -> None:
    write_fex([FexRow("a.jpg", face())], tmp_path / "t.csv")
    tool = files.load_file("pyfeat", tmp_path / "t.csv")
    with pytest.raises(FileError, match=r"names a.jpg, and nothing tells whether that is"):
        check_inputs(tool, ["happy/a.jpg", "sad/a.jpg"])
    check_inputs(tool, ["happy/a.jpg", "happy/a.jpg", "b.jpg"])


@pytest.mark.parametrize("faces", ["openface:{}", "pocket+openface:{}"])
@pytest.mark.parametrize("command", ["infer", "annotate"])
def test_a_table_without_names_is_not_of_several(tmp_path, feat_data, capsys, faces, command):
    (tmp_path / "p").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "p" / name).write_bytes((feat_data / "single_face.jpg").read_bytes())
    table = tmp_path / "t.csv"
    table.write_text(f"{HEAD}\n1,0,0,0.9,1,3.0\n")
    options = ["--model", "pocket", "--faces", faces.format(table)]
    if command == "infer":
        sources = [str(tmp_path / "p" / name) for name in ("a.jpg", "b.jpg")]
        assert main(["infer", *sources, *options, "--json"]) == 2
    else:
        out = str(tmp_path / "run")
        assert main(["annotate", str(tmp_path / "p"), "--out", out, *options]) == 2
    assert "names no files" in capsys.readouterr().err
    # one picture is what such a table is for
    assert main(["infer", str(tmp_path / "p" / "b.jpg"), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["people"]


# ------------------------------------------------------------------------------------- place


def test_boxes_are_scaled_to_what_is_read_and_back_in_exports(tmp_path, capsys) -> None:
    source = written_clip(tmp_path / "big.mp4", (2880, 1440), count=4)
    rows = [FexRow("big.mp4", face(box=(1500, 600, 1800, 900)), frame=k) for k in range(4)]
    write_fex(rows, tmp_path / "t.csv")
    out = tmp_path / "out"
    told = [*POCKET, "--faces", f"pyfeat:{tmp_path / 't.csv'}", "--export", str(out)]
    assert main(["infer", str(source), *told]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["media"]["full_size"] == [2880, 1440]
    assert record["people"][0]["box_xyxy"] == [1000, 400, 1200, 600]
    line = (out / "big.fex.csv").read_text().splitlines()[1]
    assert line.split(",")[3:7] == ["1500.0", "600.0", "300.0", "300.0"]


def test_frames_that_count_from_nought(tmp_path) -> None:
    rows = [f"{k},0,{k / 10:.4f},0.9,1,{5 * k / 40:.3f}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    tool = files.load_file("openface", tmp_path / "t.csv")
    for index, intensity in ((0, 0), (20, 2.5), (39, 4.875)):
        seen = observe_faces(tool, [BLACK], clip(), [Frame(index=index, time_s=index / 10)])
        assert seen.faces[0][0].unit(12).intensity == pytest.approx(intensity)


def test_boxes_that_are_shares_of_the_picture(tmp_path) -> None:
    head = "input,frame,FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU01,AU12"
    (tmp_path / "t.csv").write_text(f"{head}\na.jpg,0,0.1,0.2,0.3,0.5,0.9,0.1,0.9\n")
    tool = files.load_file("pyfeat", tmp_path / "t.csv")
    seen = observe_faces(tool, [BLACK], still("a.jpg"))
    assert seen.faces[0][0].xyxy == pytest.approx((20, 20, 80, 70))
    assert "shares of the picture" in seen.gaps[0]


def test_a_box_outside_the_picture_is_told(tmp_path) -> None:
    rows = [FexRow("a.jpg", face(box=box)) for box in ((10, 10, 60, 70), (300, 10, 360, 70))]
    write_fex(rows, tmp_path / "t.csv")
    seen = observe_faces(files.load_file("pyfeat", tmp_path / "t.csv"), [BLACK], still("a.jpg"))
    assert [f.xyxy for f in seen.faces[0]] == [(10, 10, 60, 70), (0, 0, 200, 100)]
    assert any(
        gap.startswith("1 of 2 boxes of t.csv reach out of the picture") for gap in seen.gaps
    )


def test_two_rows_at_one_place_are_one_face(tmp_path) -> None:
    boxes = ((10, 10, 60, 70), (11, 10, 61, 70), (100, 10, 150, 70))
    write_fex([FexRow("a.jpg", face(box=box)) for box in boxes], tmp_path / "t.csv")
    tool = files.load_file("pyfeat", tmp_path / "t.csv")
    assert len(observe_faces(tool, [BLACK], still("a.jpg")).faces[0]) == 2
    assert "row 3 tells of a face at a place where another" in (tool.info.caveat or "")


# ----------------------------------------------------------------------------------- iMotions


def imotions(path: Path) -> Path:
    head = "Timestamp,SourceStimuliName,Brow Furrow,Smile,Blink"
    rows = [f"{k * 100},{'calm' if k < 20 else 'funny'},1.5,{k},{k % 2}" for k in range(40)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.mark.parametrize(("name", "count", "smile"), [("funny", 20, 25), ("session", 40, 5)])
def test_rows_of_the_stimulus_in_its_own_time(tmp_path, name, count, smile) -> None:
    tool = files.load_file("affdex", imotions(tmp_path / "t.csv"))
    seen = observe_faces(
        tool, [BLACK], clip(count, path=f"{name}.mp4"), [Frame(index=5, time_s=0.5)]
    )
    ((found,),) = seen.faces
    assert found.unit(12).activation == smile / 100
    assert found.unit(45) == ActionUnit(unit=45, presence=True)
    assert any("whole session" in gap for gap in seen.gaps) == (name == "session")


def test_a_clip_that_is_neither_stimulus_nor_session(tmp_path) -> None:
    tool = files.load_file("affdex", imotions(tmp_path / "t.csv"))
    with pytest.raises(FileError, match="none of its stimuli"):
        observe_faces(tool, [BLACK], clip(100, path="o.mp4"), [Frame(index=0, time_s=0)])


@pytest.mark.parametrize("between", ["", "other"])
def test_a_stimulus_that_was_shown_twice(tmp_path, between) -> None:
    shown = ["twice"] * 20 + [between] * 20 + ["twice"] * 20 + ["once"] * 20
    rows = [f"{k * 100},{name},1.5,{k},0" for k, name in enumerate(shown)]
    head = "Timestamp,SourceStimuliName,Brow Furrow,Smile,Blink"
    (tmp_path / "t.csv").write_text("\n".join([head, *rows]) + "\n")
    tool = files.load_file("affdex", tmp_path / "t.csv")
    for lasts in (20, 60):  # also where both would fit into the clip
        with pytest.raises(FileError, match=r"shown 2 times \(from row 2, row 42 at 4.0 s\)"):
            observe_faces(
                tool, [BLACK], clip(lasts, path="twice.mp4"), [Frame(index=5, time_s=0.5)]
            )
    (found,) = observe_faces(
        tool, [BLACK], clip(20, path="once.mp4"), [Frame(index=5, time_s=0.5)]
    ).faces[0]
    assert found.unit(12).activation == 0.65


def test_rows_of_other_sensors_do_not_part_a_showing(tmp_path) -> None:
    rows = [
        row
        for k in range(20)
        for row in (f"{k * 100},a,1.5,{k},0", f"{k * 100 + 50},,,,")  # heart rate, say
    ]
    head = "Timestamp,SourceStimuliName,Brow Furrow,Smile,Blink"
    (tmp_path / "t.csv").write_text("\n".join([head, *rows]) + "\n")
    tool = files.load_file("affdex", tmp_path / "t.csv")
    seen = observe_faces(tool, [BLACK], clip(20, path="a.mp4"), [Frame(index=15, time_s=1.5)])
    assert seen.faces[0][0].unit(12).activation == 0.15


@pytest.mark.parametrize(
    ("most", "scale", "said"), [(100, 1, None), (1, 1, "read as such"), (0.4, 100, "as of 100")]
)
def test_scores_of_one_and_of_a_hundred(tmp_path, most, scale, said) -> None:
    rows = [f"{k * 100},{0.2 * most},{most * k / 39},{-most},{0.9 * most}" for k in range(40)]
    head = "Timestamp,Brow Furrow,Smile,Valence,Joy"
    (tmp_path / "t.csv").write_text("\n".join([head, *rows]) + "\n")
    tool = files.load_file("affdex", tmp_path / "t.csv")
    (found,) = observe_faces(tool, [BLACK], clip(), [Frame(index=39, time_s=3.9)]).faces[0]
    expected = (most if scale == 100 else most / max(most, 1)) / scale
    assert found.unit(12).activation == pytest.approx(expected)
    assert found.valence == pytest.approx(-expected)
    assert any("happiness" in note for note in found.notes) == (scale == 1)
    assert (said or "read as") in (tool.info.caveat or "read as")


# ------------------------------------------------------------------------------ no number


def test_openface3_lists_with_unknown_numbers(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "image_path,face_id,face_detection,emotion,action_units\n"
        'a.jpg,0,"[10, 10, 60, 70, nan]",1,"[[0.5, -nan(ind), None, 0, 0, 0.9, 0, 0]]"\n'
    )
    ((found,),) = observe_faces(files.load_file("openface3", path), [BLACK], still("a.jpg")).faces
    assert found.score is None
    assert found.unit(2) == ActionUnit(unit=2)
    assert found.unit(12).activation == 0.9
