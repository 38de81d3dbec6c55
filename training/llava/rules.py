"""The rules that the pocket LLaVA is taught: evidence in, a distribution over ekman-8 out.

A small model trained for an hour cannot learn what emotions are. What it can learn is to read a
numbered list, weigh face against situation the way a stated rule does, and say which lines
counted. The rule adds up log-weights per label:

* units: a naive-Bayes ratio from the share of people who show a unit with an emotion
  (Du, Tao & Martinez 2014, PNAS 111, E1454), halved for a unit reported as not shown;
* negative evidence, as in Affdex: a unit that speaks against an emotion;
* the toolbox's own expression scores; valence and arousal where there are any;
* situations: words of the scene and of context notes, each with the labels it speaks for.

The shares of Du et al. and the negative evidence are quoted from memory of the papers, not read
off them; "over 70 %" counts as 85 %. Everything else (the weight of a situation, how little an
unmoved face says) is this project's own choice and nobody's measurement.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from kuleshov.tools.types import DEGREES, LEVELS
from kuleshov.types import Evidence

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "contempt", "neutral")
"""ekman-8, in its order."""

ADJECTIVES = {
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "contempt": "contemptuous",
    "neutral": "calm",
}

COMMON, RARE = 0.85, 0.08
SHARES: dict[str, dict[int, float]] = {
    # Du et al. 2014 for six emotions. Units 7 and 23 of anger and 5 and 26 of fear and surprise
    # are rounded up a little for the prototypes of EMFACS, which ask for them.
    "happiness": {12: COMMON, 25: COMMON, 6: 0.51},
    "sadness": {4: COMMON, 15: COMMON, 1: 0.60, 6: 0.50, 11: 0.26, 17: 0.67},
    "fear": {1: COMMON, 4: COMMON, 20: COMMON, 25: COMMON, 2: 0.57, 5: 0.63, 26: 0.33},
    "anger": {4: COMMON, 7: COMMON, 24: COMMON, 10: 0.26, 17: 0.52, 23: 0.29, 5: 0.20},
    "surprise": {1: COMMON, 2: COMMON, 25: COMMON, 26: COMMON, 5: 0.66},
    "disgust": {9: COMMON, 10: COMMON, 17: COMMON, 4: 0.31, 24: 0.26, 15: 0.20},
    # Not in Du et al.: the one-sided smile and dimple of EMFACS's contempt.
    "contempt": {14: COMMON, 12: 0.40},
    "neutral": {},
}
"""Label → unit → share of people showing it; other units: 8 %."""

AGAINST: dict[str, tuple[int, ...]] = {
    "happiness": (2, 4, 15),
    "anger": (1, 2, 12),
    "disgust": (12, 28),
    "surprise": (4,),
    "fear": (15, 12),
    "sadness": (2, 5, 24, 12),
    "contempt": (26,),
    "neutral": (),
}
"""Negative evidence: units whose display lowers a label (Affdex, and AU 15 against happiness)."""

STRENGTH = {"slight": 0.5, "clear": 1.0, "strong": 1.4}
UNIT_WEIGHT, ABSENT_WEIGHT, AGAINST_WEIGHT = 0.55, 0.25, 0.5
EXPRESSION_WEIGHT, EXPRESSION_FLOOR = 0.75, 0.02
PASSING, LASTING = 0.4, 0.8
"""What the course of a clip adds for a label that it passes through, and for its last one."""
UNMOVED = 0.5
"""How much of its weight a neutral face keeps once a situation speaks: Kuleshov's effect."""


@dataclass(frozen=True)
class Situation:
    """What words speak for which labels; `gist` is how an explanation names it."""

    words: str
    gist: str
    weights: Mapping[str, float]


SITUATIONS: tuple[Situation, ...] = (
    # sadness
    Situation(r"funerals?|coffin|hearse", "a funeral", {"sadness": 3.0}),
    Situation(r"graves?|graveyard|cemetery|mourn\w*", "mourning", {"sadness": 3.0}),
    Situation(r"died|dies|death|passed away", "a death", {"sadness": 3.0}),
    Situation(r"failed|rejected|turned down", "a failure", {"sadness": 2.4}),
    Situation(
        r"lost (?:the|a|their|his|her) (?:game|match|final|race|job|home|house)",
        "a loss",
        {"sadness": 2.4},
    ),
    Situation(r"farewell|goodbye|moving away|left alone|lonely", "a parting", {"sadness": 2.4}),
    Situation(
        r"broke up|broken up|divorce\w*|missing (?:dog|cat|friend)",
        "a broken bond",
        {"sadness": 2.4, "anger": 0.4},
    ),
    Situation(r"cry(?:ing)?|cries|cried|weep\w*|tears|sobb\w*", "tears", {"sadness": 2.6}),
    Situation(r"hospital bed|very ill|seriously ill", "an illness", {"sadness": 2.2, "fear": 0.8}),
    # happiness
    Situation(r"weddings?|newlyweds?|engaged", "a wedding", {"happiness": 2.6}),
    Situation(r"birthday|anniversary", "a birthday", {"happiness": 2.6}),
    Situation(r"part(?:y|ies)|celebrat\w+|confetti|toasts?", "a celebration", {"happiness": 2.4}),
    Situation(
        r"wins|won|winning|victory|trophy|medal|champions?\w*", "a victory", {"happiness": 2.6}
    ),
    Situation(r"graduat\w+|passed the exam|got the job|promot\w+", "a success", {"happiness": 2.6}),
    Situation(
        r"reunited|reunion|hugs?|hugging|embrac\w+|cuddl\w+", "an embrace", {"happiness": 2.2}
    ),
    Situation(r"holidays?|vacation|day off", "a holiday", {"happiness": 2.0}),
    Situation(
        r"laugh\w*|jok(?:e|es|ing)|smil\w+|giggl\w*|cheer\w*", "laughter", {"happiness": 2.2}
    ),
    Situation(r"newborn|adopted a puppy|new puppy", "a newcomer", {"happiness": 2.4}),
    # fear
    Situation(r"chas(?:ed|es|ing) by|being chased|hunted", "a pursuit", {"fear": 3.0}),
    Situation(
        r"(?:gun|knife)s?|robber\w*|burglar\w*|attack\w*|threat\w*",
        "a threat",
        {"fear": 2.8, "anger": 0.5},
    ),
    Situation(r"snakes?|spiders?|sharks?|growling|snarling", "a dangerous animal", {"fear": 2.6}),
    Situation(
        r"on fire|burning (?:house|building|car)|flames|flood\w*|earthquake|explosion",
        "a disaster",
        {"fear": 2.8},
    ),
    Situation(
        r"edge of (?:a|the) (?:roof|bridge)|about to fall|falling from", "a fall", {"fear": 2.6}
    ),
    Situation(r"haunted|horror|nightmare|ghosts?", "a horror", {"fear": 2.4}),
    Situation(
        r"waiting for (?:(?:the|a) )?(?:diagnosis|surgery|operation|verdict)",
        "a bad prospect",
        {"fear": 2.4, "sadness": 0.5},
    ),
    # anger
    Situation(r"insult\w*|humiliat\w+", "an insult", {"anger": 2.8}),
    Situation(
        r"argu(?:e|es|ing|ment)|quarrel\w*|shout\w*|yell(?:s|ed|ing)?", "a quarrel", {"anger": 2.6}
    ),
    Situation(r"stole\w*|stealing|cheated|lied to|betray\w*", "a wrong", {"anger": 2.8}),
    Situation(
        r"scratched (?:the|a|her|his|their) car|parking ticket|cut in line|broken promise",
        "an annoyance",
        {"anger": 2.4},
    ),
    Situation(r"unfair\w*|injustice|protest\w*", "an injustice", {"anger": 2.4}),
    Situation(r"punch\w*|shov(?:e|es|ed|ing)|fist ?fight", "a fight", {"anger": 2.4, "fear": 0.5}),
    # disgust
    Situation(r"rotten|mou?ldy|spoiled|maggots?", "rotten food", {"disgust": 3.0}),
    Situation(
        r"vomit\w*|threw up|sewage|dirty toilet|toilet is (?:dirty|filthy)",
        "filth",
        {"disgust": 3.0},
    ),
    Situation(
        r"garbage|trash|rubbish|stink\w*|stench|smells? (?:bad|foul|awful)",
        "a foul smell",
        {"disgust": 2.6},
    ),
    Situation(
        r"cockroach\w*|hair in (?:the|a|her|his|their) soup|dead rat|slimy",
        "vermin",
        {"disgust": 2.8},
    ),
    # surprise
    Situation(
        r"surprise party|surprise visit", "a surprise party", {"surprise": 3.2, "happiness": 1.6}
    ),
    Situation(
        r"unexpected\w*|out of nowhere|all of a sudden|suddenly",
        "a sudden event",
        {"surprise": 2.6},
    ),
    Situation(
        r"magic(?:ian)? trick|magician|unwrap\w*|opens? (?:a|the) (?:present|gift)",
        "an unveiling",
        {"surprise": 2.4, "happiness": 0.8},
    ),
    Situation(
        r"lottery|cannot believe|can't believe|astonish\w*",
        "incredible news",
        {"surprise": 2.6, "happiness": 0.8},
    ),
    # contempt
    Situation(r"sneer\w*|mock\w*|boast\w*|bragg?\w*|show[- ]off", "a boast", {"contempt": 2.6}),
    Situation(
        r"ridiculous|pathetic|beneath (?:her|him|them)|looks? down on", "a lapse", {"contempt": 2.6}
    ),
    # words for the feeling itself
    Situation(
        r"happy|joy\w*|glad|delighted|cheerful|proud|relieved", "happy words", {"happiness": 2.4}
    ),
    Situation(
        r"sad|unhappy|sorrow\w*|grie\w+|gloomy|heartbroken|depressed", "sad words", {"sadness": 2.4}
    ),
    Situation(r"angry|furious|rage|outraged|mad at|annoyed", "angry words", {"anger": 2.4}),
    Situation(
        r"afraid|scared|terrified|frightened|fear|worried|anxious|nervous",
        "fearful words",
        {"fear": 2.4},
    ),
    Situation(r"disgust\w*|revolt\w*|gross|nauseous", "disgusted words", {"disgust": 2.4}),
    Situation(r"surprised|amazed|startled|shocked", "surprised words", {"surprise": 2.4}),
    Situation(r"contempt\w*|scorn\w*|disdain\w*", "scornful words", {"contempt": 2.4}),
)
_PATTERNS = tuple((re.compile(rf"\b(?:{s.words})\b", re.I), s) for s in SITUATIONS)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|answer|reply|respond|output|say that|instructions?|prompt|"
    r"you must|system)\b|\b(?:user|assistant):|[{}]",
    re.I,
)
_NOT = re.compile(r"\b(?:not|no|never|isn't|wasn't|without|hardly)\s+(?:\w+\s+){0,2}$", re.I)

_QUOTED = re.compile(r'"(.*)"\s*$', re.S)
_KNOWN: dict[str, Situation] = {}
MOST_KNOWN, LEAST_SHARE = 50_000, 0.01
SITUATED = 0.6
"""What a situation without a face adds to neutral."""

UNIT_WORDS: dict[int, tuple[str, str]] = {
    # unit: (kind, words); "noun" takes slight/clear/strong, "phrase" slightly/clearly/strongly
    1: ("phrase", "raised inner brows"),
    2: ("phrase", "raised brows"),
    4: ("noun", "frown"),
    5: ("phrase", "wide eyes"),
    6: ("phrase", "raised cheeks"),
    7: ("phrase", "tight lids"),
    9: ("phrase", "wrinkled nose"),
    10: ("phrase", "raised upper lip"),
    11: ("phrase", "deepened lip fold"),
    12: ("noun", "smile"),
    14: ("noun", "dimple"),
    15: ("phrase", "lowered lip corners"),
    16: ("phrase", "lowered lower lip"),
    17: ("phrase", "raised chin"),
    18: ("noun", "pucker"),
    20: ("phrase", "stretched lips"),
    22: ("phrase", "funneled lips"),
    23: ("phrase", "tight lips"),
    24: ("phrase", "pressed lips"),
    25: ("phrase", "parted lips"),
    26: ("phrase", "dropped jaw"),
    27: ("phrase", "open mouth"),
    28: ("phrase", "sucked lips"),
    43: ("phrase", "closed eyes"),
    45: ("noun", "blink"),
}
_ADVERBS = {"slight": "slightly ", "clear": "", "strong": "strongly "}


@dataclass(frozen=True)
class Contribution:
    """What one evidence line adds: log-weight per label, and how an explanation names it."""

    n: int
    gist: str
    weights: Mapping[str, float]
    kind: str


def _share(label: str, unit: int) -> float:
    return SHARES[label].get(unit, RARE)


@cache
def unit_weights(unit: int, shown: bool) -> dict[str, float]:
    """Log ratio per label of the unit being (not) shown, against the mean over the labels."""
    shares = {label: _share(label, unit) if shown else 1 - _share(label, unit) for label in LABELS}
    mean = sum(shares.values()) / len(LABELS)
    return {label: math.log(share / mean) for label, share in shares.items()}


def know(text: str, shares: Mapping[str, float]) -> None:
    """From now on `text`, as a line of context, is a situation with these shares over LABELS."""
    if len(_KNOWN) > MOST_KNOWN:
        _KNOWN.clear()
    logs = {label: math.log(max(share, LEAST_SHARE)) for label, share in shares.items()}
    least = min(logs.values())
    weights = {label: value - least for label, value in logs.items()}
    weights["neutral"] -= SITUATED  # which `read` adds where a situation stands alone
    top = max(shares, key=shares.__getitem__)
    adjective = "everyday" if top == "neutral" else ADJECTIVES[top]
    article = "an" if adjective[0] in "aeiou" else "a"
    _KNOWN[text] = Situation("", f"{article} {adjective} situation", weights)


def situations(text: str) -> list[Situation]:
    """The situations that a text names; none where it gives orders. See `know`."""
    quoted = _QUOTED.search(text)
    known = _KNOWN.get(quoted[1] if quoted else text)
    return [known] if known is not None else _named(text)


@lru_cache(maxsize=4096)
def _named(text: str) -> list[Situation]:
    """Those of the table, in its order.

    A word with a negation within three words before it does not count.
    """
    if _ORDER.search(text):
        return []
    found = []
    for pattern, situation in _PATTERNS:
        match = pattern.search(text)
        if match and not _NOT.search(text[: match.start()]):
            found.append(situation)
    # "surprise party" is not also a party, "unhappy" is not also happy
    if any(s.gist == "a surprise party" for s in found):
        found = [s for s in found if s.gist != "a celebration"]
    return found


def _unit_gist(unit: int, shown: str) -> str:
    kind, words = UNIT_WORDS.get(unit, ("phrase", f"AU{unit}"))
    return f"{shown} {words}" if kind == "noun" else _ADVERBS[shown] + words


def contributions(evidence: Sequence[Evidence]) -> list[Contribution]:
    """What each line of the list adds, in the list's order. Lines that add nothing are left out."""
    found: list[Contribution] = []
    for item in evidence:
        if item.kind == "expression" and item.text.startswith("expression:"):
            scores = dict(re.findall(r"([a-z]+) (\d+)%", item.text))
            if not scores:
                continue
            logs = {
                label: math.log(max(int(scores.get(label, 0)) / 100, EXPRESSION_FLOOR))
                for label in LABELS
            }
            mean = sum(logs.values()) / len(logs)
            weights = {k: EXPRESSION_WEIGHT * (v - mean) for k, v in logs.items()}
            top = max(LABELS, key=lambda label: logs[label])
            face = "a calm face" if top == "neutral" else f"the {ADJECTIVES[top]} face"
            found.append(Contribution(item.n, face, weights, "face"))
        elif item.kind == "expression" and item.text.startswith("over time:"):
            course = re.findall(r"([a-z]+) [\d.]+ s", item.text)
            if not course or not set(course) <= set(LABELS):
                continue
            first, last = course[0], course[-1]
            weights = dict.fromkeys(LABELS, 0.0)
            for label in course:
                weights[label] = PASSING
            weights[last] = LASTING
            if first != last:
                turn = f"turns from {ADJECTIVES[first]} to {ADJECTIVES[last]}"
            elif len(set(course)) == 1:
                turn = f"stays {ADJECTIVES[last]}"
            else:
                turn = f"turns {ADJECTIVES[last]} again"
            found.append(Contribution(item.n, f"a face that {turn}", weights, "face"))
        elif item.kind == "action_unit" and item.unit is not None and LEVELS.get(item.shown or ""):
            degree = DEGREES[LEVELS[item.shown or ""]]
            ratio, strength = unit_weights(item.unit, True), STRENGTH[degree]
            weights = {}
            for label in LABELS:
                against = AGAINST_WEIGHT if item.unit in AGAINST[label] else 0.0
                weights[label] = strength * (UNIT_WEIGHT * ratio[label] - against)
            found.append(Contribution(item.n, _unit_gist(item.unit, degree), weights, "face"))
        elif item.kind == "absent_units":
            weights = dict.fromkeys(LABELS, 0.0)
            for unit in item.units:
                for label, ratio_ in unit_weights(unit, False).items():
                    weights[label] += ABSENT_WEIGHT * ratio_
            told = [unit for unit in (12, 4, 15, 5, 9, 1) if unit in item.units]
            if told:
                words = " and no ".join(UNIT_WORDS[unit][1] for unit in told[:2])
                found.append(Contribution(item.n, f"no {words}", weights, "absent"))
        elif item.kind == "affect":
            valence = re.search(r"valence ([+-][\d.]+)", item.text)
            arousal = re.search(r"arousal ([+-][\d.]+)", item.text)
            v = float(valence[1]) if valence else 0.0
            a = float(arousal[1]) if arousal else 0.0
            # the circumplex (Russell 1980): where each label lies, roughly
            weights = {
                "happiness": 1.2 * v,
                "sadness": -0.8 * v - 0.5 * a,
                "fear": -0.6 * v + 0.6 * a,
                "anger": -0.8 * v + 0.4 * a,
                "disgust": -0.6 * v,
                "surprise": 0.5 * a,
                "contempt": -0.3 * v,
                "neutral": -0.5 * abs(v) - 0.3 * abs(a),
            }
            mood = "pleasant" if v > 0.2 else "unpleasant" if v < -0.2 else "even"
            found.append(
                Contribution(
                    item.n,
                    f"an {mood} look" if mood[0] in "eu" else f"a {mood} look",
                    weights,
                    "affect",
                )
            )
        elif item.kind in ("scene", "context", "transcript"):
            named = situations(item.text)
            if not named:
                continue
            weights = dict.fromkeys(LABELS, 0.0)
            for situation in named:
                for label, weight in situation.weights.items():
                    weights[label] = max(weights[label], weight)
            first = max(named, key=lambda s: max(s.weights.values()))
            found.append(Contribution(item.n, first.gist, weights, "situation"))
    return found


def read(evidence: Sequence[Evidence], labels: Iterable[str] = LABELS) -> dict[str, float]:
    """The rule's distribution over `labels` (a part of ekman-8) for an evidence list.

    Nothing to go by (no line adds anything): uniform where the list is content-free ("N/A"),
    else mostly neutral, since an everyday scene says that nothing stirs feeling.
    """
    labels = list(labels)
    parts = contributions(evidence)
    if not parts and all(item.text.strip() == "N/A" for item in evidence):
        return {label: 1 / len(labels) for label in labels}
    situated = any(part.kind == "situation" for part in parts)
    logs = dict.fromkeys(LABELS, 0.0)
    for part in parts:
        for label, weight in part.weights.items():
            if situated and label == "neutral" and part.kind in ("face", "absent"):
                weight *= UNMOVED
            logs[label] += weight
    if not any(part.kind in ("face", "absent", "affect") for part in parts):
        # no face: what the situation says, else neutral
        logs["neutral"] += SITUATED if situated else 2.5
    if not parts and "neutral" not in labels:
        return {label: 1 / len(labels) for label in labels}
    top = max(logs[label] for label in labels)
    weights_ = {label: math.exp(logs[label] - top) for label in labels}
    total = sum(weights_.values())
    return {label: weight / total for label, weight in weights_.items()}


def margin(distribution: Mapping[str, float]) -> float:
    """Probability of the first label minus that of the second."""
    first, second = sorted(distribution.values())[-1:-3:-1]
    return first - second


def explain(evidence: Sequence[Evidence]) -> dict[str, object]:
    """The answer to `judge`: cues, strongest first, and a sentence, both from the rule.

    Cites what speaks for the label the rule finds, up to three lines, and the strongest line
    that speaks for another one where there is one.
    """
    if all(item.text.strip() == "N/A" for item in evidence):
        return {"cues": [{"evidence": evidence[0].n, "text": "N/A"}], "explanation": "N/A"}
    reading = read(evidence)
    label = max(LABELS, key=lambda name: reading[name])
    parts = contributions(evidence)

    def pull(part: Contribution, name: str) -> float:
        mean = sum(part.weights.get(other, 0.0) for other in LABELS) / len(LABELS)
        return part.weights.get(name, 0.0) - mean

    # An absence is worth a word only where little else is: it ranks below what is shown.
    def rank(part: Contribution) -> float:
        return pull(part, label) * (0.4 if part.kind == "absent" else 1.0)

    speaking = sorted((p for p in parts if rank(p) > 0.25), key=lambda p: -rank(p))[:3]
    against: tuple[Contribution, str] | None = None
    for part in parts:
        if part in speaking or part.kind == "absent":
            continue
        other = max(LABELS, key=lambda name: part.weights.get(name, 0.0))
        if other in (label, "neutral") or pull(part, other) <= 1.0 or pull(part, label) >= 0.2:
            continue
        if against is None or pull(part, other) > pull(*against):
            against = (part, other)
    if not speaking:
        item = next(
            (e for e in evidence if e.kind in ("scene", "context", "transcript")), evidence[0]
        )
        words = {"scene": "an everyday scene"}.get(item.kind, "nothing that moves")
        return {
            "cues": [{"evidence": item.n, "text": words}],
            "explanation": f"Nothing stands out, which fits {label}.",
        }
    cues = [{"evidence": part.n, "text": part.gist} for part in speaking]
    names = [_definite(part.gist) for part in speaking]
    verb = "fits" if len(names) == 1 and not _plural(names[0]) else "fit"
    text = f"{_listed(names)} {verb} {label}"
    if against is not None:
        part, other = against
        cues.append({"evidence": part.n, "text": part.gist})
        speaks = "speak" if _plural(part.gist) else "speaks"
        text += f", though {_definite(part.gist)} {speaks} for {other}"
    return {"cues": cues, "explanation": text[:1].upper() + text[1:] + "."}


def _definite(gist: str) -> str:
    """`a funeral` → `the funeral`; `no smile` stays."""
    if gist.startswith(("the ", "no ")):
        return gist
    return "the " + re.sub(r"^an? ", "", gist)


def _plural(name: str) -> bool:
    ends = ("brows", "eyes", "cheeks", "lids", "lips", "tears", "words", "corners")
    return name.endswith(ends)


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + " and " + names[-1]
