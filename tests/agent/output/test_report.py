"""The HTML report: one file that loads nothing, escapes all and shows the record's numbers."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import readings
from PIL import Image

from kuleshov.output import view
from kuleshov.output.report import report_html, write_report
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import Media
from kuleshov.tools.types import EmotionScores
from kuleshov.types import Cue, Explanation, Gap, Inference, Person, Scene

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = {"title", "a", "p", "h1", "h2", "h3", "h4", "li", "div", "tr", "summary", "figcaption"}
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes in order, and the text that is seen; checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.shown: list[str] = [""]
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        self.begin_line(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.begin_line(tag)

    def begin_line(self, tag):
        # a cue's link stands alone, a link within a sentence does not
        if tag in BLOCKS and not (tag == "a" and "p" in self.open):
            self.shown.append("")

    def handle_data(self, data):
        if self.open and not {"script", "style"} & set(self.open) and data.strip():
            self.text.append(" ".join(data.split()))
            between = " " if self.shown[-1] and self.text[-1][0] not in ".,:" else ""
            self.shown[-1] += between + self.text[-1]

    def lines(self) -> str:
        """The text that is seen, a line an element that stands on a line of its own."""
        return "\n".join(textwrap.fill(line, 96) for line in self.shown if line) + "\n"

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def pictures(feat_data: Path) -> dict:
    return {
        readings.SHA["group"]: media.open_media(feat_data / "multi_face.jpg").images,
        readings.SHA["single"]: media.open_media(feat_data / "single_face.jpg").images,
        # the clip's frames drawn, so that the tests do not wait for decoding
        readings.SHA["clip"]: [
            np.full((360, 640, 3), 20 * i, np.uint8) for i in range(len(readings.TIMES))
        ],
    }


@pytest.fixture(scope="module")
def whole(pictures) -> str:
    return report_html([readings.group(), readings.single(), readings.clip()], pictures)


def test_the_page_loads_nothing(whole):
    page = Page(whole)
    for name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
        for value in page.values(name):
            assert value.startswith(("#", "data:")), value[:80]
    assert not re.search(r"https?:|@import|url\((?!#)", whole)
    assert not [tag for tag, _ in page.tags if tag in ("iframe", "object", "embed", "form", "base")]
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    script = re.search(r"<script>(.*?)</script>", whole, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert whole.count("<script") == 1
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]


def test_what_a_person_reads_of_one_picture(pictures):
    page = Page(report_html([readings.single()], pictures))
    assert page.lines() == SINGLE


SINGLE = """\
single_face.jpg – Kuleshov
Skip to the readings
Kuleshov
Emotion read from face and context
Perceived emotion: an inference from what is visible, with its evidence. It is not a diagnosis
and does not say what a person feels (Barrett et al. 2019).
single_face.jpg
572 × 562 px · JPEG · 1 person
Person 1: happiness 70%
1
Person 1
happiness 70%
happiness 70%
surprise 15%
neutral 10%
He smiles, and he has just reached the summit.
Scene
Not described.
you said "he has reached the summit" [2]
What could not be had
scene the model described nothing
Person 1
happiness 70%
face 179 × 260 px · detector score 0.96 · openface 3.0
Reading
happiness 70%
surprise 15%
neutral 10%
fear 3%
sadness 2%
anger 0%
disgust 0%
Rests on the model's reading of face and context together. Labels: ekman-7.
Why
He smiles, and he has just reached the summit.
confirmed he smiles [1]
unconfirmed the summit [2]
Evidence: the face
1 AU12 lip corner puller: clear faces:openface
Evidence: scene and words
2 context: "he has reached the summit" user
Action units
Scale: FACS intensity, 0–5 (A–E); activation, 0–1 (not a FACS intensity), beside it the
threshold it is above; present or absent.
unit name shown value
AU6 cheek raiser above its threshold 0.31 activation, threshold 0.25
AU12 lip corner puller, left side clear 2.8 of 5 intensity
Other units
not shown AU28
could not tell AU1
not measured AU2 AU4 AU5 AU7 AU9 AU10 AU11 AU13 AU14 AU15 AU16 AU17 AU18 AU20 AU22 AU23 AU24
AU25 AU26 AU27 AU43 AU45
Read with openface 3.0, kuleshov 0.1.0
What was used for single_face.jpg
media.path single_face.jpg
media.sha256 b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
media.kind image
media.size 572, 562
media.format JPEG
kuleshov 0.1.0
faces.name openface
faces.version 3.0
prompts.full/judge 9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f
prompts.full/scene 4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c
settings.fusion auto
settings.labels ekman-7
settings.seed 0
settings.temperature 0.0
label_set.name ekman-7
label_set.source Ekman (1992), and neutral
context_asked direct
seed 0
versions.python 3.11.9
versions.torch 2.8.0
versions.transformers 5.1.0
seconds.open 0.02
seconds.faces 1.31
seconds.scene 0.84
seconds.judge 3.12
seconds.weigh 0.61
How to read this page
confirmed a cue of the explanation: the cited measurement bears it out
unconfirmed a cue of the explanation: no measurement bears on it
contradicted a cue of the explanation: the measurement says otherwise
intensity an action unit's number: FACS intensity, 0–5 (A–E)
probability an action unit's number: probability that it is shown, 0–1
activation an action unit's number: activation, 0–1 (not a FACS intensity), beside it the
threshold it is above
log-odds an action unit's number: log10 of the odds that it is shown
presence an action unit's number: present or absent
not measured the tool cannot measure this unit: nothing follows from it
could not tell the tool can measure this unit but yielded no judgement here
unanswered there is no distribution, which is not the same as neutral
Written by Kuleshov on this machine. The page loads nothing and sends nothing.
"""


def test_every_link_leads_somewhere_and_every_id_is_used_once(whole):
    page = Page(whole)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in page.values("href") if value.startswith("#")]
    targets += page.values("data-evidence") + page.values("data-person")
    targets += [i for name in ("aria-labelledby", "aria-describedby") for i in page.values(name)]
    assert set(targets) <= set(ids)
    inferences = (readings.group(), readings.single(), readings.clip())
    cited = [
        f"r{number}-p{person.id}-e{cue.evidence}"
        for number, inference in enumerate(inferences, start=1)
        for person in inference.people
        for cue in (person.explanation.cues if person.explanation else ())
    ]
    links = [a["data-evidence"] for tag, a in page.tags if a.get("class") == "cue"]
    assert links == cited


def test_a_cue_that_cites_what_the_record_lacks_is_shown_without_a_link():
    person = Person(
        id=1,
        unanswered="none",
        explanation=Explanation(
            text="So.", cues=(Cue(evidence=9, text="a sign", status="unconfirmed"),)
        ),
    )
    text = report_html([readings.single(people=(person,))], {})
    assert "[9, which this record lacks]" in text
    assert "-e9" not in text


def test_the_numbers_are_those_of_the_record(whole):
    page = Page(whole)
    shown = [(a["data-label"], float(a["data-p"])) for _, a in page.tags if "data-p" in a]
    widths = re.findall(r'data-p="([^"]+)">.*?width:([\d.]+)%.*?class="num">([^<]+)<', whole, re.S)
    assert len(widths) == len(shown)
    for p, width, text in widths:
        assert float(width) == pytest.approx(100 * float(p), abs=0.006)
        assert text.replace("&lt;", "<").replace("&gt;", ">") == view.format_percent(float(p))
    expected = []
    for inference in (readings.group(), readings.single(), readings.clip()):
        for person in inference.people:
            if person.emotions:
                expected += person.emotions.ranked()
            for judgement in person.judgements:
                if judgement.emotions:
                    expected += judgement.emotions.ranked()
    assert sorted(shown) == sorted(expected)
    units = [float(value) for value in page.values("data-value")]
    assert units == [0.35, 0.93, 0.61, 0.74, 0.97, 0.31, 2.8, 0.71, 0.88]


def test_unknown_is_said_and_never_neutral(whole):
    panel = whole[whole.index('id="r1-p3"') : whole.index('id="r1-p4"')]
    assert "<b>Unanswered.</b> no source gave a distribution over these labels" in panel
    assert "Unanswered: the face tool does not score contempt" in panel
    assert 'data-label="neutral"' not in panel
    assert re.search(r"not measured</dt><dd><span data-unit=\"13\">AU13</span>", panel)
    fifth = whole[whole.index('id="r1-p5"') : whole.index('id="r2"')]
    assert "no face was found: read from the context alone" in fifth


def test_a_moment_without_a_reading_breaks_the_areas(whole):
    areas = re.findall(r'class="area" d="([^"]+)"', whole)
    assert len(areas) == 7
    assert all(area.count("M") == 2 for area in areas)  # before and after 11.1 s
    # happiness on top of anger, disgust and fear at 13.51 s of 19.69 s
    assert areas[3].split("M")[2].startswith("68.61 11.00 L")
    assert "11.1 s face not found; 13.5 s happiness 86%" in whole


HOSTILE = (
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)>' onfocus='alert(3)' "
    "</style></title>{{ 7000 * 7 }} javascript:alert(4) \x00\x1b[31m\u202e"
)


def hostile() -> Inference:
    scores = EmotionScores(
        labels=HOSTILE, probabilities={HOSTILE: 0.75, "calm": 0.25}, method=HOSTILE
    )
    face = readings.pyfeat(
        (10, 10, 60, 60),
        expression=scores,
        notes=(HOSTILE,),
        tool=HOSTILE,
        version=HOSTILE,
        time_s=0.5,
        frame=1,
    )
    return Inference(
        media=Media(
            path=f"{HOSTILE}", sha256="ff", kind="clip", size=(100, 80), format=HOSTILE,
            notes=(HOSTILE,),
        ),
        scene=Scene(description=HOSTILE, setting=HOSTILE, objects=(HOSTILE,)),
        evidence=(
            readings.evidence(1, HOSTILE, "context", HOSTILE),
            readings.evidence(2, HOSTILE, "action_unit", HOSTILE, 1, unit=12, shown=HOSTILE),
        ),
        people=(
            Person(
                id=1, box_xyxy=face.xyxy, face=face, timeline=(face,),
                emotions=readings.fused(scores, HOSTILE),
                explanation=Explanation(
                    text=f"So: {HOSTILE}. Yes.",
                    cues=(Cue(evidence=2, text=HOSTILE, status="contradicted"),),
                ),
            ),
            Person(id=2, unanswered=HOSTILE),
        ),
        gaps=(Gap(step=HOSTILE, reason=HOSTILE),),
        warnings=(HOSTILE,),
        caveat=HOSTILE,
        provenance=readings.provenance(
            mllm={"id": HOSTILE, HOSTILE: [HOSTILE]}, prompts={HOSTILE: HOSTILE},
            settings={HOSTILE: {HOSTILE: HOSTILE}},
        ),
    )  # fmt: skip


def test_words_of_models_and_users_stay_words():
    text = report_html([hostile(), hostile()], {})
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [a for tag, a in page.tags if tag == "img"]
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert not re.search("[\x00\x1b\u202e]|49000", re.sub(r"sha256-[^']+", "", text))
    seen = " ".join(page.text)
    assert seen.count("<script>alert(1)</script>\"><img src=x onerror=alert(2)>' onfocus=") > 20
    assert all(value.startswith(("#", "data:,")) for value in page.values("href"))
    for style in page.values("style"):
        assert re.fullmatch(r"(width|left):[\d.]+%|background:#[0-9a-f]{6}", style)


def test_pictures_are_embedded_small(pictures):
    large = {readings.SHA["single"]: [np.zeros((2000, 3000, 3), np.uint8)]}
    page = Page(report_html([readings.single()], large))
    sources = [a["href"] for tag, a in page.tags if tag == "image"]
    assert len(sources) == 1
    picture = Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1])))
    assert (picture.format, picture.size) == ("JPEG", (1200, 800))
    faces = [a["src"] for tag, a in page.tags if tag == "img"]
    assert faces
    face = Image.open(io.BytesIO(base64.b64decode(faces[0].split(",")[1])))
    assert max(face.size) <= 288


def test_a_reading_without_its_picture_is_shown_all_the_same():
    page = Page(report_html([readings.group(), readings.clip()], {}))
    assert not [tag for tag, _ in page.tags if tag in ("image", "img", "use")]
    assert "The picture is not included in this report." in page.text
    assert "The clip is not included in this report." in page.text
    assert [a["aria-label"] for _, a in page.tags if a.get("class") == "box"][:3] == [
        "Person 1: happiness 81%",
        "Person 2: happiness 71%",
        "Person 3",
    ]


@pytest.mark.parametrize("kind", ["over the box", "over what the net saw"])
def test_a_heat_map_lies_over_the_face(pictures, kind):
    heat = np.zeros((48, 48), np.float32)
    heat[30:40, 20:30] = 1
    grey = np.full((48, 48), 128, np.uint8)
    one = heat if kind == "over the box" else (grey, heat)
    text = report_html([readings.group()], pictures, heatmaps={(readings.SHA["group"], 2): one})
    page = Page(text)
    assert text.count('class="heat"') == 1
    assert "(Grad-CAM), for the face tool's happiness 96%." in page.text
    source = next(a["src"] for _, a in page.tags if a.get("alt", "").startswith("Heat map"))
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))), int)
    hot = picture[int(picture.shape[0] * 35 / 48), int(picture.shape[1] * 25 / 48)]
    cold = picture[4, 4]
    assert hot[0] - hot[2] > 60
    assert abs(cold[0] - cold[2]) < 12


def test_a_heat_map_of_another_form_is_refused():
    with pytest.raises(ValueError, match=r"\(height, width\) and finite but got \(48, 48, 3\)"):
        report_html(
            [readings.single()], {}, heatmaps={(readings.SHA["single"], 1): np.zeros((48, 48, 3))}
        )


def test_a_scene_without_people_keeps_its_evidence():
    inference = Inference(
        media=Media(path="sea.png", sha256="0", kind="image", size=(4, 3)),
        scene=Scene(description="The empty sea."),
        evidence=(readings.evidence(1, "mllm", "scene", "scene: The empty sea."),),
        provenance=readings.provenance(),
    )
    page = Page(report_html([inference], {}))
    assert "r1-e1" in page.values("id")
    assert "4 × 3 px · nobody read" in page.text


def test_colours_contrast_enough_to_read():
    style = (ROOT / "agent" / "output" / "templates" / "report.css").read_text("utf-8")
    schemes = re.findall(r":root \{(.*?)\}", style, re.S)
    assert len(schemes) == 3  # light, dark, print

    def luminance(colour: str) -> float:
        colour = colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", scheme))
        for text in ("ink", "soft", "accent", "good", "open", "bad"):
            for ground in ("paper", "card"):
                pair = sorted((luminance(colours[text]), luminance(colours[ground])))
                # contrast ratio of WCAG 2.2, 1.4.3: at least 4.5
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (text, ground, scheme)
        pair = sorted((luminance(colours["ink"]), luminance(colours["glow"])))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_the_file_is_written_whole(tmp_path, pictures):
    path = tmp_path / "report.html"
    write_report(path, [readings.single()], pictures)
    assert path.read_text("utf-8") == report_html([readings.single()], pictures)
    write_report(str(path), [readings.clip()], {})
    assert "WolfgangLanger" in path.read_text("utf-8")
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_path_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for path, why in (
        (tmp_path, "it is a folder."),
        (tmp_path / "no" / "r.html", f"there is no folder {tmp_path / 'no'}."),
        (tmp_path / "file" / "r.html", f"there is no folder {tmp_path / 'file'}."),
        (tmp_path / ("x" * 300), "file name too long."),
    ):
        with pytest.raises(KuleshovError) as caught:
            write_report(path, [readings.single()], {})
        assert str(caught.value) == f"cannot write the report to {path}: {why}"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("value", "digits", "told"),
    [(-0.001, 2, "0.00"), (0.0, 2, "0.00"), (-0.4, 0, "0"), (-0.125, 2, "−0.12"), (12.6, 0, "+13")],
)
def test_a_change_that_rounds_to_zero_has_no_sign(value: float, digits: int, told: str) -> None:
    assert view.format_signed(value, digits) == told
