"""What others wrote (names of files, words of people, models and servers) is no command to the
terminal: nothing moves the cursor, names the window or turns a line around."""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

import pytest

from kuleshov.output.terminal import make_console, say, working
from kuleshov.tools.valid_text import in_terminal

FOREIGN = "a\x1b]0;title\x07b\x1b[2Jc\x9b31md\u202ee\x08\x7f"
PROGRAM = "from kuleshov.apps.cli.main import main; raise SystemExit(main())"
OWN = re.compile(r"\r|\x1b\[(?:[0-9;]*m|K)")
"""What Kuleshov itself sends: colours, and the begin of a line that is written anew."""


def commands_in(text: str) -> list[str]:
    return [c for c in OWN.sub("", text) if c not in "\n\t" and not c.isprintable()]


def test_controls_are_taken_out_and_nothing_else() -> None:
    assert in_terminal(FOREIGN) == "a]0;titleb[2Jc31mde"
    assert in_terminal("Müller 日本 😀\ta\nb") == "Müller 日本 😀\ta\nb"


def test_lines_progress_and_tables_hold_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with working(f"{FOREIGN}: opening") as tell:
        tell(f"{FOREIGN}: judging")
        say(f"kuleshov: there is no file {FOREIGN}.")
    told = capsys.readouterr().err
    assert "a]0;titleb[2Jc31mde: judging" in told
    assert not commands_in(told)
    console = make_console()
    console.file = io.StringIO()
    console.print(FOREIGN, style="bold")
    assert not commands_in(console.file.getvalue())


@pytest.mark.parametrize("there", [False, True])
def test_a_files_name_and_a_context_on_a_real_terminal(
    there: bool, tmp_path: Path, feat_data: Path
) -> None:
    pexpect = pytest.importorskip("pexpect")
    photo = tmp_path / f"p{FOREIGN.replace('/', '')}.jpg"
    if there:
        shutil.copy(feat_data / "single_face.jpg", photo)
    child = pexpect.spawn(
        sys.executable,
        ["-c", PROGRAM, "infer", "--pocket", "-v", "--context", f"{FOREIGN} at home", str(photo)],
        timeout=240,
        dimensions=(40, 100),
        encoding="utf-8",
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == (0 if there else 2)
    assert "titleb" in child.before
    assert not commands_in(child.before)
