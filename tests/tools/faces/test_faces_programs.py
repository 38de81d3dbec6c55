"""Toolboxes called as programs: stand-ins that take the real command line and write the real files.

The toolboxes themselves cannot be installed beside this project; what is proved here is the code
around them: command lines, results, crashes, hangs, missing programs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kuleshov.tools import faces
from kuleshov.tools.faces import ToolError, observe_faces
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.types import ActionUnit

PICTURE = np.zeros((90, 120, 3), np.uint8)
STILL = Media(path="in/photo.jpg", sha256="a", kind="image", size=(120, 90))


def program(path: Path, body: str) -> Path:
    """A program of its own: this Python with a script that takes the command line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return path


def clip(tmp_path: Path) -> Media:
    (tmp_path / "clip.mp4").write_bytes(b"stands for a clip: only its path is handed on")
    return Media(
        path=str(tmp_path / "clip.mp4"),
        sha256="c",
        kind="clip",
        size=(120, 90),
        duration_s=0.12,
        frames=(Frame(index=0, time_s=0.0), Frame(index=2, time_s=0.08)),
    )


OPENFACE = """
a = dict(zip(sys.argv[1::2], sys.argv[2::2]))
source, out = a["-f"], a["-out_dir"]
assert sys.argv[-2:] == ["-aus", "-2Dfp"], sys.argv
assert os.path.isfile(source)
stem = os.path.splitext(os.path.basename(source))[0]
with open(os.path.join(out, stem + ".csv"), "w") as f:
    if sys.argv[0].endswith("FaceLandmarkImg"):
        f.write("face, confidence, AU12_r, AU12_c\\n0, 0.9, 2.5, 1\\n1, 0.8, 0.0, 0\\n")
    else:
        f.write("frame, timestamp, confidence, success, AU12_r\\n")
        for k in range(3):
            f.write(f"{k + 1}, {k * 0.04}, 0.9, 1, {k}.5\\n")
with open(os.environ["CALLS"], "a") as f:
    f.write(os.path.basename(sys.argv[0]) + "\\n")
"""


@pytest.fixture
def openface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("FaceLandmarkImg", "FeatureExtraction"):
        program(tmp_path / "bin" / name, OPENFACE)
    return tmp_path / "bin"


def test_openface_of_a_picture_and_of_a_clip(openface: Path, tmp_path: Path) -> None:
    tool = faces.find_entry("openface", {"openface": str(openface)}).load()
    ((first, second),) = observe_faces(tool, [PICTURE], STILL).faces
    assert first.unit(12) == ActionUnit(unit=12, intensity=2.5, presence=True)
    assert second.unit(12) == ActionUnit(unit=12, intensity=0, presence=False)
    media = clip(tmp_path)
    for _ in range(2):
        seen = observe_faces(tool, [PICTURE] * 2, media)
        assert [[f.unit(12) for f in found] for found in seen.faces] == [
            [ActionUnit(unit=12, intensity=0.5)],
            [ActionUnit(unit=12, intensity=2.5)],
        ]
    # the clip was handed over once, whole
    assert (tmp_path / "calls").read_text().split() == ["FaceLandmarkImg", "FeatureExtraction"]


def test_openface_in_docker(
    openface: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker stands in as well: it maps the folders back and runs the same program."""
    program(
        tmp_path / "path" / "docker",
        "a = sys.argv[1:]\n"
        "assert a[:4] == ['run', '--rm', '--network', 'none'], a\n"
        "inside = dict(v.split(':')[1::-1] for v in (a[5].removesuffix(':ro'), a[7]))\n"
        "assert a[8:11] == ['--entrypoint', 'build/bin/FaceLandmarkImg', 'some/image'], a\n"
        "source = a[12].replace('/in', inside['/in'], 1)\n"
        f"os.execv({str(openface / 'FaceLandmarkImg')!r}, ['FaceLandmarkImg', '-f', source,"
        " '-out_dir', inside['/out'], '-aus', '-2Dfp'])",
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OPENFACE_BIN", "docker:some/image")
    (found,) = observe_faces(faces.load("openface"), [PICTURE], STILL).faces
    assert len(found) == 2


def test_libreface_and_openface3_and_pyafar(tmp_path: Path) -> None:
    libreface = program(
        tmp_path / "libreface",
        "a = dict(zip(sys.argv[3::2], sys.argv[4::2]))\n"
        "assert sys.argv[1:3] == ['-m', 'libreface.commandline'], sys.argv\n"
        "assert os.path.isfile(a['--input_path'])\n"
        "open(a['--output_path'], 'w').write("
        "'pitch,yaw,roll,au_12,au_12_intensity,facial_expression\\n1,2,3,1,3.5,Happiness\\n')",
    )
    ((face,),) = observe_faces(
        faces.find_entry("libreface", {"libreface": str(libreface)}).load(), [PICTURE], STILL
    ).faces
    assert face.unit(12) == ActionUnit(unit=12, presence=True, intensity=3.5)
    openface3 = program(
        tmp_path / "openface3",
        "assert sys.argv[1:4] == ['-m', 'openface.cli', 'detect'], sys.argv\n"
        "out = sys.argv[sys.argv.index('-o') + 1]\n"
        "open(os.path.join(out, 'face_analysis_picture.csv'), 'w').write("
        "'timestamp,image_path,face_id,face_detection,landmarks,emotion,gaze_yaw,gaze_pitch,"
        'action_units\\n0,x/picture.png,0,"[1, 2, 30, 40, 0.9]",,1,0,0,'
        '"[[0, 0, 0, 0, 0, 0.9, 0, 0]]"\\n\')',
    )
    tool = faces.find_entry("openface3", {"openface3": str(openface3)}).load()
    seen = observe_faces(tool, [PICTURE] * 2, clip(tmp_path))  # a clip goes frame by frame
    assert [[(f.xyxy, f.frame) for f in found] for found in seen.faces] == [
        [((1, 2, 30, 40), 0)],
        [((1, 2, 30, 40), 2)],
    ]
    pyafar = program(
        tmp_path / "pyafar",
        "assert sys.argv[1] == '-c' and 'adult_afar' in sys.argv[2], sys.argv\n"
        "open(sys.argv[4], 'w').write('Frame,Person_ID,Occ_au_12\\n0,0,0.9\\n2,0,0.1\\n')",
    )
    tool = faces.find_entry("pyafar", {"pyafar": str(pyafar)}).load()
    seen = observe_faces(tool, [PICTURE] * 2, clip(tmp_path))
    assert [found[0].unit(12) for found in seen.faces] == [
        ActionUnit(unit=12, probability=0.9),
        ActionUnit(unit=12, probability=0.1),
    ]
    with pytest.raises(ToolError, match="pyafar reads clips from a file and no pictures"):
        observe_faces(tool, [PICTURE], STILL)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "print('loading'); print('x'); sys.exit('CUDA error: out of memory')",
            "libreface ended with exit code 1; its last lines: loading | x | CUDA error: out of "
            "memory",
        ),
        (
            "print('No face detected'); print('Some error in saving the results.')",
            "libreface wrote no result file; its last lines: No face detected | Some error in "
            "saving the results.",
        ),
        ("pass", "libreface wrote no result file; its last lines: (it said nothing)"),
        ("os.kill(os.getpid(), 11)", "libreface ended with exit code -11; its last lines:"),
    ],
)
def test_a_program_that_fails(tmp_path: Path, body: str, says: str) -> None:
    path = program(tmp_path / "libreface", body)
    tool = faces.find_entry("libreface", {"libreface": str(path)}).load()
    with pytest.raises(ToolError) as error:
        observe_faces(tool, [PICTURE], STILL)
    assert says in str(error.value)


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    path = program(
        tmp_path / "libreface",
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "print('frame 7 of 900', flush=True)\n"
        "time.sleep(60)",
    )
    tool = faces.find_entry("libreface", {"libreface": str(path)}, timeout_s=2.0).load()
    with pytest.raises(ToolError) as error:
        observe_faces(tool, [PICTURE], STILL)
    assert str(error.value) == (
        "libreface took longer than 2 s (setting tool_timeout_s) and was ended; its last lines: "
        "frame 7 of 900"
    )
    child = int((tmp_path / "pid").read_text())
    for _ in range(1200):
        try:
            state = Path(f"/proc/{child}/stat").read_text().split()[2]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("a child of the program still runs")


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENFACE_BIN", "LIBREFACE_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ToolError, match=r"is not named: .*pip install libreface.*libreface:FILE"):
        faces.load("libreface")
    monkeypatch.setenv("LIBREFACE_PYTHON", str(tmp_path / "none"))
    with pytest.raises(ToolError, match=r"there is no program .*none, which LIBREFACE_PYTHON"):
        faces.load("libreface")
    assert not faces.find_entry("libreface").status().ready
    (tmp_path / "empty").mkdir()
    tool = faces.find_entry("openface", {"openface": str(tmp_path / "empty")}).load()
    with pytest.raises(ToolError, match=r"openface cannot be started: .*FaceLandmarkImg: No such"):
        observe_faces(tool, [PICTURE], STILL)
    with pytest.raises(ToolError, match=r"setting paths: 'pocket' takes no path.* openface"):
        faces.find_entry("pocket", {"pocket": "x"})
