"""The server of a rating study: its page, and the place where answers are stored; nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kuleshov.apps.web.middleware import Guard
from kuleshov.apps.web.state import Serving
from kuleshov.studies.rating_study.answers import AnswerStore
from kuleshov.studies.rating_study.design import PAGE
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_json, read_text

LONGEST_ANSWER = 100_000
"""Bytes of one answer."""
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def create_study_app(folder: Path, serving: Serving) -> Any:
    """The ASGI application of the study in `folder`.

    Raises:
        KuleshovError: there is no study.
    """
    store = AnswerStore(folder)
    whole = read_text(folder / PAGE, "page of the study")
    page = whole.replace('<html lang="en">', '<html lang="en" data-posts="yes">', 1)

    async def show(request: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": POLICY})

    async def keep(request: Request) -> Response:
        try:
            answer = parse_json((await request.body()).decode())
        except ValueError:
            return JSONResponse({"error": "this is no answer."}, 400)
        try:
            await run_in_threadpool(store.add, answer)
        except KuleshovError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"stored": True}, 201)

    app = Starlette(routes=[Route("/", show), Route("/trials", keep, methods=["POST"])])
    app.add_middleware(Guard, hosts=serving.hosts, credentials={}, limit=LONGEST_ANSWER)
    return app
