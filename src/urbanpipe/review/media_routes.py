"""Pictures, stills and videos of the review app."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, JSONResponse

from urbanpipe.errors import VideoError
from urbanpipe.review.desk import OpenVideo, ReviewDesk
from urbanpipe.review.files import VideoFile, picture_file
from urbanpipe.review.media.playable import plays_in_browser
from urbanpipe.review.routes import Desk

router = APIRouter()
FOREVER = {"Cache-Control": "private, max-age=86400"}
MAX_STILL_PIXELS = 1600


@router.get("/media/{folder}/picture/{name}")
def picture(folder: str, name: str, desk: Desk) -> Response:
    """Return a picture of an inspection."""
    video = desk.open(folder)
    path = picture_file(video.inspection, video.folder, name)
    return FileResponse(path, headers=FOREVER) if path else Response(status_code=404)


@router.get("/api/videos/{folder}/file")
def video_file(folder: str, desk: Desk) -> dict[str, Any]:
    """Return whether the video is there and unchanged, and how it can be played; starts to make a proxy if need be."""
    video = desk.open(folder)
    file = desk.files.find(video.inspection, video.folder)
    if file.status != "ok" or file.path is None:
        return {"status": file.status}
    playable = plays_in_browser(file.path)
    desk.stills.indices.prepare(file.path)
    if playable:
        return {"status": "ok", "plays": True, "reason": "", "proxy": None}
    state = desk.proxies.start(file.path, video.digest)
    proxy = {"status": state.status, "share": state.share, "reason": state.reason}
    return {"status": "ok", "plays": False, "reason": playable.reason, "proxy": proxy}


@router.get("/media/{folder}/video")
def original(folder: str, desk: Desk) -> Response:
    """Return the video itself, or the part of it that a player asks for."""
    file = _file(desk, desk.open(folder))
    return FileResponse(file.path) if file.status == "ok" and file.path else _unavailable(file)


@router.get("/media/{folder}/proxy")
def proxy(folder: str, desk: Desk) -> Response:
    """Return a copy of the video that browsers play; waits until it is made."""
    video = desk.open(folder)
    file = _file(desk, video)
    if file.status != "ok" or file.path is None:
        return _unavailable(file)
    return FileResponse(desk.proxies.proxy(file.path, video.digest))


@router.get("/api/videos/{folder}/frame")
def frame(
    folder: str, desk: Desk, seconds: float | None = None, player: float | None = None, number: int = 0
) -> Response:
    """Return number and times of a frame: by time after the first frame, by time of the player, or by number."""
    video = desk.open(folder)
    file = _file(desk, video)
    if file.status != "ok" or file.path is None:
        return _unavailable(file)
    return JSONResponse(desk.frame(file.path, seconds=seconds, player=player, number=number))


@router.get("/media/{folder}/still/{number}")
def still(folder: str, number: int, desk: Desk) -> Response:
    """Return a frame as JPEG."""
    video = desk.open(folder)
    file = _file(desk, video)
    if file.status != "ok" or file.path is None:
        return _unavailable(file)
    if not 0 <= number < desk.stills.count(file.path):
        raise VideoError(file.path, f"it has no frame {number}")
    content = desk.stills.frame(file.path, number, max_width=MAX_STILL_PIXELS)
    return Response(content, media_type="image/jpeg", headers=FOREVER)


def _file(desk: ReviewDesk, video: OpenVideo) -> VideoFile:
    return desk.files.find(video.inspection, video.folder, wait=True)


def _unavailable(file: VideoFile) -> Response:
    reasons = {
        "missing": "the video is not where it was when it was inspected",
        "changed": "the file is not the one that was inspected: its contents have changed",
    }
    return JSONResponse({"detail": reasons.get(file.status, file.status), "status": file.status}, 404)
