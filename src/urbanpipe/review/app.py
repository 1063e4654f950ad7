"""The web server of the review app: access, headers and errors. The routes are in `routes.py` and `media_routes.py`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

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
from urbanpipe.review.desk import ReviewDesk
from urbanpipe.review.people import Person
from urbanpipe.review.sessions import COOKIE, LoginLimit, Sessions

HEADER = "x-urbanpipe"
"""Every request that changes something carries this header, which a form of another site cannot send."""
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


def review_app(desk: ReviewDesk, access: Access) -> FastAPI:
    """Return the app.

    Args:
        desk: what it shows.
        access: who may use it.
    """
    app = FastAPI(title="urbanpipe review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.state.sessions = Sessions(access.token, access.local)
    app.state.login_limit = LoginLimit()
    app.include_router(routes.router)
    app.include_router(media_routes.router)
    app.middleware("http")(_guard)
    app.add_exception_handler(UrbanpipeError, _refused)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(access.hosts), www_redirect=False)
    return app


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let in who has a session, refuse changes that another site may have sent, and set the headers of all answers."""
    path = request.url.path
    request.state.person = request.app.state.sessions.person(request.cookies.get(COOKIE))
    if request.method not in ("GET", "HEAD") and HEADER not in request.headers:
        response: Response = JSONResponse({"detail": "the request did not come from the review pages"}, 403)
    elif request.state.person is None and not path.startswith(_PUBLIC):
        response = _without_session(path)
    else:
        response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers[name] = value
    if "cache-control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _without_session(path: str) -> Response:
    if path.startswith(("/api/", "/media/")):
        return JSONResponse({"detail": "log in first, or open the link that `urbanpipe review` printed"}, 401)
    return RedirectResponse("/login", status_code=303)


async def _refused(_: Request, error: Exception) -> Response:
    """Answer an error that a person can fix with its line; a stale change also gets the current state."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 400)
    return JSONResponse({"detail": str(error)}, status)
