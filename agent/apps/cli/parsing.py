"""The command line's own parser: mistakes in one plain sentence, with what was probably meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from kuleshov.apps.cli.examples import EXAMPLES
from kuleshov.output.terminal import USAGE, say

GROUPS = ("positional arguments", "options", "input", "context", "models", "faces", "output")
"""The groups of options, in the order of the help; "advanced" and whatever else come last."""
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


class PlainParser(argparse.ArgumentParser):
    """argparse's parser; what is wrong with a call is told without its usage."""

    commands: Any = None

    def add_subparsers(self, **given: Any) -> Any:
        self.commands = super().add_subparsers(**given)
        return self.commands

    def format_help(self) -> str:
        """A short usage, the groups in one order, and examples to copy below."""
        self._action_groups.sort(
            key=lambda group: GROUPS.index(group.title or "") if group.title in GROUPS else 99
        )
        if self.usage is None:
            self.usage = self._short_usage()
        told = EXAMPLES.get(self.prog, ())
        shown = "".join(f"  {line}\n" for line in told)
        return super().format_help() + (f"\nexamples:\n{shown}" if shown else "")

    def _short_usage(self) -> str:
        """What has to be given; the options stand below."""
        needed = [a for a in self._actions if a.required or not a.option_strings]
        formatter = self.formatter_class(prog=f"{self.prog} [options]")
        formatter.add_usage(None, needed, (), prefix="")
        return formatter.format_help().strip().replace("%", "%%")

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {plain_message(message, self)} See {self.prog} --help.")
        self.exit(USAGE)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """As argparse's; an option that there is not is told with those of its command."""
        found, left = self.parse_known_args(args, namespace)
        if left:
            command = commands_of(self).get(getattr(found, "command", ""), self)
            command.error(f"unrecognized arguments: {left[0]}")
        return found


def option_group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """The group of that title, made if need be."""
    for group in parser._action_groups:
        if group.title == title:
            return group
    return parser.add_argument_group(title)


def commands_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The parser of each command, by its name; none for the parser of a command."""
    commands = getattr(parser, "commands", None)
    return {} if commands is None else dict(commands.choices)


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a command, as its help has them."""
    help_ = parser.format_help()
    listed = help_[help_.find("options:") :]
    lines = [line for line in listed.splitlines() if line.startswith("  -")]
    return list(dict.fromkeys(o for line in lines for o in OPTION.findall(line.split("  ", 2)[1])))


def plain_message(message: str, parser: argparse.ArgumentParser) -> str:
    """argparse's message in plain words, one sentence."""
    from kuleshov.tools.errors import suggest_word

    def matched(pattern: str) -> re.Match[str] | None:
        return re.match(pattern, message)

    if match := matched(r"unrecognized arguments: (\S+)"):
        name = match[1].split("=")[0]
        if not name.startswith("-"):
            return f"{match[1]!r} is unexpected here."
        return f"there is no option {name}{suggest_word(name, options_of(parser))}."
    if match := matched(r"argument COMMAND: invalid choice: '(.*?)' \("):
        hint = suggest_word(match[1], list(commands_of(parser)))
        return f"there is no command {match[1]!r}{hint}."
    if match := matched(r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)"):
        known = match[3].replace("'", "")
        return f"{match[1]} is one of {known}, not {match[2]!r}."
    if match := matched(r"the following arguments are required: (.*)"):
        needed = match[1].split(", ")
        if needed == ["COMMAND"]:
            return f"say what to do: {', '.join(commands_of(parser))}."
        return f"{' and '.join(needed)} {'is' if len(needed) == 1 else 'are'} missing."
    if match := matched(r"argument (\S+?)(?:/\S+)?: expected (?:one|at least one) argument"):
        return f"{match[1]} needs a value."
    if match := matched(r"argument (\S+?)(?:/\S+)?: invalid (\w+) value: '(.*)'"):
        kind = {"int": "a whole number", "float": "a number"}.get(match[2], "another value")
        return f"{match[1]} takes {kind}, not {match[3]!r}."
    if match := matched(r"ambiguous option: (\S+) could match (.*)"):
        return f"{match[1]} may be {match[2].replace(', ', ' or ')}: write it out."
    return message[:1].lower() + message[1:].rstrip(".") + "."
