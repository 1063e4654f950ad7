"""Pictures, stills and videos of the review app."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import FileResponse

from urbanpipe.review.files import picture_file
from urbanpipe.review.routes import Desk

router = APIRouter()
FOREVER = {"Cache-Control": "private, max-age=86400"}


@router.get("/media/{folder}/picture/{name}")
def picture(folder: str, name: str, desk: Desk) -> Response:
    """Return a picture of an inspection."""
    video = desk.open(folder)
    path = picture_file(video.inspection, video.folder, name)
    if path is None:
        raise HTTPException(404, "there is no such picture")
    return FileResponse(path, headers=FOREVER)


@router.get("/api/videos/{folder}/file")
def video_file(folder: str, desk: Desk) -> dict[str, Any]:
    """Return whether the video is there and unchanged, and how it can be played; starts to make a proxy if need be."""
    playing = desk.playing(desk.open(folder))
    proxy = playing.proxy and {"status": playing.proxy.status, "share": playing.proxy.share}
    reason = playing.proxy.reason if playing.proxy else ""
    return {"status": playing.file.status, "plays": not playing.reason, "proxy": proxy, "reason": reason}


@router.get("/media/{folder}/video")
def original(folder: str, desk: Desk) -> Response:
    """Return the video itself, or the part of it that a player asks for."""
    return FileResponse(desk.file(desk.open(folder)))


@router.get("/media/{folder}/proxy")
def proxy(folder: str, desk: Desk) -> Response:
    """Return a copy of the video that browsers play; waits until it is made."""
    video = desk.open(folder)
    return FileResponse(desk.proxies.proxy(desk.file(video), video.digest), media_type=desk.proxies.form.media_type)


@router.get("/api/videos/{folder}/frame")
def frame(
    folder: str,
    desk: Desk,
    *,
    seconds: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    player: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    number: int = 0,
    proxy: bool = False,
) -> dict[str, float | int]:
    """Return number and times of a frame: by time after the first frame, by time of the player, or by number."""
    return desk.frame(desk.open(folder), seconds=seconds, player=player, number=number, proxy=proxy)


@router.get("/media/{folder}/still/{number}")
def still(folder: str, number: int, desk: Desk) -> Response:
    """Return a frame as JPEG."""
    content = desk.still(desk.open(folder), number)
    return Response(content, media_type="image/jpeg", headers=FOREVER)
