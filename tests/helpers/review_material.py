"""Stores with decisions on drawn inspections, and a review app on them."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from helpers.inspection_material import made_inspection
from urbanpipe.contracts.findings import read_inspection
from urbanpipe.review.app import HEADER
from urbanpipe.review.serve import ReviewServer, review_server
from urbanpipe.review_store.decision import REVIEW_KEY, as_proposed
from urbanpipe.review_store.records import Author, Change
from urbanpipe.review_store.store import ReviewStore

TOKEN = "a-token-for-tests"
_servers: list[ReviewServer] = []


def decide(store: ReviewStore, folder: Path, item: str, who: str = "Ana", **fields: Any) -> None:
    """Store a decision on an item of an inspection: fields that differ from the proposal, or from nothing."""
    inspection = read_inspection(folder)
    proposals = {
        f"{finding.code}@{round(1000 * moment.seconds)}": as_proposed(finding, moment)
        for finding in inspection.findings
        for moment in finding.occurrences
    }
    known = store.items(inspection.video.digest).get(item)
    before = (
        known.after if known and known.after else proposals[item].model_dump(mode="json") if item in proposals else {}
    )
    change = Change(inspection.video.digest, item, before | fields, known.seq if known else 0, inspection.bundle.digest)
    store.decide([change], Author(who))


def finish(store: ReviewStore, folder: Path, who: str = "Ana") -> None:
    """Mark a video as reviewed in full."""
    decide(store, folder, REVIEW_KEY, who, reviewed=True)


def served(out: Path, videos: int = 3, **options: Any) -> ReviewServer:
    """A review server on drawn inspections of videos that need not be there."""
    for number in range(videos):
        if not (out / f"v{number}").exists():
            made_inspection(out / f"v{number}", f"v{number}.mp4")
    server = review_server(out, token=TOKEN, reviewer="Ana", say=lambda line: None, **options)
    _servers.append(server)
    return server


def close_servers() -> None:
    """Close all servers of `served`."""
    while _servers:
        _servers.pop().app.state.service.close()


def client_of(server: ReviewServer, *, token: str = TOKEN) -> TestClient:
    """A browser that followed the link."""
    client = TestClient(server.app, base_url="http://127.0.0.1:8010", headers={HEADER: "1"})
    if token:
        client.get(f"/enter?token={token}")
    return client


def body(*changes: tuple[str, dict[str, Any] | None, int], request: str = "request-1") -> dict[str, Any]:
    """The body of a request that stores changes of items: key, new state and version."""
    return {
        "request": request,
        "visit": "visit-1",
        "elapsed_seconds": 3.5,
        "changes": [{"item": item, "after": after, "version": version} for item, after, version in changes],
    }
