"""Toolboxes that live in an environment of their own: called as a program, their file is read.

OpenFace 2 (a folder of its binaries, or a Docker image), OpenFace 3, LibreFace and PyAFAR (the
Python of the environment they are installed in). The user names the program in the setting `paths`
or an environment variable; nothing is searched for. Whatever the program writes is read by
`kuleshov.tools.faces.files`, with the same care as a file the user brings.

A clip's own file is handed to the program once and kept for all of its frames; a picture, or a clip
that has no file, goes as PNG. Command lines are those of OpenFace's wiki, libreface 0.2.0,
openface-test 0.1.26 and PyAFAR's documentation.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools import stopping
from kuleshov.tools.faces import files
from kuleshov.tools.faces.base import (
    FaceToolInfo,
    Observation,
    ToolError,
    ToolStatus,
    format_readers,
    register,
)
from kuleshov.tools.home import expand_path
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.scratch import scratch_folder
from kuleshov.tools.types import Face

TIMEOUT_S = 600.0
"""How long a program may take for one picture or clip."""
LAST_LINES = 3
DOCKER = "docker:"

_PYAFAR = """
import sys
from PyAFAR_GUI.adult_afar import adult_afar
import pandas
found = adult_afar(
    filename=sys.argv[1],
    AUs=["au_%d" % n for n in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)],
    AU_Int=["au_%d" % n for n in (6, 10, 12, 14, 17)],
    GPU=False, max_frames=1000000, batch_size=100, PID=True,
)
pandas.DataFrame(found).to_csv(sys.argv[2], index=False)
"""


@dataclass(frozen=True)
class Program:
    """How a toolbox is called.

    command: (program, source, folder for results, is it a clip?) → arguments and the file that the
    program then writes. clips, stills: what it takes.
    """

    name: str
    variable: str
    command: Callable[[str, Path, Path, bool], tuple[list[str], Path]]
    install: str
    clips: bool = True
    stills: bool = True
    folder: bool = False

    def find(self, given: str | os.PathLike[str] | None = None) -> str | None:
        """The interpreter, binary folder or Docker image that the user named, or None.

        Raises:
            ToolError: what was named is not there.
        """
        named = os.fspath(given) if given else os.environ.get(self.variable)
        if not named or (self.folder and named.startswith(DOCKER)):
            return named or None
        path = expand_path(named)
        if self.folder and path.is_file():
            path = path.parent
        if not path.exists() or (not self.folder and not os.access(path, os.X_OK)):
            whose = "the settings" if given else self.variable
            raise ToolError(
                f"there is no program {path}, which {whose} names for {self.name}; to install it: "
                f"{self.install}"
            )
        return str(path)


def _call_openface(program: str, source: Path, out: Path, is_clip: bool) -> tuple[list[str], Path]:
    binary = "FeatureExtraction" if is_clip else "FaceLandmarkImg"
    result = out / f"{source.stem}.csv"
    if program.startswith(DOCKER):
        return [
            "docker", "run", "--rm", "--network", "none",
            "-v", f"{source.parent.resolve()}:/in:ro", "-v", f"{out.resolve()}:/out",
            "--entrypoint", f"build/bin/{binary}", program.removeprefix(DOCKER),
            "-f", f"/in/{source.name}", "-out_dir", "/out", "-aus", "-2Dfp",
        ], result  # fmt: skip
    options = ["-f", str(source), "-out_dir", str(out), "-aus", "-2Dfp"]
    return [str(Path(program) / binary), *options], result


def _call_openface3(program: str, source: Path, out: Path, is_clip: bool) -> tuple[list[str], Path]:
    options = ["detect", str(source), "-o", str(out), "-d", "cpu"]
    return [program, "-m", "openface.cli", *options], out / f"face_analysis_{source.stem}.csv"


def _call_libreface(program: str, source: Path, out: Path, is_clip: bool) -> tuple[list[str], Path]:
    result = out / "result.csv"
    options = ["--input_path", str(source), "--output_path", str(result), "--temp", str(out / "t")]
    return [program, "-m", "libreface.commandline", *options], result


def _call_pyafar(program: str, source: Path, out: Path, is_clip: bool) -> tuple[list[str], Path]:
    result = out / "result.csv"
    return [program, "-c", _PYAFAR, str(source), str(result)], result


PROGRAMS = {
    "openface": Program(
        "openface",
        "OPENFACE_BIN",
        _call_openface,
        "docker pull algebr/openface && export OPENFACE_BIN=docker:algebr/openface",
        folder=True,
    ),
    "openface3": Program(
        "openface3",
        "OPENFACE3_PYTHON",
        _call_openface3,
        "python3.10 -m venv openface3 && openface3/bin/pip install openface-test==0.1.26 && "
        "openface3/bin/openface download && export OPENFACE3_PYTHON=$PWD/openface3/bin/python",
        clips=False,  # its detect-video raises: frames go one by one
    ),
    "libreface": Program(
        "libreface",
        "LIBREFACE_PYTHON",
        _call_libreface,
        "python3.8 -m venv libreface && libreface/bin/pip install libreface==0.2.0 && "
        "export LIBREFACE_PYTHON=$PWD/libreface/bin/python",
    ),
    "pyafar": Program(
        "pyafar",
        "PYAFAR_PYTHON",
        _call_pyafar,
        "install the wheel from github.com/AffectAnalysisGroup/PyAFAR/releases, then "
        "export PYAFAR_PYTHON=its/bin/python",
        stills=False,
    ),
}


class ProgramFaces:
    """A toolbox in its own environment behind the face tool protocol."""

    def __init__(self, program: Program, path: str, timeout_s: float = TIMEOUT_S) -> None:
        self.program, self.path, self.timeout_s = program, path, timeout_s
        reader = format_readers[program.name]
        self.info = FaceToolInfo(
            name=program.name,
            version=f"run from {path}",
            units=UNITS[program.name],
            measures=reader.measures,
            licence=reader.licence,
        )
        self._lock = threading.Lock()
        self._last: tuple[str, files.FileFaces] | None = None

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Each picture on its own, without a name; see `FaceTool.observe`."""
        return [self._still(image) for image in images]

    def observe_media(
        self, images: Sequence[NDArray[np.uint8]], media: Media, frames: Sequence[Frame]
    ) -> Observation:
        """As `MediaFaceTool.observe_media`. Raises ToolError with the program's last lines."""
        path = Path(media.path) if media.path else None
        if media.kind == "clip" and self.program.clips and path is not None and path.is_file():
            with self._lock:
                if self._last is None or self._last[0] != media.sha256:
                    with scratch_folder("faces") as folder:
                        self._last = media.sha256, self._run(path, folder, True)
                results = self._last[1]
            try:
                return results.observe_media(images, media, frames)
            except files.FileError as error:  # the program's fault, not the user's
                raise ToolError(str(error)) from None
        return Observation([self._still(image) for image in images])

    def _still(self, image: NDArray[np.uint8]) -> list[Face]:
        if not self.program.stills:
            raise ToolError(
                f"{self.program.name} reads clips from a file and no pictures: use another tool."
            )
        from PIL import Image

        with scratch_folder("faces") as folder:
            # a name of our own: a path with blanks or quotes is a trap for other programs
            source = folder / "picture.png"
            Image.fromarray(image).save(source)
            results = self._run(source, folder, False)
        media = Media(
            path="picture.png",
            sha256="",
            kind="image",
            size=(image.shape[1], image.shape[0]),
        )
        return results.observe_media([image], media, ()).faces[0]

    def _run(self, source: Path, folder: Path, is_clip: bool) -> files.FileFaces:
        out = folder / "out"
        out.mkdir()
        arguments, result = self.program.command(self.path, source.resolve(), out, is_clip)
        code, said = run_program(arguments, self.timeout_s, self.program.name)
        if code != 0 or not result.is_file():
            what = f"ended with exit code {code}" if code else "wrote no result file"
            raise ToolError(f"{self.program.name} {what}; its last lines: {said}")
        return files.load_file(self.program.name, result)


def run_program(arguments: Sequence[str], timeout_s: float, name: str) -> tuple[int, str]:
    """Run a program to its end; returns its exit code and its last lines, on one line.

    Raises:
        StoppedError: the user asked to stop: it is ended, too.
        ToolError: it cannot be started, or took longer than `timeout_s` seconds: it is ended, with
            everything that it started.
    """
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(
                f"{name} cannot be started: {arguments[0]}: {error.strerror}."
            ) from None
        try:
            code = _wait(process, timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"{name} took longer than {timeout_s:g} s (setting tool_timeout_s) and was ended; "
                f"its last lines: {_last_lines(said)}"
            ) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return code, _last_lines(said)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """Its exit code. Raises TimeoutExpired, or StoppedError once the user asks to stop."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return process.wait(min(stopping.LOOK_S, max(0.0, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                raise
            stopping.check()


def _last_lines(said: IO[bytes]) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 4096))
    lines = said.read().decode("utf-8", "replace").splitlines()
    kept = [" ".join(line.split()) for line in lines if line.strip()][-LAST_LINES:]
    return " | ".join(kept) or "(it said nothing)"


# Units that a file of the program will hold, before there is one
UNITS: dict[str, tuple[int, ...]] = {
    "openface": (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45),
    "openface3": (1, 2, 4, 6, 9, 12, 25, 26),
    "libreface": (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26),
    "pyafar": (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
}


def load_program(
    program: Program,
    device: str | None = None,
    path: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> ProgramFaces:
    """Raises ToolError if the user named no program, or one that is not there."""
    found = program.find(path)
    if found is None:
        raise ToolError(
            f"{program.name} runs in an environment of its own, which is not named: "
            f"{program.install}; or read its result file: --faces {program.name}:FILE."
        )
    return ProgramFaces(program, found, timeout_s)


def program_status(program: Program, path: str | None = None) -> ToolStatus:
    """Whether its program is named and there; it is not run."""
    try:
        found, said = program.find(path), ""
    except ToolError as error:
        found, said = None, f"{error} "
    reader = format_readers[program.name]
    return ToolStatus(
        name=program.name,
        ready=found is not None,
        installed=found is not None,
        version=found,
        weights="its own" if found else f"{said}result files are read: --faces {program.name}:FILE",
        licence=reader.licence,
        measures=reader.measures,
        command=None if found else program.install,
    )


for _name, _program in PROGRAMS.items():
    register(
        _name, partial(load_program, _program), partial(program_status, _program), program=True
    )
