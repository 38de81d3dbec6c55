"""What sentences say of a face, and what they deny: ordinary variants, all of them read right.

Each sentence stands with the claims it makes: a unit number, with a minus before it where the
sentence says that the movement is not there. Several units that one phrase may stand for are
joined by a slash. The words were widened by this table: that it is read right says only that
nothing was lost. Of its last 134 sentences, read before the words were widened by them, precision
of the claims was .94 and recall .80.
"""

from __future__ import annotations

import pytest

from kuleshov.evidence import grounding

TABLE = """
she smiles | 12
she is smiling broadly | 12
a polite smile | 12
not only smiling but laughing | 12
she is not just smiling, she is grinning | 12
not merely a smile | 12
no doubt that she smiles | 12
without a doubt she is smiling | 12
there is no denying the smile | 12
no question about her smile | 12
she can't stop smiling | 12
she cannot stop smiling | 12
he could not help smiling | 12
unable to hide a grin | 12
she can't help but smile | 12
he never stops smiling | 12
no wonder she smiles | 12
smiles right at the camera | 12
the smile is not absent | 12
the smile cannot be overlooked | 12
the smile is missing teeth | 12
the smile is not genuine | 12
nothing but a smile | 12
if not a smile, then a grin | 12
no smile | -12
no smile at all | -12
she does not smile | -12
she doesn't smile | -12
she isn’t smiling | -12
he didn't smile | -12
they are not smiling | -12
unsmiling | -12
an unsmiling face | -12
no longer smiling | -12
hardly smiling | -12
scarcely a smile | -12
without a smile | -12
without any trace of a smile | -12
a lack of smiling | -12
she never smiles | -12
the absence of a smile | -12
the face is free of any smile | -12
far from smiling | -12
she fails to smile | -12
the smile has vanished | -12
the smile is gone | -12
the smile has faded | -12
the smile is absent | -12
the smile is missing | -12
the smile is missing from the face | -12
a smile is not visible | -12
a smile cannot be seen | -12
a smile isn't visible | -12
a smile is nowhere to be seen | -12
she stopped smiling | -12
a neutral face rather than a smile | -12
instead of smiling, she frowns | -12 4
no smile, but a frown | -12 4
no smile but raised brows | -12 1/2
not smiling; brows raised | -12 1/2
she is not smiling and she frowns | -12 4
no frown and a smile | -4 12
smiling, without a frown | 12 -4
a smile without raised cheeks | 12 -6
a smile, no frown | 12 -4
a frown but no smile | 4 -12
neither a smile nor a frown | -12 -4
neither smiling nor frowning | -12 -4
no smile or frown | -12 -4
no smile, frown or raised cheeks | -12 -4 -6
no smile, no frown | -12 -4
no smile, lowered brows | -12 4
she does not smile or frown | -12 -4
she is not smiling, although her cheeks are raised | -12 6
not frowning, she smiles | -4 12
no frown. A smile | -4 12
not shown: AU1, AU2, AU4, AU5, AU10, AU12, AU26 | -1 -2 -4 -5 -10 -12 -26
not shown: AU04 | -4
no AU1, AU2 or AU4 | -1 -2 -4
no AU1, AU2, or AU4 is visible | -1 -2 -4
no AU1, AU2, AU4 | -1 -2 -4
no AU1 and AU2 | -1 -2
AU1, AU2 and AU4 are not shown | -1 -2 -4
AU1, AU2, and AU4 are absent | -1 -2 -4
AU1 and AU4 are missing | -1 -4
AU4 is absent, AU12 is strong | -4 12
AU12 is strong, AU4 is absent | 12 -4
no AU4, AU12 is strong | -4 12
AU12 is clear and AU4 is not shown | 12 -4
absent: AU1, AU2 | -1 -2
without AU6 or AU7 | -6 -7
AU12 without AU6 | 12 -6
AU12 but not AU6 | 12 -6
AU6 is not present | -6
AU6 isn't shown | -6
AU6 (cheek raiser) is not shown | -6
AU6 was not measured |
not measured: AU6, AU7 |
AU12 is shown; not measured: AU6 | 12
the lip corner puller is strong | 12
no lip corner puller or cheek raiser | -12 -6
brows are not raised | -1/2
her brows aren't raised | -1/2
the eyebrows are raised | 1/2
raised eyebrows | 1/2
eyebrows lifted | 1/2
lifted brows | 1/2
arched eyebrows | 1/2
inner brows raised | 1
brows are drawn together | 4
furrowed brow | 4
knitted brows | 4
brows are not furrowed | -4
lowered brows | 4
a frowning expression | 4
a scowl | 4
a frowning mouth | 15
the mouth is turned down | 15
mouth corners down | 15
her frown (mouth corners down) | 15
the corners of the mouth are pulled down | 15
the corners of the mouth are turned up | 12
lip corners are not pulled down | -15
a downturned mouth | 15
wide-open eyes | 5
eyes wide open | 5
her eyes are wide | 5
widened eyes | 5
her eyes are not wide | -5
narrowed eyes | 7
eyes narrowed | 7
squinting | 7
not squinting | -7
cheeks lifted | 6
crow's feet | 6
a wrinkled nose | 9
the nose is not wrinkled | -9
raised upper lip | 10
the upper lip is curled | 10
a pout | 17/18/22
pouting lips | 17/18/22
slightly puckered mouth | 18
pursed lips | 18
tight lips | 23/24
pressed lips | 24
lips pressed together | 24
the lips are not pressed | -24
clenched jaw | 31
bared teeth | 10/16/25
mouth agape | 25/26/27
the mouth hangs open | 25/26/27
the mouth is not open | -25/26/27
the jaw dropped | 25/26/27
parted lips | 25/26/27
eyes closed | 43
her eyes are shut | 43
her eyes are not closed | -43
tears in the eyes |
hands covering the mouth |
she looks away |
people dance at a wedding |
no dog in the room |
her smile is wide and easy | 12
he gives the camera a shy smile | 12
a smile plays about his lips | 12
the woman does not appear to be smiling | -12
nobody could call that a smile | -12
without so much as a smile | -12
he laughs out loud | 12
she has stopped smiling | -12
his grin is gone | -12
a grin spreads across her face | 12
the corners of her mouth are turned up | 12
lip corners pulled upwards | 12
the mouth corners droop | 15
the corners of his mouth turn down | 15
his lips are turned down at the corners | 15
her brows are knitted | 4
knitted brows and a hard stare | 4
his brow is deeply furrowed | 4
a furrow between the brows | 4
the eyebrows are pulled together | 4
no sign of a frown | -4
she is frowning at the screen | 4
his eyebrows shoot up | 1/2
the eyebrows are not raised | -1/2
with one eyebrow raised | 1/2
inner brows raised in worry | 1
the inner corners of the eyebrows are raised | 1
her eyes are wide open | 5
eyes wide with alarm | 5
his eyes have widened | 5
the upper eyelids are raised | 5
the eyes are half closed |
she squints into the sun | 7
his eyes are narrowed to slits | 7
the lower eyelids are tightened | 7
lids tightened | 7
her cheeks are raised | 6
raised cheeks narrow the eyes | 6
there are crow's feet at the eyes | 6
she wrinkles her nose | 9
nose wrinkled in disgust | 9
a wrinkled nose and a raised upper lip | 9 10
the upper lip is raised | 10
he curls his lip | 10
the upper lip is not raised | -10
a sneer on his face | 9/10
she pouts at her mother | 17/18/22
lips pursed as if to whistle | 18
puckered lips | 18
her mouth is slightly open | 25/26/27
her lips are parted | 25/26/27
jaw dropped | 25/26/27
the jaw has dropped in surprise | 25/26/27
her lips are pressed into a line | 24
he presses his lips together | 24
tightened lips | 23/24
the lips are thin and tight | 23/24
teeth clenched | 31
he clenches his jaw | 31
she bares her teeth | 10/16/25
she bites her lower lip | 32
his cheeks are puffed out | 34
eyes shut tight | 43
both eyes are closed | 43
the gaze is lowered | 64
he looks down at his hands | 64
she is looking up at the sky | 63
a dimple appears on the left | 14
AU12 is present and AU6 is not | 12 -6
AU4 absent, AU12 strong | -4 12
AU 1 + AU 2 are raised | 1 2
he neither smiles nor frowns | -12 -4
the street is wide and open |
a smiley on her shirt |
the smiling face shows no raised brows | 12 -1/2
tears run down her cheeks |
her face is calm |
a radiant smile lights up his face | 12
the smile does not reach the eyes | 12
he forces a smile | 12
she is not beaming | -12
there is not the faintest smile | -12
his face shows a scowl | 4
the brow is lowered | 4
her brow is smooth and unfurrowed | -4
both brows are lifted high | 1/2
the inner brows are drawn up | 1
eyes widened in shock | 5
her eyes are not widened | -5
he narrows his eyes | 7
tense lower lids | 7
lifted cheeks | 6
crinkles at the corners of the eyes | 6
the nose is scrunched up | 9
nose wrinkling | 9
her lip is curled in contempt | 10
mouth corners pulled down | 15
the lips are drawn down | 15
no downturned lips | -15
a quivering chin | 17
the lips form a pout | 17/18/22
his lips are not pursed | -18
lips tightly pressed | 24
her lips are tightly closed | 23/24
an open-mouthed stare | 25/26/27
lips slightly apart | 25/26/27
the jaw hangs open | 25/26/27
her mouth is not open | -25/26/27
a set, clenched jaw | 31
with bared teeth | 10/16/25
biting his lip | 32
puffed cheeks | 34
he has his eyes closed | 43
her gaze is turned down | 64
eyes downcast | 64
the eyes look upward | 63
AU15 is missing | -15
no AU4, but AU12 | -4 12
a man holds a frown-shaped cookie |
a wide river and open fields |
he raises his glass |
she presses a button |
the eyes of the crowd are on the stage |
tight jeans and a narrow street |
"""
MISREAD = """
his mouth is closed | -25/26/27
less a smile than a grimace | -12
the brows are neither raised nor lowered | -1/2 -4
"""
"""Known to be read wrong: a claim is missed, or a comparison is taken for the thing."""
ROWS = [line.split("|") for line in TABLE.strip().splitlines()]
WRONG = [line.split("|") for line in MISREAD.strip().splitlines()]


def made(text: str) -> list[str]:
    return [
        ("" if claim.shown else "-") + "/".join(map(str, claim.units))
        for claim in grounding.find_claims(text)
    ]


@pytest.mark.parametrize(("text", "right"), ROWS, ids=[row[0].strip() for row in ROWS])
def test_a_sentence_makes_the_claims_that_a_reader_takes_from_it(text: str, right: str) -> None:
    assert made(text.strip()) == right.split()


def test_precision_and_recall_over_the_table() -> None:
    assert len(ROWS) >= 200
    pairs = [(set(made(text.strip())), set(right.split())) for text, right in ROWS + WRONG]
    hits = sum(len(ours & theirs) for ours, theirs in pairs)
    assert hits / sum(len(ours) for ours, _ in pairs) > 0.99
    assert hits / sum(len(theirs) for _, theirs in pairs) > 0.98


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("smiles right at the camera", "both"),
        ("a smile right after the news", "both"),
        ("a smile left behind", "both"),
        ("a smile, all right", "both"),
        ("the left lip corner up", "left"),
        ("a smile on her right", "right"),
        ("AU12 left is strong", "left"),
        ("a right-sided smile", "right"),
        ("a smile on the left side of the picture", "both"),
    ],
)
def test_sides_are_parts_of_a_face(text: str, side: str) -> None:
    assert [claim.side for claim in grounding.find_claims(text)] == [side]
