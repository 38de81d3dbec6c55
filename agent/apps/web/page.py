"""The page: what a browser asks for, and the events that it listens to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse

from kuleshov.apps.web import asking
from kuleshov.apps.web.browser_sessions import COOKIE, Visit
from kuleshov.apps.web.open_readings import Reading
from kuleshov.apps.web.state import House
from kuleshov.apps.web.uploads import safe_name
from kuleshov.apps.web.views import view_turns
from kuleshov.apps.web.visitor import (
    GONE,
    Here,
    Own,
    OwnReading,
    owner_of,
    user_of,
    visit_of_cookie,
)
from kuleshov.output import report, view
from kuleshov.tools import media
from kuleshov.types import CAVEAT

PING_S = 15.0
SCALES = {name.replace("_", "-"): told for name, told in view.SCALES.items()}

routes = APIRouter(include_in_schema=False)


@routes.get("/", response_class=HTMLResponse)
def get_page(request: Request, house: Here) -> Response:
    visit = visit_of_cookie(request, house)
    answer = HTMLResponse(
        house.templates.get_template("page.html.jinja").render(
            facts=house.facts,
            caveat=CAVEAT,
            gallery=list(enumerate(house.gallery.names)),
            label_sets=house.agents.label_choices,
            limit=house.serving.max_upload_bytes,
            accept=",".join(media.IMAGE_SUFFIXES + media.CLIP_SUFFIXES),
            shared=house.serving.shared,
            idle_minutes=f"{house.serving.idle_s / 60:g}",
            statuses=view.STATUSES,
            scales=SCALES,
        )
    )
    if visit is None:
        _give_cookie(request, answer, house.visits.begin(user_of(request), owner_of(request)))
    return answer


@routes.post("/page/begin")
def begin_visit(request: Request, house: Here) -> Response:
    """A new visit for a page whose own is gone, for one after a restart of the server."""
    answer = JSONResponse({"start": house.start})
    if visit_of_cookie(request, house) is None:
        _give_cookie(request, answer, house.visits.begin(user_of(request), owner_of(request)))
    return answer


@routes.post("/page/end")
def end_visit(house: Here, visit: Own) -> dict[str, str]:
    house.visits.end(visit, "The session has ended, and what was uploaded is removed.")
    return {}


@routes.get("/page/events")
def get_events(request: Request, house: Here) -> Response:
    return StreamingResponse(
        _stream_events(house, visit_of_cookie(request, house)),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@routes.post("/page/jobs/{id}/stop")
def stop_job(id: str, house: Here, visit: Own) -> dict[str, str]:
    job = visit.jobs.get(id)
    if job is None:
        raise HTTPException(404, "this job is no longer known.")
    house.line.cancel(job)
    return {}


@routes.get("/page/readings/{id}", response_class=HTMLResponse)
def get_fragment(house: Here, reading: OwnReading) -> str:
    inference = reading.current
    told = report.view_reading(reading.number, inference, _reading_pictures(house, reading))
    return house.templates.get_template("fragment.html.jinja").render(
        reading=told,
        id=reading.id,
        turns=view_turns(reading),
        supposing=reading.talk.words.supposed,
        person=reading.talk.person.id if reading.talk.person else None,
        labels=inference.provenance.label_set.get("name"),
        label_sets=house.agents.label_choices,
        answers=house.agents.first.crew.mllm.info.taught_questions,
        caveats=house.facts["caveats"],
    )


@routes.get("/page/readings/{id}/record.json")
def get_record(reading: OwnReading) -> Response:
    return _download_response(
        reading.current.to_json(indent=1), "application/json", f"{_download_stem(reading)}.json"
    )


@routes.get("/page/readings/{id}/report.html")
def as_report(house: Here, reading: OwnReading) -> Response:
    inference, images = reading.current, _reading_pictures(house, reading)
    pictures = {inference.media.sha256: images} if images else {}
    return _download_response(
        report.report_html([inference], pictures),
        "text/html",
        f"{_download_stem(reading)}.html",
    )


@routes.get("/page/readings/{id}/clip")
def get_clip(reading: OwnReading) -> Response:
    if reading.talk.current.media.kind != "clip" or not reading.path.is_file():
        raise HTTPException(404, "there is no clip to play.")
    return FileResponse(reading.path, media_type="video/mp4")


@routes.post("/page/readings/{id}/remove")
def remove_reading(id: str, house: Here, visit: Own) -> dict[str, str]:
    house.visits.drop(visit, id)
    return {}


@routes.get("/gallery/{number}")
def get_thumb(number: int, house: Here) -> Response:
    if not 0 <= number < len(house.gallery.paths):
        raise HTTPException(404, "there is no such example.")
    return Response(house.gallery.thumb(number), media_type="image/jpeg")


@routes.get("/static/report.{kind}")
def shared_static(kind: str) -> Response:
    """The report's own style and script, which the page is built on."""
    types = {"css": "text/css", "js": "text/javascript"}
    if kind not in types:
        raise HTTPException(404, "there is no such file.")
    text = (files("kuleshov.output") / "templates" / f"report.{kind}").read_text("utf-8")
    return Response(text, media_type=types[kind])


def _give_cookie(request: Request, answer: Response, visit: Visit) -> None:
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, visit.id, httponly=True, samesite="strict", secure=secure)


def _reading_pictures(house: House, reading: Reading) -> list[media.Rgb] | None:
    return reading.pictures(house.agents.first.settings.max_pixels)


def _download_stem(reading: Reading) -> str:
    return Path(reading.name).stem or "reading"


def _download_response(text: str, kind: str, name: str) -> Response:
    plain = safe_name(name).encode("ascii", "replace").decode().replace("?", "_")
    told = f'attachment; filename="{plain}"'
    if plain != name:  # RFC 6266: the name as it is, for browsers of today
        told += f"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(
        text,
        media_type=kind,
        headers={"content-disposition": told},
    )


async def _stream_events(house: House, visit: Visit | None) -> AsyncIterator[str]:
    """Server-sent events: what the page must know at once, then what happens."""
    if visit is None or visit.over:
        yield _format_event("gone", {"start": house.start, "sentence": GONE})
        return
    with house.visits.listening(visit) as queue:
        yield _format_event(
            "state",
            {
                "start": house.start,
                "jobs": [asking.job_view(house, job) for job in list(visit.jobs.values())],
                "readings": list(visit.readings),
            },
        )
        while True:
            try:
                kind, data = await asyncio.wait_for(queue.get(), PING_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            yield _format_event(kind, data)
            if kind == "ended":
                return


def _format_event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
