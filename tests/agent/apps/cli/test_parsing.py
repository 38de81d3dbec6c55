"""Mistakes in a call, in plain words; what a shell completes; words for units."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess

import pytest

from kuleshov.apps.cli import COMMANDS
from kuleshov.apps.cli.examples import EXAMPLES
from kuleshov.apps.cli.main import build_parser, main
from kuleshov.apps.cli.parsing import commands_of, options_of
from kuleshov.settings import Settings


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (["infr", "x"], "kuleshov: there is no command 'infr' (did you mean infer?)."),
        (["infer", "x", "--fces", "y"], "kuleshov infer: there is no option --fces (did you mean "),
        (["infer", "x", "--fces=y"], "there is no option --fces (did you mean --faces?)."),
        (["schema", "x"], "kuleshov schema: 'x' is unexpected here."),
        (["annotate"], "kuleshov annotate: INPUT and --out are missing."),
        (["infer", "x", "--seed", "a"], "--seed takes a whole number, not 'a'."),
        (["infer", "x", "--context-weight", "a"], "--context-weight takes a number, not 'a'."),
        (["infer", "x", "--seed"], "--seed needs a value."),
        (["infer", "x", "--shot-se", "1"], "write it out."),
        (["completion", "tcsh"], "is one of bash, zsh, fish, not 'tcsh'."),
        ([], "kuleshov: say what to do: demo, infer, "),
    ],
)
def test_a_mistake_in_the_call_is_one_plain_sentence(call, sentence, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(call)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert "usage:" not in err
    assert "--help" in err


def test_every_command_and_option_is_completed(capsys) -> None:
    known = commands_of(build_parser())
    assert set(known) == set(COMMANDS)
    assert {"--context", "--faces", "--json", "-v"} <= set(options_of(known["infer"]))
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert all(name in script for name in known)
        assert "context-weight" in script


def test_the_options_of_a_reading_stand_in_groups_the_commands_own_first() -> None:
    text = commands_of(build_parser())["infer"].format_help()
    titles = ("options", "input", "context", "models", "faces", "output", "advanced", "examples")
    places = [text.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    assert places[0] < text.index("--influence") < places[1]
    assert text.startswith("usage: kuleshov infer [options] PATH [PATH ...]\n")


def test_the_defaults_in_the_help_are_those_of_the_settings() -> None:
    told = 0
    for action in commands_of(build_parser())["infer"]._actions:
        found = re.search(r"\(default: ([^\s,)]+)\)", action.help or "")
        if found and action.dest in Settings.model_fields:
            default = Settings.model_fields[action.dest].default
            if default is not None:
                told += 1
                assert found[1] == str(default), action.dest
    assert told >= 12


@pytest.mark.parametrize("name", list(COMMANDS.own))
def test_a_command_has_two_examples_that_it_takes(name: str) -> None:
    command = commands_of(build_parser())[name]
    calls = EXAMPLES[command.prog]
    assert len(calls) == 2
    for call in calls:
        assert call in command.format_help()
        own = call.removeprefix('eval "$(').removesuffix(')"').partition(" > ")[0]
        words = shlex.split(own.partition(" | ")[0])
        assert words[:2] == ["kuleshov", name]
        assert build_parser().parse_args(words[1:]).command == name


def test_the_script_completes_in_a_real_bash(capsys) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    main(["completion", "bash"])
    script = capsys.readouterr().out

    def completed(*words: str) -> list[str]:
        asked = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _kuleshov; "
        program = f'{script}\ncompopt() {{ :; }}\n{asked} printf "%s\\n" "${{COMPREPLY[@]}}"'
        done = subprocess.run([bash, "-c", program], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completed("kuleshov", "inf") == ["infer", "influence"]
    assert completed("kuleshov", "infer", "--context-w") == ["--context-weight"]
    assert completed("kuleshov", "serve", "--max-u") == ["--max-upload-mb"]


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("12", "AU12 lip corner puller"),
        ("AU12", "AU12 lip corner puller"),
        ("smile", "AU12 lip corner puller"),
        ("raised inner brows", "AU1 inner brow raiser"),
        ("joy", "happiness"),
        ("appalled", "appalled"),
    ],
)
def test_facs_knows_numbers_and_words(words, title, capsys) -> None:
    assert main(["facs", words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert title in [one["title"] for one in (told if isinstance(told, list) else [told])]


def test_facs_of_nothing_is_one_sentence(capsys) -> None:
    assert main(["facs", "AU130"]) == 2
    assert "there is no action unit 130" in capsys.readouterr().err
    assert main(["facs", "zebra"]) == 2
    assert "there is no pattern for 'zebra'" in capsys.readouterr().err
