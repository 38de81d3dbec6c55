"""FACS knowledge: names of units, expression patterns with sources, blendshapes, smiles, pain.

Names follow Ekman, Friesen & Hager (2002), Facial Action Coding System: The Manual. Patterns are
descriptions of prototypes and of posed faces; a face that fits one need not mean the feeling
(Barrett et al. 2019). Each source says whether its text was at hand when it was entered here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.tools.moved import old_names
from kuleshov.tools.types import ActionUnit, Face, Record

UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    11: "nasolabial deepener",
    12: "lip corner puller",
    13: "sharp lip puller",
    14: "dimpler",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    18: "lip pucker",
    20: "lip stretcher",
    22: "lip funneler",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    27: "mouth stretch",
    28: "lip suck",
    43: "eye closure",
    45: "blink",
}

# Rarer movements of the face, then head and eyes. Apart from UNITS, whose names are also looked
# for in what a model writes: "wink" or "eyes up" in a sentence need not mean a coded unit.
FURTHER: dict[int, str] = {
    8: "lips toward each other", 19: "tongue show", 21: "neck tightener", 29: "jaw thrust",
    30: "jaw sideways", 31: "jaw clencher", 32: "lip bite", 33: "cheek blow", 34: "cheek puff",
    35: "cheek suck", 36: "tongue bulge", 37: "lip wipe", 38: "nostril dilator",
    39: "nostril compressor", 41: "lid droop", 42: "slit", 44: "squint", 46: "wink",
    51: "head turn left", 52: "head turn right", 53: "head up", 54: "head down",
    55: "head tilt left", 56: "head tilt right", 57: "head forward", 58: "head back",
    61: "eyes turn left", 62: "eyes turn right", 63: "eyes up", 64: "eyes down", 65: "walleye",
    66: "cross-eye",
}  # fmt: skip


def unit_name(unit: int) -> str:
    """`12` → "lip corner puller"; a unit without a name here → "action unit"."""
    return UNITS.get(unit) or FURTHER.get(unit) or "action unit"


class FacsSource(Record):
    """Where a statement comes from. checked: False means quoted from memory, to be verified."""

    short: str
    text: str
    checked: bool = True

    def __str__(self) -> str:
        return self.short if self.checked else f"{self.short}{UNCHECKED}"


UNCHECKED = "†"
UNCHECKED_MEANS = f"{UNCHECKED} quoted from memory, not checked against the source"
SOURCES: dict[str, FacsSource] = {
    "emfacs": FacsSource(short="EMFACS", text="EMFACS-style tables, as commonly quoted"),
    "facs2002": FacsSource(
        short="FACS Guide 2002",
        text="Ekman, Friesen & Hager (2002), FACS Investigator's Guide, Table 10-1, from copies of "
        "the table; that disgust is AU9, AU10 or both: Pochedly, Widen & Russell (2012)",
    ),
    "du2014": FacsSource(
        short="Du et al. 2014",
        text="Du, Tao & Martinez (2014), Compound facial expressions of emotion, PNAS 111:E1454, "
        "Table 1: units of over 70% of 230 posers, in brackets those of some",
        checked=False,
    ),
    "cordaro2018": FacsSource(
        short="Cordaro et al. 2018",
        text="Cordaro et al. (2018), as tabulated by Keltner et al. (2019)",
        checked=False,
    ),
    "affdex": FacsSource(
        short="Affdex SDK 3",
        text="Affectiva's Affdex SDK 3 (McDuff et al. 2016), mapping expressions to emotions: "
        "units that lower an emotion's likelihood; Affdex 2 of iMotions publishes no such table",
        checked=False,
    ),
    "ambadar2009": FacsSource(short="Ambadar et al. 2009", text="Ambadar, Cohn & Reed (2009)"),
    "ekman1982": FacsSource(
        short="Ekman & Friesen 1982",
        text="Ekman & Friesen (1982), Felt, false, and miserable smiles",
        checked=False,
    ),
    "review": FacsSource(
        short="Bian et al. 2024", text="Bian, Küster, Liu & Krumhuber (2024), doi:10.3390/s24010126"
    ),
    "pspi": FacsSource(
        short="Prkachin & Solomon 2008", text="Prkachin & Solomon (2008)", checked=False
    ),
    "arkit": FacsSource(
        short="Py-Feat AU reference",
        text="Py-Feat 2.1 AU reference and region map, after FACS and the ARKit-to-FACS sheet",
    ),
}


class Pattern(Record):
    """Units that together stand for an expression.

    groups: of each group at least one unit is shown. often: units shown by some, with the share
    of posers, 0-1. code: as published, e.g. 1+2+26|27 (one of 26, 27), 5B (intensity B), R12A.
    """

    expression: str
    kind: Literal["prototype", "variant", "posed", "compound", "display"]
    code: str
    often: dict[int, float] = {}
    source: str

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(dict.fromkeys(int(re.sub(r"\D", "", unit)) for unit in group.split("|")))
            for group in self.code.split("+")
        )

    @property
    def units(self) -> tuple[int, ...]:
        """All units that it names, in order of number."""
        return tuple(sorted({u for group in self.groups for u in group} | set(self.often)))

    def text(self) -> str:
        """`AU1+AU4+AU15`, and in brackets what some show."""
        code = re.sub(r"([LR]?\d+[A-E]?)", r"AU\1", self.code)
        if not self.often:
            return code
        shares = (
            f"AU{unit} {round(100 * share)}%" if share else f"AU{unit}"
            for unit, share in self.often.items()
        )
        return f"{code} [some: {', '.join(shares)}]"


# FACS Investigator's Guide (2002), Table 10-1: prototypes, variants, and what may come with each
_TABLE: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]] = {
    "happiness": (("6+12", "12C|12D"), (), ()),
    "sadness": (
        ("1+4+11+15B", "1+4+15", "6+15"),
        ("1+4+11", "1+4+15B", "1+4+15B+17", "11+15B", "11+17"),
        (25, 26, 54, 64),
    ),
    "surprise": (
        ("1+2+5B+26", "1+2+5B+27"),
        ("1+2+5B", "1+2+26", "1+2+27", "5B+26", "5B+27"),
        (),
    ),
    "fear": (
        ("1+2+4+5+20+25|26|27", "1+2+4+5+25|26|27"),
        ("1+2+4+5+L20|R20+25|26|27", "1+2+4+5", "1+2+5", "5+20"),
        (),
    ),
    "anger": (
        (
            "4+5+7+10+22+23+25|26",
            "4+5+7+10+23+25|26",
            "4+5+7+23+25|26",
            "4+5+7+17+23",
            "4+5+7+17+24",
            "4+5+7+23",
            "4+5+7+24",
        ),
        (),
        (),
    ),
    "disgust": (("9", "9+16+15|26", "9+17", "10", "10+16+25|26", "10+17"), (), ()),
}
# The table's variants of anger are its prototypes without any one of these
_ANGER_WITHOUT = ("4", "5", "7", "10")


def _anger_variants() -> tuple[str, ...]:
    prototypes = _TABLE["anger"][0]
    found = dict.fromkeys(
        "+".join(part for part in code.split("+") if part != left_out)
        for code in prototypes
        for left_out in _ANGER_WITHOUT
        if left_out in code.split("+")
    )
    return tuple(code for code in found if code not in prototypes)


def _table_patterns() -> tuple[Pattern, ...]:
    found = []
    for expression, (prototypes, variants, beside) in _TABLE.items():
        if expression == "anger":
            variants = _anger_variants()
        for code in (*prototypes, *variants):
            kind: Literal["prototype", "variant"] = "prototype" if code in prototypes else "variant"
            named = {int(unit) for unit in re.findall(r"\d+", code)}
            found.append(
                Pattern(
                    expression=expression,
                    kind=kind,
                    code=code,
                    often=dict.fromkeys((unit for unit in beside if unit not in named), 0.0),
                    source="facs2002",
                )
            )
    return tuple(found)


# Du et al. 2014: units shown by over 70 % of 230 posers; others with their share (0: not told)
_DU: dict[str, tuple[str, dict[int, float]]] = {
    "happiness": ("12+25", {6: 0.51}),
    "sadness": ("4+15", {1: 0.60, 6: 0.50, 11: 0.26, 17: 0.67}),
    "fear": ("1+4+20+25", {2: 0.57, 5: 0.63, 26: 0.33}),
    "anger": ("4+7+24", {10: 0.26, 17: 0.52, 23: 0.29}),
    "surprise": ("1+2+25+26", {5: 0.66}),
    "disgust": ("9+10+17", {4: 0.31, 24: 0.26}),
    "happily surprised": ("1+2+12+25", {5: 0.64, 26: 0.67}),
    "happily disgusted": ("10+12+25", {4: 0.32, 6: 0.61, 9: 0.59}),
    "sadly fearful": ("1+4+20+25", {}),
    "sadly angry": ("4+15", {7: 0, 17: 0}),
    "sadly surprised": ("1+4+25+26", {}),
    "sadly disgusted": ("4+10", {1: 0, 6: 0, 15: 0, 17: 0, 25: 0}),
    "fearfully angry": ("4+20+25", {}),
    "fearfully surprised": ("1+2+5+20+25", {}),
    "fearfully disgusted": ("1+4+10+20+25", {}),
    "angrily surprised": ("4+25+26", {}),
    "angrily disgusted": ("4+10+17", {7: 0.60, 9: 0.57}),
    "disgustedly surprised": ("1+2+5+10", {17: 0.66}),
    "appalled": ("4+10", {9: 0, 17: 0}),
    "hatred": ("4+10", {7: 0, 17: 0}),
    "awed": ("1+2+5+25", {20: 0, 26: 0, 4: 0}),
}
_CORDARO: dict[str, str] = {
    "amusement": "6+7+12+25+26+53", "awe": "1+5+26+27+57", "boredom": "43+55",
    "confusion": "4+7+56", "contempt": "4+14", "contentment": "12+43",
    "embarrassment": "7+12+15+52+54+64", "interest": "1+2+12", "pain": "4+6+7+9+17+18+23+24",
    "pride": "53+64", "shame": "54+64",
}  # fmt: skip

PATTERNS: tuple[Pattern, ...] = (
    *_table_patterns(),
    # one side, either: only tools with left and right values can show it
    Pattern(expression="contempt", kind="prototype", code="R12A+R14A", source="emfacs"),
    *(
        Pattern(
            expression=expression,
            kind="posed" if expression in _TABLE else "compound",
            code=code,
            often=often,
            source="du2014",
        )
        for expression, (code, often) in _DU.items()
    ),
    *(
        Pattern(expression=expression, kind="display", code=code, source="cordaro2018")
        for expression, code in _CORDARO.items()
    ),
)

# Units whose showing speaks against an expression (Affdex SDK 3; named expressions as units)
AGAINST: dict[str, tuple[int, ...]] = {
    "happiness": (2, 4, 15),  # 15: the case that the review names
    "anger": (1, 2, 12),
    "disgust": (28, 12),
    "surprise": (4,),
    "fear": (2, 15, 26, 12),
    "sadness": (2, 5, 24, 25, 28, 12),
    "contempt": (12,),
}

BLENDSHAPES: dict[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    6: ("cheekSquintLeft", "cheekSquintRight"),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    9: ("noseSneerLeft", "noseSneerRight"),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    14: ("mouthDimpleLeft", "mouthDimpleRight"),
    15: ("mouthFrownLeft", "mouthFrownRight"),
    16: ("mouthLowerDownLeft", "mouthLowerDownRight"),
    17: ("mouthShrugLower",),
    18: ("mouthPucker",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    22: ("mouthFunnel",),
    24: ("mouthPressLeft", "mouthPressRight"),  # or 23: disputed
    25: (  # the lips themselves: they part with the jaw closed, and a jaw may drop behind them
        "mouthUpperUpLeft",
        "mouthUpperUpRight",
        "mouthLowerDownLeft",
        "mouthLowerDownRight",
    ),
    26: ("jawOpen",),
    27: ("jawOpen",),  # at the maximum
    28: ("mouthRollLower", "mouthRollUpper"),
    29: ("jawForward",),
    30: ("jawLeft", "jawRight"),
    34: ("cheekPuff",),
    45: ("eyeBlinkLeft", "eyeBlinkRight"),  # 43 when held, 46 on one side
    61: ("eyeLookOutLeft", "eyeLookInRight"),  # to the person's own left
    62: ("eyeLookInLeft", "eyeLookOutRight"),
    63: ("eyeLookUpLeft", "eyeLookUpRight"),
    64: ("eyeLookDownLeft", "eyeLookDownRight"),
}
"""Unit → the MediaPipe (ARKit) blendshapes that stand for it. None stands for 11, 13, 23 alone, 38
or 39. Source: `SOURCES["arkit"]`."""

ONE_PIECE = (25, 26, 27, 28, 29, 30, 61, 62, 63, 64)
"""Units that have no side of their own: lips, jaw and gaze move as one."""

MEASURED_BY: dict[str, tuple[tuple[int, ...], str]] = {
    "pyfeat, pyfeat-v1": (
        (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43), "probability 0-1"
    ),
    "openface (AU_r)": (
        (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45), "intensity 0-5"
    ),
    "openface (AU_c)": (
        (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45), "presence"
    ),
    "openface3": ((1, 2, 4, 6, 9, 12, 25, 26), "cosine score 0-1, order undocumented"),
    "libreface (detection)": ((1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24), "presence"),
    "libreface (intensity)": ((1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26), "intensity 0-5"),
    "pyafar (occurrence)": ((1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24), "probability 0-1"),
    "pyafar (intensity)": ((6, 10, 12, 14, 17), "intensity 0-5"),
    "affdex 2 (iMotions)": (
        (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 24, 25, 26, 28, 43, 45),
        "the SDK's score, 0-100",
    ),
    "facet": (
        (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 28, 43),
        "evidence, about log10 odds",
    ),
    "mediapipe": (
        (1, 2, 4, 7, 10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 26, 28, 45, 61, 62, 63, 64),
        "activation 0-1; 5, 6, 9, 25, 34 only where they fire",
    ),
}  # fmt: skip
"""Toolbox → units it can measure and their scale."""


def measured_by(unit: int) -> list[tuple[str, str]]:
    """Toolboxes that measure the unit, each with its scale."""
    return [(tool, scale) for tool, (units, scale) in MEASURED_BY.items() if unit in units]


def list_expressions() -> list[str]:
    return list(dict.fromkeys(pattern.expression for pattern in PATTERNS))


def expression_patterns(expression: str) -> list[Pattern]:
    """All patterns of an expression, prototype first. Raises KuleshovError if it is unknown."""
    found = [pattern for pattern in PATTERNS if pattern.expression == expression.lower().strip()]
    if not found:
        raise KuleshovError(
            f"there is no pattern for "
            f"{expression!r}{suggest_word(expression, list_expressions())}; "
            f"known: {', '.join(list_expressions())}."
        )
    return found


# -------------------------------------------------------------------------------- smiles, pain


class Smile(Record):
    """A type of smile: all of `units`, and of `any_of` at least one."""

    name: str
    units: tuple[int, ...]
    any_of: tuple[int, ...] = ()
    meaning: str
    source: str


SMILES: tuple[Smile, ...] = (
    Smile(
        name="Duchenne",
        units=(6, 12),
        meaning="cheeks raised with the smile; AU6 alone does not make it genuine",
        source="ambadar2009",
    ),
    Smile(
        name="dampened",
        units=(12,),
        any_of=(14, 15),
        meaning="a smile held back; by its units alone it cannot be told from a miserable one",
        source="ekman1982",
    ),
    Smile(
        name="miserable",
        units=(12,),
        any_of=(14, 15),
        meaning="a smile over displeasure; by its units alone it cannot be told from a dampened "
        "one",
        source="ekman1982",
    ),
    Smile(
        name="selfie",
        units=(13,),
        meaning="sharp lip corners, posed; no tool measures AU13: it can only come from words",
        source="review",
    ),
)
SMILE_UNITS = (6, 12, 14, 15)


def _is_shown(face: Face, unit: int) -> bool | None:
    found = face.unit(unit)
    return None if found is None or found.weak else found.is_shown


def find_smiles(face: Face) -> dict[str, bool | None]:
    """Smile type → shown, not shown, or None where a unit it needs was not measured."""
    found: dict[str, bool | None] = {}
    for smile in SMILES:
        states = [_is_shown(face, unit) for unit in smile.units]
        if smile.any_of:
            some = [_is_shown(face, unit) for unit in smile.any_of]
            states.append(True if True in some else None if None in some else False)
        found[smile.name] = False if False in states else None if None in states else True
    return found


def smile_text(face: Face) -> str | None:
    """`smile: AU12 with AU6 (Duchenne)`; None where AU12 is not shown, or nothing more is known."""
    lip = face.unit(12)
    if lip is None or lip.weak or not lip.is_shown:
        return None
    cheeks = _is_shown(face, 6)
    where = "" if lip.side == "both" else f" on the {lip.side} side alone"
    told = {
        True: f"AU12{where} with AU6 (Duchenne; AU6 alone does not make it genuine)",
        False: f"AU12{where} without AU6 (not Duchenne)",
        None: f"AU12{where}; AU6 was not told, so Duchenne or not is unknown",
    }[cheeks]
    beside = [unit for unit in (14, 15) if _is_shown(face, unit)]
    if cheeks is None and not beside and lip.side == "both":
        return None
    if beside:
        units = " and ".join(f"AU{unit}" for unit in beside)
        told += f"; with {units} it may be dampened or miserable"
    return f"smile: {told}"


PSPI = "AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43"
PSPI_UNITS = (4, 6, 7, 9, 10)


class Pain(Record):
    """The Prkachin-Solomon pain intensity of a face, or the part of it that could be computed.

    value: 0-16; where `missing` names units it is the sum of the others, so the whole is no less.
    """

    value: float = Field(ge=0, le=16)
    missing: tuple[int, ...] = ()
    closure: Literal[43, 45] | None = Field(
        None, description="what stood for AU43: itself, or a blink; None: neither was told"
    )

    def text(self) -> str:
        """`PSPI 3.5 of 16 (AU45 in place of AU43)`."""
        told = [f"{'at least ' if self.missing else ''}{self.value:.1f} of 16"]
        if self.closure == 45:
            told.append("AU45 in place of AU43")
        if self.missing:
            told.append("without " + ", ".join(f"AU{unit}" for unit in self.missing))
        return told[0] + (f" ({'; '.join(told[1:])})" if told[1:] else "")


def measure_pain(face: Face) -> Pain | None:
    """Prkachin-Solomon pain intensity from what was measured; None: no unit of it as intensity.

    AU4, 6, 7, 9 and 10 on 0-5, 0 where the tool codes the unit absent; AU43 0 or 1, and where no
    tool told it AU45 instead, which the formula does not name.
    """
    values = {unit: _unit_degree(face.unit(unit)) for unit in PSPI_UNITS}
    if all(value is None for value in values.values()):
        return None
    closed: bool | None = None
    closure: Literal[43, 45] | None = None
    for unit in (43, 45):
        closed = _is_shown(face, unit)
        if closed is not None:
            closure = 43 if unit == 43 else 45
            break
    missing = [unit for unit, value in values.items() if value is None]
    au4, au6, au7, au9, au10 = (value or 0.0 for value in values.values())
    return Pain(
        value=round(au4 + max(au6, au7) + max(au9, au10) + float(closed or False), 4),
        missing=(*missing, *(() if closure else (43,))),
        closure=closure,
    )


def _unit_degree(unit: ActionUnit | None) -> float | None:
    if unit is None or unit.weak or unit.intensity is None:
        return None
    return 0.0 if unit.is_shown is False else unit.intensity


def pspi_score(face: Face) -> float | None:
    """The whole of `measure_pain`, 0-16; None where a unit it needs was not measured.

    Raises:
        KuleshovError: the units are not intensities: it is not defined on other scales.
    """
    for number in PSPI_UNITS:
        unit = face.unit(number)
        if unit is not None and unit.intensity is None and unit.scale is not None:
            raise KuleshovError(
                f"PSPI is defined on intensities 0-5, but {face.tool} gives AU{number} as "
                f"{unit.scale}; use a tool with intensities, e.g. OpenFace."
            )
    found = measure_pain(face)
    return None if found is None or found.missing else found.value


if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
