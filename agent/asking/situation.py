"""The context read by how well each label explains it, for models that were taught no fixed labels.

A small language model that is given a list of labels copies one of them, whatever the situation.
So nothing is listed. Two questions are asked, and their log-likelihoods are added up:

- the situation's own words, as the answer to "describe a situation in which most people would see
  this label": p(words | label), the noisy channel of Min, Lewis, Hajishirzi & Zettlemoyer (2022),
  Noisy Channel Language Model Prompting for Few-Shot Text Classification, ACL. From each label
  its mean over a few reference situations is taken away, which holds nothing but the label's own
  pull. The picture is blank there: words are weighed here, the picture by the other question.
- the label itself, as the answer to what most people would see in this person: the likelihoods of
  all its forms (angry and anger, lower case and capital) summed, and again its mean over the
  reference situations taken away.

Where nobody told anything of the situation, the second question is asked alone, and the same
question with blank pictures and "N/A" is its prior (Zhao et al. 2021). Which wording is
used, and the temperatures, were chosen with `kuleshov bench context-reading` on the situations that
are marked "tune" there; its figures are of those that are marked "held".
"""

from __future__ import annotations

import dataclasses
import math
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
from kuleshov.evidence.collection import quote_text
from kuleshov.tools.labels import Label, LabelSet
from kuleshov.tools.mllm.base import Conversation, MllmInfo
from kuleshov.tools.types import EmotionScores
from kuleshov.types import Evidence

ASKED: Literal["situation"] = "situation"
TEMPERATURE = 1.25  # with words; fitted on the bench's "tune" half
TEMPERATURE_ALONE = 1.0  # of the plain question alone
LONG = 20  # words; a longer text counts as one of this length, or it would drown all else

_QUOTED = re.compile(r'^(?P<what>[^"]*?):? "(?P<words>.*)"$', re.DOTALL)


def asks_situation(
    info: MllmInfo, writer: asking_writer.Writer, labels: LabelSet, examples: bool
) -> bool:
    """Whether the context is read so: a model with true likelihoods, taught no fixed labels.

    Labels that do not exclude one another, a model's own words, the review's prompts and few-shot
    examples, which teach the form of the answer, keep the question that lists the labels.
    """
    return (
        labels.mode == "single"
        and writer.family.asks_situation
        and not writer.stated
        and info.scores_texts
        and info.taught_labels is None
        and not examples
    )


@dataclass(frozen=True)
class Surroundings:
    """What a context reading goes by.

    whole, crop: what the model is shown, a face covered; number: of the person in the red box.
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

    def of(self, words: str) -> Surroundings:
        """The same pictures with other words told."""
        told = Evidence(n=1, source="user", kind="context", text=f"context: {quote_text(words)}")
        return dataclasses.replace(self, evidence=[told])

    def without_content(self) -> Surroundings:
        """The same pictures blank and the same person; words are `CONTENT_FREE`."""
        told = asking_writer.content_free() if self.told is not None else []
        crop = None if self.crop is None else _blank_like(self.crop)
        return Surroundings(_blank_like(self.whole), crop, self.number, told)


def read_situation(crew: Crew, seen: Surroundings) -> EmotionScores:
    """p(label | the situation), perceived: what most people would see.

    Raises:
        StoppedError: after a stop. MllmError: as the model.
    """
    corrected = crew.settings.prior_correction
    words = seen.words
    if words is None:
        logs, method = _labels_of(crew, seen), "likelihood of the labels' forms"
        if corrected:
            prior = _label_prior(crew, seen)
            logs = [value - base for value, base in zip(logs, prior, strict=True)]
            method += ", content-free prior removed"
    else:
        share = min(1.0, LONG / len(words.split()))
        method = "likelihood of the situation's words (noisy channel) and of the labels' forms"
        told = [scores[0] for scores in _text_likelihoods(crew, [words])]
        logs = _labels_of(crew, seen)
        if corrected:
            channel, plain = _reference_means(crew, seen)
            told = [value - base for value, base in zip(told, channel, strict=True)]
            logs = [value - base for value, base in zip(logs, plain, strict=True)]
            method += (
                f", their means over {len(_reference_situations())} reference situations removed"
            )
        logs = [share * one + other for one, other in zip(told, logs, strict=True)]
    temperature = TEMPERATURE if words is not None else TEMPERATURE_ALONE
    temperature *= crew.temperatures.get(ASKED, 1.0)
    chances = fusion.softmax(logs, temperature)
    return EmotionScores(
        labels=crew.labels.name,
        mode="single",
        probabilities=dict(zip(crew.labels.names, chances, strict=True)),
        method=f"{method}, temperature {temperature:.3g}",
    )


def _text_likelihoods(crew: Crew, texts: Sequence[str]) -> list[list[float]]:
    """log p(text | label) in nats: for each label, of each text."""
    blank = images.blank_image()
    return crew.score_many(
        [(crew.writer.situation(blank, label), texts) for label in crew.labels.names]
    )


def _labels_of(crew: Crew, seen: Surroundings) -> list[float]:
    """log of the sum over a label's forms of their likelihoods, nats, by label."""
    forms = [forms_of(label) for label in crew.labels.labels]
    logs = iter(
        crew.score(_situation_question(crew, seen), [form for several in forms for form in several])
    )
    return [_log_sum([next(logs) for _ in several]) for several in forms]


def _label_prior(crew: Crew, seen: Surroundings) -> list[float]:
    """`_labels_of` for the same question without content; computed once."""
    nothing = seen.without_content()
    key = PriorKey(f"{ASKED}: {_question_skeleton(crew, nothing)}", crew.labels.names)
    return crew.priors.find([key], lambda _: [_labels_of(crew, nothing)])[0]


def _reference_means(crew: Crew, seen: Surroundings) -> tuple[list[float], list[float]]:
    """Means over the reference situations: of `_text_likelihoods` and of `_labels_of`; computed
    once.
    """
    references, names = _reference_situations(), crew.labels.names
    blank = seen.without_content()

    def explained(_: Sequence[PriorKey]) -> list[list[float]]:
        return [[sum(scores) / len(scores) for scores in _text_likelihoods(crew, references)]]

    def labelled(_: Sequence[PriorKey]) -> list[list[float]]:
        scored = [_labels_of(crew, blank.of(reference)) for reference in references]
        return [[sum(scores) / len(scores) for scores in zip(*scored, strict=True)]]

    skeleton = f"{ASKED}, references: {_question_skeleton(crew, blank)}"
    return (
        crew.priors.find([PriorKey(f"{ASKED}, words", names)], explained)[0],
        crew.priors.find([PriorKey(skeleton, names)], labelled)[0],
    )


def _log_sum(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(value - most) for value in logs))


def forms_of(label: Label) -> list[str]:
    """The label and its synonyms, as they are and with a capital: every label treated alike."""
    words = (label.name, *label.synonyms)
    return list(dict.fromkeys(form for word in words for form in (word, _capitalise(word))))


def _capitalise(word: str) -> str:
    return word[:1].upper() + word[1:]


def _situation_question(crew: Crew, seen: Surroundings) -> Conversation:
    return crew.writer.seen(seen.whole, seen.crop, seen.number, seen.told)


def _question_skeleton(crew: Crew, nothing: Surroundings) -> str:
    """What tells one question without content from another: its texts, and how many pictures."""
    parts = _situation_question(crew, nothing)[-1]["content"]
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
    blank = images.blank_image()
    return [blank] * len(shown) if isinstance(shown, list) else blank


@cache
def _reference_situations() -> tuple[str, ...]:
    """Two situations for each of six emotions and neutral, in our own words."""
    table = (files("kuleshov.asking") / "reference_situations.tsv").read_text("utf-8")
    return tuple(line.split("\t")[1] for line in table.splitlines() if line)
