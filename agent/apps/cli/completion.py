"""`kuleshov completion`: words that a shell completes, from the parser itself."""

from __future__ import annotations

import argparse
import sys

from kuleshov.apps.cli.options import Commands
from kuleshov.apps.cli.parsing import commands_of, options_of
from kuleshov.output.terminal import OK

BASH = """\
# eval "$(kuleshov completion bash)", or this text in ~/.bashrc
_kuleshov() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [[ "$word" == -* ]]; then
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    if [ -n "$words" ]; then
        COMPREPLY=( $(compgen -W "$words" -- "$word") )
    else
        COMPREPLY=( $(compgen -f -- "$word") )
    fi
}}
complete -o filenames -F _kuleshov kuleshov
"""
ZSH = """\
# eval "$(kuleshov completion zsh)", or this text in ~/.zshrc
autoload -U +X bashcompinit && bashcompinit
"""


def add_command(commands: Commands) -> None:
    completion = commands.add_parser(
        "completion", help="a script by which the shell completes commands and options"
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.apps.cli.main import build_parser

    parser = build_parser()
    known = {name: options_of(command) for name, command in commands_of(parser).items()}
    sys.stdout.write(write_script(arguments.shell, known))
    return OK


def write_script(shell: str, known: dict[str, list[str]]) -> str:
    """The script; `known`: command to its options."""
    if shell == "fish":
        lines = ["# kuleshov completion fish | source, or in ~/.config/fish/completions"]
        first = "complete -c kuleshov -n __fish_use_subcommand -f -a"
        lines += [f"{first} {name}" for name in known]
        for name, options in known.items():
            within = f"complete -c kuleshov -n '__fish_seen_subcommand_from {name}'"
            lines += [f"{within} -l {option[2:]}" for option in options if option[:2] == "--"]
        return "\n".join(lines) + "\n"
    cases = "\n".join(
        f'            {name}) words="{" ".join(options)}" ;;' for name, options in known.items()
    )
    script = BASH.format(commands=" ".join(known), cases=cases)
    return ZSH + script.split("\n", 1)[1] if shell == "zsh" else script
