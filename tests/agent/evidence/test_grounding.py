import pytest

from kuleshov.evidence import grounding
from kuleshov.tools.types import ActionUnit
from kuleshov.types import Cue, Evidence

from parts import NO_FROWN, SMILE, face

ITEM = Evidence(n=3, source="faces:hand", kind="action_unit", text="AU12", unit=12)
SCENE = Evidence(n=5, source="mllm", kind="scene", text="scene: a party")
SEEN = face(SMILE, NO_FROWN, ActionUnit(unit=15, probability=0.1), ActionUnit(unit=26))


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("a broad smile", [((12,), True)]),
        ("no smile at all", [((12,), False)]),
        ("AU4 is absent, AU12 is strong", [((4,), False), ((12,), True)]),
        ("smiling, without a frown", [((12,), True), ((4,), False)]),
        ("the lip corner puller", [((12,), True)]),
        ("not shown: AU04", [((4,), False)]),
        ("people dance at a wedding", []),
    ],
)
def test_claims_understand_negation(text, claims):
    assert [(claim.units, claim.shown) for claim in grounding.find_claims(text)] == claims


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("a broad smile", "confirmed"),
        ("no smile", "contradicted"),
        ("lowered brows", "contradicted"),
        ("no frown", "confirmed"),
        ("raised cheeks", "unconfirmed"),  # AU6 was not measured
        ("the jaw dropped", "unconfirmed"),  # AU26 was looked for and could not be told
        ("a smile with raised cheeks", "unconfirmed"),
        ("a smile and a frown", "contradicted"),
    ],
)
def test_a_cue_is_checked_against_what_was_measured(text, status):
    assert grounding.check_cue(text, ITEM, SEEN).status == status


LEFT_SMILE = ActionUnit(unit=12, side="left", probability=0.9)
NO_RIGHT_SMILE = ActionUnit(unit=12, side="right", probability=0.1)


@pytest.mark.parametrize(
    ("text", "units", "status"),
    [
        ("the left lip corner up", (LEFT_SMILE, NO_RIGHT_SMILE), "confirmed"),
        ("a smile on the right side", (LEFT_SMILE, NO_RIGHT_SMILE), "contradicted"),
        ("no smile on the right", (LEFT_SMILE, NO_RIGHT_SMILE), "confirmed"),
        ("a smile", (LEFT_SMILE, NO_RIGHT_SMILE), "confirmed"),
        ("a smile on the left", (LEFT_SMILE,), "confirmed"),
        ("a smile on the right", (LEFT_SMILE,), "unconfirmed"),
        ("a smile on the left", (SMILE,), "unconfirmed"),  # the tool does not tell sides apart
        ("a frown on the left", (NO_FROWN,), "contradicted"),
        ("a smile left and right", (SMILE,), "confirmed"),
        ("a smile, in the left of the picture a dog", (SMILE,), "confirmed"),
        ("a smile on the left in the picture", (SMILE,), "confirmed"),
    ],
)
def test_sides_are_the_persons_own(text, units, status):
    assert grounding.check_cue(text, ITEM, face(*units)).status == status


@pytest.mark.parametrize(
    ("text", "cited", "elsewhere"),
    [
        ("a broad smile", ITEM, False),
        ("a frown", ITEM, True),
        ("a broad smile", SCENE, True),
        ("a party", SCENE, False),
    ],
)
def test_a_claim_that_cites_another_item_is_marked(text, cited, elsewhere):
    assert grounding.check_cue(text, cited, SEEN).elsewhere is elsewhere


def test_without_a_face_nothing_is_confirmed():
    assert grounding.check_cue("a broad smile", SCENE, None).status == "unconfirmed"


def test_a_scene_is_not_confirmed_by_units():
    assert grounding.check_cue("a party", SCENE, SEEN).status == "unconfirmed"


def said(text: str, kind: str = "expression", unit: int | None = None) -> Evidence:
    return Evidence(n=4, source="faces:hand", kind=kind, text=text, unit=unit)


@pytest.mark.parametrize(
    ("text", "cited", "status", "elsewhere"),
    [
        ("the happy face", said("expression: happiness 49%, neutral 47%"), "confirmed", False),
        ("the happy face", said("expression: sadness 81%"), "contradicted", False),
        ("not a happy face", said("expression: sadness 81%"), "confirmed", False),
        (
            "turns from sad to happy",
            said("over time: sadness 0 s, happiness 3 s"),
            "confirmed",
            False,
        ),
        ("turns from disgusted to happy", said("over time: happiness 0 s"), "contradicted", False),
        ("the happy face", said("expression: awe 81%"), "confirmed", False),  # other labels
        ("the happy face", said("AU16: strong", "action_unit", 16), "unconfirmed", True),
        ("a tense face", said("AU16: strong", "action_unit", 16), "confirmed", False),
    ],
)
def test_a_feeling_is_confirmed_by_an_expression_that_names_it(text, cited, status, elsewhere):
    cue = grounding.check_cue(text, cited, SEEN)
    assert (cue.status, cue.elsewhere) == (status, elsewhere)


def test_a_weak_unit_confirms_nothing():
    seen = face(ActionUnit(unit=12, probability=0.9, weak=True))
    assert grounding.check_cue("a smile", ITEM, seen).status == "unconfirmed"


def test_left_out_names_the_units_that_no_cue_cites_or_names():
    evidence = {
        n: Evidence(n=n, source="faces:hand", kind="action_unit", text="", unit=unit)
        for n, unit in ((1, 12), (2, 4), (3, 15))
    }
    cues = [
        Cue(evidence=1, text="", status="confirmed"),
        Cue(evidence=9, text="the frown", status="confirmed"),
    ]
    assert grounding.left_out(cues, evidence) == (3,)
