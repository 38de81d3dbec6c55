"""Connections, heads and bodies of requests bounded while they arrive, and answers that are not
fetched."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Seconds for the head of a request; also for the next one on a connection that is kept."""
BODY_S, SLOWEST_BODY = 30.0, 20_000.0
"""Seconds that a body may take, and bytes a second that give it more of them."""
UNREAD_S = 60.0
"""Seconds that an answer may wait for its reader. What waits is one buffer of 64 kB, so a reader
of a kilobyte a second is waited for."""
MOST_CONNECTIONS, MOST_OF_ONE = 1024, 512
"""Connections of all, and of one address."""


class BoundedConnection(H11Protocol):
    """uvicorn's connection, closed where no request comes of it, or no answer is fetched, in
    time."""

    _clock: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        own = _peer_address(self)
        of_one = sum(_peer_address(other) == own for other in self.connections)
        if of_one > MOST_OF_ONE or len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        # abort: closing would wait until the buffer is sent
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self._stop_unread()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """The clock runs while no request is being answered, whatever arrives meanwhile."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_clock()
        elif self._clock is None and not self.transport.is_closing():
            self._clock = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _peer_address(connection: Any) -> str | None:
    """Of a connection of any protocol; None where there is none, as at a local socket."""
    client = getattr(connection, "client", None)
    return client[0] if client else None


class Arrivals:
    """Bytes of all requests that are being received or worked at, `most` in all.

    One address may have half of them, so that there is room for somebody else.
    """

    def __init__(self, limit: int, most: int, too_large: str) -> None:
        """Bind the limits: bytes of one body and of all, and the sentence for a larger body."""
        self.limit, self.most, self.too_large = limit, most, too_large
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, address: str, size: int) -> None:
        """Take room for `size` more bytes.

        Raises:
            HTTPException: 503, there is none now.
        """
        with self._lock:
            of_all, of_one = self._held.total() + size, self._held[address] + size
            if of_all > self.most or of_one > self.most // 2:
                raise HTTPException(
                    503,
                    "the server is receiving as much as it can hold; try again in a minute.",
                    {"retry-after": "60"},
                )
            self._held[address] += size

    def release(self, address: str, size: int) -> None:
        with self._lock:
            self._held[address] -= size
            if self._held[address] <= 0:
                del self._held[address]


class Body:
    """What one request sends: counted, and cut off where it is too large or comes too slowly."""

    def __init__(self, arrivals: Arrivals, address: str, receive: Receive) -> None:
        """Bind whose it is; `receive` gives ASGI's messages."""
        self.arrivals, self.address, self._receive = arrivals, address, receive
        self.size, self._over = 0, False
        self._begun = asyncio.get_running_loop().time()

    async def receive(self) -> Message:
        """The next message.

        Raises:
            HTTPException: 413, 408 or 503.
        """
        if self._over:  # what comes now is that the client has gone
            return await self._receive()
        ends = self._begun + BODY_S + self.size / SLOWEST_BODY
        try:
            async with asyncio.timeout_at(ends):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the request came too slowly, and was cut off.") from None
        part = len(message.get("body", b""))
        if self.size + part > self.arrivals.limit:
            raise HTTPException(413, self.arrivals.too_large)
        self.arrivals.count(self.address, part)
        self.size += part
        self._over = not message.get("more_body", False)
        return message

    def release(self) -> None:
        """The request has ended."""
        self.arrivals.release(self.address, self.size)


def address_of(scope: Any) -> str:
    """The address that a request came from, by its ASGI scope; empty where it is not known."""
    client = scope.get("client")
    return client[0] if client else ""
