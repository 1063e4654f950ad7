"""Pictures, stills and videos of the review app."""

from mimetypes import guess_type
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import FileResponse

from urbanpipe.review.routes import Service

router = APIRouter()
FOREVER = {"Cache-Control": "private, max-age=86400"}


@router.get("/media/{folder}/picture/{name}")
def picture(folder: str, name: str, service: Service) -> Response:
    """Return a picture of an inspection."""
    content = service.picture(service.open(folder), name)
    if content is None:
        raise HTTPException(404, "there is no such picture")
    return Response(content, media_type=guess_type(name)[0], headers=FOREVER)


@router.get("/api/videos/{folder}/file")
def video_file(folder: str, service: Service) -> dict[str, Any]:
    """Return whether the video is there and unchanged, and how it can be played; starts to make a proxy if need be."""
    playback = service.playback(service.open(folder))
    proxy = playback.proxy and {"status": playback.proxy.status, "share": playback.proxy.share}
    reason = playback.proxy.reason if playback.proxy else ""
    return {"status": playback.file.status, "plays": not playback.reason, "proxy": proxy, "reason": reason}


@router.get("/media/{folder}/video")
def original(folder: str, service: Service) -> Response:
    """Return the video itself, or the part of it that a player asks for."""
    return FileResponse(service.file(service.open(folder)))


@router.get("/media/{folder}/proxy")
def proxy(folder: str, service: Service) -> Response:
    """Return a copy of the video that browsers play; waits until it is made."""
    video = service.open(folder)
    return FileResponse(
        service.proxies.proxy(service.file(video), video.digest), media_type=service.proxies.form.media_type
    )


@router.get("/api/videos/{folder}/frame")
def frame(
    folder: str,
    service: Service,
    *,
    seconds: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    player: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    number: int = 0,
    proxy: bool = False,
) -> dict[str, float | int]:
    """Return number and times of a frame: by time after the first frame, by time of the player, or by number."""
    return service.frame(service.open(folder), seconds=seconds, player=player, number=number, proxy=proxy)


@router.get("/media/{folder}/still/{number}")
def still(folder: str, number: int, service: Service) -> Response:
    """Return a frame as JPEG."""
    content = service.still(service.open(folder), number)
    return Response(content, media_type="image/jpeg", headers=FOREVER)
