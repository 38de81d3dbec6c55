"""What every request passes first: host, origin, password, size; and headers of every answer."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kuleshov.apps.web.uploads import too_large
from kuleshov.tools.structured_text import parse_count

READS = ("GET", "HEAD", "OPTIONS")
FORM_BYTES = 1 << 20  # of the fields beside the file
WRONG_PASSWORD_S = 1.0  # makes guessing slow

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
        self.app, self.hosts, self.credentials, self.limit = app, hosts, dict(credentials), limit

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
        if refusal is None and self.credentials:
            user = self._user(headers.get("authorization"))
            if user is None:
                if "authorization" in headers:
                    await asyncio.sleep(WRONG_PASSWORD_S)
                refusal = 401, "a user name and password are needed (--auth)."
            scope.setdefault("state", {})["user"] = user
        if refusal is not None:
            await _refuse(dressed, *refusal)
            return
        await self.app(scope, self._counted(receive), dressed)

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

    def _user(self, told: str | None) -> str | None:
        """The user of a Basic authorization with the right password, else None."""
        kind, _, code = (told or "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(code, validate=True).decode().partition(":")
        except ValueError:  # not base64, not UTF-8
            return None
        right = self.credentials.get(user)
        same = hmac.compare_digest((right or "").encode(), password.encode())
        return user if same and right is not None else None

    def _counted(self, receive: Receive) -> Receive:
        """Reads no more than an upload may have, whatever its header says."""
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limit + FORM_BYTES:
                raise HTTPException(413, too_large(self.limit))
            return message

        return counted


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Kuleshov", charset="UTF-8"'))
    if status == 413:  # what is still being sent is not read
        headers.append((b"connection", b"close"))
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
