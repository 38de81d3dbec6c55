"""What the page asks for: a reading, and then a what-if, more context, other labels, a question.

Everything becomes a job in the line; what comes of it stays with the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from kuleshov.agent import Event
from kuleshov.apps.web import readings
from kuleshov.apps.web.browser_sessions import Visit
from kuleshov.apps.web.job_queue import Job
from kuleshov.apps.web.open_readings import Reading
from kuleshov.apps.web.readings import Wish
from kuleshov.apps.web.state import House
from kuleshov.apps.web.uploads import shown_name
from kuleshov.apps.web.visitor import Here, Own, OwnReading
from kuleshov.output import view
from kuleshov.session.open_medium import Words
from kuleshov.session.session import Session
from kuleshov.tools.errors import KuleshovError, shorten_text
from kuleshov.tools.structured_text import parse_count

routes = APIRouter(include_in_schema=False)
ENDED_JOBS = 24  # kept of a visit, for a page that comes back
FIELDS = 64
LONGEST_TITLE = 80
Turn = Callable[[Session, Job], Iterator[Event]]


@routes.post("/page/read", status_code=202)
async def post_reading(request: Request, house: Here, visit: Own) -> dict[str, Any]:
    async with request.form(max_files=2, max_fields=FIELDS) as form:
        path, name = await _chosen_file(house, visit, form)
        try:
            wish = _parse_wish(form)
            words = form.get("transcript")
            if isinstance(words, UploadFile) and words.filename:
                folder = _upload_of(house, path) or house.visits.folder(visit)
                kept = await run_in_threadpool(
                    house.folders.save, words.file, words.filename, folder
                )
                wish = replace(wish, transcript=kept)
            return _line_up(house, visit, path, name, wish)
        except KuleshovError:
            _discard_upload(house, path)
            raise


@routes.post("/page/readings/{id}/what-if", status_code=202)
def what_if(
    house: Here, visit: Own, reading: OwnReading, text: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    """Judge as if `text` held."""
    return _queue_turn(
        house,
        visit,
        reading,
        _job_title("What if", text),
        lambda talk, job: talk.what_if(text, stop=job.stop),
    )


@routes.post("/page/readings/{id}/context", status_code=202)
def post_context(
    house: Here, visit: Own, reading: OwnReading, text: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    """Judge again, knowing `text` of the situation from now on."""
    return _queue_turn(
        house,
        visit,
        reading,
        _job_title("Context", text),
        lambda talk, job: talk.add_context(text, stop=job.stop),
    )


@routes.post("/page/readings/{id}/labels", status_code=202)
def post_labels(
    house: Here, visit: Own, reading: OwnReading, text: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    """Judge again with another label set; a shipped one, because a name must not open a file."""
    if text not in house.agents.labels:
        raise KuleshovError(f"there is no label set {shorten_text(text)!r} on this server.")
    return _queue_turn(
        house,
        visit,
        reading,
        f"Labels {text}",
        lambda talk, job: talk.change(labels=text, stop=job.stop),
    )


@routes.post("/page/readings/{id}/influence", status_code=202)
def post_influence(house: Here, visit: Own, reading: OwnReading) -> dict[str, Any]:
    """Judge again, face alone and context alone as well."""
    return _queue_turn(
        house,
        visit,
        reading,
        "Compare face alone and context alone",
        lambda talk, job: talk.influence(stop=job.stop),
    )


@routes.post("/page/readings/{id}/ask", status_code=202)
def post_question(
    house: Here,
    visit: Own,
    reading: OwnReading,
    text: Annotated[str, Form()] = "",
    person: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Answer a free question, about one person or about everybody."""
    wanted = parse_count(person)
    if wanted is None and person.strip():
        raise KuleshovError("person: give the number of a person, or nothing for everybody.")

    def work(job: Job) -> dict[str, Any]:
        try:
            talk = house.open.use(reading, job.stop)
            if wanted is not None or len(talk.current.people) > 1:
                talk.choose(wanted)
            talk.ask(
                text,
                on_token=lambda piece: job.tell("token", step="answer", person=None, text=piece),
                stop=job.stop,
            )
        except KuleshovError as error:
            raise readings.name_error(error, reading.path, reading.name) from None
        return {"reading": reading.id}

    return _join_job(
        house, visit, _queue_job(house, visit, "ask", _job_title("Question", text), work, reading)
    )


@routes.post("/page/readings/{id}/undo")
def post_undo(visit: Own, reading: OwnReading) -> dict[str, str]:
    """Take the last turn back."""
    if any(job.about == reading.id and job.ended is None for job in visit.jobs.values()):
        raise HTTPException(409, "something is asked of this reading just now; wait or stop it.")
    talk = reading.talk
    talk.undo()
    while talk.steps[-1].kind == "person":  # came with the question that was taken back
        talk.undo()
    return {}


@routes.post("/page/jobs/{id}/stop")
def post_stop(id: str, house: Here, visit: Own) -> dict[str, str]:
    job = visit.jobs.get(id)
    if job is None:
        raise HTTPException(404, "this job is no longer known.")
    house.line.cancel(job)
    return {}


# ------------------------------------------------------------------------------- jobs


def _line_up(house: House, visit: Visit, path: Path, name: str, wish: Wish) -> dict[str, Any]:
    """A first reading in the line."""

    def work(job: Job) -> dict[str, Any]:
        agent = house.agents.find(wish.labels, wish.fusion)
        words = Words(wish.context, wish.said, tuple(wish.who.items()))
        talk = Session(agent, path, words=words, transcript=wish.transcript)
        reading = Reading(visit.count + 1, path, name, talk, agent)

        def progress(done_s: float, whole_s: float) -> None:
            job.tell("progress", done_s=done_s, whole_s=whole_s)

        try:
            events = talk.read(influence=wish.influence, progress=progress, stop=job.stop)
            readings.follow_events(events, job)
        except KuleshovError as error:
            talk.close()
            raise readings.name_error(error, path, name) from None
        if job.stop.is_set() or visit.over:
            talk.close()
            return {}
        visit.count += 1
        house.open.use(reading, job.stop)
        house.visits.add(visit, reading)
        return {"reading": reading.id}

    job = _queue_job(house, visit, "read", name, work)

    def watch(job: Job, kind: str, data: dict[str, Any]) -> None:
        if kind in ("failed", "stopped"):
            _discard_upload(house, path)
        house.visits.watch(visit, job, kind, data)

    job.watch = watch
    return _join_job(house, visit, job)


def _queue_turn(
    house: House, visit: Visit, reading: Reading, title: str, turn: Turn
) -> dict[str, Any]:
    """Another judgement of what is open."""

    def work(job: Job) -> dict[str, Any]:
        try:
            talk = house.open.use(reading, job.stop)
            before = len(talk.steps)
            readings.follow_events(turn(talk, job), job)
        except KuleshovError as error:
            raise readings.name_error(error, reading.path, reading.name) from None
        if job.stop.is_set() and len(talk.steps) > before:  # what was cut off is no answer
            talk.undo()
        return {"reading": reading.id}

    return _join_job(house, visit, _queue_job(house, visit, "turn", title, work, reading))


def _queue_job(
    house: House,
    visit: Visit,
    kind: str,
    title: str,
    work: Callable[[Job], Any],
    reading: Reading | None = None,
) -> Job:
    def watch(job: Job, kind: str, data: dict[str, Any]) -> None:
        house.visits.watch(visit, job, kind, data)

    return Job(visit.owner, kind, title, work, watch, about=reading.id if reading else None)


def _join_job(house: House, visit: Visit, job: Job) -> dict[str, Any]:
    ended = [old for old in visit.jobs.values() if old.ended is not None]
    for old in ended[:-ENDED_JOBS]:
        del visit.jobs[old.id]
    visit.jobs[job.id] = job
    try:
        house.line.join(job)
    except KuleshovError:
        del visit.jobs[job.id]
        raise
    return job_view(house, job)


def job_view(house: House, job: Job) -> dict[str, Any]:
    """What a page needs to show a job that it did not see begin."""
    return {
        "job": job.id,
        "kind": job.kind,
        "about": job.about,
        "title": job.title,
        "state": job.state,
        "ahead": house.line.ahead(job),
        "told": job.told,
        "result": job.result,
        "sentence": job.sentence,
    }


# ------------------------------------------------------------------------------- forms


async def _chosen_file(house: House, visit: Visit, form: FormData) -> tuple[Path, str]:
    """The file that is to be read and its name: an upload, or one of the examples."""
    given = form.get("file")
    if isinstance(given, UploadFile) and given.filename:
        path = await run_in_threadpool(
            house.folders.save, given.file, given.filename, house.visits.folder(visit)
        )
        return path, shown_name(given.filename)
    number = form.get("example")
    place = parse_count(number) if isinstance(number, str) else None
    if place is not None and place < len(house.gallery.paths):
        return house.gallery.paths[place], house.gallery.names[place]
    raise KuleshovError("choose a picture or a clip first.")


def _job_title(what: str, text: str) -> str:
    told = view.clean_line(text)
    return f"{what}: {told[:LONGEST_TITLE]}{'…' if len(told) > LONGEST_TITLE else ''}"


def _parse_wish(form: FormData) -> Wish:
    def lines(name: str) -> tuple[str, ...]:
        return tuple(v for v in form.getlist(name) if isinstance(v, str) and v.strip())

    chosen = form.get("labels")
    return Wish(
        context=lines("context"),
        said=lines("said"),
        labels=chosen if isinstance(chosen, str) and chosen else None,
        influence=True if form.get("influence") else None,
    )


def _upload_of(house: House, path: Path) -> Path | None:
    """The folder of an upload; None for an example, which is nobody's upload."""
    return path.parent if house.folders.root in path.parents else None


def _discard_upload(house: House, path: Path) -> None:
    folder = _upload_of(house, path)
    if folder is not None:
        house.folders.remove(folder)
