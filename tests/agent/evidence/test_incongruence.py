"""Situations with something to flag and without, in every shipped label set."""

from __future__ import annotations

import numpy as np
import pytest
from test_agent import INFO, content_free, script

from kuleshov import Agent, Settings
from kuleshov.evidence import incongruence, words
from kuleshov.tools.labels import LabelSet, shipped_label_sets
from kuleshov.tools.mllm import ScriptedMllm
from kuleshov.tools.types import ActionUnit, EmotionScores, Face
from kuleshov.types import Evidence

from parts import SMILE as SMILING
from parts import HandFaces, face

SETS = [name for name in shipped_label_sets() if LabelSet.load(name).mode != "free"]


def scores(labels: LabelSet, **high: float) -> EmotionScores:
    """The given shares, the rest spread over the other labels."""
    given = {name.replace("_", " "): p for name, p in high.items()}
    rest = (
        0.02
        if labels.mode == "multi"
        else (1 - sum(given.values())) / (len(labels.names) - len(given))
    )
    found = {name: given.get(name, rest) for name in labels.names}
    return EmotionScores(labels=labels.name, mode=labels.mode, probabilities=found, method="x")


def units(shown: tuple[int, ...], measured: tuple[int, ...] = (1, 4, 6, 12, 15, 24)) -> Face:
    found = [ActionUnit(unit=u, probability=0.95 if u in shown else 0.05) for u in measured]
    return Face(
        xyxy=(0, 0, 9, 9), action_units=tuple(found), units_measured=measured, tool="t", version="1"
    )


def candidates(name, shows, context, shown=(), said=(), several=True):
    labels = LabelSet.load(name)
    items = [Evidence(n=1, source="user", kind="context", text="made by hand")]
    items += [
        Evidence(n=n, source="transcript", kind="transcript", text=f'said: "{line}"')
        for n, line in enumerate(said, 2)
    ]
    parted = incongruence.Parted(
        face=units(shown),
        face_scores=scores(labels, **shows),
        context_scores=scores(labels, **context),
        evidence=items,
        labels=labels,
        several=several,
    )
    return incongruence.find_incongruences(parted)


SMILE = "polite or masking smile"
GLAD, SAD, ANGRY, AFRAID = ({k: 0.9} for k in ("happiness", "sadness", "anger", "fear"))
CALM, STARTLED = {"neutral": 0.9}, {"surprise": 0.9}
SITUATIONS = {
    # --- something to flag: face, context, units, words, what is expected
    "a smile at a funeral": (GLAD, SAD, (12,), (), [SMILE]),
    "a felt smile at somebody's fall": (GLAD, SAD, (6, 12), (), [SMILE, "Schadenfreude"]),
    "a pressed smile at bad news": (GLAD, SAD, (12, 24), (), [SMILE]),
    "smiling at an angry customer": (GLAD, ANGRY, (12,), (), [SMILE]),
    "laughing in a haunted house": (GLAD, AFRAID, (6, 12, 1), (), [SMILE]),
    "glad by no unit at a funeral": (GLAD, SAD, (), (), ["unexplained"]),
    "still at a grave": (CALM, SAD, (), (), ["suppressed emotion"]),
    "lips pressed under an insult": (CALM, ANGRY, (24,), (), ["suppressed emotion"]),
    "a poker face on winning": (CALM, GLAD, (), (), ["suppressed emotion"]),
    "tears of joy, read as both": (
        {"happiness": 0.48, "sadness": 0.47}, GLAD, (12, 1), (), ["mixed emotion"],
    ),
    "an angry face at a party": (ANGRY, GLAD, (4,), (), ["unexplained"]),
    "a sad face at a wedding": (SAD, GLAD, (1, 15), (), ["unexplained"]),
    "a frightened face among the angry": (AFRAID, ANGRY, (1, 4), (), ["unexplained"]),
    '"Great!" with a scowl at spilt coffee': (ANGRY, ANGRY, (4,), ("Oh, great!",), ["sarcasm"]),
    '"Lovely weather" in a storm': (SAD, SAD, (), ("What lovely weather.",), ["sarcasm"]),
    '"I hate you" with a smile': (GLAD, GLAD, (6, 12), ("I hate you so much!",), ["sarcasm"]),
    '"Wonderful" with a still face': (
        CALM, ANGRY, (), ("Wonderful.",), ["sarcasm", "suppressed emotion"],
    ),
    '"Congratulations" through the teeth': (
        ANGRY, GLAD, (4,), ("Congratulations, what a brilliant win.",), ["sarcasm"],
    ),
    "a smile and the wrong words at a funeral": (
        GLAD, SAD, (12,), ("This is awesome!",), [SMILE, "sarcasm"],
    ),
    '"not good at all" with a broad smile': (
        GLAD, CALM, (6, 12), ("That is a terrible, awful book.",), ["sarcasm"],
    ),
    # --- nothing to flag
    "a smile at a birthday": (GLAD, GLAD, (6, 12), (), []),
    "crying at a funeral": (SAD, SAD, (1, 4, 15), (), []),
    "a smile in a room": (GLAD, CALM, (6, 12), (), []),
    "a frown at a desk": (ANGRY, CALM, (4,), (), []),
    "sad on a bench": (SAD, CALM, (1, 15), (), []),
    "startled in an empty corridor": (STARTLED, CALM, (1,), (), []),
    "calm at a desk": (CALM, CALM, (), (), []),
    "kind words at a birthday": (GLAD, GLAD, (6, 12), ("I love this, thank you!",), []),
    "the salt, asked for in a quarrel": (ANGRY, ANGRY, (4,), ("Please pass the salt.",), []),
    "bad words about bad news": (SAD, SAD, (1, 15), ("This is horrible, I hate it.",), []),
}  # fmt: skip


def test_the_table_holds_thirty_of_which_ten_are_plain():
    assert len(SITUATIONS) == 30
    assert sum(not expected for *_, expected in SITUATIONS.values()) == 10


@pytest.mark.parametrize("situation", SITUATIONS)
def test_situations(situation):
    shows, context, shown, said, expected = SITUATIONS[situation]
    found = candidates("ekman-7", shows, context, shown, said)
    assert [one.kind for one in found] == expected


PAIRS = {
    "academic-5": ("enjoyment", "confusion"),
    "cowen-keltner-28": ("elation", "sadness"),
    "goemotions-27": ("joy", "grief"),
    "pain-4": ("no_pain", "severe_pain"),
    "plutchik-8": ("joy", "sadness"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_smile_at_a_funeral_is_found_in_every_set(name):
    glad, sad = PAIRS.get(name, ("happiness", "sadness"))
    kinds = [one.kind for one in candidates(name, {glad: 0.9}, {sad: 0.9}, (12,))]
    assert kinds == [SMILE]
    assert candidates(name, {glad: 0.9}, {glad: 0.9}, (12,)) == ()


@pytest.mark.parametrize("name", SETS)
def test_sets_tell_what_is_pleasant_and_what_is_not_with_a_source(name):
    labels = LabelSet.load(name)
    signs = {label.name: label.sign for label in labels.labels}
    assert -1 in signs.values()
    assert 1 in signs.values() or name == "pain-4"  # no pain is no pleasure
    assert bool(labels.sides) == any(label.side for label in labels.labels)
    assert signs.get("contempt", -1) == -1
    assert signs.get("surprise") is None  # of either kind
    assert signs.get("neutral", 0) == 0


@pytest.mark.parametrize(
    ("lines", "sign"),
    [
        (["Please pass the salt."], None),
        (["We are at platform four."], None),
        (["It looks like rain.", "Well, sure.", "Yes, please."], None),
        (["What a lovely day!"], 1),
        (["This is terrible."], -1),
        (["This is not great."], -1),
        (["I love it.", "I hate it."], None),
        (["Das ist ja wunderbar."], None),  # of another language nothing is known
        ([], None),
    ],
)
def test_words_count_by_what_they_say(lines, sign):
    assert words.find_sign(f'said 1.0-2.0 s by Anna: "{line}"' for line in lines) == sign
    assert words.find_sign(lines) == sign


@pytest.mark.parametrize(("said", "flagged"), [("Please pass the salt.", False), ("Great!", True)])
def test_the_record_says_how_the_words_were_read(said, flagged):
    """A smile where the model reads the context as sad."""

    def score(call):
        if content_free(call):
            return [0.0] * len(call.answers)
        return [5.0 * (answer == "sadness") for answer in call.answers]

    glad = face(SMILING, expression=scores(LabelSet.load("ekman-7"), happiness=0.9))
    mllm = ScriptedMllm(script()._answers, score, info=INFO)
    agent = Agent(mllm, HandFaces(glad), Settings.load(fusion="bayes"))
    read = agent.infer(np.full((100, 200, 3), 90, np.uint8), said=said)
    (person,) = read.people
    assert SMILE in [one.kind for one in person.incongruence]
    found = [one for one in person.incongruence if one.kind == "sarcasm"]
    assert bool(found) == flagged
    for one in found:
        assert "the words are pleasant by VADER's English lexicon" in one.pattern
        assert "against the context (sadness)" in one.pattern
        assert any(read.evidence[n - 1].kind == "transcript" for n in one.evidence)
