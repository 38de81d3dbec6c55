"""The page: what a browser asks for, and the events that it listens to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from kuleshov import report, view
from kuleshov.tools import media
from kuleshov.tools.media import Rgb
from kuleshov.tools.types import KuleshovError
from kuleshov.types import CAVEAT
from kuleshov.web import readings
from kuleshov.web.folders import safe_name
from kuleshov.web.house import House
from kuleshov.web.line import Job
from kuleshov.web.readings import Reading, Wish
from kuleshov.web.sessions import COOKIE, Session

GONE = "This page's session has ended; reload the page to begin anew."
PING_S = 15.0
ENDED_JOBS = 24  # kept of a session, for a page that comes back
FIELDS = 64
SCALES = {name.replace("_", "-"): told for name, told in view.SCALES.items()}


routes = APIRouter(include_in_schema=False)


def house_of(request: Request) -> House:
    found: House = request.app.state.house
    return found


Here = Annotated[House, Depends(house_of)]


def user_of(request: Request) -> str | None:
    """Who gave the right password; None where none is asked for."""
    return getattr(request.state, "user", None)


def _visitor(request: Request, house: House) -> Session | None:
    return house.sessions.find(request.cookies.get(COOKIE), user_of(request))


def session_of(request: Request, house: Here) -> Session:
    session = _visitor(request, house)
    if session is None:
        raise HTTPException(410, GONE)
    house.sessions.use(session)
    return session


Own = Annotated[Session, Depends(session_of)]


def reading_of(id: str, session: Own) -> Reading:
    found = session.readings.get(id)
    if found is None:
        raise HTTPException(404, "this reading is no longer kept; read the picture again.")
    return found


OwnReading = Annotated[Reading, Depends(reading_of)]


@routes.get("/", response_class=HTMLResponse)
def page(request: Request, house: Here) -> Response:
    session = _visitor(request, house)
    answer = HTMLResponse(
        house.templates.get_template("page.html.jinja").render(
            facts=house.facts,
            caveat=CAVEAT,
            gallery=list(enumerate(house.gallery.names)),
            label_sets=house.agents.labels,
            limit=house.serving.max_upload_bytes,
            accept=",".join(media.IMAGE_SUFFIXES + media.CLIP_SUFFIXES),
            shared=house.serving.shared,
            idle_minutes=f"{house.serving.idle_s / 60:g}",
            statuses=view.STATUSES,
            scales=SCALES,
        )
    )
    if session is None:
        _give_cookie(answer, house.sessions.begin(user_of(request)))
    return answer


@routes.post("/page/begin")
def begin(request: Request, house: Here) -> Response:
    """A new session for a page whose own is gone, for one after a restart of the server."""
    answer = JSONResponse({"start": house.start})
    if _visitor(request, house) is None:
        _give_cookie(answer, house.sessions.begin(user_of(request)))
    return answer


@routes.post("/page/end")
def end(house: Here, session: Own) -> dict[str, str]:
    house.sessions.end(session, "The session has ended, and what was uploaded is removed.")
    return {}


@routes.get("/page/events")
def events(request: Request, house: Here) -> Response:
    return StreamingResponse(
        _stream(house, _visitor(request, house)),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@routes.post("/page/read", status_code=202)
async def read(request: Request, house: Here, session: Own) -> dict[str, Any]:
    async with request.form(max_files=2, max_fields=FIELDS) as form:
        path, name = await _chosen(house, session, form)
        wish = _wish(form)
        words = form.get("transcript")
        if isinstance(words, UploadFile) and words.filename:
            kept = await run_in_threadpool(
                house.folders.save, words.file, words.filename, path.parent
            )
            wish = Wish(**{**vars(wish), "transcript": kept})
    return _line_up(house, session, path, name, wish)


@routes.post("/page/jobs/{id}/stop")
def stop(id: str, house: Here, session: Own) -> dict[str, str]:
    job = session.jobs.get(id)
    if job is None:
        raise HTTPException(404, "this job is no longer known.")
    house.line.cancel(job)
    return {}


@routes.get("/page/readings/{id}", response_class=HTMLResponse)
def fragment(house: Here, reading: OwnReading) -> str:
    told = report.reading(reading.number, reading.inference, _pictures(house, reading))
    return house.templates.get_template("fragment.html.jinja").render(
        reading=told, id=reading.id, stem=_stem(reading)
    )


@routes.get("/page/readings/{id}/record.json")
def record(reading: OwnReading) -> Response:
    return _download(
        reading.inference.to_json(indent=1), "application/json", f"{_stem(reading)}.json"
    )


@routes.get("/page/readings/{id}/report.html")
def as_report(house: Here, reading: OwnReading) -> Response:
    pictures = {reading.inference.media.sha256: _pictures(house, reading) or []}
    return _download(
        report.report_html([reading.inference], {k: v for k, v in pictures.items() if v}),
        "text/html",
        f"{_stem(reading)}.html",
    )


@routes.get("/page/readings/{id}/clip")
def clip(reading: OwnReading) -> Response:
    if reading.inference.media.kind != "clip" or not reading.path.is_file():
        raise HTTPException(404, "there is no clip to play.")
    return FileResponse(reading.path, media_type="video/mp4")


@routes.post("/page/readings/{id}/remove")
def remove(id: str, house: Here, session: Own) -> dict[str, str]:
    house.sessions.drop(session, id)
    return {}


@routes.get("/gallery/{number}")
def thumb(number: int, house: Here) -> Response:
    if not 0 <= number < len(house.gallery.paths):
        raise HTTPException(404, "there is no such example.")
    return Response(house.gallery.thumb(number), media_type="image/jpeg")


@routes.get("/static/report.{kind}")
def shared_static(kind: str) -> Response:
    """The report's own style and script, which the page is built on."""
    types = {"css": "text/css", "js": "text/javascript"}
    if kind not in types:
        raise HTTPException(404, "there is no such file.")
    text = (files("kuleshov") / "templates" / f"report.{kind}").read_text("utf-8")
    return Response(text, media_type=types[kind])


def _give_cookie(answer: Response, session: Session) -> None:
    answer.set_cookie(COOKIE, session.id, httponly=True, samesite="strict", path="/")


def _line_up(house: House, session: Session, path: Path, name: str, wish: Wish) -> dict[str, Any]:
    """A reading in the line; its result is kept in the session."""

    def work(job: Job) -> str:
        inference = readings.read(house.agents, path, name, wish, job)
        session.count += 1
        reading = Reading(session.count, path, name, wish, inference)
        if not job.stop.is_set():
            house.sessions.add(session, reading)
        return reading.id

    return _join(
        house,
        session,
        Job(session.id, "read", name, work, lambda *told: house.sessions.watch(session, *told)),
    )


def _join(house: House, session: Session, job: Job) -> dict[str, Any]:
    ended = [old for old in session.jobs.values() if old.ended is not None]
    for old in ended[:-ENDED_JOBS]:
        del session.jobs[old.id]
    session.jobs[job.id] = job
    try:
        house.line.join(job)
    except KuleshovError:
        del session.jobs[job.id]
        raise
    return _shown(house, job)


def _shown(house: House, job: Job) -> dict[str, Any]:
    """What a page needs to show a job that it did not see begin."""
    return {
        "job": job.id,
        "kind": job.kind,
        "title": job.title,
        "state": job.state,
        "ahead": house.line.ahead(job),
        "told": job.told,
        "result": job.result,
        "sentence": job.sentence,
    }


async def _chosen(house: House, session: Session, form: FormData) -> tuple[Path, str]:
    """The file that is to be read and its name: an upload, or one of the examples."""
    given = form.get("file")
    if isinstance(given, UploadFile) and given.filename:
        path = await run_in_threadpool(
            house.folders.save, given.file, given.filename, house.sessions.folder(session)
        )
        return path, view.clean(safe_name(given.filename))
    number = form.get("example")
    if isinstance(number, str) and number.isdecimal() and int(number) < len(house.gallery.paths):
        return house.gallery.paths[int(number)], house.gallery.names[int(number)]
    raise KuleshovError("choose a picture or a clip first.")


def _wish(form: FormData) -> Wish:
    def lines(name: str) -> tuple[str, ...]:
        return tuple(v for v in form.getlist(name) if isinstance(v, str) and v.strip())

    labels = form.get("labels")
    return Wish(
        context=lines("context"),
        said=lines("said"),
        labels=labels if isinstance(labels, str) and labels else None,
        influence=True if form.get("influence") else None,
    )


def _pictures(house: House, reading: Reading) -> list[Rgb] | None:
    """The pictures of a reading; None where its file is not there any more."""
    try:
        return media.pictures_of(
            reading.path,
            reading.inference.media,
            max_pixels=house.agents.first.settings.max_pixels,
        )
    except KuleshovError:
        return None


def _stem(reading: Reading) -> str:
    return Path(safe_name(reading.name)).stem or "reading"


def _download(text: str, kind: str, name: str) -> Response:
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return Response(
        text,
        media_type=kind,
        headers={"content-disposition": f'attachment; filename="{plain}"'},
    )


async def _stream(house: House, session: Session | None) -> AsyncIterator[str]:
    """Server-sent events: what the page must know at once, then what happens."""
    if session is None or session.over:
        yield _event("gone", {"start": house.start, "sentence": GONE})
        return
    with house.sessions.listening(session) as queue:
        yield _event(
            "state",
            {
                "start": house.start,
                "jobs": [_shown(house, job) for job in list(session.jobs.values())],
                "readings": list(session.readings),
            },
        )
        while True:
            try:
                kind, data = await asyncio.wait_for(queue.get(), PING_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            yield _event(kind, data)
            if kind == "ended":
                return


def _event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
