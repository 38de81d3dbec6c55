"""What every request passes first: host, origin, password, size; and headers of every answer."""

from __future__ import annotations

import base64
import ipaddress
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kuleshov.apps.web.connections import Arrivals, Body, address_of
from kuleshov.apps.web.passwords import Passwords
from kuleshov.apps.web.uploads import too_large
from kuleshov.tools.structured_text import parse_count

READS = ("GET", "HEAD", "OPTIONS")
FORM_BYTES = 1 << 20  # of the fields beside the file
ARRIVING = 32  # times the largest upload: what all requests together may send

# style attributes carry the lengths of bars; a style sheet or script comes from here or not at all
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware.

    A foreign `Host` would let a page on the web reach this server under a name of its own (DNS
    rebinding), and a foreign `Origin` use the browser's session: both are refused. An address in
    numbers cannot be rebound, so those pass.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str],
        credentials: Mapping[str, str],
        limit: int,
    ) -> None:
        """Bind the rules: names allowed in `Host`, user to password (none: open), bytes a file."""
        self.app, self.hosts, self.limit = app, hosts, limit
        self.passwords = Passwords(credentials)
        self.arrivals = Arrivals(limit + FORM_BYTES, ARRIVING * limit, too_large(limit))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    told.setdefault(name, value)
                told.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is None and self.passwords:
            user = self._user(headers.get("authorization"), address_of(scope))
            if isinstance(user, float):
                told = f"too many wrong passwords: wait {math.ceil(user)} s before the next."
                await _send_refusal(dressed, 429, told, math.ceil(user))
                return
            if user is None:
                refusal = 401, "a user name and password are needed (--auth)."
            scope.setdefault("state", {})["user"] = user
        if refusal is not None:
            await _send_refusal(dressed, *refusal)
            return
        body = Body(self.arrivals, address_of(scope), receive)
        try:
            await self.app(scope, body.receive, dressed)
        finally:
            body.release()

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, f"this server is not known as {host[:100]!r} (--allow-host)."
        if scope["method"] not in READS:
            origin, site = headers.get("origin"), headers.get("sec-fetch-site")
            if origin is not None and origin != f"{scope['scheme']}://{host}":
                return 403, "this request comes from another page, and is refused."
            if origin is None and site not in (None, "same-origin", "none"):
                return 403, "this request comes from another page, and is refused."
        length = headers.get("content-length", "0")
        size = parse_count(length)
        if size is None or size > self.limit + FORM_BYTES:
            return 413, too_large(self.limit)
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _user(self, told: str | None, address: str) -> str | float | None:
        """The user of a Basic authorization with the right password; the seconds that somebody
        has to wait who gave wrong ones; else None."""
        kind, _, code = (told or "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(code, validate=True).decode().partition(":")
        except ValueError:  # not base64, not UTF-8
            return None
        wait_s = self.passwords.wait_s(user, address)
        if wait_s > 0:
            return wait_s
        return user if self.passwords.check(user, password, address) else None


async def _send_refusal(send: Send, status: int, sentence: str, again_s: int = 0) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Kuleshov", charset="UTF-8"'))
    if again_s:
        headers.append((b"retry-after", str(again_s).encode()))
    if status == 413:  # what is still being sent is not read
        headers.append((b"connection", b"close"))
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
