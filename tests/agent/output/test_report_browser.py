"""The report in a real browser: what is cited lights up, nothing fails, nothing sticks out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import readings
from browsers import chromium, needed, opened, sticking_out, webdriver

from kuleshov.output.report import write_report
from kuleshov.tools import media

pytestmark = needed


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, feat_data: Path) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    pictures = {
        readings.SHA["group"]: media.open_media(feat_data / "multi_face.jpg").images,
        readings.SHA["single"]: media.open_media(feat_data / "single_face.jpg").images,
        readings.SHA["clip"]: [np.full((360, 640, 3), 90, np.uint8) for _ in readings.TIMES],
    }
    heat = {(readings.SHA["group"], 1): np.eye(48)}
    write_report(
        path, [readings.group(), readings.single(), readings.clip()], pictures, heatmaps=heat
    )
    return path.as_uri()


def lit(browser: Any) -> list[str]:
    """What is lit: evidence by id, action units by number, cues by what they cite."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.lit:not(.box)')].map((e) => "
        "e.id || (e.dataset.unit ? 'AU' + e.dataset.unit : 'cue ' + e.dataset.evidence))"
    )


def cue(browser: Any, evidence: str) -> Any:
    return browser.find_element("css selector", f'a.cue[data-evidence="{evidence}"]')


ALL_OF_SMILE = ["cue r1-p2-e7", "cue r1-p2-e7", "r1-p2-e7", "AU12"]


def test_a_cue_lights_its_evidence_and_the_unit_it_names(browser, report):
    opened(browser, report, 1280)
    assert lit(browser) == []
    link = cue(browser, "r1-p2-e7")
    browser.execute_script("arguments[0].focus()", link)
    assert lit(browser) == ALL_OF_SMILE
    browser.execute_script("arguments[0].blur()", link)
    assert lit(browser) == []

    link.click()
    browser.execute_script("arguments[0].blur()", link)
    assert lit(browser) == ALL_OF_SMILE, "a click keeps the light on"
    assert link.get_attribute("aria-current") == "true"
    inside = browser.execute_script(
        "const b = document.getElementById('r1-p2-e7').getBoundingClientRect();"
        "return b.top >= 0 && b.bottom <= innerHeight"
    )
    assert inside
    link.click()
    browser.execute_script("arguments[0].blur()", link)
    webdriver.ActionChains(browser).move_by_offset(0, 0).perform()
    browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('mouseleave'))", link)
    assert lit(browser) == [], "a second click takes it off"


def test_the_keyboard_reaches_cues_and_escape_lets_go(browser, report):
    from selenium.webdriver.common.keys import Keys

    opened(browser, report, 1280)
    link = cue(browser, "r1-p2-e8")
    browser.execute_script("arguments[0].focus()", cue(browser, "r1-p2-e7"))
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == link
    assert lit(browser) == [
        "cue r1-p2-e8", "cue r1-p2-e8", "r1-p2-e8", "AU1", "AU4", "AU15"
    ]  # fmt: skip
    link.send_keys(Keys.ENTER)
    assert link.get_attribute("aria-current") == "true"
    link.send_keys(Keys.ESCAPE)
    assert link.get_attribute("aria-current") is None


def test_a_box_leads_to_its_person(browser, report):
    opened(browser, report, 1280)
    box = browser.find_element("css selector", '#r1-s0 a.box[data-person="r1-p4"]')
    webdriver.ActionChains(browser).click(box).perform()
    assert browser.current_url.endswith("#r1-p4")


def test_the_pointer_reads_the_plot(browser, report):
    opened(browser, report, 1280)
    plot = browser.find_element("css selector", "#r3-p1 .plot svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    x = round(plot.size["width"] * (13.4 / 19.69 - 0.5))
    webdriver.ActionChains(browser).move_to_element_with_offset(plot, x, 0).perform()
    told = browser.find_element("css selector", "#r3-p1 .readout").text
    assert told == "13.5 s: happiness 86%, surprise 6%"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_sticks_out_and_nothing_fails(browser, report, width, scheme):
    browser.get_log("browser")
    opened(browser, report, width, scheme)
    for summary in browser.find_elements("css selector", "summary"):
        browser.execute_script("arguments[0].click()", summary)
    assert sticking_out(browser) == 0
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(251, 250, 247)" if scheme == "light" else "rgb(21, 22, 26)")
    assert browser.execute_script(
        "return [...document.images].every((i) => i.complete && i.naturalWidth > 0)"
    )
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
    )
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert browser.get_log("browser") == []


def test_words_of_models_run_nothing(browser, tmp_path):
    import test_report

    path = tmp_path / "hostile.html"
    write_report(path, [test_report.hostile()], {})
    browser.get_log("browser")
    opened(browser, path.as_uri(), 390)
    assert "javascript:alert(4)" in browser.title
    assert browser.get_log("browser") == []  # an alert would be open, a refusal by the policy noted
    assert sticking_out(browser) == 0
