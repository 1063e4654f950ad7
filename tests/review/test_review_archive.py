"""The review of an archive: straight from its parts, without folders."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from helpers.archive_material import make_clips, stub_run
from helpers.review_material import body, client_of, served
from helpers.stub_inspector import CODES, StubInspector
from urbanpipe.api import archive_plan
from urbanpipe.errors import ArchiveError, InspectionError, ReviewError
from urbanpipe.review.serve import review_server, store_file


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 12 clips in two folders, one of them damaged, in which no test changes a part."""
    folder = tmp_path_factory.mktemp("archive")
    make_clips(folder / "videos" / "a", 7)
    for path in make_clips(folder / "videos" / "b", 4).iterdir():
        path.write_bytes(b"of b, " + path.read_bytes())
    (folder / "videos" / "a" / "broken.mp4").write_bytes(b"damaged")
    archive_plan([folder / "videos"], folder / "archive", shards=3)
    stub_run(folder / "archive")
    return folder / "archive"


@pytest.fixture
def client(archive: Path, tmp_path: Path) -> TestClient:
    return client_of(served(archive, videos=0, store=tmp_path / "review.sqlite"))


def listed(client: TestClient) -> dict[str, dict[str, Any]]:
    found = client.get("/api/queue").json()["videos"]
    return {video["name"]: video for video in found}


def test_the_list_has_every_inspected_video_and_names_the_others(client: TestClient) -> None:
    answer = client.get("/api/queue?order=name").json()
    names = {video["name"] for video in answer["videos"]}
    shared = {f"{place}/clip{number:03d}.mp4" for place in "ab" for number in range(4)}
    assert names == shared | {f"clip{number:03d}.mp4" for number in (4, 5, 6)}
    assert answer["failures"] == [{"name": "broken.mp4", "reason": "damaged: no video stream"}]


def test_a_page_shows_findings_curves_and_pictures_of_the_packs(client: TestClient, archive: Path) -> None:
    shown = 0
    for name, row in listed(client).items():
        place, clip = ("a", name) if "/" not in name else name.split("/")
        inspected = StubInspector().inspect(archive.parent / "videos" / place / clip)
        view = client.get(f"/api/videos/{row['folder']}").json()
        assert view["video"]["digest"] == inspected.inspection.video.digest
        assert [one["code"] for one in view["classes"]] == list(CODES)
        assert all(one["curve"] for one in view["classes"])
        for item in view["items"]:
            for evidence in item["evidence"]:
                picture = client.get(f"/media/{row['folder']}/picture/{evidence['picture']}")
                assert (picture.content, picture.headers["content-type"]) == (
                    inspected.pictures[evidence["picture"]],
                    "image/jpeg",
                )
                shown += 1
        assert client.get(f"/media/{row['folder']}/picture/other.jpg").status_code == 404
    assert shown > 5
    assert not [*archive.rglob("findings.json")]


def test_decisions_on_an_archive_are_kept_and_undone(client: TestClient) -> None:
    row = next(row for row in listed(client).values() if row["proposals"])
    key = client.get(f"/api/videos/{row['folder']}").json()["items"][0]
    accepted = {**key["decision"], "status": "accepted", "grade": 2}
    answer = client.post(f"/api/videos/{row['folder']}/decisions", json=body((key["key"], accepted, 0)))
    assert answer.status_code == 200
    assert client.get(f"/api/videos/{row['folder']}").json()["decided"] == 1
    assert client.post("/api/undo", json={"request": "request-9"}).status_code == 200
    assert client.get(f"/api/videos/{row['folder']}").json()["decided"] == 0


def test_many_proposals_of_an_archive_are_rejected_at_once(client: TestClient) -> None:
    open_ones = sum(one["code"] == "CK" for row in listed(client).values() for one in row["classes"])
    wanted = {"code": "CK", "probability": 1.0, "count_only": False, "request": "request-5", "filter": {}}
    assert client.post("/api/reject-below", json=wanted).json()["number"] == open_ones > 1


def test_agreement_counts_the_reviewed_videos_of_an_archive(client: TestClient) -> None:
    for row in [*listed(client).values()][:3]:
        request = body(("review", {"reviewed": True}, 0), request=f"request-{row['folder']}")
        assert client.post(f"/api/videos/{row['folder']}/decisions", json=request).status_code == 200
    assert client.get("/api/agreement").json()["reviewed"] == 3


def test_results_that_came_since_are_listed_after_a_look(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 3), tmp_path / "archive"
    archive_plan([videos], archive, shards=1)
    stub_run(archive)
    client = client_of(served(archive, videos=0))
    assert (archive / "review.sqlite").is_file()
    make_clips(videos, 1, first=3)
    (videos / "clip000.mp4").write_bytes(b"another clip")
    archive_plan([videos], archive)
    stub_run(archive)
    before = listed(client)
    assert client.post("/api/refresh").json() == {"changed": 2}
    after = listed(client)
    assert after.keys() - before.keys() == {"clip003.mp4"}
    digest = client.get(f"/api/videos/{after['clip000.mp4']['folder']}").json()["video"]["digest"]
    assert digest == StubInspector().inspect(videos / "clip000.mp4").inspection.video.digest


def test_an_archive_that_cannot_be_reviewed_is_one_line(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 1), tmp_path / "archive"
    (videos / "clip000.mp4").write_bytes(b"damaged")
    archive_plan([videos], archive, shards=1)
    with pytest.raises(ArchiveError, match="has no results yet; run `urbanpipe archive run"):
        review_server(archive)
    stub_run(archive)
    with pytest.raises(InspectionError, match=r"has no inspected video; left out, damaged: 1 video: clip000\.mp4"):
        review_server(archive)
    with pytest.raises(InspectionError, match="holds no inspection; give the --out folder of `urbanpipe inspect`, or"):
        review_server(videos)
    with pytest.raises(ReviewError, match=r"decisions on s3://archives/x are kept on a local disk; .* --store"):
        store_file("s3://archives/x", None)


def test_a_damaged_part_is_listed_with_its_reason(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive_plan([make_clips(tmp_path / "videos", 20)], archive, shards=2)
    stub_run(archive)
    path = min((archive / "results").rglob("*.videos.parquet"))
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(1000) + data[1004:])  # rows, not metadata
    client = client_of(served(archive, videos=0))
    errors = [row["error"] for row in client.get("/api/queue").json()["videos"]]
    assert 0 < sum(map(bool, errors)) < 20  # shards follow from hashes of paths, which differ in each run
    assert all("videos.parquet is damaged" in error for error in errors if error)
