"""A page to browse a run: pictures, filters, plots; tens of thousands of items in one file.

It shows the pictures from where they lie, loads nothing else, and runs no script but its own. All
words of models and files enter as data and are set as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kuleshov.runs import store
from kuleshov.tools.valid_text import in_json
from kuleshov.types import CAVEAT

MARK = "@@ITEMS@@"
WORDS = 220  # of an explanation: the whole stands in annotations.jsonl


def write_export(run: Path, out: Path) -> list[str]:
    """Write the page; an item at a time, so that memory does not grow with the run."""
    folder = files("kuleshov.output") / "templates"
    script, style = (Markup((folder / name).read_text("utf-8")) for name in ("run.js", "run.css"))
    environment = Environment(
        loader=FileSystemLoader(str(folder)), autoescape=True, undefined=StrictUndefined
    )
    plan = store.read_description(run)["plan"]
    page = environment.get_template("run.html.jinja").render(
        title=Path(os.path.abspath(run)).name,
        source=plan["input"],
        model=(plan.get("mllm") or {}).get("id"),
        faces=(plan.get("faces") or {}).get("name"),
        caveat=CAVEAT,
        script=script,
        style=style,
        hashes={"script": _script_digest(script), "style": _script_digest(style)},
        mark=MARK,
    )
    head, tail = page.split(MARK)
    count = 0
    part = out.with_name(f".{out.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(head)
        for name, make in ((store.ANNOTATIONS, _page_item), (store.FAILURES, _page_failure)):
            for line in store.read_lines(run, name):
                told = json.dumps(
                    in_json(make(orjson.loads(line), run, out.parent)), ensure_ascii=False
                )
                # what could end the element that holds the data
                safe = told.replace("<", "\\u003c").replace("\u2028", " ").replace("\u2029", " ")
                file.write(("," if count else "") + safe + "\n")
                count += 1
        file.write(tail)
    part.replace(out)
    return [f"{out}: {count:,} items"]


def _script_digest(text: str) -> Markup:
    return Markup(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'")


def _page_item(record: dict[str, Any], run: Path, here: Path) -> dict[str, Any]:
    """What the page knows of an item; short names, because there may be very many."""
    people = []
    for person in record["people"]:
        emotions, told = person["emotions"], person["explanation"]
        chances = sorted(
            (emotions["probabilities"] if emotions else {}).items(), key=lambda pair: -pair[1]
        )
        people.append(
            {
                "l": [[label, round(chance, 3)] for label, chance in chances[:3]],
                "b": [round(value) for value in person["box_xyxy"]] if person["box_xyxy"] else None,
                "w": told["text"][:WORDS] if told else "",
                "u": person["unanswered"] or "",
            }
        )
    scene = record["scene"]
    made = {
        "i": record["item"]["id"],
        "f": _picture_address(store.media_path(run, record["media"]["path"]), here),
        "k": record["media"]["kind"],
        "z": record["media"]["size"],
        "p": people,
        "d": scene["description"][:WORDS] if scene else "",
        "s": record["provenance"]["seconds"].get("total"),
        "g": [f"{gap['step']}: {gap['reason']}" for gap in record["gaps"]],
    }
    said = record["item"]["label"]
    if said is not None:
        made["h"] = max(said, key=said.__getitem__) if isinstance(said, dict) and said else said
    return made


def _page_failure(failure: dict[str, Any], run: Path, here: Path) -> dict[str, Any]:
    return {"i": failure["key"], "f": None, "x": failure["reason"], "p": [], "g": []}


def _picture_address(path: str | None, here: Path) -> str | None:
    """The picture's address as seen from the page; None where there is no file of that name."""
    if not path or not os.path.isfile(path):
        return None
    try:
        return quote(os.path.relpath(path, here).replace(os.sep, "/"))
    except ValueError:  # another drive
        return Path(os.path.abspath(path)).as_uri()
