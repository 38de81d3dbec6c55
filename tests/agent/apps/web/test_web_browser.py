"""The page in a real browser: upload, read, click a cue, change the context; what may go wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, needed, opened, sticking_out, webdriver
from PIL import Image
from test_agent import GOOD, SCENE, script

pytest.importorskip("fastapi", reason="the extra web is not installed")
from web_parts import Running, running

from kuleshov import Agent, Inference, Settings
from kuleshov.tools.labels import shipped_label_sets
from kuleshov.tools.mllm import ScriptedMllm

from parts import NO_FROWN, SMILE, HandFaces, face

pytestmark = needed
Keys = webdriver.Keys
HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    "</textarea><a href=javascript:alert(1)>{{ 7*7 }}"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as driver:
        yield driver


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, feat_data: Path) -> Path:
    return feat_data / "WolfgangLanger_Pexels.mp4"


@pytest.fixture(scope="module")
def server(feat_data: Path, clip: Path) -> Iterator[Running]:
    """The pocket models, and a gallery of one picture and one clip."""
    agent = Agent.load(model="pocket", faces="pocket", rate=1.0, moments=2)
    with running(agent, [feat_data / "single_face.jpg", clip]) as found:
        yield found


def until(browser: Any, script: str, seconds: float = 120) -> Any:
    """What the script returns as soon as it returns something."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        return WebDriverWait(browser, seconds, 0.05).until(
            lambda b: b.execute_script(f"return {script}")
        )
    except TimeoutException:
        shown = browser.execute_script("return document.body.innerText.slice(0, 2000)")
        raise AssertionError(
            f"never: {script}\nthe page: {shown}\nits log: {browser.get_log('browser')}"
        ) from None


def visit(browser: Any, server: Running, width: int = 1280, scheme: str = "light") -> None:
    """A page of a session of its own."""
    browser.get_log("browser")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    opened(browser, server.url, width, scheme)
    until(browser, "document.body.dataset.ready === 'yes'")


def find(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def click(browser: Any, css: str) -> None:
    browser.execute_script("arguments[0].click()", find(browser, css))


def text(browser: Any, css: str) -> str:
    return browser.execute_script(
        "const e = document.querySelector(arguments[0]); return e ? e.textContent.trim() : ''", css
    )


def upload(browser: Any, path: Path, context: str = "") -> None:
    find(browser, "#file").send_keys(str(path))
    find(browser, "#context").send_keys(context)
    click(browser, "#read")


def wait_for_reading(browser: Any, count: int = 1) -> None:
    until(browser, f"document.querySelectorAll('.result').length === {count}")


def complaints(browser: Any) -> list[str]:
    """What the browser noted: failed loads, refusals by the policy, errors of scripts."""
    return [entry["message"] for entry in browser.get_log("browser")]


def test_a_picture_is_read_and_a_cue_lights_its_evidence_and_its_box(browser, server, feat_data):
    visit(browser, server)
    upload(browser, feat_data / "single_face.jpg", "She has just been told the news.")
    wait_for_reading(browser)
    assert text(browser, ".result h2") == "single_face.jpg"
    assert "She has just been told the news." in text(browser, ".scene dl")
    assert text(browser, ".result .verdict").startswith("happiness")
    assert "pocket models" in text(browser, ".limits")
    assert "pocket models" in text(browser, ".result .care")
    cues = browser.find_elements("css selector", ".result a.cue")
    about_face = next(
        cue
        for cue in cues
        if browser.execute_script(
            "return document.getElementById(arguments[0].dataset.evidence)"
            ".closest('[data-about]') !== null",
            cue,
        )
    )
    browser.execute_script("arguments[0].focus()", about_face)
    about_face.send_keys(Keys.ENTER)
    evidence = about_face.get_attribute("data-evidence")
    assert "lit" in find(browser, f"#{evidence}").get_attribute("class")
    assert "lit" in find(browser, ".result a.box").get_attribute("class")
    about_face.send_keys(Keys.ESCAPE)
    browser.execute_script("document.activeElement.blur()")
    assert "lit" not in (find(browser, f"#{evidence}").get_attribute("class") or "")

    box = find(browser, ".result a.box")
    box.send_keys(Keys.ENTER)
    assert browser.current_url.endswith("#r1-p1")

    record = browser.execute_async_script(
        "const done = arguments[0];"
        "fetch(document.querySelector('.saves a[href$=json]').href)"
        ".then((r) => r.text()).then(done)"
    )
    assert Inference.from_json(record).people[0].emotions.top == "happiness"
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
    )
    assert [one for one in loaded if not one.startswith((server.url, "data:", "blob:"))] == []
    assert complaints(browser) == []


def test_the_context_is_changed_and_old_and_new_stand_side_by_side(browser, server):
    visit(browser, server)
    click(browser, '[name="example"][value="0"]')
    click(browser, "#read")
    wait_for_reading(browser)
    find(browser, '[data-post="what-if"] input').send_keys("this were a funeral", Keys.ENTER)
    until(browser, "document.querySelectorAll('.turn').length === 1")
    assert text(browser, ".turn h4") == "Supposing: this is a funeral"
    assert "this is a funeral" in text(browser, ".supposing")
    columns = browser.execute_script(
        "return ['before', 'after'].map((c) => [...document.querySelectorAll('.shift .' + c)]"
        ".map((e) => e.textContent.trim()))"
    )
    assert len(columns[0]) == len(columns[1]) > 0
    assert text(browser, ".scene dl").count("you suppose") == 1
    assert browser.execute_script(
        "return document.activeElement === document.querySelector('.turn')"
    )

    find(browser, '[data-post="ask"] input').send_keys("Why not surprise?", Keys.ENTER)
    until(browser, "document.querySelectorAll('.turn').length === 2")
    assert "cannot chat" in text(browser, ".turn.question .fine")
    cited = find(browser, ".turn.question a.ref")
    evidence = cited.get_attribute("data-evidence")
    assert text(browser, f"#{evidence} .n") == cited.text
    browser.execute_script("arguments[0].focus()", cited)
    assert "lit" in find(browser, f"#{evidence}").get_attribute("class")

    find(browser, '[data-post="what-if"] input').send_keys("They have won.")
    click(browser, '[data-post="context"]')
    until(browser, "document.querySelectorAll('.turn').length === 3")
    assert browser.find_elements("css selector", ".supposing") == []
    click(browser, '[data-do="influence"]')
    until(browser, "document.querySelector('.result .gauge, .result .influence')")
    click(browser, '.turn [data-do="undo"]')
    until(browser, "document.querySelectorAll('.turn').length === 3")
    assert sticking_out(browser) == 0
    assert complaints(browser) == []


def test_an_example_clip_is_followed_and_the_plot_leads_into_it(browser, server):
    visit(browser, server)
    click(browser, '[name="example"][value="1"]')
    assert text(browser, "#chosen") == "WolfgangLanger_Pexels.mp4"
    click(browser, "#read")
    wait_for_reading(browser)
    assert len(browser.find_elements("css selector", ".result .stream .area")) == 8
    assert browser.find_elements("css selector", ".result .moments li")
    until(browser, "document.querySelector('.player video').readyState >= 1")
    plot = find(browser, ".result .plot svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    webdriver.ActionChains(browser).click(plot).perform()
    assert until(browser, "document.querySelector('.player video').currentTime") == pytest.approx(
        19.69 / 2, abs=0.3
    )
    assert complaints(browser) == []


def test_a_still_of_the_webcam_is_read(browser, server):
    visit(browser, server)
    click(browser, "#camera")
    until(browser, "!document.getElementById('take').disabled")
    until(browser, "document.getElementById('live').videoWidth > 0")
    click(browser, "#take")
    until(browser, "document.getElementById('chosen').textContent === 'webcam.jpg'")
    until(browser, "!document.getElementById('shot').open")
    click(browser, "#read")
    wait_for_reading(browser)
    assert text(browser, ".result h2") == "webcam.jpg"
    # the picture of a test card has no face, and the page says what came of that
    assert "nobody read" in text(browser, ".result .facts") or text(browser, ".result .care")


def test_what_is_dropped_or_pasted_is_chosen(browser, server):
    visit(browser, server)
    for event, field, target in (
        ("DragEvent", "dataTransfer", "document.getElementById('drop')"),
        ("ClipboardEvent", "clipboardData", "document"),
    ):
        name = f"{field}.png"
        browser.execute_script(
            f"const data = new DataTransfer(); data.items.add(new File(['x'], {name!r}));"
            f"{target}.dispatchEvent(new {event}({'drop' if event[0] == 'D' else 'paste'!r},"
            f"{{ {field}: data, bubbles: true, cancelable: true }}))".replace("(drop", "('drop'")
        )
        assert text(browser, "#chosen") == name


def test_the_keyboard_alone_reads_a_picture(browser, server):
    """From the skip link on, Tab reaches the form in its order; Enter sends it."""
    visit(browser, server)
    reached = []
    for _ in range(9):
        webdriver.ActionChains(browser).send_keys(Keys.TAB).perform()
        focused = browser.switch_to.active_element
        reached.append(
            focused.get_attribute("id") or focused.get_attribute("name") or focused.tag_name
        )
    assert reached == [
        "a", "file", "camera", "context", "labels", "influence", "summary", "read", "example"
    ]  # fmt: skip
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for_reading(browser)
    assert text(browser, ".result h2") == "single_face.jpg"
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('button, input, select, textarea, a, video')]"
        ".filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel || e.alt))"
        ".map((e) => e.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_from_phone_to_desktop(browser, server, scheme):
    visit(browser, server, 360, scheme)
    click(browser, '[name="example"][value="0"]')
    click(browser, "#read")
    wait_for_reading(browser)
    for width in (360, 768, 1280):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        for summary in browser.find_elements("css selector", "details:not([open]) > summary"):
            browser.execute_script("arguments[0].click()", summary)
        assert sticking_out(browser) == 0
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(251, 250, 247)" if scheme == "light" else "rgb(21, 22, 26)")
    assert complaints(browser) == []


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("empty.png", b"", "Empty.png is empty (0 bytes)."),
        ("words.txt", b"hello", "Words.txt is not a picture or clip that can be read"),
        ("half.jpg", None, "Half.jpg is cut off or damaged"),
    ],
)
def test_what_cannot_be_read_ends_in_a_sentence(
    browser, server, tmp_path, feat_data, name, data, sentence
):
    path = tmp_path / name
    path.write_bytes((feat_data / "single_face.jpg").read_bytes()[:9000] if data is None else data)
    visit(browser, server)
    upload(browser, path)
    until(browser, "document.querySelector('.job.failed')")
    assert sentence in text(browser, ".job.failed .place")
    click(browser, ".job.failed button")
    assert browser.find_elements("css selector", ".job") == []
    upload(browser, feat_data / "single_face.jpg")
    wait_for_reading(browser)


# ------------------------------------------------------------------------- scripted models


def test_words_of_models_files_and_users_run_nothing(browser, tmp_path):
    judge = {**GOOD, "interpretation": HOSTILE, "conclusion": HOSTILE}
    judge["cues"] = [{"evidence": n, "text": HOSTILE} for n in (2, 4)]
    scene = {**SCENE, "description": HOSTILE, "setting": HOSTILE, "mood_words": [HOSTILE]}
    agent = Agent(script(judge, scene), HandFaces(face(SMILE, NO_FROWN)), Settings.load(None))
    path = tmp_path / "<img src=x onerror=document.title=1>.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
    with running(agent, [path]) as server:
        visit(browser, server)
        upload(browser, path, HOSTILE)
        wait_for_reading(browser)
        assert HOSTILE in text(browser, ".scene .description")
        assert HOSTILE.replace('"', "'") in text(browser, ".scene dl")
        find(browser, '[data-post="ask"] input').send_keys(HOSTILE, Keys.ENTER)
        until(browser, "document.querySelector('.turn.question')")
        assert HOSTILE.replace("\n", " ") in text(browser, ".turn.question h4")
        assert browser.title == "Kuleshov"
        assert (
            browser.find_elements("css selector", "#readings script, #readings img[src='x']") == []
        )
        assert browser.find_elements("css selector", "[href^='javascript']") == []
        assert complaints(browser) == []


def test_a_picture_without_a_face_is_a_reading_of_its_scene(browser, tmp_path):
    agent = Agent(script(), HandFaces(), Settings.load(None))
    path = tmp_path / "sea.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
    with running(agent) as server:
        visit(browser, server)
        upload(browser, path)
        wait_for_reading(browser)
        assert "no face was found" in text(browser, ".result .care")
        assert "Friends on a beach." in text(browser, ".scene .description")


HOLD = """
const real = window.EventSource, fetched = window.fetch;
window.EventSource = class {
  constructor(path) { this.heard = []; window.connect = () => this.begin(path); }
  addEventListener(kind, act) { this.heard.push([kind, act]); }
  begin(path) {
    const source = new real(path);
    for (const [kind, act] of this.heard) source.addEventListener(kind, act);
    source.addEventListener("state", () => { window.told = true; });
  }
  close() {}
};
window.fetch = async (path, ...more) => {
  const answer = await fetched(path, ...more);
  if (path === "/page/read") await new Promise((go) => { window.release = go; });
  return answer;
};
"""


def test_a_reading_that_ends_before_the_page_listens_is_shown(browser, tmp_path):
    agent = Agent(script(), HandFaces(face(SMILE, NO_FROWN)), Settings.load(None))
    path = tmp_path / "sea.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
    held = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HOLD})
    try:
        with running(agent) as server:
            visit(browser, server)
            upload(browser, path)
            until(browser, "!!window.release")
            deadline = time.monotonic() + 60
            while server.house.line.busy and time.monotonic() < deadline:
                time.sleep(0.02)
            browser.execute_script("window.connect()")
            until(browser, "window.told")
            browser.execute_script("window.release()")
            wait_for_reading(browser)
            assert browser.find_elements("css selector", ".job") == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", held)


LATE = """
const real = window.EventSource;
window.EventSource = class {
  constructor(path) {
    this.source = new real(path);
    this.waiting = [];
    window.deliver = () => {
      const all = this.waiting;
      this.waiting = null;
      for (const [act, event] of all) act(event);
    };
  }
  addEventListener(kind, act) {
    this.source.addEventListener(kind, (event) => {
      if (kind === "state") window.arrived = true;
      if (this.waiting) this.waiting.push([act, event]);
      else act(event);
    });
  }
  close() { this.source.close(); }
};
"""


def test_a_reading_that_is_begun_before_the_page_hears_of_the_server_is_not_lost(browser, tmp_path):
    """What the server told when the page was opened may arrive after the first reading is sent."""
    agent = Agent(script(), HandFaces(face(SMILE, NO_FROWN)), Settings.load(None))
    path = tmp_path / "sea.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
    held = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LATE})
    try:
        with running(agent) as server:
            visit(browser, server)
            until(browser, "window.arrived")
            upload(browser, path)
            until(browser, "document.querySelector('.job') !== null")
            browser.execute_script("window.deliver()")
            wait_for_reading(browser)
            assert browser.find_elements("css selector", ".job") == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", held)


def test_an_answer_without_end_is_stopped_and_others_have_waited_their_turn(browser, tmp_path):
    inner, endless = script(), threading.Event()
    endless.set()

    def answer(call: Any) -> str:
        if endless.is_set():
            return "and on " * 3_000_000
        return inner.generate(call.conversation, schema=call.schema).text

    mllm = ScriptedMllm(
        answer, lambda call: inner.score(call.conversation, call.answers), info=inner.info
    )
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(path)
    with (
        running(Agent(mllm, HandFaces(face(SMILE)), Settings.load(None))) as server,
        chromium() as other,
    ):
        visit(browser, server)
        upload(browser, path)
        until(browser, "document.querySelector('.job .words')?.textContent.includes('and on')")
        visit(other, server)
        upload(other, path)
        until(other, "document.querySelector('.job .place')?.textContent.includes('1 before')")
        endless.clear()
        click(browser, ".job button")
        until(browser, "document.querySelector('.job.stopped')")
        assert text(browser, ".job.stopped .place") == "Stopped by the user"
        wait_for_reading(other)
        assert browser.find_elements("css selector", ".result") == []
        upload(browser, path)
        wait_for_reading(browser)


def test_a_killed_server_is_told_of_and_the_next_one_is_used(browser, tmp_path, feat_data):
    from test_web_serve import serving, uploads

    visiting = json.dumps(str(feat_data / "single_face.jpg"))
    with serving(tmp_path) as (process, url):
        house = Running(url, None)  # type: ignore[arg-type]
        visit(browser, house)
        upload(browser, json.loads(visiting))
        wait_for_reading(browser)
        process.kill()
        process.wait()
        assert uploads(tmp_path) == ["single_face.jpg"]
    until(browser, "!document.getElementById('banner').hidden")
    assert text(browser, "#banner span") == (
        "The server does not answer. What you see stays; the page keeps trying."
    )
    click(browser, "#read")
    until(browser, "document.getElementById('problem').textContent")
    assert text(browser, "#problem") == "The server does not answer; try again."
    with serving(tmp_path, int(url.rsplit(":", 1)[1])):
        assert uploads(tmp_path) == [], "what the killed server left is removed by the next"
        until(browser, "document.getElementById('banner').textContent.includes('started anew')")
        assert browser.find_elements("css selector", ".result.stale .verdict")
        click(browser, "#read")
        wait_for_reading(browser, 2)


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 900, "light"), (768, 1024, "dark"), (390, 844, "light")]
)
def test_the_answer_stands_beside_the_picture_above_the_fold(
    browser, server, feat_data, tmp_path, width, height, scheme
):
    named = tmp_path / "Foto größe (1) & Co.jpg"
    named.write_bytes((feat_data / "single_face.jpg").read_bytes())
    visit(browser, server, width, scheme)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    upload(browser, named, "They have just won the final.")
    wait_for_reading(browser)
    until(browser, "document.getElementById('ask').hidden")
    until(browser, "document.getElementById('status').textContent.startsWith('Read: ')")
    # a screen reader is told when it has happened, and what was read
    assert text(browser, "#status").startswith(f"Read: {named.name}. Person 1: happiness ")
    assert find(browser, "#status").get_attribute("role") == "status"
    assert text(browser, ".result h2") == named.name  # as it is
    place = "document.querySelector('.result .answer .short').getBoundingClientRect()"
    for scrolled in (True, False):
        if not scrolled:
            browser.execute_script("scrollTo(0, 0)")
        assert 0 < browser.execute_script(f"return {place}.bottom") <= height
    picture = browser.execute_script(
        "const b = document.querySelector('.picture image').getBoundingClientRect();"
        "return [b.top, b.bottom]"
    )
    assert picture[0] >= 0
    assert picture[1] <= height
    assert sticking_out(browser) == 0
    assert cut_off(browser) == []
    assert small_targets(browser) == []
    find(browser, "#another button").click()
    assert find(browser, "#context").is_displayed()
    assert small_targets(browser) == []
    assert sticking_out(browser) == 0
    assert not complaints(browser)


def cut_off(browser: Any) -> list[str]:
    """Texts of the page that stick out of the window, or whose words are broken in the middle."""
    return browser.execute_script(
        """
        const found = [];
        const walk = document.createTreeWalker(
          document.querySelector("main"), NodeFilter.SHOW_TEXT);
        for (let node; (node = walk.nextNode()); ) {
          const parent = node.parentElement;
          if (!parent.checkVisibility() || parent.closest(".scroll, h2, option")) continue;
          for (const word of node.data.matchAll(/[A-Za-z]{3,}/g)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
            if (!boxes.length || node.parentElement.closest(".hidden")) continue;
            const lines = new Set(boxes.map((box) => Math.round(box.top)));
            if (lines.size > 1) found.push("broken: " + word[0]);
            if (boxes.some((box) => box.right > innerWidth + 1)) found.push("out: " + word[0]);
          }
        }
        return found;
        """
    )


def small_targets(browser: Any) -> list[str]:
    """What can be pressed and is smaller than 24 px; words inside a sentence are let be."""
    return browser.execute_script(
        """
        return [...document.querySelectorAll("a, button, input, select, textarea, summary")]
          .filter((e) => e.checkVisibility() && !e.matches("a.said, svg a, .skip"))
          .filter((e) => {
            const b = e.getBoundingClientRect();
            return b.width < 24 || b.height < 24;
          })
          .map((e) => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}`);
        """
    )


def test_all_label_sets_are_listed_and_those_of_other_models_say_so(browser, server):
    visit(browser, server)
    options = browser.execute_script(
        "return [...document.querySelectorAll('#labels option')]"
        ".map((o) => [o.value, o.disabled, o.textContent])"
    )
    assert len(options) == len(shipped_label_sets())
    assert ["ekman-8", False, "ekman-8"] in options
    assert ["emotic-26", True, "emotic-26 (needs another model)"] in options
