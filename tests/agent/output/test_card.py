"""The card, compared as the text that a person sees: width 80, no colour."""

from __future__ import annotations

import io

import pytest
import readings
from rich.cells import cell_len
from rich.console import Console

from kuleshov.apps.cli.status_tables import print_doctor, print_models
from kuleshov.output.card import print_card
from kuleshov.output.report import report_html
from kuleshov.tools.faces.base import ToolStatus
from kuleshov.tools.media import Media
from kuleshov.tools.mllm.hub import ModelStatus
from kuleshov.tools.types import ActionUnit, EmotionScores
from kuleshov.types import Explanation, Gap, Inference, Person, Scene

from parts import face


def shown(inference: Inference, width: int = 80, **console) -> str:
    file = io.StringIO()
    print_card(inference, Console(file=file, width=width, **console))
    return file.getvalue()


GROUP = """\
multi_face.jpg
==============
1000 × 667 px · JPEG · 5 people, 1 of them without a face

Scene
  Five young people sit close together on rocks by the sea and look into the
  camera.
  setting     rocks by the sea at dusk
  activity    posing for a photo
  people      five friends
  objects     sunglasses, necklace
  mood        relaxed, warm
  wording     mean token probability 66%

Person 1: happiness 81%
  face 90 × 113 px at (216, 61), detector score 0.99
  note: the eyes are covered by sunglasses

  happiness  81%  ################################
  neutral    10%  ####
  surprise    3%  #
  sadness     3%  #
  anger       1%  #
  fear        1%  #
  below 1%: disgust

  based on          face and context combined (context weight 0.5)
  face alone        happiness 64%, neutral 22%, surprise 5%
  context alone     happiness 61%, neutral 13%, sadness 11%
  face and context  happiness 84%, sadness 5%, neutral 5%
  affect            valence +0.62, arousal +0.18 (each −1 to +1)

  Action units  probability that it is shown, 0–1
    AU9   nose wrinkler      possible       0.35 (measured poorly)
    AU12  lip corner puller  very probable  0.93
    AU25  lips part          probable       0.61
    not shown       AU1, AU2, AU4, AU10, AU11, AU14, AU15, AU17, AU20, AU23,
                    AU24, AU28, AU43
    could not tell  AU26
    not measured    AU5, AU6, AU7, AU13, AU16, AU18, AU22, AU27, AU45

  Explanation
    He smiles broadly with parted lips among friends, which fits happiness. His
    eyes cannot be seen, so nothing speaks for or against raised cheeks.

    confirmed     [2] a broad smile
    unconfirmed   [4] raised cheeks behind the glasses
    unconfirmed   [11] friends close together
    left out      [3] shown on the face, not cited

Person 2: happiness 71%
  face 96 × 126 px at (315, 235), detector score 0.99

  happiness  71%  ############################
  sadness    24%  ##########
  neutral     4%  ##
  surprise    1%  #
  below 1%: fear, anger, disgust

  based on          face and context combined (context weight 0.5)
  face alone        happiness 96%
  context alone     sadness 58%, happiness 22%, neutral 9%
  face and context  unanswered: the model's answer could not be read
  affect            valence +0.81, arousal +0.40 (each −1 to +1)

  Action units  probability that it is shown, 0–1
    AU6   cheek raiser       probable       0.74
    AU12  lip corner puller  very probable  0.97
    not shown       AU1, AU2, AU4, AU5, AU7, AU9, AU10, AU11, AU14, AU15, AU17,
                    AU20, AU23, AU24, AU25, AU26, AU28, AU43
    not measured    AU13, AU16, AU18, AU22, AU27, AU45

  Explanation  second attempt
    Her cheeks are raised and she smiles, but her knitted brows and the farewell
    suggest that sadness is mixed in.

    confirmed     [6] raised cheeks
    confirmed     [7] she smiles
    contradicted  [8] knitted brows
    unconfirmed   [13] a farewell

Person 3: unanswered
  face 80 × 102 px at (437, 212), detector score 0.99
  unanswered: no source gave a distribution over these labels
  face alone        unanswered: the face tool does not score contempt

  Action units  probability that it is shown, 0–1
    none shown
    not shown       AU1, AU2, AU4, AU5, AU6, AU7, AU9, AU10, AU11, AU12, AU15,
                    AU17, AU20, AU23, AU24, AU25, AU26, AU28, AU43
    could not tell  AU14
    not measured    AU13, AU16, AU18, AU22, AU27, AU45

Person 4: happiness >99%
  face 98 × 126 px at (533, 307), detector score 0.93

  happiness >99%  ########################################
  below 1%: surprise, anger, disgust, fear, sadness, neutral

  based on          the face alone

  Action units
    not measured: this tool yielded no action units

Person 5: happiness 61%
  no face was found: read from the context alone

  happiness  61%  ########################
  neutral    13%  #####
  sadness    11%  ####
  surprise    7%  ###
  anger       3%  #
  fear        3%  #
  disgust     2%  #

  based on          the context alone
  context alone     happiness 61%, neutral 13%, sadness 11%

Evidence
  Person 1
   [1] faces:pyfeat  expression: happiness 64%, neutral 22%
   [2] faces:pyfeat  AU12 lip corner puller: strong
   [3] faces:pyfeat  AU25 lips part: clear
   [4] faces:pyfeat  not measured: AU5, AU6, AU7
  Person 2
   [5] faces:pyfeat  expression: happiness 96%
   [6] faces:pyfeat  AU6 cheek raiser: clear
   [7] faces:pyfeat  AU12 lip corner puller: strong
   [8] faces:pyfeat  not shown: AU1, AU4, AU15
  Person 3
   [9] faces:pyfeat  expression: neutral 48%, sadness 21%, happiness 17%
  [10] faces:pyfeat  not shown: AU4, AU12
  Whole picture
  [11] mllm          scene: Five young people sit close together on rocks by the
                     sea and look into the camera.
  [12] mllm          mood: relaxed, warm
  [13] user          context: "the last evening before they move away"

Gaps
  - judge: the model ran out of memory for person 4
  - fuse: person 5: bayes was not possible; the reading rests on context alone

Warnings
  - person 2: the explanation leans to sadness, the fused reading to happiness

Read with
  model       llava-hf/llava-onevision-qwen2-0.5b-ov-hf (revision 2998210e4a3d,
              cuda:0, bfloat16, 4bit)
  face tool   pyfeat 2.1.1
  labels      ekman-7
  kuleshov    0.1.0
  time        5.9 s

Perceived emotion: an inference from what is visible, with its evidence. It is
not a diagnosis and does not say what a person feels (Barrett et al. 2019).

"""

SINGLE = """\
single_face.jpg
===============
572 × 562 px · JPEG · 1 person

Scene
  not described

Person 1: happiness 70%
  face 179 × 260 px at (193, 143), detector score 0.96

  happiness  70%  ############################
  surprise   15%  ######
  neutral    10%  ####
  fear        3%  #
  sadness     2%  #
  below 1%: anger, disgust

  based on          the model's reading of face and context together

  Action units  FACS intensity, 0–5 (A–E); activation, 0–1 (not a FACS
    intensity), beside it the threshold it is above; present or absent
    AU6   cheek raiser                  above its threshold  0.31 activation,
                                     threshold 0.25
    AU12  lip corner puller, left side  clear                2.8 of 5 intensity
    not shown       AU28
    could not tell  AU1
    not measured    AU2, AU4, AU5, AU7, AU9, AU10, AU11, AU13, AU14, AU15, AU16,
                    AU17, AU18, AU20, AU22, AU23, AU24, AU25, AU26, AU27, AU43,
                    AU45

  Explanation
    He smiles, and he has just reached the summit.

    confirmed     [1] he smiles
    unconfirmed   [2] the summit

Evidence
  Person 1
  [1] faces:openface  AU12 lip corner puller: clear
  Whole picture
  [2] user            context: "he has reached the summit"

Gaps
  - scene: the model described nothing

Read with
  face tool   openface 3.0
  labels      ekman-7
  kuleshov    0.1.0
  time        5.9 s

Perceived emotion: an inference from what is visible, with its evidence. It is
not a diagnosis and does not say what a person feels (Barrett et al. 2019).

"""

CLIP = """\
WolfgangLanger_Pexels.mp4
=========================
640 × 360 px · MP4 · clip of 19.7 s · 8 frames sampled · 1 person

Scene
  A woman in a dark room looks up; first a hand is at her mouth.

Person 1: happiness 58%
  face 219 × 321 px at (339, 16), detector score 0.99, shown at 13.5 s

  happiness  58%  #######################
  sadness    17%  #######
  surprise   13%  #####
  fear        5%  ##
  neutral     5%  ##
  anger       1%  #
  disgust     1%  #

  based on          face and context combined (context weight 0.25)
  face alone        happiness 42%, sadness 22%, surprise 13%
  context alone     happiness 23%, sadness 23%, fear 19%

  Action units  probability that it is shown, 0–1
    AU6   cheek raiser       probable       0.71
    AU12  lip corner puller  very probable  0.88
    not shown       AU1, AU2, AU4, AU5, AU7, AU9, AU10, AU11, AU14, AU15, AU17,
                    AU20, AU23, AU24, AU25, AU26, AU28, AU43
    not measured    AU13, AU16, AU18, AU22, AU27, AU45

  Expression over time
       1.2 s  (expression not measured)
       3.7 s  sadness     72%  #############################
       6.1 s  sadness     41%  ################
       8.6 s  surprise    44%  ##################
      11.1 s  (face not found)
      13.5 s  happiness   86%  ##################################
      16.0 s  happiness   83%  #################################
      18.4 s  happiness   71%  ############################

  Explanation
    First she weeps with a hand at her mouth, then her cheeks rise and she
    smiles broadly: sadness turns into relief.

    confirmed     [2] her cheeks rise
    confirmed     [4] sadness turns into relief
    unconfirmed   [5] a hand at her mouth
    left out      [3] shown on the face, not cited

Evidence
  Person 1
  [1] faces:pyfeat  expression: happiness 86%, surprise 6%
  [2] faces:pyfeat  AU6 cheek raiser: clear
  [3] faces:pyfeat  AU12 lip corner puller: strong
  [4] faces:pyfeat  over time: sadness 3.7 s, surprise 8.6 s, happiness 13.5 s
  Whole clip
  [5] mllm          scene: A woman in a dark room looks up; first a hand is at
                    her mouth.

Read with
  model       llava-hf/llava-onevision-qwen2-0.5b-ov-hf (revision 2998210e4a3d,
              cuda:0, bfloat16, 4bit)
  face tool   pyfeat 2.1.1
  labels      ekman-7
  kuleshov    0.1.0
  time        5.9 s

Perceived emotion: an inference from what is visible, with its evidence. It is
not a diagnosis and does not say what a person feels (Barrett et al. 2019).

"""


@pytest.mark.parametrize(("name", "text"), [("group", GROUP), ("single", SINGLE), ("clip", CLIP)])
def test_the_whole_card(name, text):
    assert shown(getattr(readings, name)()) == text


def test_a_reason_that_several_steps_share_is_told_once():
    """A clip that was stopped: the step says where, and each moment says that it was stopped."""
    steps = ("scene", "judge", *["moment"] * 5)
    reading = readings.group()
    where = Gap(step="clip", reason="stopped by the user at 1.5 s of 9.0 s", stopped_s=1.5)
    gaps = (where, *(Gap(step=step, reason="stopped by the user") for step in steps))
    card = shown(reading.model_copy(update={"gaps": gaps}))
    begin = card.index("Gaps")
    assert card[begin : card.index("\n\n", begin)].splitlines() == [
        "Gaps",
        "  - clip: stopped by the user at 1.5 s of 9.0 s",
        "  - scene, judge, moment: stopped by the user",
    ]


@pytest.mark.parametrize("width", [30, 60, 80, 120])
@pytest.mark.parametrize("name", ["group", "single", "clip"])
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(name, width):
    for console in ({}, {"force_terminal": True, "color_system": None}):
        for line in shown(getattr(readings, name)(), width, **console).splitlines():
            assert cell_len(line) <= width, line
            assert line == line.rstrip()


def test_a_pipe_gets_no_colour_and_no_line_drawing():
    text = shown(readings.group())
    assert "\x1b" not in text
    assert not any("\u2500" <= letter <= "\u25ff" for letter in text)


def test_a_terminal_gets_bars_and_no_color_takes_colour_away(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = shown(readings.group(), force_terminal=True, color_system="standard")
    assert "\x1b[36m" in coloured
    assert "━━━━" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown(readings.group(), force_terminal=True, color_system="standard")
    assert "\x1b[36m" not in plain
    assert "━" not in plain
    assert "#####" in plain


def test_a_terminal_that_knows_only_ascii_gets_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    print_card(readings.group(), Console(file=file, width=80))
    file.flush()
    assert b"1000 x 667 px - JPEG - 5 people" in raw.getvalue()


HOSTILE = "[bold red]x[/] [/nothing] \x1b[2J\x1b]0;t\x07 :smile: \u202egnp.exe\u202c\r\nend"


def test_words_of_models_and_users_are_neither_markup_nor_terminal_commands():
    inference = Inference(
        media=Media(path=f"a/{HOSTILE}", sha256="0", kind="image", size=(1, 1)),
        scene=Scene(description=HOSTILE, mood_words=(HOSTILE,)),
        evidence=(readings.evidence(1, HOSTILE, "context", HOSTILE),),
        people=(
            Person(id=1, unanswered=HOSTILE, explanation=Explanation(text=HOSTILE)),
            Person(
                id=2,
                emotions=readings.fused(
                    EmotionScores(labels="free", probabilities={HOSTILE: 1.0}, method="m"), HOSTILE
                ),
            ),
        ),
        gaps=(Gap(step=HOSTILE, reason=HOSTILE),),
        warnings=(HOSTILE,),
        provenance=readings.provenance(mllm={"id": HOSTILE}),
    )
    text = shown(inference, 200)
    assert text.count("[bold red]x[/] [/nothing] [2J]0;t :smile: gnp.exe end") >= 9
    for letter in ("\x1b", "\x07", "\r", "\u202e"):
        assert letter not in text


def test_wide_letters_keep_the_columns():
    scores = EmotionScores(
        labels="free", probabilities={"喜び": 0.6, "awe": 0.4}, method="likelihood"
    )
    inference = Inference(
        media=Media(path=None, sha256="0", kind="image", size=(1, 1)),
        people=(Person(id=1, emotions=readings.fused(scores, "text")),),
        provenance=readings.provenance(),
    )
    lines = shown(inference).splitlines()
    assert "  喜び  60%  ########################################"[:30] in "\n".join(lines)
    assert "  awe   40%  " in "\n".join(lines)


def test_doctor_names_the_command_for_what_is_missing():
    file = io.StringIO()
    rows = [
        ToolStatus(name="pocket", ready=True, installed=True, version="1", licence="CC BY-NC 4.0"),
        ToolStatus(name="pyfeat-v1", ready=False, installed=True, weights="not here: 500 MB"),
        ToolStatus(name="libreface", ready=False, installed=False, command="pip install [x]"),
    ]
    print_doctor(rows, Console(file=file, width=80))
    assert file.getvalue() == (
        "pocket     ready  1\n  licence    CC BY-NC 4.0\n"
        "pyfeat-v1  not ready\n  weights    not here: 500 MB\n"
        "libreface  not installed\n  to get it  pip install [x]\n"
    )


def test_models_say_where_they_are_and_how_to_get_them():
    file = io.StringIO()
    rows = [
        ModelStatus(id="pocket", state="bundled", bytes=31_000_000, note="small"),
        ModelStatus(
            id="a/b", state="not here", bytes=1_800_000_000, licence="Apache-2.0", default=True,
            command="kuleshov models pull a/b",
        ),
    ]  # fmt: skip
    print_models(rows, Console(file=file, width=80))
    assert file.getvalue() == (
        "pocket\n  state      bundled, 31 MB\n  note       small\n"
        "a/b\n  state      not here, 1.8 GB, the default on this machine\n"
        "  licence    Apache-2.0\n  to get it  kuleshov models pull a/b\n"
    )


def test_pain_halves_and_disagreement_are_in_card_and_report():
    steps = {"thresholds": (0.05, 0.1, 0.4), "thresholds_of": "calm faces"}
    units = [ActionUnit(unit=u, intensity=2.0, presence=True) for u in (4, 6, 7, 9, 10, 45)]
    seen = face(
        *units,
        ActionUnit(unit=25, intensity=0.2, presence=True),
        ActionUnit(unit=14, side="left", activation=0.0, **steps),
        ActionUnit(unit=14, side="right", activation=0.3, **steps),
    )
    made = readings.single()
    person = made.people[0].model_copy(update={"face": seen})
    made = made.model_copy(update={"people": (person,)})
    text = " ".join(shown(made).split())
    page = report_html([made], {})
    for told in ("7.0 of 16 (AU45 in place of AU43)", "left 0.00, right 0.30", "coded present"):
        assert told in text
        assert told in page
    assert "dimpler, right side above 95% of calm faces 0.30 activation, threshold 0.10" in text
