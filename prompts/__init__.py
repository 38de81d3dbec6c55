"""Prompts: one Jinja template per node and family.

`brief` is for small models, `full` reasons in stages and is for large ones. `review` asks as Bian
et al. (2024) do, in free words and without measured evidence: for the expression of a face, and
for an inference from face and context. The two questions are in our wording.

Templates are strictly rendered: a missing variable is an error, never an empty string. Text of
users, pictures and models enters as a variable and is never rendered again.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, meta

FAMILIES = ("brief", "full", "review")


@cache
def _make_environment() -> Environment:
    # PackageLoader cannot find the folder of an editable install; the file system can
    return Environment(
        loader=FileSystemLoader(str(files("kuleshov.prompts"))),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_prompt(family: str, node: str, **variables: Any) -> str:
    """The prompt text of `node` in `family`. Raises ValueError for an unknown template."""
    try:
        template = _make_environment().get_template(f"{family}/{node}.jinja")
    except TemplateNotFound:
        raise ValueError(f"there is no prompt {node!r} in family {family!r}") from None
    return template.render(**variables).strip()


def template_digests(family: str) -> dict[str, str]:
    """Template name to the SHA-256 of its source, for the record.

    All templates of the family and whatever they include, extend or import, of any family.
    """
    root = files("kuleshov.prompts")
    left = [
        f"{family}/{item.name}"
        for item in (root / family).iterdir()
        if item.name.endswith(".jinja")
    ]
    found: dict[str, str] = {}
    while left:
        name = left.pop()
        if name in found:
            continue
        source = root.joinpath(*name.split("/")).read_bytes()
        found[name] = hashlib.sha256(source).hexdigest()
        left += _referenced_templates(name, source.decode())
    return dict(sorted(found.items()))


def _referenced_templates(name: str, source: str) -> list[str]:
    """Names of the templates that one may render. ValueError for a name that is computed."""
    named = list(meta.find_referenced_templates(_make_environment().parse(source)))
    if None in named:
        raise ValueError(f"{name} includes a template by a computed name: nothing tells which")
    return [other for other in named if other is not None]
