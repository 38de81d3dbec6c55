"""Things by name: those of this program, and those that installed packages add (plug-ins).

A package adds one by an entry point, whose name is the name that users say::

    [project.entry-points."kuleshov.exports"]
    spss = "my_package:SPSS"

Which there are is read from what is installed; a plug-in is imported when it is asked for. One that
is broken is told in one sentence to whoever asks for it, and hinders nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from kuleshov.tools.errors import KuleshovError, first_line, suggest_word

Thing = TypeVar("Thing")

PROGRAM = "kuleshov"
"""The distribution whose own entry points are no plug-ins."""


@dataclass(frozen=True)
class PlugInGroup:
    """A kind of thing that packages can add: its entry-point group, its word, what it must have."""

    name: str
    kind: str
    needs: tuple[str, ...]


FACES = PlugInGroup("kuleshov.faces", "face tool", ("name", "load"))
MODELS = PlugInGroup("kuleshov.models", "model", ("name", "load"))
TASKS = PlugInGroup("kuleshov.tasks", "task", ("name", "read", "metrics"))
EXPORTS = PlugInGroup("kuleshov.exports", "export", ("write", "file"))
COMMANDS = PlugInGroup("kuleshov.commands", "command", ("add_command", "run_command"))
GROUPS = (FACES, MODELS, TASKS, EXPORTS, COMMANDS)


class PlugInError(KuleshovError):
    """A plug-in that cannot be used: which one, of which package, and why."""


@dataclass(frozen=True)
class PlugIn:
    """What an installed package adds, not yet imported. `target`: ``module:attribute``."""

    group: PlugInGroup
    name: str
    target: str
    package: str
    version: str
    read: Callable[[], Any]

    @property
    def origin(self) -> str:
        """'the export spss of my-package 1.0'."""
        return f"the {self.group.kind} {self.name} of {self.package} {self.version}"

    def load(self) -> Any:
        """The thing itself. Raises PlugInError: it cannot be imported, or is something else."""
        try:
            thing = self.read()
        except Exception as error:  # code of others: whatever it raises is its own trouble
            why = f"{type(error).__name__}: {first_line(error)}"
            raise PlugInError(f"{self.origin} cannot be loaded ({why}).") from error
        lacking = [need for need in self.group.needs if not hasattr(thing, need)]
        if lacking:
            raise PlugInError(
                f"{self.origin} is no {self.group.kind}: {self.target} has no "
                f"{' or '.join(lacking)}."
            )
        own = getattr(thing, "name", self.name)
        if "name" in self.group.needs and own != self.name:
            raise PlugInError(f"{self.origin} calls itself {own!r}: give both the same name.")
        return thing


@cache
def find_plug_ins(group: PlugInGroup) -> tuple[PlugIn, ...]:
    """What installed packages add to a group, by name and package; nothing is imported."""
    from importlib.metadata import entry_points

    found = {}
    for point in entry_points(group=group.name):
        package = point.dist.name if point.dist else "an unknown package"
        if package != PROGRAM:
            version = point.dist.version if point.dist else ""
            found[point.name, package] = PlugIn(
                group, point.name, point.value, package, version, point.load
            )
    return tuple(plug_in for _, plug_in in sorted(found.items()))


class Registry(Mapping[str, Thing], Generic[Thing]):
    """Things of one kind by name, the program's own before those of plug-ins.

    A mapping from names to things; a plug-in is imported when its thing is asked for, and
    `PlugInError` says where that fails. `working()` passes over broken ones.

    Args:
        kind: the word for such a thing in messages, e.g. "export".
        things: the program's own, or what gives them when they are first asked for.
        group: packages can add to it.
        listed: what the names of a message's list are, e.g. "shipped".
        otherwise: what else can be given than a name, for messages.
    """

    def __init__(
        self,
        kind: str,
        things: Mapping[str, Thing] | Callable[[], Mapping[str, Thing]] = {},  # noqa: B006
        *,
        group: PlugInGroup | None = None,
        listed: str = "known",
        otherwise: str = "",
    ) -> None:
        self.kind, self.group, self.listed, self.otherwise = kind, group, listed, otherwise
        self._source = things
        self._own: dict[str, Thing] | None = None

    @property
    def own(self) -> dict[str, Thing]:
        """Those of the program, and those added by `add`."""
        if self._own is None:
            self._own = dict(self._source() if callable(self._source) else self._source)
        return self._own

    def add(self, name: str, thing: Thing) -> None:
        """Make a thing known by name; the last one of a name wins."""
        self.own[name] = thing

    def plug_ins(self) -> dict[str, PlugIn]:
        """Those of packages, by name; a name that the program has itself stays the program's."""
        found = find_plug_ins(self.group) if self.group else ()
        return {plug_in.name: plug_in for plug_in in found if plug_in.name not in self.own}

    def __getitem__(self, name: str) -> Thing:
        """The thing of that name. Raises KeyError, or PlugInError for a broken plug-in."""
        if name in self.own:
            return self.own[name]
        offered = [p for p in find_plug_ins(self.group) if p.name == name] if self.group else []
        if not offered:
            raise KeyError(name)
        if len(offered) > 1:
            raise PlugInError(_rivals_sentence(offered))
        thing: Thing = offered[0].load()
        return thing

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *self.plug_ins()])

    def __len__(self) -> int:
        return len(self.own) + len(self.plug_ins())

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.plug_ins()

    def working(self) -> dict[str, Thing]:
        """All but broken plug-ins, which are imported for it."""
        found = dict(self.own)
        for name in self.plug_ins():
            try:
                found[name] = self[name]
            except PlugInError:
                continue
        return found

    @contextmanager
    def telling_whose(self, name: str) -> Iterator[None]:
        """Turns what a plug-in's code raises within into a sentence that names its package."""
        try:
            yield
        except Exception as error:
            if isinstance(error, KuleshovError) or name in self.own:
                raise
            why = f"{type(error).__name__}: {first_line(error)}"
            raise PlugInError(f"{self.plug_ins()[name].origin} failed ({why}).") from error

    def find(self, name: str) -> Thing:
        """The thing of that name.

        Raises:
            KuleshovError: there is none, with the nearest name; or its plug-in is broken.
        """
        try:
            return self[name]
        except KeyError:
            raise KuleshovError(self.unknown_sentence(name)) from None

    def unknown_sentence(self, name: str) -> str:
        """That nothing has this name, what was probably meant, and what there is."""
        known = list(self)
        return (
            f"there is no {self.kind} {name!r}{suggest_word(name, known)}; {self.listed}: "
            f"{', '.join(known)}{'; ' if self.otherwise else ''}{self.otherwise}."
        )


def plug_in_trouble(plug_in: PlugIn, taken: Collection[str] = ()) -> str | None:
    """Why a plug-in cannot be used, in one sentence; None: it can. Imports it.

    `taken`: the program's own names of that kind.
    """
    if plug_in.name in taken:
        return f"{plug_in.origin} is not used: the name is the program's own."
    same = [p for p in find_plug_ins(plug_in.group) if p.name == plug_in.name]
    if len(same) > 1:
        return _rivals_sentence(same)
    try:
        plug_in.load()
    except PlugInError as error:
        return str(error)
    return None


def _rivals_sentence(offered: Sequence[PlugIn]) -> str:
    packages = " and ".join(plug_in.package for plug_in in offered)
    kind, name = offered[0].group.kind, offered[0].name
    return f"{packages} offer the same {kind} {name!r}: uninstall one of them."
