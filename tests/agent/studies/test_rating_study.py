"""A rating study: made, run in a real browser, stored, collected, and read by integrate."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from kuleshov.apps.cli.main import main
from kuleshov.apps.web.server import configure_uvicorn
from kuleshov.apps.web.state import Serving
from kuleshov.apps.web.study import create_study_app
from kuleshov.studies.rating_study.answers import AnswerStore, collect_answers
from kuleshov.studies.rating_study.design import read_design
from kuleshov.studies.ratings import read_ratings
from kuleshov.tools.errors import KuleshovError

LABELS = ("happy", "sad")
CONTEXTS = {"wedding": "They were at a <b>wedding</b>.", "funeral": "They were at a funeral."}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    for name, high in (("one", 900), ("two", 700), ("three", 1200)):
        exif = Image.Exif()
        exif[0x010F] = "A camera"
        Image.new("RGB", (1200, high), (90, 90, 90)).save(folder / f"{name}.jpg", exif=exif)
    return folder


@pytest.fixture
def contexts(tmp_path: Path) -> Path:
    path = tmp_path / "contexts.toml"
    path.write_text(
        "".join(f'[[contexts]]\nname = "{n}"\ntext = "{t}"\n' for n, t in CONTEXTS.items())
    )
    return path


@pytest.fixture
def make(faces: Path, contexts: Path, tmp_path: Path) -> Any:
    def made(*more: str) -> Path:
        out = tmp_path / "study"
        given = ["--pictures", str(faces), "--contexts", str(contexts), "--out", str(out)]
        assert main(["study", *given, "--labels", ",".join(LABELS), *more]) == 0
        return out

    return made


def answer(study: Path, who: str, trial: int, **more: Any) -> dict[str, Any]:
    given = {"condition": "face", "face": "one", "context": "", "happy": 9, "sad": 1, **more}
    return {
        "study": read_design(study)["id"],
        "participant": who,
        "trial": trial,
        "rt_ms": 800,
        "at": "2026-01-01T00:00:00Z",
        **given,
    }


@contextlib.contextmanager
def served(study: Path) -> Iterator[str]:
    import uvicorn

    serving = Serving()
    server = uvicorn.Server(configure_uvicorn(create_study_app(study, serving), serving))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


# ------------------------------------------------------------------------------ the folder


def test_the_page_is_one_file_that_loads_nothing_and_tells_nothing_of_the_photos(make) -> None:
    study = make()
    page = (study / "index.html").read_text()
    assert "http" not in page.replace('http-equiv="content-security-policy"', "")
    assert page.count("data:image/jpeg;base64,") == 3
    assert "A camera" not in page
    assert "</b>" not in page  # a text of the study is no markup
    assert page.count("</script>") == 2
    design = read_design(study)
    assert [face["name"] for face in design["faces"]] == ["one", "three", "two"]
    assert all("picture" not in face for face in design["faces"])
    sheet = (study / "preregistration.md").read_text()
    assert "3 faces alone, 2 contexts alone, and 6 of 6 pairs (all pairs): 11 trials" in sheet
    assert "They were at a funeral." in sheet


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--pictures": "nowhere"}, "holds no picture"),
        ({"--contexts": "one"}, "a study needs at least two contexts"),
        ({"--contexts": "twice"}, "there are two contexts named 'a'"),
        ({"--pictures": "broken"}, "broken.jpg"),
        ({"--labels": "happy,happy"}, "at least two labels"),
        ({"--scale": "9-1"}, "a lowest and a higher highest rating"),
        ({"--scale": "x"}, "give the lowest and highest rating"),
        ({"--pairs": "7"}, "--pairs must be between 1 and 6"),
        ({"--checks": "-1"}, "--checks must be 0 or more"),
        ({"--completion": "javascript:alert(1)"}, "begins with https://"),
        ({"--out": None}, "a study needs --out"),
    ],
)
def test_a_study_that_cannot_be_is_one_sentence(
    change: dict[str, str], sentence: str, faces: Path, contexts: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "one").write_text('[[contexts]]\nname = "a"\ntext = "b"\n')
    (tmp_path / "twice").write_text('[[contexts]]\nname = "a"\ntext = "b"\n' * 2)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    given = {
        "--pictures": str(faces),
        "--contexts": str(contexts),
        "--out": str(tmp_path / "study"),
        "--labels": "happy,sad",
    }
    for name, value in change.items():
        there = value is not None and (tmp_path / value).exists()
        given[name] = str(tmp_path / value) if there else value
    call = [part for name, value in given.items() if value is not None for part in (name, value)]
    assert main(["study", *call]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


# ------------------------------------------------------------------------------ answers


def test_answers_are_stored_a_line_each_and_nothing_else(make) -> None:
    study = make()
    with served(study) as url, httpx.Client(base_url=url) as client:
        page = client.get("/", params={"participant": "p1"})
        assert 'data-posts="yes"' in page.text
        assert "unsafe-eval" not in page.headers["content-security-policy"]
        for trial in range(3):
            sent = answer(study, "p1", trial, happy=trial + 1)
            assert client.post("/trials", json=sent).json() == {"stored": True}
        for bad in (
            {"study": "x"},
            {**answer(study, "p1", 5), "participant": "../p1"},
            {**answer(study, "p1", 5), "happy": 10},
            {**answer(study, "p1", 5), "happy": "high"},
            {**answer(study, "p1", 5), "face": "another"},
            {**answer(study, "p1", 5), "condition": "scene"},
            {**answer(study, "p1", 5), "trial": -1},
        ):
            refused = client.post("/trials", json=bad)
            assert refused.status_code == 400
            assert refused.json()["error"].endswith(".")
        assert client.post("/trials", content=b"\xff{").status_code == 400
        with contextlib.suppress(httpx.TransportError):  # it was cut off while it was sent
            assert client.post("/trials", content=b"x" * 3_000_000).status_code == 413
    (kept,) = (study / "data").iterdir()
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [line["happy"] for line in lines] == [1, 2, 3]
    assert set(lines[0]) == set(answer(study, "p1", 0))  # no address, no browser


def test_a_cut_off_line_takes_no_other_with_it(make) -> None:
    study = make()
    AnswerStore(study).add(answer(study, "p1", 0))
    kept = study / "data" / "p1.jsonl"
    kept.write_bytes(kept.read_bytes() + b'{"study": "ab')  # as a kill or a full disk leaves it
    AnswerStore(study).add(answer(study, "p1", 1))
    found = collect_answers(study)
    assert found.judgements == 2
    assert len(found.damaged) == 1


def test_many_participants_at_once_lose_nothing(make) -> None:
    study = make()
    with served(study) as url, ThreadPoolExecutor(8) as pool:

        def take_part(who: int) -> None:
            with httpx.Client(base_url=url) as client:
                for trial in range(10):
                    assert (
                        client.post("/trials", json=answer(study, f"p{who}", trial)).status_code
                        == 201
                    )

        list(pool.map(take_part, range(12)))
    found = collect_answers(study)
    assert (len(found.participants), found.judgements) == (12, 120)


def test_saved_files_are_joined_doubled_trials_count_once_and_failed_checks_are_told(
    make, tmp_path, capsys
) -> None:
    study = make()
    store = AnswerStore(study)
    for who in ("p1", "p2"):
        store.add(answer(study, who, 0))
        store.add(answer(study, who, 0, happy=2))
        store.add(answer(study, who, 1, condition="practice", face="", happy=5))
        check = "failed" if who == "p2" else "passed"
        store.add(answer(study, who, 2, condition="check", face="", check=check))
    saved = tmp_path / "saved.csv"
    rows = [answer(study, "p3", 0), answer(study, "p3", 1, condition="both", context="wedding")]
    with saved.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    assert main(["study", "--collect", str(study), str(saved)]) == 0
    err = capsys.readouterr().err
    assert "3 participants, 4 judgements; 3 did not finish; 2 trials came twice" in err
    assert "Attention checks failed: p2 (1); all are kept." in err
    table = list(csv.DictReader((study / "ratings.csv").open()))
    assert {(row["rater"], row["label"], row["rating"]) for row in table} >= {("p1", "happy", "9")}
    assert main(["study", "--collect", str(study), "--most-failed", "0"]) == 0
    assert "p2" not in (study / "ratings.csv").read_text()
    assert main(["study", "--collect", str(tmp_path)]) == 2


def test_data_of_a_study_are_not_written_over(make, faces, contexts, capsys) -> None:
    study = make()
    AnswerStore(study).add(answer(study, "p1", 0))
    given = ["--pictures", str(faces), "--contexts", str(contexts), "--out", str(study)]
    assert main(["study", *given]) == 2
    assert "holds the data of a study" in capsys.readouterr().err


def test_serve_stores_what_is_sent_and_a_kill_loses_nothing(make) -> None:
    study = make()
    call = [sys.executable, "-m", "kuleshov.apps.cli.main", "serve", "--port", "0"]
    run = subprocess.Popen(
        [*call, "--study", str(study)], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert run.stderr is not None
    said = run.stderr.readline()
    url = next(word for word in said.split() if word.startswith("http")).split("?")[0]
    for trial in range(5):
        assert httpx.post(f"{url}/trials", json=answer(study, "p1", trial)).status_code == 201
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert collect_answers(study).judgements == 5


# ------------------------------------------------------------------------------ in a browser


def _rate(browser: Any, rng: np.random.Generator, expected: dict[str, dict[str, float]]) -> None:
    """Answer the trial that is shown, as somebody who weighs face and context alike."""
    script = """
    const find = (css) => [...document.querySelectorAll(css)];
    return {question: document.querySelector("h1").textContent,
            pictures: find("img").map((e) => e.src.length),
            text: document.querySelector("blockquote")?.textContent ?? null,
            labels: find("input[type=range]").map((e) => e.dataset.label)};
    """
    shown = browser.execute_script(script)
    values = {}
    for label in shown["labels"]:
        said = [expected["context"][shown["text"]][label]] if shown["text"] else []
        said += [expected["face"][str(size)][label] for size in shown["pictures"]]
        mean = sum(said) / len(said) if said else 5.0
        values[label] = int(np.clip(round(mean + rng.normal(0, 0.7)), 1, 9))
    if shown["question"].startswith("To show that you are reading this"):
        wanted = shown["question"].split("“")[1].split("”")[0]
        values = {label: 9 if label == wanted else 1 for label in shown["labels"]}
    browser.execute_script(
        """
        const next = () => [...document.querySelectorAll("button")].at(-1);
        if (!next().disabled) throw new Error("an untouched slider counts as an answer");
        for (const slider of document.querySelectorAll("input[type=range]")) {
          slider.value = arguments[0][slider.dataset.label];
          slider.dispatchEvent(new Event("input"));
        }
        next().click();
        """,
        values,
    )


def test_from_the_first_click_to_the_fitted_observer(make, tmp_path) -> None:
    from browsers import chromium, needed

    if needed.args[0]:
        pytest.skip("chromium and chromedriver are not installed")
    pytest.importorskip("statsmodels")
    study = make("--pairs", "6", "--checks", "1")
    page = (study / "index.html").read_text()
    sizes = [len(part.split('"')[0]) for part in page.split('"picture": "')[1:]]
    names = [face["name"] for face in read_design(study)["faces"]]
    assert len(set(sizes)) == 3
    feels = {"one": {"happy": 8, "sad": 2}, "two": {"happy": 2, "sad": 8}}
    feels["three"] = {"happy": 4, "sad": 5}
    expected = {
        "face": {str(size): feels[name] for size, name in zip(sizes, names, strict=True)},
        "context": {
            CONTEXTS["wedding"]: {"happy": 9, "sad": 1},
            CONTEXTS["funeral"]: {"happy": 1, "sad": 9},
            "Somebody has just been handed a present by a friend.": {"happy": 8, "sad": 2},
        },
    }
    rng = np.random.default_rng(0)
    with served(study) as url, chromium() as browser:
        for who in ("anna", "bert", "=cara"):
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
            )
            browser.get(f"{url}/?PROLIFIC_PID={who}")
            for _ in range(2):
                browser.execute_script("document.querySelector('button').click()")
            for done in range(13):  # practice, 11 trials, a check
                if done == 5:  # closed, and opened again later
                    browser.get("about:blank")
                    browser.get(f"{url}/?PROLIFIC_PID={who}")
                wide = "return document.documentElement.scrollWidth - innerWidth"
                assert browser.execute_script(wide) <= 0
                _rate(browser, rng, expected)
            from selenium.webdriver.support.ui import WebDriverWait

            stored = "return document.body.innerText.includes('Your answers are stored.')"
            WebDriverWait(browser, 30).until(lambda b, s=stored: b.execute_script(s))
        assert [e for e in browser.get_log("browser") if "favicon" not in e["message"]] == []
    orders = {}
    for path in sorted((study / "data").iterdir()):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        orders[path.stem] = [(line["face"], line["context"]) for line in lines]
        # one that a page could not see arrive before it was closed may come twice
        assert list(dict.fromkeys(line["trial"] for line in lines)) == list(range(13))
        assert {line["check"] for line in lines if "check" in line} == {"passed"}
    assert sorted(orders) == ["anna", "bert", "cara"]
    assert orders["anna"] != orders["bert"]
    found = collect_answers(study)
    assert (found.judgements, found.unfinished) == (33, [])
    ratings = read_ratings(study / "ratings.csv")
    assert ratings.labels == LABELS
    assert not ratings.warnings
    result = tmp_path / "result"
    assert main(["integrate", str(study / "ratings.csv"), "--out", str(result)]) == 0
    fitted = (result / "observer.toml").read_text()
    assert "face_weight" in fitted


def test_without_a_server_the_answers_are_kept_and_can_be_saved(make, tmp_path) -> None:
    from browsers import chromium, needed

    if needed.args[0]:
        pytest.skip("chromium and chromedriver are not installed")
    study = make("--answer", "choice", "--pairs", "1", "--checks", "0")
    choose = """
        document.querySelector("input[type=radio]").click();
        [...document.querySelectorAll("button")].at(-1).click();
    """
    with chromium() as browser:
        browser.get(f"{(study / 'index.html').as_uri()}?participant=p7")
        for _ in range(2):
            browser.execute_script("document.querySelector('button').click()")
        for _ in range(7):
            browser.execute_script(choose)
        assert "kept in this browser only" in browser.execute_script(
            "return document.body.innerText"
        )
        folder = tmp_path / "saved"
        browser.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
        )
        browser.execute_script("document.querySelector('button').click()")
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(browser, 30).until(lambda b: list(folder.glob("*.csv")))
    (saved,) = folder.glob("*.csv")
    found = collect_answers(study, [str(saved)])
    assert found.participants == {"p7": 6}
    with pytest.raises(KuleshovError, match="are alike"):
        read_ratings(study / "ratings.csv")
