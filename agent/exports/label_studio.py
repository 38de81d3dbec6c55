"""Label Studio: a run as pre-annotations that people correct, and their corrections read back.

Beside the tasks lies `….xml`, the labelling interface to paste into the project's settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from kuleshov.annotate import store
from kuleshov.tools.types import KuleshovError
from kuleshov.tools.valid_text import in_xml

NOTE = "perceived emotion, read by Kuleshov: an inference to be corrected"


def export(run: Path, out: Path) -> list[str]:
    """Write the tasks as JSON and the interface as XML; pictures are named by their paths."""
    labels: dict[str, None] = {}
    count = 0
    with out.open("w", encoding="utf-8") as file:
        file.write("[")
        for line in store.lines(run):
            record = orjson.loads(line)
            if record["media"]["kind"] != "image":
                continue
            for name in record["provenance"]["label_set"].get("labels", []):
                labels[in_xml(name["name"])] = None
            task = _task(record, run)
            for region in task["predictions"][0]["result"]:
                labels.update(dict.fromkeys(region["value"]["rectanglelabels"]))
            file.write(("," if count else "") + "\n" + json.dumps(task, ensure_ascii=False))
            count += 1
        file.write("\n]\n")
    sheet = out.with_suffix(".xml")
    sheet.write_text(interface(list(labels)), "utf-8")
    return [f"{out}: {count:,} tasks (pictures; clips are left out)", f"{sheet}: its interface"]


def _task(record: dict[str, Any], run: Path) -> dict[str, Any]:
    width, height = record["media"]["size"]
    regions = []
    for person in record["people"]:
        emotions, box = person["emotions"], person["box_xyxy"]
        if emotions is None or box is None:
            continue
        chances = emotions["probabilities"]
        top = max(chances, key=chances.__getitem__)
        x0, y0, x1, y1 = (
            min(max(value, 0), most)
            for value, most in zip(box, (width, height, width, height), strict=True)
        )
        regions.append(
            {
                "id": f"person-{person['id']}",
                "type": "rectanglelabels",
                "from_name": "emotion",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "score": round(chances[top], 4),
                "value": {
                    "x": 100 * x0 / width,
                    "y": 100 * y0 / height,
                    "width": 100 * (x1 - x0) / width,
                    "height": 100 * (y1 - y0) / height,
                    "rotation": 0,
                    "rectanglelabels": [in_xml(top)],  # as the interface has it
                },
            }
        )
    mllm = record["provenance"]["mllm"] or {}
    return {
        "data": {"image": _found(record["media"]["path"], run), "item": record["item"]["id"]},
        "predictions": [
            {"model_version": f"kuleshov, {mllm.get('id', 'no model')}", "result": regions}
        ],
    }


def _found(path: str | None, run: Path) -> str:
    """The picture's path; from another folder than the run's, one that leads to it."""
    return store.media_path(run, path) or path or ""


def interface(labels: list[str]) -> str:
    values = "\n".join(f"    <Label value={quoteattr(in_xml(label))}/>" for label in labels)
    return f"""<View>
  <Header value={quoteattr(NOTE)}/>
  <Image name="image" value="$image"/>
  <RectangleLabels name="emotion" toName="image">
{values}
  </RectangleLabels>
</View>
"""


@dataclass(frozen=True)
class Correction:
    """What one annotator says of one person; label None: the annotator took the box away."""

    item: str
    person: int
    annotator: str
    label: str | None


def corrections(path: Path) -> Iterator[Correction]:
    """What people said, from Label Studio's own JSON export.

    A person is found by the region's name, which Label Studio keeps while a box is corrected;
    boxes that people drew anew belong to nobody whom the machine read and are left out.

    Raises:
        KuleshovError: the file is not such an export.
    """
    try:
        tasks = json.loads(path.read_text("utf-8"))
        if not isinstance(tasks, list):
            raise ValueError("it is not a list of tasks")
    except OSError as error:
        raise KuleshovError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise KuleshovError(f"{path} is no JSON export of Label Studio: {error}.") from None
    for task in tasks:
        try:
            item = task["data"]["item"]
            read = [region["id"] for region in task["predictions"][0]["result"]]
            for n, annotation in enumerate(task["annotations"], start=1):
                if annotation.get("was_cancelled"):
                    continue
                who = annotation.get("completed_by", n)
                who = who.get("email", who.get("id")) if isinstance(who, dict) else who
                said = {
                    region["id"]: region["value"]["rectanglelabels"][0]
                    for region in annotation["result"]
                    if region["value"].get("rectanglelabels")
                }
                for name in read:
                    number = int(name.removeprefix("person-"))
                    yield Correction(item, number, str(who), said.get(name))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise KuleshovError(
                f"{path} is not an export of tasks that `kuleshov export --to label-studio` made: "
                "choose the format JSON (not JSON-MIN), predictions included."
            ) from None
