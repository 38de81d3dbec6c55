"""Label Studio: a run as pre-annotations that people correct, and their corrections read back.

Beside the tasks lies `….xml`, the labelling interface to paste into the project's settings.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from kuleshov.runs import store
from kuleshov.runs.human_labels import Said
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.valid_text import in_xml

SAME_BOX = 0.5  # intersection over union from which a box drawn anew is the one taken away
NOTE = "perceived emotion, read by Kuleshov: an inference to be corrected"


def write_export(run: Path, out: Path) -> list[str]:
    """Write the tasks as JSON and the interface as XML; pictures are named by their paths."""
    labels: dict[str, None] = {}
    count = 0
    with out.open("w", encoding="utf-8") as file:
        file.write("[")
        for line in store.read_lines(run):
            record = orjson.loads(line)
            if record["media"]["kind"] != "image":
                continue
            for name in record["provenance"]["label_set"].get("labels", []):
                labels[in_xml(name["name"])] = None
            task = _make_task(record, run)
            for region in task["predictions"][0]["result"]:
                labels.update(dict.fromkeys(region["value"]["rectanglelabels"]))
            file.write(("," if count else "") + "\n" + json.dumps(task, ensure_ascii=False))
            count += 1
        file.write("\n]\n")
    sheet = out.with_suffix(".xml")
    sheet.write_text(labelling_interface(list(labels)), "utf-8")
    return [f"{out}: {count:,} tasks (pictures; clips are left out)", f"{sheet}: its interface"]


def _make_task(record: dict[str, Any], run: Path) -> dict[str, Any]:
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
        "data": {
            "image": _picture_path(record["media"]["path"], run),
            "item": record["item"]["id"],
        },
        "predictions": [
            {"model_version": f"kuleshov, {mllm.get('id', 'no model')}", "result": regions}
        ],
    }


def _picture_path(path: str | None, run: Path) -> str:
    """The picture's path; from another folder than the run's, one that leads to it."""
    return store.media_path(run, path) or path or ""


def labelling_interface(labels: list[str]) -> str:
    values = "\n".join(f"    <Label value={quoteattr(in_xml(label))}/>" for label in labels)
    return f"""<View>
  <Header value={quoteattr(NOTE)}/>
  <Image name="image" value="$image"/>
  <RectangleLabels name="emotion" toName="image">
{values}
  </RectangleLabels>
</View>
"""


def regions_of(run: Path) -> dict[str, list[dict[str, Any]]]:
    """The boxes that `write_export` shows to people, by item: what their answers are compared
    with.
    """
    found = {}
    for line in store.read_lines(run):
        record = orjson.loads(line)
        if record["media"]["kind"] == "image":
            found[record["item"]["id"]] = _make_task(record, run)["predictions"][0]["result"]
    return found


def read_corrections(
    path: Path,
    regions: Mapping[str, list[dict[str, Any]]] | None = None,
    skipped: Counter[str] | None = None,
) -> Iterator[Said]:
    """What people said, from Label Studio's own JSON export.

    A person is found by the region's name, which Label Studio keeps while a box is corrected, or,
    where someone drew the box anew, by its place; other boxes belong to nobody whom the machine
    read. Of several annotations of a task by one person, the latest counts.

    Args:
        regions: the run's own boxes (`regions_of`), for exports that hold predictions by number.
        skipped: counts tasks and annotations that say nothing of the run, by reason.

    Raises:
        KuleshovError: the file is not such an export, or none of its tasks is of a run.
    """
    passed: Counter[str] = Counter() if skipped is None else skipped
    of_a_run = False
    for task in _load_tasks(path):
        data = task.get("data") if isinstance(task, dict) else None
        item = data.get("item") if isinstance(data, dict) else None
        if not isinstance(item, (str, int)) or isinstance(item, bool):
            passed["a task that no run wrote: its data name no item"] += 1
            continue
        of_a_run = True
        shown = _predicted_boxes(task)
        if shown is None:
            shown = None if regions is None else regions.get(str(item))
        if shown is None:
            passed["a task whose predictions are not in the file, of an item not in this run"] += 1
            continue
        told = _latest_annotations(task, passed)
        if not told:
            passed["a task that nobody has annotated"] += 1
        for who, annotation in told.items():
            try:
                yield from _said_labels(str(item), who, annotation, shown, passed)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
                passed["an annotation that is not in Label Studio's form"] += 1
    if not of_a_run:
        raise KuleshovError(
            f"{path} is not an export of tasks that `kuleshov export --to label-studio` made: "
            "choose the format JSON (not JSON-MIN), predictions included."
        )


def _load_tasks(path: Path) -> list[Any]:
    try:
        tasks = json.loads(path.read_text("utf-8-sig"))
        if not isinstance(tasks, list):
            raise ValueError("it is not a list of tasks")
    except OSError as error:
        raise KuleshovError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise KuleshovError(f"{path} is no JSON export of Label Studio: {why}.") from None
    return tasks


def _predicted_boxes(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The machine's boxes in a task; None where it holds the predictions' numbers or none."""
    for prediction in task.get("predictions") or ():
        if isinstance(prediction, dict) and isinstance(prediction.get("result"), list):
            return [
                region
                for region in prediction["result"]
                if isinstance(region, dict) and _person_number(region) is not None
            ]
    return None


def _latest_annotations(task: dict[str, Any], passed: Counter[str]) -> dict[str, dict[str, Any]]:
    """The annotation of each annotator that counts: the one that was changed last."""
    found: dict[str, tuple[tuple[str, int], dict[str, Any]]] = {}
    for n, annotation in enumerate(task.get("annotations") or (), start=1):
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            passed["an annotation without a result"] += 1
            continue
        if annotation.get("was_cancelled"):
            passed["a task that an annotator skipped"] += 1
            continue
        who = annotation.get("completed_by")
        who = who.get("email", who.get("id")) if isinstance(who, dict) else who
        name = str(n if who is None else who)
        at = str(annotation.get("updated_at") or annotation.get("created_at") or "")
        when = (at, n)
        if name in found:
            passed["an earlier annotation of a task by the same person"] += 1
        if name not in found or when > found[name][0]:
            found[name] = when, annotation
    return {name: annotation for name, (_, annotation) in found.items()}


def _said_labels(
    item: str,
    who: str,
    annotation: dict[str, Any],
    shown: list[dict[str, Any]],
    passed: Counter[str],
) -> Iterator[Said]:
    results = [r for r in annotation["result"] if isinstance(r, dict) and "value" in r]
    boxes: dict[str, dict[str, Any]] = {}  # a box and words about it share one name
    labels: dict[str, list[str]] = {}
    for region in results:
        value, name = region["value"], str(region.get("id"))
        if {"x", "y", "width", "height"} <= set(value):
            boxes[name] = value
        words = _region_labels(region)
        if words:
            labels[name] = words
    machine = {str(region["id"]): region for region in shown}
    if (
        machine
        and not set(machine) & (set(boxes) | set(labels))
        and annotation.get("parent_prediction") is None
        and boxes
    ):
        passed["an annotation that was begun without the machine's boxes"] += 1
        return
    drawn = {name: value for name, value in boxes.items() if name not in machine}
    for name, region in machine.items():
        number = _person_number(region)
        assert number is not None
        at: str | None = name
        if name not in boxes and name not in labels:
            near = [
                (_region_overlap(region["value"], value), other) for other, value in drawn.items()
            ]
            best = max(near, default=(0.0, ""))
            at = best[1] if best[0] >= SAME_BOX else None
        if at is None:
            yield Said(item, number, who, None, taken_away=True)
            continue
        drawn.pop(at, None)
        yield Said(item, number, who, labels.get(at))
    if drawn:
        passed["a box that people drew anew, of nobody whom the machine read"] += len(drawn)


def _region_labels(region: dict[str, Any]) -> list[str]:
    """The labels of a region, under whatever control they were given."""
    for kind, given in region["value"].items():
        if (kind.endswith("labels") or kind == "choices") and isinstance(given, list) and given:
            return [str(word) for word in given]
    return []


def _person_number(region: dict[str, Any]) -> int | None:
    match = re.fullmatch(r"person-([0-9]{1,6})", str(region.get("id")))
    return int(match[1]) if match else None


def _region_overlap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Intersection over union of two regions, in percent of the picture."""
    a = [float(one[side]) for side in ("x", "y", "width", "height")]
    b = [float(other[side]) for side in ("x", "y", "width", "height")]
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(0.0, wide) * max(0.0, high)
    union = a[2] * a[3] + b[2] * b[3] - common
    return common / union if union > 0 else 0.0
