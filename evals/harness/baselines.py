"""Baselines in the same harness: CLIP zero-shot, the majority class, chance.

Each writes a run directory as annotate does: resumable, and refused under other settings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.evals.harness.samples import KnownSample
from kuleshov.evals.types import Answer, Kind
from kuleshov.inputs import items
from kuleshov.inputs.items import Work
from kuleshov.runs.local_engine import Progress, Watcher
from kuleshov.runs.store import RunDirectory, current_time
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm import hub

SCHEMA = "kuleshov/answer@1"
CLIP = "openai/clip-vit-large-patch14"
"""Radford et al. (2021), ICML: 1.7 GB, MIT."""
SENTENCE = "a photo of a person who shows {}."
BATCH = 16


def majority_answer(known: Sequence[KnownSample], kind: Kind, names: Sequence[str]) -> Answer:
    """What answers best without looking: the shares of the labels, the mean of the ratings.

    Taken from the evaluated samples themselves, so it is an upper bound of a majority learnt from
    other data.
    """
    if kind == "affect":
        return Answer(
            valence=_mean_rating(known, "valence"), arousal=_mean_rating(known, "arousal")
        )
    counts: Counter[str] = Counter()
    for sample in known:
        target = sample.target
        counts.update(target.distribution or {})
        if target.distribution is None:
            counts.update([target.label] if target.label is not None else target.labels or ())
    if kind == "multi":
        return Answer(probabilities={name: counts[name] / len(known) for name in names})
    total = sum(counts[name] for name in names) or 1
    shares = {name: counts[name] / total for name in names}
    tops = Counter(s.target.label for s in known if s.target.label is not None)
    label = max(names, key=lambda name: (tops[name], shares[name]))
    return Answer(probabilities=shares, label=label)


def _mean_rating(known: Sequence[KnownSample], part: str) -> float | None:
    values = [v for sample in known if (v := getattr(sample.target, part)) is not None]
    return float(np.mean(values)) if values else None


def random_answer(random: np.random.Generator, kind: Kind, names: Sequence[str]) -> Answer:
    """A blind guess: every label as likely as the others, ratings uniform over −1…1."""
    if kind == "affect":
        valence, arousal = random.uniform(-1, 1, 2)
        return Answer(valence=float(valence), arousal=float(arousal))
    if kind == "multi":
        return Answer(probabilities={name: float(random.random()) for name in names})
    return Answer(
        probabilities={name: 1 / len(names) for name in names},
        label=names[int(random.integers(len(names)))],
    )


def run_blind(name: str, found: Any, plan: dict[str, Any]) -> Progress:
    """Run `majority_answer` or `chance`, which look at no picture.

    Args:
        found: the `Evaluation`.
    """
    kind, labels = found.task.kind, found.labels
    if kind in ("open", "text") or (kind != "affect" and not labels.names):
        raise KuleshovError(f"{name} has no meaning where people answer in words of their own.")
    random = np.random.default_rng(plan["seed"])
    fixed = majority_answer(found.known, kind, labels.names) if name == "majority" else None
    # every guess is drawn, also of samples that are done, so that a resumed run guesses the same
    answers = [fixed or random_answer(random, kind, labels.names) for _ in found.known]
    work = [
        _Due(sample.id, partial(_same_answer, answer))
        for sample, answer in zip(found.known, answers, strict=True)
    ]
    return _run_items(found.run(name), {**plan, "baseline": name}, work, None)


def _same_answer(answer: Answer) -> Answer:
    return answer


class ClipModel:
    """CLIP as a zero-shot classifier: the label whose sentence is most like the picture.

    Probabilities are the softmax over the labels, as in Radford et al. (2021); of labels that each
    hold or do not, the same numbers serve as scores.
    """

    def __init__(self, name: str = CLIP, device: str | None = None) -> None:
        """Load the model.

        Args:
            name: an id of the Hub that is here or can be downloaded, or a folder.

        Raises:
            KuleshovError: it cannot be had, or is no CLIP.
        """
        import torch
        from transformers import AutoConfig, CLIPModel, CLIPProcessor

        from kuleshov.tools.mllm import hardware

        source = hub.find_model(name)
        if source.folder is None and (reason := hub.why_unreachable()) is not None:
            raise KuleshovError(
                f"the baseline clip needs {name}, which is not on this machine, and the Hub cannot "
                f"be reached ({reason}): with a network run `kuleshov models pull {name}`, or give "
                "a local folder (--clip FOLDER), or leave clip out of --systems."
            )
        folder = str(hub.fetch_model(source).folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type != "clip":
            raise KuleshovError(f"{name} is no CLIP but a {config.model_type} model.")
        self.name, self.revision = name, source.revision
        self.device = hardware.choose_device(device)
        model: Any = CLIPModel.from_pretrained(folder, use_safetensors=True)
        self.model = model.to(self.device).eval()
        self.processor: Any = CLIPProcessor.from_pretrained(folder)
        self.torch = torch

    def scores(self, pictures: Sequence[Any], names: Sequence[str]) -> list[dict[str, float]]:
        """Label to probability for each picture ((H, W, 3) RGB uint8)."""
        given = self.processor(
            text=[SENTENCE.format(name) for name in names],
            images=list(pictures),
            return_tensors="pt",
            padding=True,
        ).to(self.device)
        with self.torch.inference_mode():
            logits = self.model(**given).logits_per_image
        return [dict(zip(names, row, strict=True)) for row in logits.softmax(dim=1).cpu().tolist()]

    def answer(self, work: Work, names: Sequence[str]) -> Answer:
        """Of one item: its person cut out where it has a box; of a clip the mean over frames."""
        opened = media.open_media(work.source)
        images = [_cut_boxes(image, work.boxes) for image in opened.images]
        found = self.scores(images, names)
        return Answer(
            probabilities={name: float(np.mean([row[name] for row in found])) for name in names}
        )


def _cut_boxes(image: Any, boxes: Sequence[Sequence[float]]) -> Any:
    if not boxes:
        return image
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (round(value) for value in boxes[0])
    cut = image[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    return cut if cut.size else image


def run_clip(
    run: Path,
    manifest: str,
    labels: LabelSet,
    plan: dict[str, Any],
    model: ClipModel,
    watch: Watcher | None = None,
) -> Progress:
    """Run CLIP over the items of the manifest."""
    if not labels.names:
        raise KuleshovError("the baseline clip needs a list of labels to choose from.")
    told = {
        **plan,
        "baseline": "clip",
        "model": model.name,
        "revision": model.revision,
        "sentence": SENTENCE,
    }
    work = (
        _Due(item.key, partial(model.answer, item, labels.names))
        for item in items.read_items(manifest)
    )
    return _run_items(run, told, work, watch)


class _Due:
    """An item, and the function that answers it."""

    def __init__(self, key: str, answer: Callable[[], Answer]) -> None:
        self.key, self.answer = key, answer


def _run_items(
    run: Path, plan: dict[str, Any], work: Iterable[_Due], watch: Watcher | None
) -> Progress:
    progress, begun = Progress(total=None), current_time()
    with RunDirectory(run).open(plan) as directory:
        for due in _left_items(directory, work, progress):
            try:
                answer = due.answer()
            except KuleshovError as error:
                directory.fail(due.key, str(error))
                progress.failed += 1
                continue
            parts = {name: v for name, v in asdict(answer).items() if v is not None}
            line = {"schema": SCHEMA, "item": {"id": due.key}, "answer": parts}
            directory.add(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
            progress.done += 1
            if watch is not None:
                watch(progress)
        directory.session(begun=begun, end="complete", done=progress.done, failed=progress.failed)
    return progress


def _left_items(
    directory: RunDirectory, work: Iterable[_Due], progress: Progress
) -> Iterator[_Due]:
    for due in work:
        if directory.meet(due.key) == "new":
            yield due
        else:
            progress.skipped += 1
