"""The web server of the review app: access, headers and errors. The routes are in `routes.py` and `media_routes.py`."""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from urbanpipe.errors import (
    BusyError,
    ClosedError,
    InspectionError,
    OutputError,
    ReviewError,
    StaleError,
    UrbanpipeError,
    VideoError,
)
from urbanpipe.review import media_routes, routes
from urbanpipe.review.people import Person, is_current
from urbanpipe.review.service import ReviewService
from urbanpipe.review.sessions import LoginLimit, Sessions, cookie_name
from urbanpipe.review_store.database import database_errors
from urbanpipe.settings import plain_message

HEADER = "x-urbanpipe"
"""Every request that changes something carries this header, which a form of another site cannot send."""
MAX_BODY_BYTES = 32 * 2**20
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATUS: tuple[tuple[type[UrbanpipeError], int], ...] = (
    (StaleError, 409),
    (ClosedError, 403),
    (InspectionError, 404),
    (VideoError, 404),
    (OutputError, 507),
    (BusyError, 503),
    (ReviewError, 422),
)
_PUBLIC = ("/enter", "/login", "/api/login", "/static/", "/healthz", "/api/texts")


@dataclass(frozen=True)
class Access:
    """Who may use a server.

    Attributes:
        hosts: names of the server that browsers may use; `*` for all.
        token: token of the link that lets `local` in; empty where people log in.
        local: the person of a server on the own machine; None where people log in.
    """

    hosts: tuple[str, ...]
    token: str = ""
    local: Person | None = None


def review_app(service: ReviewService, access: Access) -> FastAPI:
    """Return the app.

    Args:
        service: what it shows.
        access: who may use it.
    """
    app = FastAPI(title="urbanpipe review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service = service
    app.state.sessions = Sessions(access.token, access.local, is_current=lambda one: is_current(service.store, one))
    app.state.login_limit = LoginLimit()
    app.include_router(routes.router)
    app.include_router(media_routes.router)
    app.add_middleware(_Limited)
    app.middleware("http")(_guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(access.hosts), www_redirect=False)
    app.add_middleware(_Headers)
    app.add_exception_handler(UrbanpipeError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(sqlite3.Error, _unusable)
    app.add_exception_handler(Exception, _failed)
    return app


class _Headers:
    """Sets the headers of all answers, those of the framework included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Limited:
    """Refuses bodies of more than `MAX_BODY_BYTES`, whatever length they claim, before they fill the memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY_BYTES:
                raise HTTPException(413, f"the request is larger than {MAX_BODY_BYTES // 2**20} MiB")
            return message

        await self._app(scope, receive_some, send)


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let in who has a session, and refuse changes that another site may have sent."""
    path = request.url.path
    try:
        request.state.person = request.app.state.sessions.person(request.cookies.get(cookie_name(request)))
    except UrbanpipeError as error:  # the accounts cannot be read; handlers of errors are inside of this layer
        return await _refused(request, error)
    if request.method not in ("GET", "HEAD") and HEADER not in request.headers:
        return _answer("the request did not come from the review pages", 403)
    if request.state.person is None and not path.startswith(_PUBLIC):
        return _without_session(path)
    return await call_next(request)


def _without_session(path: str) -> Response:
    if path.startswith(("/api/", "/media/")):
        return _answer("log in first, or open the link that `urbanpipe review` printed", 401)
    return RedirectResponse("/login", status_code=303)


def _answer(line: str, status: int) -> JSONResponse:
    """Return a line for a person; what cannot be encoded in it becomes question marks."""
    return JSONResponse({"detail": line.encode(errors="replace").decode()}, status)


async def _refused(_: Request, error: Exception) -> Response:
    """Answer an error that a person can fix with its line."""
    return _answer(str(error), next((code for kind, code in _STATUS if isinstance(error, kind)), 400))


async def _invalid(_: Request, error: Exception) -> Response:
    """Answer a request with invalid values with the first of them, without repeating what was sent."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    return _answer(f"{'.'.join(map(str, first['loc']))[:200]}: {plain_message(str(first['msg']))[:300]}", 422)


async def _unusable(request: Request, error: Exception) -> Response:
    """Answer an error of the database with the line that says what to do."""
    try:
        with database_errors(request.app.state.service.store.path):
            raise error
    except UrbanpipeError as line:
        return await _refused(request, line)


async def _failed(_: Request, error: Exception) -> Response:
    """Answer a fault of the program, whose traceback the terminal shows, with the headers of all answers."""
    line = f"a fault of the program ({type(error).__name__}), see the terminal of the server; what was saved is kept"
    response = _answer(line, 500)
    response.headers.update(_HEADERS)
    return response
