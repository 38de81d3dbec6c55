"""The application: routes, guard and sentences for whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from kuleshov._version import __version__
from kuleshov.agent import Agent
from kuleshov.apps.web import api, asking, page
from kuleshov.apps.web.gallery import Gallery
from kuleshov.apps.web.job_queue import BusyError
from kuleshov.apps.web.middleware import Guard
from kuleshov.apps.web.state import House, Serving
from kuleshov.apps.web.uploads import TooLargeError
from kuleshov.tools.errors import KuleshovError
from kuleshov.types import CAVEAT

SWEEP_S = 10.0
# newer versions of FastAPI could tell an OpenTelemetry collector that the environment names
SILENT: dict[str, Any] = {
    "telemetry": {
        "tracing": False,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
    }
}

log = logging.getLogger("kuleshov")


def create_app(agent: Agent, gallery: Gallery | None = None, serving: Serving | None = None) -> Any:
    """The ASGI application of page and HTTP API, in front of one agent.

    Args:
        agent: reads everything, one job after the other.
        gallery: pictures and clips to begin with.
        serving: who may come and how much may be uploaded.

    The folder of uploads is removed when the application's lifespan ends.
    """
    serving = serving or Serving()
    house = House(agent, gallery or Gallery([]), serving)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        house.visits.loop = asyncio.get_running_loop()
        sweeping = asyncio.create_task(_sweep_uploads(house))
        try:
            yield
        finally:
            sweeping.cancel()
            house.close()

    app = FastAPI(
        title="Kuleshov",
        summary="Emotion read from face and context, with its evidence.",
        description=CAVEAT,
        version=__version__,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        **SILENT,
    )
    app.state.house = house
    app.include_router(page.routes)
    app.include_router(asking.routes)
    app.include_router(api.routes)
    app.mount("/static", StaticFiles(directory=str(files("kuleshov.apps.web") / "static")))
    app.add_exception_handler(KuleshovError, _answer_mistake)
    app.add_exception_handler(HTTPException, _answer_refusal)
    app.add_exception_handler(RequestValidationError, _answer_unreadable)
    app.add_exception_handler(Exception, _answer_failure)
    app.add_middleware(
        Guard,
        hosts=serving.hosts,
        credentials=serving.credentials,
        limit=serving.max_upload_bytes,
    )
    return app


async def _sweep_uploads(house: House) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            house.visits.sweep()
            house.jobs.sweep()
        except Exception:
            log.exception("sweeping failed")


def _answer_mistake(request: Request, error: Exception) -> JSONResponse:
    status, headers = 400, {}
    if isinstance(error, TooLargeError):
        status = 413
    elif isinstance(error, BusyError):
        status, headers = 429, {"retry-after": "30"}
    return JSONResponse({"error": str(error)}, status, headers)


def _answer_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = {"Not Found": "there is nothing here; see /docs."}.get(error.detail, error.detail)
    return JSONResponse({"error": told}, error.status_code, error.headers)


def _answer_unreadable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return JSONResponse({"error": f"{name}: {first['msg']}."}, 422)


def _answer_failure(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "something went wrong here that should not have."}, 500)
