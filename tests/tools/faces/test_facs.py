"""FACS knowledge: names, patterns, smiles, pain; what `kuleshov facs` prints."""

from __future__ import annotations

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import facs, mediapipe, programs, rules
from kuleshov.tools.faces.pyfeat import tool
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import ActionUnit

from parts import face


def p(unit: int, value: float | None) -> ActionUnit:
    return ActionUnit(unit=unit, probability=value)


def test_every_unit_that_is_spoken_of_has_a_name() -> None:
    spoken = {unit for pattern in facs.PATTERNS for unit in pattern.units}
    spoken |= {unit for units in facs.AGAINST.values() for unit in units}
    spoken |= {unit for units, _ in facs.MEASURED_BY.values() for unit in units}
    spoken |= set(facs.BLENDSHAPES) | {unit for smile in facs.SMILES for unit in smile.units}
    assert {unit for unit in spoken if facs.unit_name(unit) == "action unit"} == set()
    assert facs.unit_name(3) == "action unit"
    assert not set(facs.UNITS) & set(facs.FURTHER)


def test_the_table_of_tools_is_that_of_the_tools() -> None:
    table = facs.MEASURED_BY
    assert table["pyfeat, pyfeat-v1"][0] == tool.UNITS
    assert table["mediapipe"][0] == mediapipe.UNITS
    assert set(table["openface (AU_c)"][0]) == set(programs.UNITS["openface"])
    libreface = {*table["libreface (detection)"][0], *table["libreface (intensity)"][0]}
    assert libreface == set(programs.UNITS["libreface"])


def test_patterns_are_read_from_their_codes() -> None:
    surprise = facs.expression_patterns("Surprise")
    assert [pattern.code for pattern in surprise][:3] == ["1+2+5B+26", "1+2+5B+27", "1+2+5B"]
    fear = facs.expression_patterns("fear")
    assert fear[0].groups == ((1,), (2,), (4,), (5,), (20,), (25, 26, 27))
    disgust = {one.code for one in facs.expression_patterns("disgust") if one.kind == "prototype"}
    assert {"9", "10", "10+17"} <= disgust
    sadness = facs.expression_patterns("sadness")
    assert sadness[0].text() == "AU1+AU4+AU11+AU15B [some: AU25, AU26, AU54, AU64]"
    anger = {one.code: one.kind for one in facs.expression_patterns("anger")}
    assert (anger["4+5+7+23"], anger["4+7+23"], anger["5+7+17+24"]) == (
        "prototype",
        "variant",
        "variant",
    )
    assert {one.source for one in facs.PATTERNS if one.kind == "variant"} == {"facs2002"}
    assert {one.expression for one in facs.PATTERNS if one.kind in ("posed", "compound")} == (
        set(LabelSet.load("du-compound-22").names) - {"neutral"}
    )
    assert facs.expression_patterns("contempt")[0].text() == "AUR12A+AUR14A"
    sad = next(one for one in facs.expression_patterns("sadness") if one.kind == "posed")
    assert sad.text() == "AU4+AU15 [some: AU1 60%, AU6 50%, AU11 26%, AU17 67%]"
    assert len([one for one in facs.PATTERNS if one.kind == "compound"]) == 15
    with pytest.raises(KuleshovError, match=r"no pattern for 'feer' \(did you mean fear\?\)"):
        facs.expression_patterns("feer")


def test_smiles() -> None:
    assert facs.find_smiles(face(p(12, 0.9), p(6, 0.8), p(14, 0.1), p(15, 0.6))) == {
        "Duchenne": True, "dampened": True, "miserable": True, "selfie": None
    }  # fmt: skip
    assert facs.find_smiles(face(p(12, 0.9)))["Duchenne"] is None
    assert facs.find_smiles(face(p(12, 0.1)))["Duchenne"] is False


def test_pain_is_defined_on_intensities_only() -> None:
    units = {4: 2.0, 6: 1.0, 7: 3.0, 9: 0.5, 10: 4.0}
    pain = [ActionUnit(unit=unit, intensity=value) for unit, value in units.items()]
    closed = ActionUnit(unit=43, presence=True)
    assert facs.pspi_score(face(*pain, closed)) == 2 + 3 + 4 + 1
    assert facs.pspi_score(face(*pain)) is None
    # a blink stands for closed eyes where nothing else does, and what is missing is named
    blink = facs.measure_pain(face(*pain, ActionUnit(unit=45, presence=True, intensity=1.0)))
    assert blink is not None
    assert (blink.value, blink.text()) == (10, "10.0 of 16 (AU45 in place of AU43)")
    part = facs.measure_pain(face(*pain[1:], p(12, 0.9)))
    assert part is not None
    assert part.text() == "at least 7.0 of 16 (without AU4, AU43)"
    assert facs.measure_pain(face(p(4, 0.9))) is None
    coded = [ActionUnit(unit=4, intensity=2.0, presence=False), *pain[1:], closed]
    assert facs.pspi_score(face(*coded)) == 3 + 4 + 1
    assert facs.pspi_score(face(*pain[1:], closed)) is None
    with pytest.raises(KuleshovError, match="hand gives AU4 as probability; use a tool with"):
        facs.pspi_score(face(p(4, 0.9), closed))


# ------------------------------------------------------------------------------------- by rules


@pytest.mark.parametrize(
    ("shown", "top"),
    [
        ((6, 12, 25), "happiness"),
        ((1, 4, 15, 17), "sadness"),
        ((1, 2, 5, 25, 26), "surprise"),
        ((1, 4, 5, 20, 25), "fear"),
        ((4, 7, 24), "anger"),
        ((9, 10, 17), "disgust"),
        ((), "neutral"),
    ],
)
def test_prototypes_read_as_what_they_are(shown: tuple[int, ...], top: str) -> None:
    units = [p(unit, 0.95 if unit in shown else 0.02) for unit in tool.UNITS]
    found = rules.infer_expression(units)
    assert found is not None
    assert found.top == top
    assert found.method == rules.METHOD
    assert rules.by_rules(found)


def test_negative_evidence_lowers_and_the_unmeasured_says_nothing() -> None:
    happy = [p(unit, 0.9) for unit in (6, 12, 25)] + [p(unit, 0.02) for unit in (1, 2, 9, 20)]

    def happiness(*more: ActionUnit) -> float:
        found = rules.infer_expression([*happy, *more])
        assert found is not None
        return found.probabilities["happiness"]

    assert happiness(p(15, 0.9)) < happiness() < happiness(p(15, 0.02), p(4, 0.02))
    assert happiness(p(15, None)) == happiness()
    assert rules.unit_weights("happiness")[15] < 0 < rules.unit_weights("happiness")[12]
    assert rules.infer_expression([p(12, 0.9), p(6, 0.9)]) is None


def test_a_unit_that_is_as_probable_as_usual_says_nothing() -> None:
    some = [p(unit, 0.9) for unit in (12, 25)] + [p(unit, 0.02) for unit in (1, 2, 9)]
    plain = rules.infer_expression(some)
    usual = rules.infer_expression([*some, p(4, rules.USUAL[4])])
    assert plain is not None
    assert usual is not None
    assert usual.probabilities == pytest.approx(plain.probabilities, abs=1e-5)


def test_scales_count_by_how_clearly_they_show() -> None:
    def read(**scale: float) -> float:
        found = rules.infer_expression(
            [ActionUnit(unit=unit, **scale) for unit in (6, 12, 25)]  # type: ignore[arg-type]
            + [p(unit, 0.02) for unit in (1, 4, 15)]
        )
        assert found is not None
        return found.probabilities["happiness"]

    assert read(intensity=1.0) < read(intensity=2.5) < read(intensity=5.0)
    assert read(log_odds=2.0) == read(intensity=5.0)


# -------------------------------------------------------------------------------------- command


def test_the_command_explains_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facs", "15"]) == 0
    assert (
        capsys.readouterr().out
        == """\
AU15 lip corner depressor
  part of
    sadness: AU1+AU4+AU11+AU15B [some: AU25, AU26, AU54, AU64] (FACS Guide 2002)
    sadness: AU1+AU4+AU15 [some: AU25, AU26, AU54, AU64] (FACS Guide 2002)
    sadness: AU6+AU15 [some: AU25, AU26, AU54, AU64] (FACS Guide 2002)
    disgust: AU9+AU16+AU15|AU26 (FACS Guide 2002)
    sadness: AU1+AU4+AU15B [some: AU25, AU26, AU54, AU64] (FACS Guide 2002)
    sadness: AU1+AU4+AU15B+AU17 [some: AU25, AU26, AU54, AU64] (FACS Guide 2002)
    sadness: AU11+AU15B [some: AU25, AU26, AU54, AU64] (FACS Guide 2002)
    sadness: AU4+AU15 [some: AU1 60%, AU6 50%, AU11 26%, AU17 67%] (Du et al. 2014†)
    sadly angry: AU4+AU15 [some: AU7, AU17] (Du et al. 2014†)
    sadly disgusted: AU4+AU10 [some: AU1, AU6, AU15, AU17, AU25] (Du et al. 2014†)
    embarrassment: AU7+AU12+AU15+AU52+AU54+AU64 (Cordaro et al. 2018†)
  speaks against
    happiness (Bian et al. 2024)
    fear (Affdex SDK 3†)
  smiles
    dampened: AU12+AU14|AU15; a smile held back; by its units alone it cannot be told from a \
miserable one (Ekman & Friesen 1982†)
    miserable: AU12+AU14|AU15; a smile over displeasure; by its units alone it cannot be told from \
a dampened one (Ekman & Friesen 1982†)
  blendshapes
    mouthFrownLeft, mouthFrownRight (Py-Feat AU reference)
  measured by
    pyfeat, pyfeat-v1: probability 0-1
    openface (AU_r): intensity 0-5
    openface (AU_c): presence
    libreface (detection): presence
    libreface (intensity): intensity 0-5
    pyafar (occurrence): probability 0-1
    affdex 2 (iMotions): the SDK's score, 0-100
    facet: evidence, about log10 odds
    mediapipe: activation 0-1; 5, 6, 9, 25, 34 only where they fire
  sources
    Ekman, Friesen & Hager (2002), FACS Investigator's Guide, Table 10-1, from copies of the \
table; that disgust is AU9, AU10 or both: Pochedly, Widen & Russell (2012)
    Du, Tao & Martinez (2014), Compound facial expressions of emotion, PNAS 111:E1454, Table 1: \
units of over 70% of 230 posers, in brackets those of some †
    Cordaro et al. (2018), as tabulated by Keltner et al. (2019) †
    Affectiva's Affdex SDK 3 (McDuff et al. 2016), mapping expressions to emotions: units that \
lower an emotion's likelihood; Affdex 2 of iMotions publishes no such table †
    Ekman & Friesen (1982), Felt, false, and miserable smiles †
    Bian, Küster, Liu & Krumhuber (2024), doi:10.3390/s24010126
    Py-Feat 2.1 AU reference and region map, after FACS and the ARKit-to-FACS sheet
    † quoted from memory, not checked against the source
"""
    )


def test_the_command_explains_an_emotion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facs", "--emotion", "fear"]) == 0
    out = capsys.readouterr().out
    assert "prototype: AU1+AU2+AU4+AU5+AU20+AU25|AU26|AU27 (FACS Guide 2002)" in out
    assert "AU26 jaw drop (Affdex SDK 3†)" in out
    assert "need not feel it" in out
    assert main(["facs", "13"]) == 0
    assert "no tool measures AU13: it can only come from words" in capsys.readouterr().out
    assert main(["facs", "4"]) == 0
    assert "on intensities 0-5 only (Prkachin & Solomon 2008†)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["3"], "there is no action unit 3; known: 1, 2, 4,"),
        ([], "give one of: a unit (kuleshov facs 12), --emotion NAME, --table FILE."),
        (
            ["12", "--emotion", "fear"],
            "give one of: a unit (kuleshov facs 12), --emotion NAME, --table FILE.",
        ),
        (["--emotion", "angst"], "there is no pattern for 'angst'"),
    ],
)
def test_bad_calls(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facs", *arguments]) == 2
    assert says in capsys.readouterr().err
