"""Data sets of FACS coders: small trees in their layouts, and a toolbox's results against them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.evals.datasets.disfa import UNITS
from kuleshov.evals.datasets.unit_sets import UNIT_SETS
from kuleshov.tools.errors import KuleshovError


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_disfa(root: Path, codes: dict[int, list[int]], frames: int) -> None:
    for unit in UNITS:
        values = codes.get(unit, [0] * frames)
        text = "".join(f"{frame},{value}\n" for frame, value in enumerate(values, 1))
        put(root, f"ActionUnit_Labels/SN001/SN001_au{unit}.txt", text)


def test_disfa(tmp_path: Path):
    write_disfa(tmp_path, {12: [0, 1, 2, 5], 4: [0, 9, 0, 3]}, 4)
    faces = UNIT_SETS["disfa"].read(tmp_path)
    assert [(face.name, face.frame, face.group) for face in faces] == [
        ("LeftVideoSN001_comp", frame, "SN001") for frame in range(4)
    ]
    smiles = [face.units[12] for face in faces]
    assert [(code.shown, code.intensity) for code in smiles] == [
        (False, 0), (False, 1), (True, 2), (True, 5),
    ]  # fmt: skip
    assert 4 not in faces[1].units  # not codable is unknown, not absent
    put(tmp_path, "ActionUnit_Labels/SN001/SN001_au12.txt", "1,7\n")
    with pytest.raises(KuleshovError, match="line 1: an intensity is 0-5, and this is 7"):
        UNIT_SETS["disfa"].read(tmp_path)
    (tmp_path / "ActionUnit_Labels/SN001/SN001_au12.txt").unlink()
    with pytest.raises(KuleshovError, match="1 of 12 label files of SN001 of DISFA are missing"):
        UNIT_SETS["disfa"].read(tmp_path)


def test_disfa_plus(tmp_path: Path, feat_data: Path):
    for unit in UNITS:
        value = 3 if unit == 12 else 0
        text = f"AU{unit}\n-----\n000.jpg     {value}\n001.jpg     0\n"
        put(tmp_path, f"Labels/SN003/A1_AU12_TrailNo_1/AU{unit}.txt", text)
    there = tmp_path / "Images/SN003/A1_AU12_TrailNo_1/000.jpg"
    there.parent.mkdir(parents=True)
    shutil.copy(feat_data / "single_face.jpg", there)
    first, second = UNIT_SETS["disfa-plus"].read(tmp_path)
    assert (first.picture, second.picture) == (there, None)
    assert (first.units[12].shown, first.units[12].intensity) == (True, 3)
    assert first.name == "Images/SN003/A1_AU12_TrailNo_1/000.jpg"


def test_bp4d(tmp_path: Path):
    put(tmp_path, "AUCoding/AU_OCC/F001_T1.csv", "0,1,6,12\n2440,0,1,9\n2441,1,0,0\n")
    put(tmp_path, "AUCoding/AU_INT/AU06/F001_T1_AU06.csv", "2440,3\n2441,0\n")
    put(tmp_path, "2D+3D/F001/T1/2440.jpg", "")
    first, second = UNIT_SETS["bp4d"].read(tmp_path)
    assert first.picture == tmp_path / "2D+3D/F001/T1/2440.jpg"
    assert set(first.units) == {1, 6}
    assert (first.units[6].shown, first.units[6].intensity) == (True, 3)
    assert (second.units[1].shown, second.units[1].intensity) == (True, None)
    assert (second.picture, second.group) == (None, "F001")


def test_gft(tmp_path: Path):
    put(tmp_path, "AU_OCC/001A.csv", "Frame,AU1,AU12\n1,0,1\n2,9,0\n")
    first, second = UNIT_SETS["gft"].read(tmp_path)
    assert (first.name, first.frame, first.units[12].shown) == ("001A", 0, True)
    assert set(second.units) == {12}


def test_ckplus(tmp_path: Path):
    put(
        tmp_path,
        "FACS/S005/001/S005_001_00000011_facs.txt",
        "   9.0000000e+00   4.0000000e+00\n   1.7000000e+01   0.0000000e+00\n",
    )
    (face,) = UNIT_SETS["ck-plus"].read(tmp_path)
    assert face.name == "cohn-kanade-images/S005/001/S005_001_00000011.png"
    assert (face.units[9].shown, face.units[9].intensity) == (True, 4)
    assert (face.units[17].shown, face.units[17].intensity) == (True, None)
    assert not face.units[12].shown


@pytest.mark.parametrize("name", list(UNIT_SETS))
def test_an_empty_folder_is_told_what_was_expected(name: str, tmp_path: Path, capsys):
    one = UNIT_SETS[name]
    for text in (one.title, one.licence, one.source, one.layout):
        assert text.strip()
    assert main(["eval", name, "--data", str(tmp_path)]) == 2
    assert "expected" in capsys.readouterr().err
    assert main(["eval", name]) == 2
    assert "needs your copy of the data" in capsys.readouterr().err


def write_openface(path: Path, rows: list[tuple[int, float]]) -> None:
    """AU12 over frames as OpenFace writes it, presence from an intensity of 1 on."""
    head = "frame, face_id, timestamp, confidence, success, x_0, x_1, y_0, y_1, AU12_r, AU12_c"
    lines = [
        f"{frame}, 0, {frame / 20:.3f}, 0.98, 1, 10, 60, 10, 60, {value}, {float(value >= 1)}"
        for frame, value in rows
    ]
    path.write_text("\n".join([head, *lines]) + "\n")


def test_a_toolbox_against_coders_by_hand(tmp_path: Path, capsys):
    coded, measured = [0, 0, 1, 2, 3, 5], [0.0, 1.5, 0.4, 2.0, 0.5, 4.0]
    write_disfa(tmp_path / "disfa", {12: coded}, 6)
    results = tmp_path / "LeftVideoSN001_comp.csv"
    write_openface(results, list(enumerate(measured, 1)))
    out = tmp_path / "out"
    call = ["eval", "disfa", "--data", str(tmp_path / "disfa"), "--out", str(out)]
    call += ["--results", f"openface:{results}"]
    assert main([*call, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert json.loads((out / "units.json").read_text()) == found
    assert (found["coded"], found["read"], found["subjects"]) == (6, 6, 1)
    (unit,) = found["units"]
    # shown by coders (B or more): the last three; by OpenFace: the second, the fourth, the sixth
    assert (unit["unit"], unit["n"], unit["shown"]) == (12, 6, 0.5)
    assert unit["precision"] == unit["recall"] == unit["f1"] == pytest.approx(2 / 3, abs=1e-4)
    # AC1: same in 4 of 6, both sides show half: chance .5
    assert unit["ac1"] == pytest.approx((4 / 6 - 0.5) / 0.5, abs=1e-4)
    from kuleshov.studies.agreement import icc_consistency

    assert unit["icc"] == icc_consistency(measured, coded)
    assert 12 not in found["not_measured"]
    assert 4 in found["not_measured"]
    assert main(call) == 0
    shown = capsys.readouterr().out
    assert "AU12" in shown
    assert "not measured by this toolbox: AU1, AU2, AU4" in shown


def test_results_of_other_clips_are_refused(tmp_path: Path, capsys):
    write_disfa(tmp_path / "disfa", {}, 2)
    write_openface(tmp_path / "holiday.csv", [(1, 0.0)])
    call = ["eval", "disfa", "--data", str(tmp_path / "disfa")]
    assert main([*call, "--results", f"openface:{tmp_path / 'holiday.csv'}"]) == 2
    assert "no face of these results was coded in DISFA" in capsys.readouterr().err
    assert main([*call, "--pocket"]) == 2
    assert "give its files with --results" in capsys.readouterr().err


def test_a_face_tool_reads_coded_pictures(tmp_path: Path, feat_data: Path, capsys):
    put(tmp_path, "AUCoding/AU_OCC/F001_T1.csv", "0,1,12\n7,0,1\n8,0,1\n9,0,1\n")
    folder = tmp_path / "2D+3D/F001/T1"
    folder.mkdir(parents=True)
    for name in ("007.jpg", "008.jpg", "009.jpg"):
        shutil.copy(feat_data / "single_face.jpg", folder / name)
    call = ["eval", "bp4d", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--pocket"]
    assert main([*call, "--limit", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tool"], found["coded"], found["read"]) == ("pocket", 2, 2)
    units = {unit["unit"]: unit for unit in found["units"]}
    assert units[12]["n"] == 2
    assert units[12]["icc"] is None  # the tool gives no intensity
