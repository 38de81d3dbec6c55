"""Running the server: where it listens, who may come, how it ends."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kuleshov.agent import Agent
from kuleshov.apps.web.app import create_app
from kuleshov.apps.web.gallery import Gallery
from kuleshov.apps.web.state import Serving
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import read_text

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PATIENCE_S = 3  # for open requests, when the server is to end
SHORTEST_PASSWORD = 8


def parse_credentials(given: Sequence[str]) -> dict[str, str]:
    """User to password, from `USER:PASSWORD` or from files with such lines.

    Raises:
        KuleshovError: neither, or a password that is too short to be one.
    """
    found: dict[str, str] = {}
    for one in given:
        lines = [one]
        path = Path(os.path.expanduser(one))  # what cannot be written out is a user's name
        there = False
        with contextlib.suppress(OSError, ValueError):  # too long for a name: it is a password
            there = path.is_file()
        if there:
            text = read_text(path, "file of users")
            lines = [line for line in text.splitlines() if line.strip()]
        for line in lines:
            user, colon, password = line.strip().partition(":")
            if not (user and colon):
                raise KuleshovError(
                    "--auth takes USER:PASSWORD, or a file with such a line for each user."
                )
            if len(password) < SHORTEST_PASSWORD:
                raise KuleshovError(
                    f"the password of {user} is too short: at least {SHORTEST_PASSWORD} characters."
                )
            found[user] = password
    return found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(text: str) -> None:
    """Raises:
    KuleshovError: it is no address of a machine, in numbers.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise KuleshovError(
            f"--behind-proxy takes an address in numbers, such as 127.0.0.1, not {text!r}."
        ) from None


def allowed_names(host: str, allowed: Sequence[str] = ()) -> frozenset[str]:
    """What the server may be called in `Host`; addresses in numbers may always be used."""
    found = {*LOOPBACK, *(name.lower() for name in allowed)}
    if not is_loopback(host):
        found |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(found)


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening socket; taken before anything is loaded, so that a mistake is told at once.

    Raises:
        KuleshovError: the port is taken, or the address is not this machine's.
    """
    try:
        if not 0 <= port <= 65535:  # some systems would take the rest of a division
            raise OSError(0, "there is no such port")
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError:
            sock.close()
            raise
        return sock
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise KuleshovError(
            f"cannot listen at {host} port {port}: {why[:1].lower()}{why[1:]}; "
            "use another --port, or --port 0 for any that is free."
        ) from None


def browser_address(sock: socket.socket, host: str) -> str:
    """What to open in a browser."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{sock.getsockname()[1]}"


def configure_uvicorn(app: Any, serving: Serving, **more: Any) -> Any:
    """How uvicorn runs an application; `more`: choices of `uvicorn.Config`."""
    import uvicorn

    from kuleshov.apps.web.connections import MOST_CONNECTIONS, BoundedConnection

    choices: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": serving.proxy is not None,
        "forwarded_allow_ips": serving.proxy or "",
        "http": BoundedConnection,
        "ws": "none",
        "limit_concurrency": MOST_CONNECTIONS,
        "timeout_graceful_shutdown": PATIENCE_S,
    }
    return uvicorn.Config(app, **choices | more)


def run_app(
    app: Any,
    serving: Serving,
    sock: socket.socket,
    *,
    ready: Callable[[], Any] = lambda: None,
    ending: Callable[[], Any] = lambda: None,
    tls: Mapping[str, str] | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    `ready` is called once the server answers, `ending` when it is asked to end.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: Any) -> None:
            ending()
            super().handle_exit(sig, frame)

    certificate: dict[str, Any] = dict(tls or {})
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises again what it was ended by
        Server(configure_uvicorn(app, serving, **certificate)).run([sock])


def run_server(
    agent: Agent,
    gallery: Gallery,
    serving: Serving,
    sock: socket.socket,
    *,
    ready: Callable[[], Any] = lambda: None,
    tls: Mapping[str, str] | None = None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; then open readings are stopped, uploads removed.

    `ready` is called once the server answers.
    """
    app = create_app(agent, gallery, serving)
    house = app.state.house
    with _temporary_files_in(house.folders.root):
        try:
            # pages that listen let go
            run_app(app, serving, sock, ready=ready, ending=house.visits.close, tls=tls)
        finally:
            house.close()


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Parts of uploads, and files of face tools that run as programs, go nowhere else."""
    before, named = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if named is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = named
