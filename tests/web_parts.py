"""A server in a thread of its own, as a browser or a program would meet it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuleshov.agent import Agent
from kuleshov.apps.web.app import create_app
from kuleshov.apps.web.gallery import Gallery
from kuleshov.apps.web.server import configure_uvicorn
from kuleshov.apps.web.state import House, Serving


@dataclass(frozen=True)
class Running:
    url: str
    house: House

    @property
    def uploads(self) -> list[Path]:
        """Files of uploads that lie there now."""
        root = self.house.folders.root
        return [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]


@contextlib.contextmanager
def running(agent: Agent, gallery: Sequence[Path] = (), **serving: Any) -> Iterator[Running]:
    uvicorn = __import__("pytest").importorskip("uvicorn", reason="uvicorn is not installed")
    how = Serving(**serving)
    app = create_app(agent, Gallery(gallery), how)
    server = uvicorn.Server(
        configure_uvicorn(app, how, log_level="error", timeout_graceful_shutdown=1)
    )
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1024)
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server has not started"
            thread.join(0.02)
        house = app.state.house
        try:
            yield Running(f"http://127.0.0.1:{sock.getsockname()[1]}", house)
        finally:
            house.visits.close()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server has not ended"
