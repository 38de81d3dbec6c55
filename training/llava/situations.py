"""Situations in words, and what people feel in them: ISEAR, Event2Mind, and some of our own.

* ISEAR (Scherer & Wallbott 1994): situations told by those who felt one of seven emotions in them.
* Event2Mind (Rashkin et al. 2018): everyday events, with the words that people gave for what the
  actor feels. The words are free; `WORDS` maps the frequent ones.
* `own_situations.tsv`: written for this, because surprise, contempt and plain everyday life are
  rare in the others. None stands in `evals/situations.tsv`, which is kept for measuring.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

POOL = (
    "anger", "disgust", "fear", "happiness", "sadness", "surprise",
    "contempt", "neutral", "shame", "guilt", "trust", "anticipation",
)  # fmt: skip
"""What situations are labelled with; joy is happiness."""
ISEAR = ("joy", "fear", "anger", "sadness", "disgust", "shame", "guilt")
SETS: dict[str, tuple[str, ...]] = {
    "isear": ISEAR,
    "ekman-7": ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
    "ekman-6": ("anger", "disgust", "fear", "happiness", "sadness", "surprise"),
    "ekman-8": POOL[:8],
    "plutchik-8": (
        "joy", "trust", "fear", "surprise", "sadness", "disgust", "anger", "anticipation",
    ),
}  # fmt: skip
"""Label sets that are asked about; all their labels are single tokens."""
WORDS: dict[str, str] = {
    "anger": "angry mad upset annoyed furious irritated frustrated enraged irate outraged "
    "aggravated hostile resentful vengeful agitated bitter livid impatient jealous offended "
    "hateful provoked infuriated betrayed anger",
    "disgust": "disgusted grossed gross sick nauseous repulsed revolted dirty queasy disgust nasty",
    "fear": "scared afraid nervous worried anxious fearful terrified frightened panicked concerned "
    "uneasy threatened apprehensive cautious stressed tense alarmed petrified spooked endangered "
    "insecure intimidated vulnerable fear horrified",
    "happiness": "happy satisfied excited good content relieved proud pleased glad joyful great "
    "joyous elated thrilled delighted entertained amused cheerful ecstatic overjoyed blessed "
    "fulfilled accomplished relaxed thankful grateful loved lucky contented enjoyment joy fun "
    "successful playful merry jubilant euphoric gleeful exhilarated victorious triumphant "
    "comfortable refreshed relief enthusiastic hopeful",
    "sadness": "sad upset unhappy depressed lonely disappointed hurt miserable heartbroken "
    "hopeless defeated sorrowful grief devastated gloomy dejected rejected crushed alone abandoned "
    "discouraged melancholy despondent blue mournful sorrow sadness dismayed bereaved homesick",
    "surprise": "surprised shocked amazed astonished startled stunned astounded surprise "
    "unexpected baffled dumbfounded perplexed bewildered speechless awed",
    "contempt": "superior smug arrogant disdainful contemptuous scornful judgmental condescending "
    "snobbish disrespectful mocking",
    "neutral": "neutral indifferent calm normal none nothing okay ok fine bored unaffected tired "
    "hungry prepared busy ready responsible informed useful productive organized clean",
    "shame": "ashamed embarrassed embarassed humiliated shame foolish stupid mortified disgraced "
    "shy inferior awkward dumb",
    "guilt": "guilty regretful sorry remorseful guilt regret apologetic remorse bad responsible",
    "trust": "trusting safe secure loyal connected close accepted trusted supported protected "
    "faithful reassured confident loving friendly",
    "anticipation": "eager expectant hopeful anticipation curious interested determined excited "
    "anticipating impatient motivated intrigued ready prepared",
}
"""Label to words that Event2Mind's annotators used; this project's own choice."""
_LABELS_OF: dict[str, list[str]] = {}
for _label, _words in WORDS.items():
    for _word in _words.split():
        _LABELS_OF.setdefault(_word, []).append(_label)
OWN = Path(__file__).with_name("own_situations.tsv")
SUBJECTS = (
    ("She", "her", "her"), ("He", "his", "him"), ("They", "their", "them"), ("I", "my", "me"),
    ("The man", "his", "him"), ("The woman", "her", "her"), ("The boy", "his", "him"),
    ("The girl", "her", "her"), ("A friend of mine", "their", "them"),
    ("My neighbour", "his", "him"), ("The student", "her", "her"), ("The teacher", "his", "him"),
)  # fmt: skip
ACTORS = (
    ("She", "her"), ("He", "him"), ("They", "them"), ("My friend", "them"), ("The man", "him"),
    ("The woman", "her"), ("A colleague", "them"), ("Person 1", "them"), ("Anna", "her"),
    ("Tom", "him"),
)  # fmt: skip
OTHERS = ("her friend", "his brother", "a neighbour", "the boss", "a stranger", "the teacher")
LONGEST = 260
"""Characters of a situation in training; longer ones are cut."""


@dataclass(frozen=True)
class Situation:
    """`people`: shares over POOL by those who were asked, (12,); None: nobody's words are known."""

    source: str
    text: str
    people: np.ndarray | None


@dataclass(frozen=True)
class Situations:
    """`part` of each: train, dev or test; a tenth of ISEAR is test, a twentieth dev."""

    all: tuple[Situation, ...]
    part: np.ndarray

    def rows(self, part: str) -> np.ndarray:
        return np.flatnonzero(self.part == part)


def place_of(label: str) -> int:
    """The place of a label in POOL; joy is happiness."""
    return POOL.index("happiness" if label == "joy" else label)


def read_situations(folder: Path, seed: int = 0) -> Situations:
    """All situations of the data folder, and our own."""
    found: list[Situation] = []
    parts: list[str] = []
    with (folder / "isear.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found += [Situation("isear", row["situation"], one_label(row["emotion"])) for row in rows]
    parts += _parts_of([row["situation"] for row in rows], seed)
    for part in ("train", "dev"):
        path = folder / f"event2mind_{part}.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                words = json.loads(row["actor"]) if row["actor"] else []
                found.append(Situation("event2mind", row["event"], shares_of(words)))
                parts.append(part)
    own = own_situations(seed)
    found += own
    parts += ["train"] * len(own)
    return Situations(tuple(found), np.array(parts))


def _parts_of(texts: Sequence[str], seed: int) -> list[str]:
    """A tenth of the different texts is test, a twentieth dev; equal texts stay in one part."""
    plain = [" ".join(re.findall(r"[a-z']+", text.lower())) for text in texts]
    different = sorted(set(plain))
    drawn = np.random.default_rng(seed).permutation(len(different))
    tenth, twentieth = len(drawn) // 10, len(drawn) // 20
    where = {different[i]: "test" for i in drawn[:tenth]}
    where |= {different[i]: "dev" for i in drawn[tenth : tenth + twentieth]}
    return [where.get(text, "train") for text in plain]


def one_label(label: str) -> np.ndarray:
    shares = np.zeros(len(POOL))
    shares[place_of(label)] = 1.0
    return shares


def shares_of(words: Sequence[str]) -> np.ndarray | None:
    """Shares over POOL of free words; None where none of them is known."""
    shares, count = np.zeros(len(POOL)), 0
    for told in words:
        for word in re.findall(r"[a-z]+", told.lower()):
            if word in _LABELS_OF:
                for label in _LABELS_OF[word]:
                    shares[place_of(label)] += 1 / len(_LABELS_OF[word])
                count += 1
                break
    return shares / count if count else None


def own_situations(seed: int = 0) -> list[Situation]:
    """Each written situation with four subjects; {S}, {P} and {O} stand for them."""
    random = np.random.default_rng(seed)
    found = []
    with OWN.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            label, text = row["label"], row["situation"]
            if not re.search(r"\{[SPO]\}", text):
                found.append(Situation("own", text, one_label(label)))
                continue
            for i in random.choice(len(SUBJECTS), 4, replace=False):
                found.append(Situation("own", _with_subject(text, *SUBJECTS[i]), one_label(label)))
    return found


def _with_subject(text: str, subject: str, own: str, object_: str) -> str:
    later = subject if subject == "I" else subject[0].lower() + subject[1:]
    text = re.sub(r"^\{S\}", subject, text)
    text = re.sub(r"^\{P\}", own[0].upper() + own[1:], text)
    text = text.replace("{S}", later).replace("{P}", own).replace("{O}", object_)
    for said, right in (
        ("I is ", "I am "), ("They is ", "They are "), ("they is ", "they are "),
        ("I has ", "I have "), ("They has ", "They have "), ("hey was", "hey were"),
    ):  # fmt: skip
        text = text.replace(said, right)
    return text


def worded(situation: Situation, random: np.random.Generator) -> str:
    """The situation as a user might tell it: of somebody else, without quotation marks."""
    if situation.source == "event2mind":
        text = _of_somebody(situation.text, random)
    elif situation.source == "isear" and random.random() < 0.5:
        text = _of_another(situation.text, random)
    else:
        text = situation.text
    return " ".join(text.replace('"', "'").replace("{", "(").replace("}", ")").split())[:LONGEST]


def _of_somebody(text: str, random: np.random.Generator) -> str:
    subject, object_ = ACTORS[random.integers(len(ACTORS))]
    own = {"her": "her", "him": "his", "them": "their"}[object_]
    text = re.sub("PersonX", subject, text, count=1)
    text = text.replace("PersonX's", own).replace("PersonX", object_)
    text = text.replace("PersonY", OTHERS[random.integers(len(OTHERS))])
    text = text.replace("PersonZ", "somebody")
    text = re.sub(r"_+", ("something", "it", "the thing")[random.integers(3)], text)
    return (
        text[:1].upper() + text[1:] + ("" if text.endswith(".") or random.random() < 0.3 else ".")
    )


def _of_another(text: str, random: np.random.Generator) -> str:
    """ISEAR is told by who felt it; users tell of others."""
    subject, object_, own, self_ = (
        ("she", "her", "her", "herself"),
        ("he", "him", "his", "himself"),
        ("they", "them", "their", "themselves"),
    )[random.integers(3)]
    are = "are" if subject == "they" else "is"
    instead = {"i": subject, "me": object_, "my": own, "mine": own, "myself": self_, "am": are}
    told = re.sub(r"[A-Za-z']+", lambda m: instead.get(m[0].lower(), m[0]), text)
    return told[:1].upper() + told[1:]
