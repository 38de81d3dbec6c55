"""The server over HTTP: API, mistakes, hostile requests, sessions; a fake model, real requests."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image
from test_agent import GOOD, script

pytest.importorskip("fastapi", reason="the extra web is not installed")
import httpx
from web_parts import Running, running

from kuleshov import Agent, Inference, Settings
from kuleshov.apps.web import browser_sessions, uploads
from kuleshov.apps.web import open_readings as opened
from kuleshov.apps.web.uploads import Folders, TooLargeError, safe_name, shown_name
from kuleshov.tools.mllm import Call, ScriptedMllm

from parts import NO_FROWN, SMILE, HandFaces, face

LIMIT = 300_000


def png(size=(200, 100), colour=(90, 90, 90)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


PICTURE = png()


def agent(mllm: ScriptedMllm | None = None, **settings: Any) -> Agent:
    return Agent(
        mllm or script(), HandFaces(face(SMILE, NO_FROWN)), Settings.load(None, **settings)
    )


class Gate:
    """A model that says nothing until it is let go."""

    def __init__(self) -> None:
        inner = script()
        self.asked, self.free = threading.Event(), threading.Event()

        def answer(call: Call) -> str:
            self.asked.set()
            assert self.free.wait(120)
            return inner.generate(call.conversation, schema=call.schema).text

        self.mllm = ScriptedMllm(
            answer, lambda c: inner.score(c.conversation, c.answers), info=inner.info
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(agent(), max_upload_bytes=LIMIT) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=120) as found:
        yield found


def soon(is_so: Callable[[], Any]) -> Any:
    """What `is_so` says as soon as it says something; at most 2 minutes."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(0.02)
    raise AssertionError("this has not come about")


def post(client: httpx.Client, data: bytes = PICTURE, name: str = "photo.png", **fields: Any):
    wait = fields.pop("wait", True)
    return client.post(
        "/api/v1/infer", params={"wait": wait}, files={"file": (name, data)}, data=fields
    )


# ---------------------------------------------------------------------------------- the API


def test_a_picture_posted_comes_back_as_the_record(client, server):
    answer = post(client, context=["They won.", "By a goal."], who='{"1": "the coach"}')
    assert answer.status_code == 200, answer.text
    record = answer.json()
    jsonschema.validate(record, client.get("/api/v1/schema").json())
    assert client.get("/api/v1/schema").json() == Inference.json_schema()
    assert record["media"]["path"] == "photo.png"
    assert record["people"][0]["emotions"]["probabilities"]["happiness"] > 0.5
    told = [item["text"] for item in record["evidence"] if item["source"] == "user"]
    assert any("They won." in text for text in told)
    assert any("the coach" in text for text in told)
    assert str(server.house.folders.root) not in answer.text
    assert server.uploads == []


@pytest.mark.parametrize("field", ["fusion", "strategy"])  # the second is that of 0.1.0
def test_labels_fusion_boxes_and_influence_are_as_asked(client, field):
    asked = {"labels": "ekman-6", field: "text", "boxes": "[[10, 10, 60, 70]]"}
    record = post(client, **asked, influence="true").json()
    (person,) = record["people"]
    assert person["emotions"]["labels"] == "ekman-6"
    assert person["emotions"]["fusion"] == "text"
    assert person["influence"] is not None
    assert record["provenance"]["settings"]["labels"] == "ekman-6"


def test_a_job_is_lined_up_asked_for_fetched_and_forgotten():
    gate = Gate()
    with running(agent(gate.mllm)) as server, httpx.Client(base_url=server.url) as client:
        first, second = (post(client, wait=False) for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 202)
        url = first.json()["url"]
        soon(lambda: client.get(url).json()["state"] == "running")
        waits = client.get(second.json()["url"]).json()
        assert (waits["state"], waits["ahead"], waits["record"]) == ("waiting", 1, None)
        early = client.get(f"{url}/record")
        assert early.status_code == 409
        assert early.json() == {"error": "this job is running; ask again later."}
        assert client.get("/api/v1/health").json()["waiting"] == 1
        assert client.delete(second.json()["url"]).json()["state"] == "stopped"
        assert client.get(second.json()["url"]).status_code == 404
        assert len(server.uploads) == 1
        gate.free.set()
        done = soon(lambda: (s := client.get(url).json())["state"] == "done" and s)
        assert "opened, 200 × 100 px" in done["steps"]
        record = client.get(done["record"]).json()
        assert record["media"]["path"] == "photo.png"
        assert server.uploads == []
        assert client.delete(url).status_code == 200
        assert client.get(url).status_code == 404


def test_a_client_that_hangs_up_stops_its_job():
    gate = Gate()
    with running(agent(gate.mllm)) as server:
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=server.url) as client:
            client.post("/api/v1/infer", files={"file": ("a.png", PICTURE)}, timeout=0.5)
        assert gate.asked.wait(120)
        job = soon(lambda: server.house.line._running)
        soon(job.stop.is_set)
        gate.free.set()
        soon(lambda: not server.house.line.busy)
        assert job.state == "stopped"
        assert server.uploads == []


def test_the_api_describes_itself_without_loading_anything_from_elsewhere(client):
    spec = client.get("/openapi.json").json()
    assert set(spec["paths"]) == {
        "/api/v1/infer",
        "/api/v1/jobs/{id}",
        "/api/v1/jobs/{id}/record",
        "/api/v1/schema",
        "/api/v1/health",
    }
    assert {"Inference", "JobState", "Health", "Problem"} <= set(spec["components"]["schemas"])
    page = client.get("/docs").text
    assert "POST /api/v1/infer" in page
    assert 'id="Inference"' in page
    for text in (page, client.get("/").text):
        assert "//" not in text.replace(str(client.base_url).rstrip("/"), "")
    assert client.get("/redoc").status_code == 404


def test_health_says_what_reads_and_its_limits(client):
    told = client.get("/api/v1/health").json()
    assert (told["model"], told["faces"], told["fusion"]) == ("scripted", "hand 1", "people")


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("data", "name", "fields", "status", "sentence"),
    [
        (b"", "a.png", {}, 400, "a.png is empty (0 bytes)."),
        (PICTURE[:60], "a.png", {}, 400, "a.png is cut off or damaged: its picture cannot"),
        (b"hello there", "a.txt", {}, 400, "a.txt is not a picture or clip that can be read"),
        (png() + bytes(LIMIT + 1), "a.png", {}, 413, "the file is larger than 0.3 MB"),
        (bytes(3 * LIMIT + 10**6), "a.png", {}, 413, "the file is larger than 0.3 MB"),
        (PICTURE, "a.png", {"labels": "ekman-77"}, 400, "there is no label set 'ekman-77' on"),
        (PICTURE, "a.png", {"labels": "/etc/passwd.toml"}, 400, "there is no label set"),
        (PICTURE, "a.png", {"fusion": "magic"}, 400, "there is no fusion 'magic'"),
        (PICTURE, "a.png", {"boxes": "[[1, 2]]"}, 400, "box"),
        (PICTURE, "a.png", {"boxes": "nine"}, 400, "boxes must be JSON like"),
        (PICTURE, "a.png", {"boxes": "[" * 50_000}, 400, "boxes must be JSON like"),
        (PICTURE, "a.png", {"who": '["coach"]'}, 400, "who must be JSON like"),
        (PICTURE, "a.png", {"influence": "perhaps"}, 422, "influence: "),
        (PICTURE, "a.png", {"context": "x" * 20_001}, 400, "the context has 20,001 characters"),
    ],
)
def test_a_mistake_ends_in_one_sentence(client, server, data, name, fields, status, sentence):
    answer = post(client, data, name, **fields)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert sentence in answer.json()["error"]
    assert "Traceback" not in answer.text
    assert str(server.house.folders.root) not in answer.text
    soon(lambda: not server.uploads)
    assert client.get("/api/v1/health").status_code == 200


ODD_WORDS = [
    "9" * 5000,
    "1e999",
    "-1",
    "²",
    "NaN",
    "null",
    "[" * 100_000,
    '{"a":' * 100_000,
    "[[" + "9" * 5000 + ", 0, 1, 2]]",
    "[[1e999, 0, 1, 2]]",
    "[[NaN, NaN, NaN, NaN]]",
    '{"' + "9" * 5000 + '": "x"}',
    '{"²": "x"}',
    '{"-1": "x"}',
    '{"1": ' + "9" * 5000 + "}",
    '{"1": {"a": []}}',
    "\0\x1b[31m\u202e",
]


@pytest.mark.parametrize(
    "field", ["who", "boxes", "labels", "fusion", "strategy", "influence", "wait"]
)
def test_odd_values_of_a_field_are_never_a_fault_of_the_server(client, field):
    for word in ODD_WORDS:
        at = {"params": {"wait": word[:2000]}} if field == "wait" else {"data": {field: word}}
        answer = client.post("/api/v1/infer", files={"file": ("a.png", PICTURE)}, **at)
        assert 400 <= answer.status_code < 500, (field, word[:40], answer.text[:200])
        assert set(answer.json()) == {"error"}
        assert 0 < len(answer.json()["error"]) < 500


def test_odd_words_are_words(client):
    """What is known of the situation may be anything that is text."""
    for field in ("context", "said"):
        for word in ("9" * 5000, "[" * 9000, "\0\x1b[31m\u202e", '{"a": 1}'):
            answer = client.post(
                "/api/v1/infer", files={"file": ("a.png", PICTURE)}, data={field: word}
            )
            assert answer.status_code == 200, answer.text[:200]


def test_odd_requests_elsewhere_are_never_a_fault_of_the_server(client):
    huge = "9" * 5000
    for method, path in (("GET", f"/api/v1/jobs/{huge}"), ("DELETE", f"/api/v1/jobs/{huge}"),
                         ("GET", f"/api/v1/jobs/{huge}/record"), ("GET", f"/{huge}")):  # fmt: skip
        assert client.request(method, path).status_code == 404
    form = "application/x-www-form-urlencoded"
    for body, kind in ((b"[" * 100_000, "application/json"), (b"\xff\0", "multipart/form-data"),
                       (b"file=" + huge.encode(), form)):  # fmt: skip
        answer = client.post("/api/v1/infer", content=body, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500, answer.text[:200]
        assert set(answer.json()) == {"error"}
    words = {"file": ("a.png", PICTURE), "transcript": ("a.json", b"[" * 100_000)}
    answer = client.post("/api/v1/infer", files=words)
    assert 400 <= answer.status_code < 500, answer.text[:200]


def test_a_request_without_a_file_is_told_so(client):
    answer = client.post("/api/v1/infer", data={"context": "x"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("file: ")


def test_an_upload_without_end_is_cut_off(server):
    """No Content-Length: what comes is counted."""
    sent = 0
    with socket.create_connection(server.url.removeprefix("http://").split(":")) as line:
        line.sendall(
            b"POST /api/v1/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
        )
        head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        try:
            line.sendall(b"%x\r\n%s\r\n" % (len(head), head))
            while sent < 50_000_000:
                line.sendall(b"%x\r\n%s\r\n" % (65536, bytes(65536)))
                sent += 65536
        except OSError:
            pass
        try:
            answer = line.recv(4096)
        except OSError:
            answer = b""
    assert sent < 50_000_000 or b" 413 " in answer
    assert b" 200 " not in answer
    assert server.uploads == []


# ---------------------------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        ("..", "upload"),
        ("", "upload"),
        (None, "upload"),
        (".bashrc", "bashrc"),
        ("a\x00b\n.png", "a_b_.png"),
        ("<img src=x onerror=alert(1)>.png", "_img src=x onerror=alert_1__.png".replace("=", "_")),
        ("x" * 500 + ".png", "x" * 116 + ".png"),
        ("é" * 200 + ".png", "é" * 58 + ".png"),
        ("photo 1.jpg", "photo 1.jpg"),
    ],
)
def test_a_file_name_is_made_harmless(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Foto größe (1) & Co.jpg", "Foto größe (1) & Co.jpg"),
        ("C:\\photos\\a+b.png", "a+b.png"),
        ("../../etc/passwd", "passwd"),
        (None, "upload"),
    ],
)
def test_a_file_is_called_as_it_is(name, shown):
    assert shown_name(name) == shown


def test_uploads_lie_in_their_folder_with_a_limit_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads.tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "kuleshov-serve-killed"
    left.mkdir()
    (left / ".lock").touch()
    (left / "face.png").write_bytes(PICTURE)
    store = Folders(limit=10, most=25)
    assert not left.exists(), "what a killed server left behind is removed"
    assert store.root.stat().st_mode & 0o777 == 0o700
    own = store.new()
    kept = [store.save(io.BytesIO(b"x" * 10), "../../a.png", own) for _ in range(2)]
    assert kept[0] != kept[1]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert all(own in path.parents and path.name == "a.png" for path in kept)
    with pytest.raises(TooLargeError, match="larger than"):
        store.save(io.BytesIO(b"x" * 11), "b.png", own)
    with pytest.raises(TooLargeError, match="no room for more uploads"):
        store.save(io.BytesIO(b"x" * 6), "b.png", own)
    store.remove(kept[0].parent)
    store.save(io.BytesIO(b"x" * 6), "b.png", own)
    with pytest.raises(ValueError, match="not within"):
        store.remove(tmp_path)
    assert Folders(10, 25).root != store.root, "a server that runs keeps its folder"
    assert kept[1].is_file()
    store.close()
    assert not store.root.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/settings.py",
        "/static//etc/passwd",
        "/static/report.html.jinja",
        "/gallery/-1",
        "/gallery/0",
        "/gallery/..%2f..%2fetc%2fpasswd",
        "/page/readings/..%2f..%2f..%2fetc%2fpasswd/clip",
        "/api/v1/jobs/..%2f..%2fhealth/record",
    ],
)
def test_no_path_leads_out(server, path):
    """Sent as it stands: a client's library would tidy the path up."""
    line = http.client.HTTPConnection(server.url.removeprefix("http://"))
    line.request("GET", path)
    answer = line.getresponse()
    assert answer.status in (404, 410, 422)
    assert b"root:" not in answer.read()
    line.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost:1@evil.example"}, 421),
        ({"host": "[::1"}, 421),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8686"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_other_hosts_and_other_pages_are_refused(client, headers, status):
    answer = client.post("/page/begin", headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert set(answer.json()) == {"error"}
        assert "set-cookie" not in answer.headers


def test_every_answer_carries_the_policy(client):
    for path in ("/", "/docs", "/static/page.js", "/nothing", "/api/v1/health"):
        answer = client.get(path)
        policy = dict(
            p.split(" ", 1) for p in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
    cookie = client.get("/", headers={"cookie": ""}).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_a_password_is_asked_for_and_sessions_belong_to_users():
    users = {"anna": "correct horse", "bert": "battery staple"}
    with running(agent(), credentials=users) as server, httpx.Client(base_url=server.url) as client:
        for auth in (None, ("anna", "battery staple"), ("", ""), ("zoe", "")):
            answer = client.get("/", auth=auth)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
            assert "Kuleshov</p>" not in answer.text
        assert client.get("/", headers={"authorization": b"Basic \xff"}).status_code == 401
        assert client.get("/", auth=("anna", "correct horse")).status_code == 200
        assert client.post("/page/end", auth=("bert", "battery staple")).status_code == 410
        job = client.post(
            "/api/v1/infer?wait=0",
            files={"file": ("a.png", PICTURE)},
            auth=("anna", "correct horse"),
        ).json()
        assert client.get(job["url"], auth=("bert", "battery staple")).status_code == 404
        assert client.get(job["url"], auth=("anna", "correct horse")).status_code == 200


def test_five_hundred_requests_at_once(server):
    """Those that find the line full are told so; the others are read; nothing is left behind."""

    async def one(client: httpx.AsyncClient, i: int) -> int:
        if i % 5 == 0:
            return (await client.get("/api/v1/health")).status_code
        if i % 5 == 1:
            return (await client.get("/")).status_code
        files = {"file": (f"{i}.png", PICTURE if i % 5 < 4 else PICTURE[:50])}
        return (await client.post("/api/v1/infer", files=files)).status_code

    async def all_of_them() -> list[int]:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=120) as client:
            return await asyncio.gather(*(one(client, i) for i in range(500)))

    found = asyncio.run(all_of_them())
    assert set(found) == {200, 400, 429}
    assert found.count(200) > 200
    assert {status for i, status in enumerate(found) if i % 5 < 2} == {200}
    assert httpx.get(f"{server.url}/api/v1/health").json()["waiting"] == 0
    assert server.uploads == []


# ---------------------------------------------------------------------------------- sessions


def read(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/page/read", files={"file": ("photo.png", PICTURE)}, data=fields)
    assert answer.status_code == 202, answer.text
    return answer.json()


def events(client: httpx.Client, until: str) -> list[tuple[str, dict[str, Any]]]:
    """The page's events up to the first of the kind `until`."""
    found: list[tuple[str, dict[str, Any]]] = []
    with client.stream("GET", "/page/events") as answer:
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                found.append((kind, json.loads(value)))
                if kind == until:
                    break
    return found


def test_a_page_reads_and_its_session_takes_everything_along(client, server):
    client.get("/")
    job = read(client, context="They won.")
    soon(lambda: _done(server))
    (session,) = [s for s in server.house.visits._all.values() if s.readings]
    (id,) = session.readings
    ((_, told),) = events(client, "state")
    assert told["readings"] == [id]
    assert [(one["job"], one["state"], one["result"]) for one in told["jobs"]] == [
        (job["job"], "done", {"reading": id})
    ]
    assert ["step", {"step": "observe_faces", "text": "1 face"}] in told["jobs"][0]["told"]
    fragment = client.get(f"/page/readings/{id}")
    assert 'id="r1-p1"' in fragment.text
    record = client.get(f"/page/readings/{id}/record.json")
    assert record.headers["content-disposition"] == 'attachment; filename="photo.json"'
    assert Inference.from_json(record.text).media.path == "photo.png"
    report = client.get(f"/page/readings/{id}/report.html")
    assert report.headers["content-disposition"] == 'attachment; filename="photo.html"'
    assert "data:image/jpeg;base64," in report.text

    with httpx.Client(base_url=server.url) as other:
        other.get("/")
        assert other.get(f"/page/readings/{id}").status_code == 404
        assert other.get(f"/page/readings/{id}/record.json").status_code == 404
    with httpx.Client(base_url=server.url) as nobody:
        assert nobody.get(f"/page/readings/{id}").status_code == 410

    assert [path.name for path in server.uploads] == ["photo.png"]
    assert session.folder in server.uploads[0].parents
    assert client.post("/page/end").status_code == 200
    assert server.uploads == []
    assert client.get(f"/page/readings/{id}").status_code == 410
    assert events(client, "gone")[-1][1]["sentence"].startswith("This page's session has ended")


def _done(server: Running) -> bool:
    return any(s.readings for s in server.house.visits._all.values())


ANSWER = "She smiles [2], it is a party [5], and [99] <b>says</b> so."


@pytest.fixture
def talking() -> Iterator[tuple[httpx.Client, Running, str]]:
    """A page's client with one reading, its id, and a model that answers questions."""
    inner = script(label=lambda call: [float("rain" in call.text) * 3, 0, 0, 1, 2, 0, 0])

    def answer(call: Call) -> str:
        if "What do they ask?" in call.text:
            return ANSWER
        return inner.generate(call.conversation, schema=call.schema).text

    mllm = ScriptedMllm(answer, lambda c: inner.score(c.conversation, c.answers), info=inner.info)
    with running(agent(mllm)) as server, httpx.Client(base_url=server.url, timeout=120) as client:
        client.get("/")
        yield client, server, done(client, read(client))["result"]["reading"]


def done(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it has ended."""

    def ended() -> Any:
        ((_, told),) = events(client, "state")
        (one,) = [one for one in told["jobs"] if one["job"] == job["job"]]
        return one if one["state"] in ("done", "failed", "stopped") else None

    return soon(ended)


def turn(client: httpx.Client, id: str, what: str, **fields: str) -> dict[str, Any]:
    answer = client.post(f"/page/readings/{id}/{what}", data=fields)
    assert answer.status_code == 202, answer.text
    return done(client, answer.json())


def test_a_what_if_stands_beside_the_reading_and_is_taken_back(talking):
    client, _, id = talking
    first = client.get(f"/page/readings/{id}/record.json").json()
    assert turn(client, id, "what-if", text="What if this were in the rain?")["state"] == "done"
    page = client.get(f"/page/readings/{id}").text
    assert "<h4>Supposing: this is in the rain</h4>" in page
    assert "<b>What-if shown:</b> this is in the rain" in page
    assert page.count('class="before"') >= 2
    second = client.get(f"/page/readings/{id}/record.json").json()
    (supposed,) = [item for item in second["evidence"] if item["supposed"]]
    assert "this is in the rain" in supposed["text"]
    assert second["media"]["path"] == "photo.png"
    assert client.post(f"/page/readings/{id}/undo").status_code == 200
    assert client.get(f"/page/readings/{id}/record.json").json() == first
    answer = client.post(f"/page/readings/{id}/undo")
    assert (answer.status_code, answer.json()) == (400, {"error": "there is nothing to undo."})


@pytest.mark.parametrize("closed", [False, True])
def test_a_question_after_undo_knows_nothing_of_what_was_supposed(talking, closed, monkeypatch):
    client, server, id = talking
    model = server.house.agents.first.crew.mllm

    def asked() -> str:
        assert turn(client, id, "ask", text="What do they ask?", person="1")["state"] == "done"
        (call, *_) = [c for c in reversed(model.calls) if "What do they ask?" in c.text]
        return " ".join(p.get("text", "") for t in call.conversation for p in t["content"])

    first = asked()
    client.post(f"/page/readings/{id}/undo")
    turn(client, id, "what-if", text="this is in the rain")
    if closed:
        monkeypatch.setattr(opened, "MOST", 1)
        done(client, read(client))
    assert client.post(f"/page/readings/{id}/undo").status_code == 200
    assert asked() == first
    assert "rain" not in first


def test_a_what_if_that_is_stopped_leaves_nothing_behind():
    gate = Gate()
    with running(agent(gate.mllm)) as server, httpx.Client(base_url=server.url, timeout=120) as c:
        c.get("/")
        gate.free.set()
        id = done(c, read(c))["result"]["reading"]
        (visit,) = server.house.visits._all.values()
        talk = visit.readings[id].talk
        before = talk._now
        gate.free.clear()
        gate.asked.clear()
        job = c.post(f"/page/readings/{id}/what-if", data={"text": "this is in the rain"}).json()
        assert gate.asked.wait(60)
        c.post(f"/page/jobs/{job['job']}/stop")
        gate.free.set()
        assert done(c, job)["state"] == "stopped"
        assert talk._now == before


def test_context_labels_and_influence_judge_again(talking):
    client, _, id = talking
    assert turn(client, id, "context", text="They lost.")["state"] == "done"
    assert turn(client, id, "labels", text="ekman-6")["state"] == "done"
    assert turn(client, id, "influence")["state"] == "done"
    record = client.get(f"/page/readings/{id}/record.json").json()
    assert any("They lost." in item["text"] for item in record["evidence"])
    assert record["people"][0]["emotions"]["labels"] == "ekman-6"
    assert record["people"][0]["influence"] is not None
    wrong = client.post(f"/page/readings/{id}/labels", data={"text": "/etc/passwd.toml"})
    assert wrong.json() == {"error": "there is no label set '/etc/passwd.toml' on this server."}
    assert turn(client, id, "what-if", text="?")["sentence"].startswith("say what to suppose")
    assert turn(client, id, "ask", text=" ")["sentence"] == "ask something."


def test_a_question_is_answered_with_links_to_its_evidence(talking):
    client, _, id = talking
    assert turn(client, id, "ask", text="What do they ask?", person="1")["state"] == "done"
    page = client.get(f"/page/readings/{id}").text
    assert '<a class="ref" href="#r1-p1-e2" data-evidence="r1-p1-e2">2</a>' in page
    assert "Cited, but no such evidence: 99." in page
    assert "&lt;b&gt;says&lt;/b&gt;" in page
    assert "<b>says" not in page
    client.post(f"/page/readings/{id}/undo")
    assert "Asked so far" not in client.get(f"/page/readings/{id}").text
    missing = turn(client, id, "ask", text="What do they ask?", person="7")
    assert missing["sentence"] == "there is no person 7 in this reading, only 1."


def test_odd_values_on_the_page_are_never_a_fault_of_the_server(talking):
    client, _, reading = talking
    for number in ("9" * 5000, "²", "-1", "1e9", ""):
        answer = client.post("/page/read", data={"example": number})
        assert answer.status_code == 400, answer.text[:200]
    for person in ("9" * 5000, "²", "-1", "x"):
        data = {"text": "Why?", "person": person}
        answer = client.post(f"/page/readings/{reading}/ask", data=data)
        assert answer.status_code == 400, answer.text[:200]
        assert answer.json()["error"].startswith("person: give the number")


def test_a_reading_that_was_closed_is_looked_at_again(talking, monkeypatch):
    client, server, id = talking
    monkeypatch.setattr(opened, "MOST", 1)
    done(client, read(client))
    (visit,) = server.house.visits._all.values()
    assert [reading.open for reading in visit.readings.values()] == [False, True]
    assert turn(client, id, "what-if", text="they lost")["state"] == "done"
    assert [reading.open for reading in visit.readings.values()] == [True, False]
    assert "Supposing: they lost" in client.get(f"/page/readings/{id}").text
    client.post("/page/end")
    assert server.house.open._readings == []
    assert server.house.agents.first.crew.desk._sources == {}


def test_a_session_that_nobody_looks_at_ends(client, server, monkeypatch):
    client.get("/")
    read(client)
    soon(lambda: _done(server))
    house = server.house.visits
    house.sweep()
    assert _done(server)
    monkeypatch.setattr(browser_sessions, "GRACE_S", -1)
    house.sweep()
    assert not _done(server)
    assert server.uploads == []


def test_the_oldest_reading_and_its_upload_make_room(client, server, monkeypatch):
    monkeypatch.setattr(browser_sessions, "MOST_READINGS", 2)
    client.get("/")
    for _ in range(3):
        read(client)
    session = soon(
        lambda: [s for s in server.house.visits._all.values() if s.count == 3 and not s.works]
    )[0]
    assert [reading.number for reading in session.readings.values()] == [2, 3]
    assert len(server.uploads) == 2
    for id in list(session.readings):
        client.post(f"/page/readings/{id}/remove")
    assert server.uploads == []


def test_examples_are_offered_by_number(tmp_path: Path):
    (tmp_path / "one<b>.png").write_bytes(PICTURE)
    from kuleshov.apps.web.gallery import Gallery
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.media import PassedOver

    (tmp_path / "two").write_bytes(PICTURE)  # no ending: it is a picture all the same
    (tmp_path / "notes.txt").write_text("x")
    passed = PassedOver()
    assert Gallery.of(str(tmp_path), passed).names == ["one<b>.png", "two"]
    assert str(passed) == "1 × .txt (notes.txt)"
    for name in ("two", "notes.txt"):
        (tmp_path / name).unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(KuleshovError, match="holds no picture or clip"):
        Gallery.of(str(empty))
    with pytest.raises(KuleshovError, match="there is no folder"):
        Gallery.of("nowhere")
    with (
        running(agent(), [tmp_path / "one<b>.png"]) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        page = client.get("/").text
        assert "one&lt;b&gt;.png" in page
        assert "one<b>" not in page
        assert client.get("/gallery/0").headers["content-type"] == "image/jpeg"
        answer = client.post("/page/read", data={"example": "0"})
        assert answer.json()["title"] == "one<b>.png"
        for wrong in ("1", "-1", "../0", "0/../../x"):
            answer = client.post("/page/read", data={"example": wrong})
            assert answer.json() == {"error": "choose a picture or a clip first."}
        files = {"transcript": ("talk.txt", b"0.0 hello")}
        client.post("/page/read", data={"example": "0"}, files=files)
        soon(lambda: not server.house.line.busy)
        client.post("/page/end")
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["one<b>.png"]


def test_the_page_says_that_an_explanation_speaks_of_another_feeling():
    told = {**GOOD, "interpretation": "She is full of anger.", "conclusion": "It is anger."}
    made = agent(script(judge=told, repair=told))
    with running(made) as server, httpx.Client(base_url=server.url, timeout=120) as client:
        client.get("/")
        id = done(client, read(client))["result"]["reading"]
        page = client.get(f"/page/readings/{id}").text
    assert "the explanation speaks of anger; the reading is happiness" in page
