"""The context read by how well each label explains it, for models that were taught no fixed labels.

A small language model that is given a list of labels copies one of them, whatever the situation.
So nothing is listed. Two questions are asked, and their log-likelihoods are added up:

- the situation's own words, as the answer to "describe a situation in which most people would see
  this label": p(words | label), the noisy channel of Min, Lewis, Hajishirzi & Zettlemoyer (2022),
  Noisy Channel Language Model Prompting for Few-Shot Text Classification, ACL. From each label
  its mean over a few reference situations is taken away, which holds nothing but the label's own
  pull. The picture is blank there: words are weighed here, the picture by the other question.
- the label itself, as the answer to what most people would see in this person. All forms of a
  label count alike (angry and anger, lower case and capital): the mean over its forms of the
  log-likelihood less that of the same question without content (Zhao et al. 2021).

Where nobody told anything of the situation, the second question is asked alone. Which wording is
used, and the temperatures, were chosen with `kuleshov bench context-reading` on the situations that
are marked "tune" there; its figures are of those that are marked "held".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from kuleshov.asking import images
from kuleshov.asking import writer as asking_writer
from kuleshov.asking.gate import PriorKey
from kuleshov.asking.parts import Crew
from kuleshov.evidence import fusion
from kuleshov.tools.labels import Label, LabelSet
from kuleshov.tools.mllm.base import MllmInfo
from kuleshov.tools.types import EmotionScores
from kuleshov.types import Evidence

ASKED: Literal["situation"] = "situation"
TEMPERATURE = 3.0  # with words; fitted on the bench's "tune" half
TEMPERATURE_ALONE = 1.0  # of the plain question alone
LONG = 20  # words; a longer text counts as one of this length, or it would drown all else

_QUOTED = re.compile(r'^(?P<what>[^"]*?):? "(?P<words>.*)"$', re.DOTALL)


def asks(info: MllmInfo, writer: asking_writer.Writer, labels: LabelSet, examples: bool) -> bool:
    """Whether the context is read so: a model with true likelihoods, taught no fixed labels.

    Labels that do not exclude one another, a model's own words, the review's prompts and few-shot
    examples, which teach the form of the answer, keep the question that lists the labels.
    """
    return (
        labels.mode == "single"
        and writer.family in ("brief", "full")
        and not writer.stated
        and info.scores_texts
        and info.taught_labels is None
        and not examples
    )


@dataclass(frozen=True)
class Surroundings:
    """What a context reading goes by.

    whole, crop: what the model is shown, faces covered; number: of the person in the red box.
    """

    whole: Any
    crop: Any | None
    number: int | None
    evidence: Sequence[Evidence]

    @property
    def words(self) -> str | None:
        """What users told and what was heard, as plain sentences; None: nothing."""
        told = [item for item in self.evidence if item.source in ("user", "transcript", "speech")]
        return " ".join(map(_plain_words, told)) or None

    @property
    def told(self) -> str | None:
        """The words; where there are none, whatever else is known of the situation in words."""
        if self.words is not None:
            return self.words
        return " ".join(map(_plain_words, self.evidence)) or None

    def without_content(self) -> Surroundings:
        """The same pictures blank and the same person; words are `CONTENT_FREE`."""
        told = asking_writer.content_free() if self.told is not None else []
        crop = None if self.crop is None else _blank_like(self.crop)
        return Surroundings(_blank_like(self.whole), crop, self.number, told)


def read(crew: Crew, seen: Surroundings) -> EmotionScores:
    """p(label | the situation), perceived: what most people would see.

    Raises:
        StoppedError: after a stop. MllmError: as the model.
    """
    labels = crew.labels.labels
    corrected = crew.settings.prior_correction
    words = seen.words
    logs = _labels_of(crew, seen)
    method = "likelihood of the labels' forms"
    if corrected:
        method += ", content-free prior removed"
    if words is not None:
        explained = _words_of(crew, words)
        logs = [one + other for one, other in zip(logs, explained, strict=True)]
        least = f" less that of {len(_references())} reference situations" if corrected else ""
        method = f"likelihood of the situation's words (noisy channel){least}, and {method}"
    temperature = TEMPERATURE if words is not None else TEMPERATURE_ALONE
    temperature *= crew.temperatures.get(ASKED, 1.0)
    return EmotionScores(
        labels=crew.labels.name,
        mode="single",
        probabilities=dict(
            zip((label.name for label in labels), fusion.softmax(logs, temperature), strict=True)
        ),
        method=f"{method}, temperature {temperature:.3g}",
    )


def _words_of(crew: Crew, words: str) -> list[float]:
    """log p(words | label) less its mean over the reference situations, nats, by label."""
    labels = crew.labels.names
    blank = images.blank()
    talks = [crew.writer.situation(blank, label) for label in labels]
    logs = [scores[0] for scores in crew.score_many([(talk, [words]) for talk in talks])]
    if crew.settings.prior_correction:
        references = _references()

        def ask(_: Sequence[PriorKey]) -> list[list[float]]:
            scored = crew.score_many([(talk, references) for talk in talks])
            return [[sum(scores) / len(scores) for scores in scored]]

        null = crew.priors.find([PriorKey(ASKED, labels)], ask)[0]
        logs = [value - base for value, base in zip(logs, null, strict=True)]
    share = min(1.0, LONG / len(words.split()))
    return [value * share for value in logs]


def _labels_of(crew: Crew, seen: Surroundings) -> list[float]:
    """Mean over a label's forms of their log-likelihood less the prior's, nats, by label."""
    forms = [forms_of(label) for label in crew.labels.labels]
    answers = tuple(form for several in forms for form in several)
    logs = crew.score(_question(crew, seen), answers)
    if crew.settings.prior_correction:
        nothing = _question(crew, seen.without_content())
        key = PriorKey(f"{ASKED}: {_skeleton(nothing)}", answers)
        prior = crew.priors.find([key], lambda _: [crew.score(nothing, answers)])[0]
        logs = [value - base for value, base in zip(logs, prior, strict=True)]
    found, left = [], iter(logs)
    for several in forms:
        found.append(sum(next(left) for _ in several) / len(several))
    return found


def forms_of(label: Label) -> list[str]:
    """The label and its synonyms, as they are and with a capital: every label treated alike."""
    words = (label.name, *label.synonyms)
    return list(dict.fromkeys(form for word in words for form in (word, _capital(word))))


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _question(crew: Crew, seen: Surroundings) -> asking_writer.Conversation:
    return crew.writer.seen(seen.whole, seen.crop, seen.number, seen.told)


def _skeleton(talk: asking_writer.Conversation) -> str:
    """What tells one question without content from another: its texts, and how many pictures."""
    parts = talk[-1]["content"]
    return "\n".join(
        part.get("text") or f"{part['type']} {len(part.get('video', ''))}" for part in parts
    )


def _plain_words(item: Evidence) -> str:
    """The words of an item, without the heading and the quotation marks of the list.

    What is said stays marked as said; of a scene description its heading is dropped.
    """
    found = _QUOTED.match(item.text)
    words = found["words"] if found else item.text.removeprefix("scene: ")
    if item.kind == "transcript" and found:
        return f'Somebody says: "{words}"'
    return words


def _blank_like(shown: Any) -> Any:
    """A blank picture, or for a video one of as many blank frames."""
    blank = images.blank()
    return [blank] * len(shown) if isinstance(shown, list) else blank


@cache
def _references() -> tuple[str, ...]:
    """Two situations for each of six emotions and neutral, in our own words."""
    table = (files("kuleshov.asking") / "reference_situations.tsv").read_text("utf-8")
    return tuple(line.split("\t")[1] for line in table.splitlines() if line)
