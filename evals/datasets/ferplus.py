"""FER+: ten people's votes on each face of FER2013.

Three layouts are read: the label file beside Kaggle's `fer2013.csv`, the folders that the data
set's own script writes, and one table of faces and votes, `ferplus48.npz`. Checked against the
label files and scripts of github.com/microsoft/FERPlus.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Published, Sample, Target
from kuleshov.tools.errors import KuleshovError

VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
EMOTIONS = VOTES[:8]
FOLDERS = {
    "Training": "FER2013Train",
    "PublicTest": "FER2013Valid",
    "PrivateTest": "FER2013Test",
}
TABLE = "ferplus48.npz"
LABELS = "fer2013new.csv"
PIXELS = "fer2013.csv"
SIDE = 48
LAYOUT = f"""
{LABELS} and {PIXELS} (Kaggle)
or FER2013Train, FER2013Valid, FER2013Test with label.csv and fer*.png in each
or {TABLE} (images, votes, vote_names, usage, names)
"""


def votes_target(votes: Sequence[float]) -> Target | None:
    """People's answer from ten vote counts in the order of `VOTES`, as FER+ publishes it.

    A class with a single vote is an outlier and is left out. `votes` are those of the eight
    emotions that remain; None where the leading column is unknown or "not a face", or nothing
    remains. `label` is the class with more than half of what remains over all ten columns, None
    where there is none (the majority mode of Barsoum et al. 2016).
    """
    kept = [count if count > 1 else 0 for count in votes]
    leading = max(range(len(kept)), key=kept.__getitem__)
    if kept[leading] == 0 or leading >= len(EMOTIONS):
        return None
    clear = kept[leading] > 0.5 * sum(kept)
    return Target(
        label=EMOTIONS[leading] if clear else None,
        votes=dict(zip(EMOTIONS, kept, strict=False)),
    )


def read_ferplus(root: Path, split: str) -> Iterator[Sample]:
    if root.is_file() and root.name == TABLE:
        return _from_table(root, split)
    if (root / TABLE).is_file():
        return _from_table(root / TABLE, split)
    if (root / FOLDERS[split]).is_dir():
        return _from_folder(root / FOLDERS[split], split)
    if any((root / folder).is_dir() for folder in FOLDERS.values()):
        there = [folder for folder in FOLDERS.values() if (root / folder).is_dir()]
        raise KuleshovError(
            f"{root} lacks {FOLDERS[split]}, which holds {split} of FER+; it has "
            f"{layout.list_names(there)}."
        )
    if root.is_dir():
        for marker in (f"{FOLDERS[split]}/label.csv", TABLE):
            other = layout.find_elsewhere(root, [marker])
            if other is not None:
                raise KuleshovError(
                    f"{root} is the wrong level of FER+: {other} has {marker}; give that folder."
                )
    if (root / LABELS).is_file() and not (root / PIXELS).is_file():
        raise KuleshovError(
            f"{root} has the votes ({LABELS}) but not the pictures: put Kaggle's {PIXELS} there."
        )
    layout.expect_level(root, [LABELS, PIXELS], "FER+", LAYOUT)
    return _from_csv(root, split)


def _vote_counts(cells: Sequence[str], where: str) -> list[float]:
    try:
        counts = [float(cell) for cell in cells]
    except ValueError:
        counts = []
    if len(counts) != len(VOTES):
        raise KuleshovError(
            f"{where}: expected ten vote counts ({', '.join(VOTES)}) but found {', '.join(cells)}."
        )
    return counts


def _encode_png(pixels: object) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")  # type: ignore[arg-type]
    return file.getvalue()


def _from_folder(folder: Path, split: str) -> Iterator[Sample]:
    labels = folder / "label.csv"
    if not labels.is_file():
        raise KuleshovError(f"{folder} has no label.csv, which holds the votes of FER+.")
    with labels.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row and row[0].strip()]
    found = []
    for number, row in enumerate(rows, start=1):
        # the folders' label.csv has the box of the face, (0, 0, 48, 48), which the big file lacks
        counts = _vote_counts(row[2:], f"{labels}, row {number}")
        answer = votes_target(counts)
        if answer is not None:
            found.append((row[0].strip(), answer))
    there = {path.name for path in folder.iterdir()}
    missing = [name for name, _ in found if name not in there]
    layout.complain_of_missing(missing, len(found), "FER+", f"pictures of {folder.name}")
    return (Sample(name, folder / name, answer, split) for name, answer in found)


def _from_table(path: Path, split: str) -> Iterator[Sample]:
    import numpy as np

    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise KuleshovError(f"{path} cannot be read: {error}.") from None
    layout.expect_columns(path, table.files, ["images", "votes", "usage", "names"], "FER+")
    order = tuple(map(str, table["vote_names"])) if "vote_names" in table.files else VOTES
    if order != VOTES:
        raise KuleshovError(
            f"{path} counts votes for {', '.join(order)}; expected {', '.join(VOTES)}."
        )
    usage = table["usage"]
    rows = np.flatnonzero(usage == split)
    if not len(rows):
        raise KuleshovError(
            f"{path} holds no face of {split}; it has {', '.join(sorted(map(str, set(usage))))}."
        )
    images, votes, names = table["images"], table["votes"], table["names"]

    def samples() -> Iterator[Sample]:
        for row in rows:
            answer = votes_target(votes[row].tolist())
            if answer is not None:
                yield Sample(str(names[row]), _encode_png(images[row]), answer, split)

    return samples()


def _from_csv(root: Path, split: str) -> Iterator[Sample]:
    wanted = ["Usage", "Image name", *VOTES]
    with (root / LABELS).open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        head = next(rows, [])
        layout.expect_columns(root / LABELS, head, wanted, "FER+")
        votes = [row for row in rows if row]
    with (root / PIXELS).open(encoding="utf-8", newline="") as file:
        layout.expect_columns(
            root / PIXELS, next(csv.reader(file), []), ["emotion", "pixels", "Usage"], "FER2013"
        )
        count = sum(1 for line in file if line.strip())
    if count != len(votes):
        raise KuleshovError(
            f"{PIXELS} has {count} rows and {LABELS} {len(votes)}; they must be of one download, "
            "row by row the same pictures (35,887)."
        )
    return _row_samples(root, split, votes)


def _row_samples(root: Path, split: str, votes: list[list[str]]) -> Iterator[Sample]:
    import numpy as np

    with (root / PIXELS).open(encoding="utf-8", newline="") as file:
        for number, (row, cells) in enumerate(zip(votes, csv.DictReader(file), strict=True), 2):
            name = row[1].strip()
            if row[0].strip() != split or not name:  # no name: not a face
                continue
            answer = votes_target(_vote_counts(row[2:], f"{root / LABELS}, line {number}"))
            if answer is None:
                continue
            pixels = np.array(cells["pixels"].split(), np.uint8)
            if pixels.size != SIDE * SIDE:
                raise KuleshovError(
                    f"{root / PIXELS}, line {number}: {pixels.size} pixels, expected {SIDE * SIDE}."
                )
            yield Sample(name, _encode_png(pixels.reshape(SIDE, SIDE)), answer, split)


TASK = Task(
    name="ferplus",
    title="FER+",
    licence="labels MIT (Microsoft); image rights of FER2013 unresolved: research use",
    source="Barsoum, Zhang, Canton Ferrer & Zhang (2016), Training deep networks for facial "
    "expression recognition with crowd-sourced label distribution, ICMI 2016",
    kind="votes",
    labels="ekman-8",
    metrics=(
        "accuracy",
        "uar",
        "macro_f1",
        "soft_cross_entropy",
        "js_divergence",
        "ece",
        "brier",
        "classwise_ece",
    ),
    protocol="48×48 faces. Single votes are left out as outliers; faces whose leading vote is "
    "unknown or not a face are left out. Accuracy counts faces with a majority, more than half "
    "of the votes that remain; cross-entropy and divergence count all with votes. PublicTest is "
    "the split to develop on, and the default; published results are for PrivateTest, which is "
    "read only when it is named.",
    splits=("Training", "PublicTest", "PrivateTest"),
    split="PublicTest",
    layout=LAYOUT,
    reader=read_ferplus,
    published=(
        Published(
            "VGG13, drawn labels (PLD)",
            "accuracy",
            0.8499,
            "Barsoum et al. (2016), ICMI 2016 [from memory]",
            "trained on FER+; PrivateTest, mean of five runs",
        ),
        Published(
            "GPT-4V, zero-shot",
            "accuracy",
            0.643,
            "Lian et al. (2024), GPT-4V with emotion, Information Fusion 108, 102367",
            "PrivateTest",
        ),
    ),
    from_memory="The figure of VGG13.",
)
