"""The HTTP API: post a picture, get the record; described at /openapi.json and /docs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from kuleshov._version import __version__
from kuleshov.apps.web.job_queue import Job
from kuleshov.apps.web.readings import FUSIONS, Wish
from kuleshov.apps.web.uploads import shown_name
from kuleshov.apps.web.visitor import Here, owner_of, user_of
from kuleshov.evidence import people
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.structured_text import parse_count, parse_json
from kuleshov.types import Inference

routes = APIRouter()
LOOK_S = 0.5  # between looks whether the client is still there


class Health(BaseModel):
    """What reads here, and how many wait."""

    kuleshov: str
    model: str
    faces: str
    labels: str
    fusion: str
    caveats: list[str] = Field(description="limits that the models state of themselves")
    waiting: int = Field(ge=0, description="readings in the line")
    busy: bool = Field(description="whether something is being read")


class JobState(BaseModel):
    """How far a reading is."""

    job: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    ahead: int | None = Field(description="readings before this one; null: it does not wait")
    steps: list[str] = Field(description="what has been found so far, in words")
    error: str | None = Field(None, description="why it failed, one sentence")
    url: str
    record: str | None = Field(None, description="where the record is, once it is done")


class Problem(BaseModel):
    """What went wrong, and what to do."""

    error: str = Field(description="one sentence")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the file cannot be read, or a wish cannot be met"},
    413: {"model": Problem, "description": "the file is too large"},
    422: {"model": Problem, "description": "a field is missing or not of its type"},
    429: {"model": Problem, "description": "too many readings wait already"},
}


@routes.post(
    "/api/v1/infer",
    response_model=Inference,
    responses={202: {"model": JobState, "description": "lined up (wait=false)"}, **PROBLEMS},
    summary="Read a picture or a clip",
)
async def post_infer(
    request: Request,
    house: Here,
    file: Annotated[UploadFile, File(description="the picture or clip")],
    context: Annotated[
        list[str],
        Form(default_factory=list, description="what is known of the situation; may be repeated"),
    ],
    said: Annotated[
        list[str], Form(default_factory=list, description="words that are heard; may be repeated")
    ],
    who: Annotated[
        str, Form(description='notes on people by number, as JSON: {"2": "the bride"}')
    ] = "{}",
    boxes: Annotated[
        str, Form(description="people to read, as JSON: [[x0, y0, x1, y1], …], pixels")
    ] = "[]",
    labels: Annotated[
        str | None, Form(description="a shipped label set; none: as the server was started")
    ] = None,
    fusion: Annotated[
        str | None, Form(description=f"{', '.join(FUSIONS)}; none: as started")
    ] = None,
    strategy: Annotated[
        str | None, Form(description="the name of `fusion` in 0.1.0", deprecated=True)
    ] = None,
    influence: Annotated[
        bool, Form(description="also face alone, context alone, and the index")
    ] = False,
    transcript: Annotated[
        UploadFile | None,
        File(description="clips: what is said (.srt, .vtt, .TextGrid, .eaf, .cha, .txt …)"),
    ] = None,
    wait: Annotated[bool, Query(description="false: answer at once with a job to ask for")] = True,
) -> Response:
    """The record that kuleshov infer --json prints, by the schema at /api/v1/schema.

    Jobs are served in turn with those of everybody else. A client that hangs up while it waits
    stops its job. The upload is removed as soon as it has been read.
    """
    user = user_of(request)
    folder = house.folders.new()
    try:
        wish = Wish(
            context=tuple(context),
            said=tuple(said),
            who=_parse_notes(who),
            boxes=_parse_boxes(boxes, house.serving.max_people),
            labels=labels or None,
            fusion=fusion or strategy or None,
            influence=influence or None,
        )
        house.agents.find(wish.labels, wish.fusion)  # a mistake is told before anything waits
        if not file.filename:
            raise KuleshovError("file: the part has no file name.")
        path = await run_in_threadpool(house.folders.save, file.file, file.filename, folder)
        if transcript is not None and transcript.filename:
            kept = await run_in_threadpool(
                house.folders.save, transcript.file, transcript.filename, folder
            )
            wish = Wish(**{**vars(wish), "transcript": kept})
        over, loop = asyncio.Event(), asyncio.get_running_loop()

        def ended() -> None:
            loop.call_soon_threadsafe(over.set)

        job = house.jobs.join(
            owner_of(request),
            user,
            folder,
            path,
            shown_name(file.filename),
            wish,
            ended,
        )
    except BaseException:
        house.folders.remove(folder)
        raise
    if not wait:
        return JSONResponse(_job_state(house, job).model_dump(), 202)
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), LOOK_S)
        except TimeoutError:
            if await request.is_disconnected():
                house.line.cancel(job)
                house.jobs.forget(job)
                return Response(status_code=499)
    house.jobs.forget(job)
    return _record_response(job)


@routes.get("/api/v1/jobs/{id}", responses={404: {"model": Problem}}, summary="How far a job is")
def job_state(id: str, request: Request, house: Here) -> JobState:
    return _job_state(house, _find_job(id, request, house))


@routes.get(
    "/api/v1/jobs/{id}/record",
    response_model=Inference,
    responses={
        404: {"model": Problem},
        409: {"model": Problem, "description": "it is not done yet"},
        400: PROBLEMS[400],
    },
    summary="The record of a job that is done",
)
def job_record(id: str, request: Request, house: Here) -> Response:
    job = _find_job(id, request, house)
    if job.ended is None:
        raise HTTPException(409, f"this job is {job.state}; ask again later.")
    return _record_response(job)


@routes.delete("/api/v1/jobs/{id}", responses={404: {"model": Problem}}, summary="Stop, forget")
def job_delete(id: str, request: Request, house: Here) -> JobState:
    """Take a job out of the line, or stop it where it runs, and forget it and its record."""
    job = _find_job(id, request, house)
    if job.ended is None:
        house.line.cancel(job)
    house.jobs.forget(job)
    return _job_state(house, job)


@routes.get("/api/v1/schema", summary="JSON schema of the record")
def get_schema() -> dict[str, Any]:
    """As kuleshov schema prints it."""
    return Inference.json_schema()


@routes.get("/api/v1/health", summary="What reads here, and how many wait")
def get_health(house: Here) -> Health:
    facts = {name: value for name, value in house.facts.items() if name in Health.model_fields}
    return Health(kuleshov=__version__, waiting=house.line.waiting, busy=house.line.busy, **facts)


@routes.get("/docs", include_in_schema=False, response_class=HTMLResponse)
def get_docs(request: Request, house: Here) -> str:
    """The OpenAPI document as a page that loads nothing from elsewhere."""
    return house.templates.get_template("docs.html.jinja").render(
        spec=request.app.openapi(),
        base=str(request.base_url).rstrip("/"),
        password=bool(house.serving.credentials),
    )


def _find_job(id: str, request: Request, house: Any) -> Job:
    job: Job | None = house.jobs.find(id, user_of(request))
    if job is None:
        raise HTTPException(404, "there is no such job, or it has been forgotten.")
    return job


def _job_state(house: Any, job: Job) -> JobState:
    url = f"/api/v1/jobs/{job.id}"
    return JobState(
        job=job.id,
        state=job.state,
        ahead=house.line.ahead(job),
        steps=[data["text"] for kind, data in job.told if kind == "step"],
        error=job.sentence,
        url=url,
        record=f"{url}/record" if job.state == "done" else None,
    )


def _record_response(job: Job) -> Response:
    if job.state != "done":
        raise HTTPException(400 if job.state == "failed" else 409, job.sentence)
    return Response(job.result.to_json(), media_type="application/json")


def _parse_notes(text: str) -> dict[int, str]:
    given = _parse_json(text, "who", '{"2": "the bride"}')
    if not isinstance(given, dict) or not all(isinstance(note, str) for note in given.values()):
        raise KuleshovError('who must be JSON like {"2": "the bride"}.')
    notes: dict[int, str] = {}
    for number, note in given.items():
        person = parse_count(number)
        if person is None:
            raise KuleshovError("who: the names must be numbers of people, or 0 for everybody.")
        notes[person] = note
    return notes


def _parse_boxes(text: str, most: int) -> tuple[tuple[float, ...], ...]:
    given = _parse_json(text, "boxes", "[[10, 10, 60, 70]]")
    numbers = isinstance(given, list) and all(
        isinstance(box, list)
        and all(isinstance(side, int | float) and not isinstance(side, bool) for side in box)
        for box in given
    )
    if not numbers:
        raise KuleshovError("boxes must be JSON like [[10, 10, 60, 70]], in pixels.")
    if len(given) > most:
        raise KuleshovError(
            f"{len(given):,} boxes were given; at most {most} people are read in one request."
        )
    return tuple(map(tuple, people.check_boxes(given)[0]))


def _parse_json(text: str, name: str, like: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        raise KuleshovError(f"{name} must be JSON like {like}.") from None
