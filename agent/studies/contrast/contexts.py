"""The contexts of a contrast, from a TOML file or a folder of pictures."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from kuleshov.studies.contrast.types import Context
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_toml, read_text

LONGEST = 20_000  # characters of a vignette


def list_pictures(folder: str, passed: media.PassedOver | None = None) -> list[str]:
    """The pictures in a folder, by name; `passed` counts what else lies there.

    Raises KuleshovError where there is none.
    """
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*"))):
        if os.path.isfile(path):
            clip = path.lower().endswith(media.CLIP_SUFFIXES)
            why = "a clip" if clip else media.why_passed_over(path)
            if why is None:
                found.append(path)
            elif passed is not None:
                passed.add(path, why)
    if not found:
        raise KuleshovError(f"the folder {folder} holds no picture.")
    return found


def read_contexts(path: str, passed: media.PassedOver | None = None) -> list[Context]:
    """Contexts from a TOML file of `[[contexts]]` (name, and text or picture), or a folder.

    Of a folder every picture is a context, by the name of its file.

    Raises:
        KuleshovError: nothing there, a name twice, a context without text and picture.
    """
    where = Path(path)
    if where.is_dir():
        found = [
            Context(name=Path(name).stem, picture=name) for name in list_pictures(path, passed)
        ]
    else:
        found = _from_toml(where)
    names = [context.name for context in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise KuleshovError(f"{path}: there are two contexts named {twice!r}.")
    return found


def _from_toml(path: Path) -> list[Context]:
    given = parse_toml(read_text(path, "file of contexts"), f"the contexts {path}", "are")
    tables = given.get("contexts")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise KuleshovError(
            f"{path} names no context: write [[contexts]] with name and text (or picture)."
        )
    found = []
    for number, table in enumerate(tables, start=1):
        unknown = set(table) - {"name", "text", "picture"}
        words = [table.get(key) for key in ("name", "text", "picture") if key in table]
        if unknown or not all(isinstance(word, str) and word.strip() for word in words):
            raise KuleshovError(
                f"{path}, context {number}: it takes name, text and picture, each a text that is "
                "not empty."
            )
        if "name" not in table or ("text" in table) == ("picture" in table):
            raise KuleshovError(
                f"{path}, context {number} ({table.get('name', 'unnamed')}) needs a name and "
                "either text or picture."
            )
        if len(table.get("text", "")) > LONGEST:
            raise KuleshovError(
                f"{path}, context {table['name']!r} has {len(table['text']):,} characters; at "
                f"most {LONGEST:,} can be read."
            )
        if "picture" in table:
            table["picture"] = str(path.parent / table["picture"])
            if not Path(table["picture"]).is_file():
                raise KuleshovError(
                    f"{path}, context {table['name']!r}: there is no picture {table['picture']}."
                )
        found.append(Context(**table))
    return found
