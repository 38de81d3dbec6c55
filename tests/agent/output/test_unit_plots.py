"""Action units over time in the report of a clip, as they stand in the page."""

from __future__ import annotations

import re

import pytest
from tracks import track

from kuleshov import Inference
from kuleshov.output import report
from kuleshov.tools.faces.tracking import timelines
from kuleshov.tools.faces.tracking.types import Stretch, Track
from kuleshov.tools.media import Frame, Media
from kuleshov.types import Evidence, FusedScores, Moment, Person, Provenance

HAPPY = {"happiness": 0.9, "neutral": 0.1}


def page(course: Track) -> str:
    html = whole_page(course)
    return html[html.index('class="timelines"') : html.index('class="columns"')]


def whole_page(course: Track, *evidence: Evidence) -> str:
    """The report of a clip of ten seconds with one person and one moment."""
    moment = Moment(
        time_s=6.0,
        start_s=5.0,
        end_s=7.5,
        frame=60,
        emotions=FusedScores(labels="ekman-7", probabilities=HAPPY, method="m", fusion="face"),
    )
    media = Media(
        path="talk.mp4",
        sha256="0" * 64,
        kind="clip",
        size=(96, 64),
        duration_s=10.0,
        frames=(Frame(index=0, time_s=0.0), Frame(index=60, time_s=6.0)),
    )
    person = Person(id=1, track=course, moments=(moment,))
    read = Inference(
        media=media, people=(person,), evidence=evidence, provenance=Provenance(kuleshov="0")
    )
    return report.report_html([read], {})


def smile() -> Track:
    """AU12 up from 2 to 4 s; the face is away from 4.5 to 6 s; AU4 never shown."""
    times = [k / 10 for k in range(100) if not 45 <= k < 60]
    up = [0.9 if 2 <= time <= 4 else 0.05 for time in times]
    quiet = [0.02] * len(times)
    away = (Stretch(start_s=4.5, end_s=6.0),)
    made = track({12: up, 4: quiet}, times=times, missing=away)
    return timelines.analyse_track(made)


def test_words_stand_at_their_times_and_are_data() -> None:
    text = 'said 2.0-3.5 s: "He said: <b>no</b>"'
    said = {"n": 1, "kind": "transcript", "text": text, "start_s": 2.0, "end_s": 3.5}
    html = whole_page(smile(), Evidence(source="transcript", **said))
    assert (
        '<span class="said" style="left:20.00%;width:15.00%" '
        'title="He said: &lt;b&gt;no&lt;/b&gt;">He said: &lt;b&gt;no&lt;/b&gt;</span>' in html
    )
    assert "by the transcript" in html
    assert "<dt>is said</dt><dd>2.0-3.5 s: &#34;He said" in html
    html = whole_page(smile(), Evidence(source="speech", **said))
    assert "as recognised" in html
    assert "<dt>heard (recognised)</dt>" in html
    assert 'class="said"' not in whole_page(smile())


def test_expression_and_units_stand_on_one_time_axis() -> None:
    course = smile()
    scores = {label: (p,) * len(course.times_s) for label, p in HAPPY.items()}
    html = whole_page(
        course.model_copy(update={"expression": scores, "labels": "ekman-7", "method": "softmax"})
    )
    assert '<div class="stream aligned" data-end="10.0">' in html
    axes = re.findall(r'<div class="xaxis".*?</div>', html)
    assert len(axes) == 2
    assert axes[0] == axes[1]


def test_an_event_a_gap_and_a_moment_stand_where_their_times_are() -> None:
    html = page(smile())
    (event,) = re.findall(r'class="event expression" x="([\d.]+)" width="([\d.]+)"', html)
    assert float(event[0]) == pytest.approx(20, abs=1.01)
    assert float(event[0]) + float(event[1]) == pytest.approx(40, abs=1.01)
    assert "AU12 lip corner puller: from" in html
    (gap,) = re.findall(r'<rect x="([\d.]+)" width="([\d.]+)"[^>]*><title>face not seen', html)
    assert [float(number) for number in gap] == [45, 15]
    link = re.search(r'<a href="#([^"]+)" style="left:([\d.]+)%;width:([\d.]+)%"', html)
    assert link is not None
    assert [float(number) for number in link.groups()[1:]] == [50, 25]


def test_nothing_is_drawn_over_a_gap_and_a_quiet_unit_is_named() -> None:
    html = page(smile())
    lines = [
        [float(x) for x in re.findall(r"([\d.]+) [\d.]+", d)]
        for d in re.findall(r'<path d="M([^"]+)"', html)
    ]
    assert len(lines) == 2  # before and after the gap, of AU12 alone
    assert max(lines[0]) == pytest.approx(44)
    assert min(lines[1]) == pytest.approx(60)
    assert "At no time shown: AU4 brow lowerer" in html
    for word in ("from onset to offset", "face not seen", "threshold for shown"):
        assert word in html.split('class="legend"')[1]


def test_a_value_that_could_not_be_told_breaks_the_line_and_long_lines_keep_their_peaks() -> None:
    values: list[float | None] = [0.5] * 20 + [None] * 5 + [0.5] * 2975
    values[2000] = 0.99
    html = page(track({12: values}, rate=300.0))
    first, second = re.findall(r'<path d="M([^"]+)"', html)
    assert len(first.split(" L")) + len(second.split(" L")) < 500
    heights = [float(point.split()[1]) for point in second.split(" L")]
    assert min(heights) == pytest.approx(4.0, abs=0.1)


def test_each_moment_leads_to_a_frame_that_the_page_shows() -> None:
    html = whole_page(smile())
    (target,) = set(re.findall(r'<a href="#([^"]+)" style="left', html))
    frame = html.index(f'id="{target}"')
    assert "6.0 s" in html[frame : frame + 1500]
