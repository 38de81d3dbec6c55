"""Who asks: what the routes are given of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from kuleshov.apps.web.browser_sessions import COOKIE, Visit
from kuleshov.apps.web.connections import address_of
from kuleshov.apps.web.open_readings import Reading
from kuleshov.apps.web.state import House

GONE = "This page's session has ended; reload the page to begin anew."


def house_of(request: Request) -> House:
    found: House = request.app.state.house
    return found


Here = Annotated[House, Depends(house_of)]


def user_of(request: Request) -> str | None:
    """Who gave the right password; None where none is asked for."""
    return getattr(request.state, "user", None)


def owner_of(request: Request) -> str:
    """Whose turn it is in the line: a user's, else that of the machine that asks."""
    user = user_of(request)
    return f"user {user}" if user is not None else f"address {address_of(request.scope)}"


def visit_of_cookie(request: Request, house: House) -> Visit | None:
    return house.visits.find(request.cookies.get(COOKIE), user_of(request))


def visit_of(request: Request, house: Here) -> Visit:
    visit = visit_of_cookie(request, house)
    if visit is None:
        raise HTTPException(410, GONE)
    house.visits.use(visit)
    return visit


Own = Annotated[Visit, Depends(visit_of)]


def reading_of(id: str, visit: Own) -> Reading:
    found = visit.readings.get(id)
    if found is None:
        raise HTTPException(404, "this reading is no longer kept; read the picture again.")
    return found


OwnReading = Annotated[Reading, Depends(reading_of)]
