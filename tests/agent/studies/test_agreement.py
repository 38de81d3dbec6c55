"""Agreement of toolboxes with each other, and of words with units: numbers checked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.studies import agreement
from kuleshov.studies.agreement import Sighting, in_words, measure_agreement
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.fex import FexRow, write_fex
from kuleshov.tools.types import ActionUnit

from parts import face, scores


def seen(frame: int, *units: ActionUnit, media: str = "clip", **changes: object) -> Sighting:
    return Sighting(media, frame, None, face(*units, **changes))


def p(unit: int, value: float | None) -> ActionUnit:
    return ActionUnit(unit=unit, probability=value)


def test_two_scales_correlate_and_presence_gets_kappa() -> None:
    a = [seen(k, p(12, v), p(4, v)) for k, v in enumerate((0.1, 0.2, 0.6, 0.9))]
    b = [
        seen(k, ActionUnit(unit=12, intensity=v), ActionUnit(unit=4, presence=shown))
        for k, (v, shown) in enumerate(((0, False), (1, True), (3, True), (4, True)))
    ]
    result = measure_agreement(a, b, ("one", "other"))
    four, twelve = result.units
    assert (twelve.statistic, twelve.value, twelve.n) == ("r", 0.9877, 4)
    assert twelve.scales == ("probability", "intensity")
    # shown from 0.3 on: no no yes yes against no yes yes yes; observed .75, by chance .5
    assert (four.statistic, four.value, four.scales) == ("kappa", 0.5, ("probability", "presence"))
    assert (result.pairs, result.unmatched_a, result.unmatched_b) == (4, 0, 0)


def test_rare_units_agree_by_ac1_and_kappa_is_told_beside_it() -> None:
    # 94 of 100 neither, 3 each alone: κ is about 0 and the sides agree on 94 of 100
    pairs = [(False, False)] * 94 + [(True, False)] * 3 + [(False, True)] * 3
    a = [seen(k, ActionUnit(unit=4, presence=one)) for k, (one, _) in enumerate(pairs)]
    b = [seen(k, ActionUnit(unit=4, presence=two)) for k, (_, two) in enumerate(pairs)]
    (unit,) = measure_agreement(a, b).units
    chance = 2 * 0.03 * 0.97
    assert unit.ac1 == pytest.approx((0.94 - chance) / (1 - chance), abs=1e-4)
    assert unit.value == pytest.approx(-0.0309, abs=1e-3)
    assert unit.icc is None
    always = [seen(k, ActionUnit(unit=4, presence=False)) for k in range(5)]
    (none,) = measure_agreement(always, always).units
    assert (none.value, none.ac1) == (None, 1.0)


def test_icc_is_of_one_scale_and_as_shrout_and_fleiss_published() -> None:
    # six targets, judges 1 and 2 of Shrout & Fleiss (1979), Table 2; by hand from the mean squares
    x, y = (9, 6, 8, 7, 10, 6), (2, 1, 4, 1, 5, 2)
    mean = [(p + q) / 2 for p, q in zip(x, y, strict=True)]
    grand = sum(mean) / 6
    between = 2 * sum((m - grand) ** 2 for m in mean) / 5
    gap = (sum(x) - sum(y)) / 6
    error = sum((p - q - gap) ** 2 for p, q in zip(x, y, strict=True)) / 2 / 5
    assert agreement.icc_consistency(x, y) == pytest.approx(
        (between - error) / (between + error), abs=1e-4
    )
    assert (
        agreement.icc_consistency((1, 2, 3), (11, 12, 13)) == 1.0
    )  # consistency: the offset does not count
    assert agreement.icc_consistency((1, 2, 3), (2, 4, 6)) == pytest.approx(0.8)  # r would be 1
    values = (0.1, 0.2, 0.6, 0.9)
    a = [seen(k, p(12, v), p(4, v)) for k, v in enumerate(values)]
    b = [seen(k, p(12, v / 2), ActionUnit(unit=4, intensity=v)) for k, v in enumerate(values)]
    four, twelve = measure_agreement(a, b).units
    assert (twelve.value, twelve.icc) == (1.0, pytest.approx(0.8))
    assert (four.value, four.icc) == (1.0, None)  # no ICC of two scales


def test_which_unit_a_word_names_does_not_rest_on_what_was_shown() -> None:
    """The words "the mouth is open" of a face with 26 or 25 alone: 25 is meant both times."""
    for shown in (25, 26):
        units = [p(unit, 0.9 if unit == shown else 0.1) for unit in (25, 26, 27)]
        (told,) = in_words(["The mouth is open."], face(*units)).action_units
        assert told.unit == 25


def test_unknown_is_left_out_and_faces_without_a_partner_are_counted() -> None:
    a = [seen(k, p(12, 0.1 * k), p(1, None), p(2, 0.1)) for k in range(5)]
    b = [seen(k, p(12, 0.12 * k), p(1, 0.5), p(2, 0.1 * k)) for k in range(1, 8) if k != 3]
    result = measure_agreement(a, b)
    assert (result.pairs, result.unmatched_a, result.unmatched_b) == (3, 2, 3)
    by_unit = {unit.unit: unit for unit in result.units}
    assert set(by_unit) == {2, 12}
    assert by_unit[12].value == 1.0
    assert (by_unit[2].value, by_unit[2].why) == (None, "one side never changes")
    fewer = measure_agreement(a[:2], b[:1])
    assert fewer.units[0].why == "fewer than 3 faces"


def test_boxes_tell_the_faces_of_a_picture_apart() -> None:
    left, right = (0, 0, 50, 60), (100, 0, 150, 60)
    a = [seen(0, p(12, 0.9), box=left), seen(0, p(12, 0.1), box=right)]
    b = [seen(0, p(12, 0.2), box=(104, 3, 152, 66)), seen(0, p(12, 0.8), box=(2, 2, 48, 70))]
    pairs, *alone = agreement._pair_faces(a, b)
    assert [(x.face.unit(12).probability, y.face.unit(12).probability) for x, y in pairs] in (  # type: ignore[union-attr]
        [(0.9, 0.8), (0.1, 0.2)],
        [(0.1, 0.2), (0.9, 0.8)],
    )
    assert alone == [0, 0]


def test_times_match_within_half_a_frame() -> None:
    def timed(*times: float) -> list[Sighting]:
        return [Sighting("", None, time, face(p(12, time / 10))) for time in times]

    result = measure_agreement(timed(0, 1, 2, 3), timed(0.01, 1.02, 2.5, 3.02))
    assert (result.pairs, result.unmatched_a, result.unmatched_b) == (3, 1, 1)


def test_expressions_are_confused() -> None:
    happy, sad = scores(happiness=0.9), scores(sadness=0.9)
    a = [seen(k, expression=e) for k, e in enumerate((happy, happy, sad))]
    b = [seen(k, expression=e) for k, e in enumerate((happy, sad, sad))]
    result = measure_agreement(a, b)
    assert result.confusion == {
        "happiness": {"happiness": 1, "sadness": 1},
        "sadness": {"sadness": 1},
    }
    assert result.same_expression == 0.6667


# ---------------------------------------------------------------------------------------- words

MEASURED = face(p(12, 0.9), p(4, 0.02), p(1, 0.1), p(25, 0.9), p(26, 0.1), p(15, None))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("She smiles.", {12: True}),
        ("There is no smile, but a frown.", {12: False, 4: True}),
        ("The mouth is open.", {25: True}),
        ("Not an open mouth.", {25: False, 26: False}),
        ("The lip corners are down.", {}),  # 15: the tool could not tell
        ("The nose is wrinkled.", {}),  # 9: not measured
        ("A smile. No smile.", {}),
        ("Raised eyebrows.", {1: True}),  # 1 or 2, of which 1 was measured
        ("She sits on a bench.", {}),
    ],
)
def test_words_become_units(text: str, told: dict[int, bool]) -> None:
    found = in_words([text], MEASURED)
    assert {unit.unit: unit.presence for unit in found.action_units} == told


def test_words_against_units() -> None:
    texts = ["A smile.", "A smile.", "No smile.", "A smile and a frown.", "A bench."]
    shown = [0.9, 0.1, 0.1, 0.9, 0.9]
    faces = [face(p(12, value), p(4, 0.02)) for value in shown]
    said = [Sighting(str(k), None, None, in_words([t], f)) for k, (t, f) in
            enumerate(zip(texts, faces, strict=True))]  # fmt: skip
    told = [Sighting(str(k), None, None, f) for k, f in enumerate(faces)]
    result = measure_agreement(said, told, ("words", "units measured"))
    four, twelve = result.units
    # named 3, shown 2 of the 4 told of, both 2; the bench says nothing and is left out
    assert (twelve.n, twelve.precision, twelve.recall, twelve.f1) == (4, 0.6667, 1.0, 0.8)
    assert twelve.value == 0.5
    assert (four.n, four.precision, four.recall, four.value) == (1, 0.0, None, None)
    assert (result.precision, result.recall, result.f1) == (0.5, 1.0, 0.6667)


# -------------------------------------------------------------------------------------- command


def files(tmp_path: Path) -> tuple[str, str]:
    rows = [FexRow("clip.mp4", face(p(12, 0.1 * k), box=(10, 10, 60, 70)), k) for k in range(6)]
    write_fex(rows, tmp_path / "a.csv")
    lines = ["Frame,Person_ID,Occ_au_12"] + [f"{k},0,{0.05 * k}" for k in range(5)]
    (tmp_path / "b.csv").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "a.csv"), f"pyafar:{tmp_path / 'b.csv'}"


def test_the_command_compares_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = files(tmp_path)
    assert main(["agree", a, b, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["a"], told["b"], told["pairs"]) == ("pyfeat", "pyafar", 5)
    assert (told["unmatched_a"], told["unmatched_b"]) == (1, 0)
    assert told["units"] == [
        {"unit": 12, "n": 5, "statistic": "r", "value": 1.0, "why": None,
         "scales": ["probability", "probability"],
         # twice as far from 0 on one side; .3 and .4 are open, the other three absent on both
         "icc": 0.8, "ac1": 1.0, "precision": None, "recall": None, "f1": None}
    ]  # fmt: skip
    assert main(["agree", a, b]) == 0
    out = capsys.readouterr().out
    assert "pyfeat × pyafar: 5 faces in common; without partner: 1 of pyfeat, 0 of pyafar" in out
    assert "AU12  lip corner puller  5  r          +1.00" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.csv", "b"], "there is no file missing.csv."),
        (["a.csv"], "give two result files, or one file of records"),
        (["text.csv", "text.csv"], "shows no toolbox's columns; say whose it is: FORMAT:text.csv"),
        (["bad.jsonl"], "bad.jsonl, line 2: not a record of"),
    ],
)
def test_what_cannot_be_compared(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.csv").write_text("a,b\n1,2\n")
    Path("bad.jsonl").write_text("\n{}\n")
    assert main(["agree", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(KuleshovError, match="a and b have no face in common: 1 and 1 faces"):
        measure_agreement([seen(0, p(12, 0.1), media="x")], [seen(0, p(12, 0.1), media="y")])
