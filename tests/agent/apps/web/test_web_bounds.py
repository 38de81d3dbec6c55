"""What one client may take of the server: connections, bytes, visits, turns, guesses."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import httpx
import pytest
from test_web import PICTURE, Gate, agent, post, read, soon
from web_parts import Running, running

from kuleshov.apps.web import connections, passwords
from kuleshov.apps.web.app import create_app
from kuleshov.apps.web.passwords import Passwords

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@contextlib.contextmanager
def connected(server: Running, address: str = HERE) -> Iterator[socket.socket]:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60, source_address=(address, 0)) as line:
        yield line


def client_at(server: Running, address: str = HERE) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=server.url, transport=transport, timeout=120)


def begun(size: int) -> bytes:
    """The head of an upload, and a body that ends before the last of its `size` bytes."""
    head = (
        "POST /api/v1/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {size}\r\n\r\n"
        '--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    ).encode()
    return head + bytes(size - 200)


@pytest.mark.parametrize("first", [b"", b"GET / HT", b"GET /api/v1/health HTTP/1.1\r\nHost: l"])
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(first, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    with running(agent()) as server, connected(server) as line:
        if first:
            line.sendall(first)
        assert line.recv(100) == b""


def test_nor_is_the_next_head_on_a_connection_that_is_kept(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    with running(agent()) as server, connected(server) as line:
        line.sendall(b"GET /static/page.css HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
        told = b""
        while part := line.recv(65536):
            told += part
        assert told.count(b"HTTP/1.1 200") == 1


def test_a_page_that_listens_is_no_slow_client(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    monkeypatch.setattr("kuleshov.apps.web.page.PING_S", 0.6)
    with running(agent()) as server, client_at(server) as client:
        client.get("/")
        with client.stream("GET", "/page/events") as answer:
            lines = answer.iter_lines()
            assert any(": still here" in line for line in lines)


@pytest.mark.parametrize("reads", [False, True])
def test_an_answer_that_nobody_fetches_is_not_kept(reads, monkeypatch, tmp_path):
    """Whoever reads all of it, however late each part, gets it whole."""
    from fastapi.responses import FileResponse

    monkeypatch.setattr(connections, "UNREAD_S", 1.0)
    closed: list[object] = []
    lost = connections.BoundedConnection.connection_lost
    monkeypatch.setattr(
        connections.BoundedConnection,
        "connection_lost",
        lambda self, error: (closed.append(self.client), lost(self, error)),
    )
    size = 24 << 20  # more than the system buffers
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(size))

    def with_big(*given):
        app = create_app(*given)
        app.add_api_route("/big", lambda: FileResponse(big))
        return app

    monkeypatch.setattr("web_parts.create_app", with_big)
    with running(agent()) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.connect((host, int(port)))
            own = line.getsockname()
            line.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if reads:
                got = 0
                while part := line.recv(1 << 16):
                    got += len(part)
                assert got > size
            else:
                soon(lambda: own in closed)


def test_a_body_that_comes_too_slowly_is_cut_off(monkeypatch):
    monkeypatch.setattr(connections, "BODY_S", 0.3)
    with running(agent()) as server, connected(server) as line:
        line.sendall(begun(5000))
        assert b" 408 " in line.recv(4096).splitlines()[0]
        assert server.uploads == []


def test_one_client_cannot_fill_the_server_with_uploads_that_do_not_end():
    with running(agent(), max_upload_bytes=20_000) as server, contextlib.ExitStack() as stack:
        lines = []
        for _ in range(30):  # half of 32 uploads is what one address may have on the way
            lines.append(stack.enter_context(connected(server)))
            lines[-1].sendall(begun(20_000))
        answered, _, _ = select.select(lines, [], [], 60)
        assert b" 503 " in answered[0].recv(4096).splitlines()[0]
        with client_at(server, ELSEWHERE) as client:
            assert post(client).status_code == 200


def test_cookies_do_not_lengthen_the_line_for_somebody_else():
    gate = Gate()
    with running(agent(gate.mllm)) as server:
        statuses = []
        for _ in range(24):
            with client_at(server) as client:
                client.get("/")
                for _ in range(2):
                    answer = client.post("/page/read", files={"file": ("photo.png", PICTURE)})
                    statuses.append(answer.status_code)
        assert set(statuses) == {202, 429}
        with client_at(server, ELSEWHERE) as newcomer:
            newcomer.get("/")
            job = read(newcomer)
            assert job["ahead"] <= 2  # what runs, and one of the others' in turn
            gate.free.set()
            soon(lambda: not server.house.line.busy and not server.house.line.waiting)


def test_visits_of_one_address_do_not_end_those_of_another():
    with running(agent()) as server, client_at(server, ELSEWHERE) as other:
        other.get("/")
        for _ in range(80):
            with client_at(server) as client:
                assert client.get("/").status_code == 200
        assert len(server.house.visits._all) <= 65
        assert other.post("/page/end").status_code == 200  # it was still there


def test_behind_a_proxy_clients_are_told_apart_by_its_word_alone():
    for proxy, owner in [(HERE, "address 10.1.2.3"), (None, f"address {HERE}")]:
        with running(agent(), proxy=proxy) as server, client_at(server) as client:
            client.get("/", headers={"x-forwarded-for": "10.1.2.3"})
            (visit,) = server.house.visits._all.values()
            assert visit.owner == owner


# ------------------------------------------------------------------------------- passwords


def test_who_guesses_waits_longer_and_longer(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(passwords.time, "monotonic", lambda: now[0])
    known = Passwords({"anna": "correct horse"})
    waits = []
    for _ in range(14):
        assert known.wait_s("anna", HERE) == 0
        assert not known.check("anna", "guess", HERE)
        waits.append(known.wait_s("anna", HERE))
        now[0] += waits[-1]
    assert waits[:7] == [0, 0, 0, 2, 4, 8, 16]
    assert waits[-1] == passwords.LONGEST_WAIT_S
    assert known.check("anna", "correct horse", HERE)
    assert known.wait_s("anna", HERE) == 0


def test_guesses_from_everywhere_slow_an_account_but_do_not_shut_its_user_out(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(passwords.time, "monotonic", lambda: now[0])
    known = Passwords({"anna": "correct horse", "bert": "battery staple"})
    assert known.check("anna", "correct horse", HERE)
    for i in range(40):
        known.check("anna", "guess", f"10.0.0.{i}")
    assert known.wait_s("anna", HERE) == 0
    assert known.wait_s("anna", ELSEWHERE) == passwords.LONGEST_WAIT_OF_USER_S
    assert known.wait_s("bert", ELSEWHERE) == 0


def test_the_page_refuses_even_the_right_password_while_one_has_to_wait():
    users = {"anna": "correct horse"}
    with running(agent(), credentials=users) as server:
        with client_at(server) as client:
            right = client.get("/", auth=("anna", "correct horse"))
            found = [client.get("/", auth=("anna", f"guess {i}")) for i in range(5)]
            assert right.status_code == 200
            assert [answer.status_code for answer in found] == [401, 401, 401, 401, 429]
            assert int(found[-1].headers["retry-after"]) in (1, 2)
            assert "too many wrong passwords" in found[-1].json()["error"]
            assert client.get("/", auth=("anna", "correct horse")).status_code == 429
            assert client.get("/").status_code == 401
        with client_at(server, ELSEWHERE) as other:
            soon(lambda: other.get("/", auth=("anna", "correct horse")).status_code == 200)
