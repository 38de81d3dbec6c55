"""RAF-DB, basic and compound emotions: faces of the web, labelled by about forty people each.

Label file, class numbers and the files of `Annotation/manual` (gender, race and age as annotated)
were checked against public code that reads them, not against a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Published, Sample, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import Label, LabelSet
from kuleshov.tools.structured_text import parse_count

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
COMPOUND = (
    "happily surprised",
    "happily disgusted",
    "sadly fearful",
    "sadly angry",
    "sadly surprised",
    "sadly disgusted",
    "fearfully angry",
    "fearfully surprised",
    "angrily surprised",
    "angrily disgusted",
    "disgustedly surprised",
)
LABELS = "EmoLabel/list_patition_label.txt"
LAYOUT = f"""
basic/{LABELS}
basic/Image/aligned/<name>_aligned.jpg or basic/Image/original/<name>.jpg
"""
LAYOUT_COMPOUND = LAYOUT.replace("basic/", "compound/")
COMPOUND_LABELS = LabelSet(
    name="raf-db-compound-11",
    source="Li, Deng & Du (2017), CVPR 2017: the eleven compound classes of RAF-DB, in the words "
    "of Du, Tao & Martinez (2014)",
    labels=tuple(Label(name=name) for name in COMPOUND),
)
ATTRIBUTES = (
    ("gender", ("male", "female", "unsure")),
    ("race", ("Caucasian", "African-American", "Asian")),
    ("age", ("0-3", "4-19", "20-39", "40-69", "70+")),
)


def read_rafdb(root: Path, split: str) -> Iterator[Sample]:
    return _read_part(root, split, "basic", CLASSES, LAYOUT)


def read_compound(root: Path, split: str) -> Iterator[Sample]:
    return _read_part(root, split, "compound", COMPOUND, LAYOUT_COMPOUND)


def _read_part(
    root: Path, split: str, part: str, classes: Sequence[str], expected: str
) -> Iterator[Sample]:
    base = layout.expect_level(root, [f"{part}/{LABELS}"], "RAF-DB", expected) / part
    path = base / LABELS
    wanted = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        place = parse_count(label)
        if not name or place is None or not 1 <= place <= len(classes):
            raise KuleshovError(
                f"{path}, line {number}: expected a name and a class 1-{len(classes)} but found "
                f"{line!r}."
            )
        if name.startswith(f"{split}_"):
            wanted.append((name, classes[place - 1]))
    if not wanted:
        raise KuleshovError(f"{path} lists no picture of {split} (names beginning {split}_).")
    aligned = layout.names_in(base / "Image" / "aligned")
    original = layout.names_in(base / "Image" / "original")
    places = {name: _find_picture(base, name, aligned, original) for name, _ in wanted}
    missing = [name for name, place in places.items() if place is None]
    layout.complain_of_missing(missing, len(wanted), "RAF-DB", f"pictures of {split}")
    return (
        Sample(
            id=name,
            source=places[name] or Path(),
            target=Target(label=label),
            split=split,
            slices=_read_slices(base, name),
        )
        for name, label in wanted
    )


def _find_picture(base: Path, name: str, aligned: set[str], original: set[str]) -> Path | None:
    face = f"{Path(name).stem}_aligned.jpg"
    if face in aligned:
        return base / "Image" / "aligned" / face
    return base / "Image" / "original" / name if name in original else None


def _read_slices(base: Path, name: str) -> dict[str, str]:
    """Five lines of landmarks, then numbers of gender, race and age."""
    path = base / "Annotation" / "manual" / f"{Path(name).stem}_manu_attri.txt"
    if not path.is_file():
        return {}
    numbers = path.read_text("utf-8").split("\n")[5:8]
    return {
        what: words[place]
        for (what, words), number in zip(ATTRIBUTES, numbers, strict=False)
        if (place := parse_count(number)) is not None and place < len(words)
    }


TASK = Task(
    name="raf-db",
    title="RAF-DB, basic",
    licence="research, non-commercial, on request",
    source="Li, Deng & Du (2017), Reliable crowdsourcing and deep locality-preserving learning for "
    "expression recognition in the wild, CVPR 2017",
    kind="single",
    labels="ekman-7",
    metrics=("accuracy", "uar", "macro_f1", "ece", "brier", "classwise_ece"),
    protocol="Accuracy over the 3,068 faces of the test part, aligned, as papers report it; mean "
    "recall (UAR) beside it, as the authors asked for.",
    splits=("train", "test"),
    split="test",
    layout=LAYOUT,
    reader=read_rafdb,
    published=(
        Published(
            "ResEmoteNet", "accuracy", 0.9476, "Roy et al. (2024), ResEmoteNet, arXiv 2409.10545"
        ),
        Published("ExpLLM", "accuracy", 0.9103, "Lan et al. (2024), ExpLLM, arXiv 2409.02828"),
    ),
)
TASK_COMPOUND = Task(
    name="raf-db-compound",
    title="RAF-DB, compound",
    licence="research, non-commercial, on request",
    source=TASK.source,
    kind="single",
    labels=COMPOUND_LABELS,
    metrics=("uar", "accuracy", "macro_f1", "ece", "brier", "classwise_ece"),
    protocol="Mean recall (UAR) over the eleven compound classes of the test part, the measure "
    "that the authors asked for; accuracy beside it.",
    splits=("train", "test"),
    split="test",
    layout=LAYOUT_COMPOUND,
    reader=read_compound,
)
