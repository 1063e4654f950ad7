"""The pages and the JSON interface of the review app."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse

from urbanpipe.errors import ClosedError, StaleError
from urbanpipe.outputs import remove_quietly
from urbanpipe.review.agreement import agreement
from urbanpipe.review.bodies import Action, Decisions, Login, RejectBelow, Undo
from urbanpipe.review.page_files import PAGES, STATIC, page, texts
from urbanpipe.review.people import Person, Role, person_with
from urbanpipe.review.queue import PAGE_VIDEOS, Filter, Order, neighbours, queue_page
from urbanpipe.review.service import ReviewService
from urbanpipe.review.sessions import cookie_name
from urbanpipe.review.video_view import recorded_view
from urbanpipe.review_store.records import RecordedDecision

router = APIRouter()
Position = Annotated[int, Query(ge=0, le=2**53)]


def get_service(request: Request) -> ReviewService:
    """Return the service of the app."""
    service: ReviewService = request.app.state.service
    return service


def get_person(request: Request) -> Person:
    """Return who sent the request."""
    person: Person = request.state.person
    return person


Service = Annotated[ReviewService, Depends(get_service)]
Who = Annotated[Person, Depends(get_person)]


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the server runs."""
    return {"status": "ok"}


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return a script or a style."""
    if name not in STATIC:
        raise HTTPException(404, "there is no such file")
    return FileResponse(STATIC[name], headers={"Cache-Control": "no-cache"})


@router.get("/enter")
def enter(request: Request, token: str = "") -> Response:
    """Begin a session by the token of the link.

    The page goes on by script: a browser does not send a strict cookie along with a redirect that began elsewhere.
    """
    secret = request.app.state.sessions.enter(token)
    if secret is None:
        return HTMLResponse(page("login"), 403)
    return _with_cookie(HTMLResponse(page("enter")), secret, request)


@router.get("/login")
def login_page() -> Response:
    """Return the page to log in."""
    return HTMLResponse(page("login"))


@router.post("/api/login")
def login(request: Request, body: Login, service: Service) -> Response:
    """Begin a session by name and password."""
    address = request.client.host if request.client else ""
    limit = request.app.state.login_limit
    if wait := limit.begin(body.name, address):
        minutes = max(1, round(wait / 60))
        return JSONResponse({"detail": f"too many attempts; try again in {minutes} min"}, 429)
    person = person_with(service.store, body.name, body.password)
    if person is None:
        return JSONResponse({"detail": "wrong name or password"}, 401)
    limit.succeeded(body.name, address)
    return _with_cookie(JSONResponse({"name": person.name}), request.app.state.sessions.begin(person), request)


@router.post("/api/logout")
def logout(request: Request) -> Response:
    """End the session."""
    request.app.state.sessions.end(request.cookies.get(cookie_name(request)))
    response = JSONResponse({})
    response.delete_cookie(cookie_name(request))
    return response


def _with_cookie(response: Response, secret: str, request: Request) -> Response:
    is_https = request.url.scheme == "https"
    response.set_cookie(cookie_name(request), secret, httponly=True, samesite="strict", secure=is_https, path="/")
    return response


@router.get("/")
def queue_html() -> Response:
    """Return the page of the queue."""
    return HTMLResponse(page("queue"))


@router.get("/video/{_folder}")
def video_html(_folder: str) -> Response:
    """Return the page of a video."""
    return HTMLResponse(page("video"))


@router.get("/{name}.html")
def other_html(name: str) -> Response:
    """Return one of the other pages."""
    return HTMLResponse(page(name)) if name in PAGES else RedirectResponse("/", status_code=303)


@router.get("/api/texts")
def all_texts() -> dict[str, Any]:
    """Return the texts of the pages in all languages."""
    return texts()


@router.get("/api/session")
def session(who: Who, service: Service) -> dict[str, Any]:
    """Return who is logged in, and the store."""
    undo, redo = service.store.undoable(who.name)
    facts = {"name": who.name, "role": who.role, "account": bool(who.account), "store": str(service.store.path)}
    return facts | {"undo": undo, "redo": redo}


@router.get("/api/queue")
def queue(
    service: Service, wanted: Annotated[Filter, Depends()], offset: Position = 0, limit: int = PAGE_VIDEOS
) -> dict[str, Any]:
    """Return a part of the queue."""
    shown = queue_page(service.index, wanted, offset=offset, limit=min(max(1, limit), 500))
    return {
        "videos": shown.videos,
        "total": shown.total,
        "counts": shown.counts,
        "seconds_left": shown.seconds_left,
        "orders": list(Order),
        "codes": service.index.codes(),
        "failures": [one._asdict() for one in service.source.failures()] if offset <= 0 else [],
    }


@router.post("/api/refresh")
def refresh(service: Service) -> dict[str, int]:
    """Look for inspections that came since, or changed."""
    return {"changed": service.index.update()}


@router.get("/api/videos/{folder}")
def video(folder: str, service: Service, who: Who) -> dict[str, Any]:
    """Return what the page of a video shows."""
    undo, redo = service.store.undoable(who.name)
    return service.view(folder) | {"undo": undo, "redo": redo, "role": who.role, "who": who.name}


@router.get("/api/videos/{folder}/neighbours")
def video_neighbours(folder: str, service: Service, wanted: Annotated[Filter, Depends()]) -> dict[str, str | None]:
    """Return the videos before and after this one in the queue."""
    previous, following = neighbours(service.index, wanted, folder)
    return {"previous": previous, "next": following}


@router.get("/api/videos/{folder}/history")
def history(folder: str, service: Service, before: Position | None = None, limit: int = 200) -> list[dict[str, Any]]:
    """Return the decisions on a video, the last one first."""
    rows = service.store.history(service.open(folder).digest, before=before, limit=min(max(1, limit), 1000))
    return [recorded_view(row) for row in rows]


@router.post("/api/videos/{folder}/decisions")
def decide(folder: str, body: Decisions, service: Service, who: Who) -> Response:
    """Store decisions; answer 409 with the current state if one of the items was changed since."""
    changes = [(one.item, one.after, one.version) for one in body.changes]
    try:
        rows = service.decide(folder, changes, body.author(who))
    except StaleError as error:
        current = service.store.items(service.open(folder).digest)
        mine = {one.item: one.after for one in body.changes}
        theirs = {item: recorded_view(current[item]) for item in mine if item in current}
        return JSONResponse({"detail": str(error), "mine": mine, "theirs": theirs}, 409)
    return JSONResponse(_answer(rows, service, who))


@router.post("/api/undo")
def undo(body: Undo, service: Service, who: Who) -> Response:
    """Undo the last action of the person; answer 409 with the action if somebody built on it since."""
    try:
        rows = service.store.undo(body.author(who), below=body.below)
    except StaleError as error:
        return JSONResponse({"detail": str(error), "action": error.action}, 409)
    return JSONResponse(_answer(rows, service, who))


@router.post("/api/redo")
def redo(body: Action, service: Service, who: Who) -> dict[str, Any]:
    """Do the last undone action of the person again."""
    return _answer(service.store.redo(body.author(who)), service, who)


@router.post("/api/reject-below")
def reject_below(body: RejectBelow, service: Service, who: Who) -> dict[str, Any]:
    """Reject, or count, the open proposals of a class below a probability."""
    author = None if body.count_only else body.author(who)
    number, rows = service.reject_below(body.filter, body.code, body.probability, author)
    return _answer(rows, service, who) | {"number": number}


def _answer(rows: list[RecordedDecision], service: ReviewService, who: Person) -> dict[str, Any]:
    """Return what was recorded, and where it is: an undo may concern another video than the one on screen."""
    undo, redo = service.store.undoable(who.name)
    folder = service.index.folder_of(rows[0].video) if rows else None
    return {"recorded": [recorded_view(row) for row in rows], "folder": folder, "undo": undo, "redo": redo}


@router.get("/api/agreement")
def agreement_json(service: Service) -> dict[str, Any]:
    """Return how far people and the software agree."""
    return agreement(service)


@router.get("/api/backup")
def backup(service: Service, who: Who) -> Response:
    """Return a copy of the store as it is now."""
    if who.role is not Role.lead:
        raise ClosedError("only a lead can save a backup, as it holds the accounts of all")
    with tempfile.NamedTemporaryFile(suffix=".sqlite", delete=False) as file:
        target = Path(file.name)
    try:
        service.store.backup(target)
    except BaseException:
        remove_quietly(target)
        raise
    headers = {"Content-Disposition": 'attachment; filename="review-backup.sqlite"'}
    return StreamingResponse(_and_remove(target), media_type="application/vnd.sqlite3", headers=headers)


def _and_remove(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                yield part
    finally:
        remove_quietly(path)
