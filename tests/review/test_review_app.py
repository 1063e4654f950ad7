"""The review server: who may use it, what it shows, and what it stores."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from helpers.inspection_material import made_inspection
from helpers.platforms import needs_posix
from helpers.review_material import TOKEN, body, client_of, served
from urbanpipe.contracts.findings import read_inspection, write_inspection
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.stored_inspection_data import store_data
from urbanpipe.errors import InspectionError, ReviewError
from urbanpipe.outputs import write_csv
from urbanpipe.review.app import HEADER
from urbanpipe.review.indexed_video import IndexedVideo
from urbanpipe.review.page_files import texts
from urbanpipe.review.people import Role, add_person
from urbanpipe.review.serve import ReviewServer, review, review_server
from urbanpipe.review.sessions import MAX_FAILURES, LoginLimit
from urbanpipe.review_store.store import ReviewStore

ACCEPTED = {"status": "accepted", "code": "CK", "seconds": 12.5}
PASSWORD = "correct horse battery"


@pytest.fixture
def server(tmp_path: Path) -> ReviewServer:
    return served(tmp_path / "out")


@pytest.fixture
def client(server: ReviewServer) -> TestClient:
    return client_of(server)


def versions(client: TestClient, folder: str = "v0") -> dict[str, int]:
    return {item["key"]: item["version"] for item in client.get(f"/api/videos/{folder}").json()["items"]}


# ---- who may use it


def test_without_the_link_nothing_is_shown(server: ReviewServer) -> None:
    stranger = client_of(server, token="")
    for path in ("/api/queue", "/api/videos/v0", "/media/v0/picture/CK-1.jpg", "/api/backup"):
        assert stranger.get(path).status_code == 401, path
    assert stranger.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0))).status_code == 401
    assert stranger.get("/", follow_redirects=False).headers["location"] == "/login"
    assert stranger.get("/enter?token=wrong").status_code == 403
    assert not server.store.history()


def test_the_cookie_cannot_be_read_or_sent_by_other_sites(server: ReviewServer) -> None:
    answer = client_of(server, token="").get(f"/enter?token={TOKEN}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_change_without_the_header_of_the_pages_is_refused(server: ReviewServer, client: TestClient) -> None:
    del client.headers[HEADER]
    assert client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0))).status_code == 403
    assert not server.store.history()


def test_another_host_name_is_refused(client: TestClient) -> None:
    assert client.get("/api/queue", headers={"host": "evil.example"}).status_code == 400


def test_all_answers_carry_a_strict_policy(client: TestClient) -> None:
    for path in ("/", "/video/v0", "/static/video.js", "/api/queue", "/media/v0/picture/CK-1.jpg"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fv1%2FCK-1.jpg", "..%5C..%5Cfindings.json", "findings.json", "%2Fetc%2Fpasswd", "CK-1.jpg%00"]
)
def test_no_path_leads_out_of_an_inspection(client: TestClient, name: str) -> None:
    assert client.get(f"/media/v0/picture/{name}").status_code == 404
    assert client.get(f"/static/{name}").status_code == 404


@needs_posix
def test_a_picture_that_is_a_link_to_elsewhere_is_not_served(client: TestClient, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    picture = tmp_path / "out" / "v0" / "CK-1.jpg"
    assert client.get("/media/v0/picture/CK-1.jpg").status_code == 200
    picture.unlink()
    picture.symlink_to(secret)
    assert client.get("/media/v0/picture/CK-1.jpg").status_code == 404


def test_beyond_this_machine_there_must_be_accounts(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "v0")
    with pytest.raises(ReviewError, match=r"0\.0\.0\.0 is open to other machines .* --add-account NAME --role lead"):
        review_server(tmp_path / "out", host="0.0.0.0", say=lambda line: None)


@pytest.mark.parametrize("opens", [True, False])
def test_where_no_browser_opens_the_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    made_inspection(tmp_path / "out" / "v0")
    addresses, lines = list[str](), list[str]()

    def opened(address: str) -> bool:
        addresses.append(address)
        return opens

    monkeypatch.setattr("webbrowser.open", opened)
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    review(tmp_path / "out", port=0, open_browser=True, say=lines.append)
    assert f"open {addresses[0]}" in lines
    assert any("no browser can be opened here" in line for line in lines) is not opens


@pytest.fixture
def shared(tmp_path: Path) -> ReviewServer:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    store = ReviewStore(tmp_path / "out" / "review.sqlite")
    add_person(store, "Ana", Role.reviewer, PASSWORD)
    add_person(store, "Lea", Role.lead, PASSWORD + "2")
    store.close()
    return served(tmp_path / "out", videos=1, host="0.0.0.0")


def logged_in(server: ReviewServer, name: str, password: str) -> TestClient:
    client = client_of(server, token="")
    assert client.post("/api/login", json={"name": name, "password": password}).status_code == 200
    return client


def test_people_log_in_and_out(shared: ReviewServer) -> None:
    client = client_of(shared, token="")
    assert client.get(f"/enter?token={TOKEN}").status_code == 403, "the token is for the own machine only"
    for name, password in [("Ana", "wrong password"), ("nobody", PASSWORD), ("Ana", PASSWORD + "2")]:
        answer = client.post("/api/login", json={"name": name, "password": password})
        assert (answer.status_code, answer.json()["detail"]) == (401, "wrong name or password")
    client = logged_in(shared, "Ana", PASSWORD)
    known = client.get("/api/session").json()
    assert (known["role"], known["account"]) == ("reviewer", True)
    client.post("/api/logout")
    assert client.get("/api/session").status_code == 401


def test_a_new_password_or_role_ends_the_sessions_of_an_account(shared: ReviewServer) -> None:
    ana, lea = logged_in(shared, "Ana", PASSWORD), logged_in(shared, "Lea", PASSWORD + "2")
    add_person(shared.store, "Ana", Role.reviewer, PASSWORD + "3")
    assert ana.get("/api/session").status_code == 401
    assert lea.get("/api/session").status_code == 200
    add_person(shared.store, "Lea", Role.reviewer, PASSWORD + "2")
    assert lea.get("/api/session").status_code == 401


def test_accounts_that_cannot_be_read_are_said_in_a_line(shared: ReviewServer, tmp_path: Path) -> None:
    ana = logged_in(shared, "Ana", PASSWORD)
    (tmp_path / "out" / "review.sqlite").rename(tmp_path / "moved.sqlite")
    answer = ana.get("/api/queue")
    assert answer.status_code == 422
    assert "review.sqlite was moved or deleted while it was in use" in answer.json()["detail"]


def test_a_reviewed_video_is_closed_to_the_reviewer_and_open_to_the_lead(shared: ReviewServer) -> None:
    ana, lea = logged_in(shared, "Ana", PASSWORD), logged_in(shared, "Lea", PASSWORD + "2")
    decisions = "/api/videos/v0/decisions"
    assert ana.post(decisions, json=body(("review", {"reviewed": True}, 0))).status_code == 200
    late = ana.post(decisions, json=body(("CK@12500", ACCEPTED, 0), request="request-2"))
    assert (late.status_code, late.json()["detail"]) == (
        403,
        "the video was reviewed in full; a lead can open it again",
    )
    assert lea.post(decisions, json=body(("CK@12500", ACCEPTED, 0))).status_code == 200
    assert [row.who for row in shared.store.history()] == ["Lea", "Ana"]


def test_passwords_are_hashed_and_short_ones_refused(shared: ReviewServer) -> None:
    stored = [row["password"] for row in shared.store.connection.execute("SELECT password FROM people")]
    assert all(password.startswith("$argon2id$") for password in stored)
    with pytest.raises(ReviewError, match="the password has 5 characters; expected at least"):
        add_person(shared.store, "Bob", Role.reviewer, "short")
    with pytest.raises(ReviewError, match="cannot be used as a name"):
        add_person(shared.store, "a\nb", Role.reviewer, PASSWORD)


def test_guessing_passwords_is_slowed_down(shared: ReviewServer) -> None:
    client = client_of(shared, token="")
    for _ in range(MAX_FAILURES):
        assert client.post("/api/login", json={"name": "Ana", "password": "wrong"}).status_code == 401
    answer = client.post("/api/login", json={"name": "Ana", "password": PASSWORD})
    assert answer.status_code == 429
    assert "too many attempts; try again in 5 min" in answer.json()["detail"]
    assert client.post("/api/login", json={"name": "Lea", "password": PASSWORD + "2"}).status_code == 200


def test_the_limit_of_attempts_ends() -> None:
    now = [0.0]
    limit = LoginLimit(clock=lambda: now[0])
    for _ in range(MAX_FAILURES):
        assert limit.begin("Ana", "10.0.0.1") == 0
    assert limit.begin("Ana", "10.0.0.2") == 300
    assert limit.begin(" Ana ", "10.0.0.2") == 300
    assert limit.begin("Ben", "10.0.0.2") == 0
    now[0] = 301.0
    assert limit.begin("Ana", "10.0.0.1") == 0


def test_right_passwords_do_not_count_as_attempts() -> None:
    limit = LoginLimit()
    for _ in range(10 * MAX_FAILURES):
        assert limit.begin("Ana", "10.0.0.1") == 0
        limit.succeeded("Ana", "10.0.0.1")


# ---- what it shows


def test_the_queue_filters_orders_and_counts(client: TestClient, tmp_path: Path) -> None:
    everything = client.get("/api/queue").json()
    assert (everything["total"], everything["counts"], everything["seconds_left"]) == (3, {"open": 3}, 180.0)
    client.post("/api/videos/v1/decisions", json=body(("review", {"reviewed": True}, 0)))
    client.post("/api/videos/v2/decisions", json=body(("CK@12500", ACCEPTED, 0), request="request-2"))
    assert client.get("/api/queue").json()["counts"] == {"open": 1, "in_review": 1, "reviewed": 1}

    def names(**query: Any) -> list[str]:
        return [video["name"] for video in client.get("/api/queue", params=query).json()["videos"]]

    assert names(order="name") == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert names(status="todo", order="name") == ["v0.mp4", "v2.mp4"]
    assert names(search="V1") == ["v1.mp4"]
    assert names(search="ck out", order="name") == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert names(search="100%") == []
    assert names(code="SL", min_probability=0.5) == []
    assert len(names(code="SL", min_probability=0.4)) == 3
    assert client.get("/api/queue", params={"order": "luck"}).status_code == 422


@pytest.mark.parametrize("order", ["severity", "date", "name", "code", "uncertainty", "learning"])
def test_the_next_open_video_follows_the_order_of_the_queue(client: TestClient, tmp_path: Path, order: str) -> None:
    query = {"order": order}
    folders = [video["folder"] for video in client.get("/api/queue", params=query).json()["videos"]]
    places = [client.get(f"/api/videos/{folder}/neighbours", params=query).json() for folder in folders]
    assert [place["next"] for place in places] == [*folders[1:], folders[0]]
    assert [place["previous"] for place in places] == [None, *folders[:-1]]
    client.post(f"/api/videos/{folders[1]}/decisions", json=body(("review", {"reviewed": True}, 0)))
    assert client.get(f"/api/videos/{folders[0]}/neighbours", params=query).json()["next"] == folders[2]


def test_the_order_for_learning_takes_turns_between_pipes(tmp_path: Path) -> None:
    """Two pipes of four segments each in one folder: the first two videos are not neighbours from one pipe."""
    for pipe in ("d1", "d2"):
        for segment in range(4):
            inspection = made_inspection(tmp_path / "out" / f"{pipe}_{segment}", f"{pipe}_{segment}.mp4")
            doubt = 0.5 if pipe == "d1" else 0.3
            findings = tuple(one.model_copy(update={"probability": doubt}) for one in inspection.findings)
            write_inspection(
                inspection.model_copy(update={"findings": findings}), tmp_path / "out" / f"{pipe}_{segment}"
            )
    for number in range(8):
        made_inspection(tmp_path / "out" / f"x{number}", f"x{number}.mp4", findings=inspection.findings[:0])
    client = client_of(served(tmp_path / "out", videos=0))
    names = [video["name"] for video in client.get("/api/queue", params={"order": "learning"}).json()["videos"]]
    assert {name[:2] for name in names[:2]} == {"d1", "d2"}
    assert names.index("d1_1.mp4") > names.index("d2_0.mp4")


def test_every_tenth_video_of_the_order_for_learning_is_a_control_video(tmp_path: Path) -> None:
    """Drawn at random, whatever their uncertainty: else what is counted on them holds for uncertain videos only."""
    server = served(tmp_path / "out", videos=1)
    chance = np.random.default_rng(0)
    index = server.app.state.service.index
    index.add(
        IndexedVideo(f"a{n}", "1", f"{n:032x}", f"a{n}.mp4", f"/x/a{n}.mp4", probabilities=(float(chance.random()),))
        for n in range(400)
    )
    order = index.connection.execute("SELECT control, digest, uncertainty FROM videos ORDER BY learning").fetchall()
    control = np.flatnonzero([row["control"] for row in order])
    assert control[:10].tolist() == [9, 19, 29, 39, 49, 59, 69, 79, 89, 99]
    digests = [row["digest"] for row in order if row["control"]]
    assert digests == sorted(digests)
    others = [row["uncertainty"] for row in order if not row["control"]]
    assert others == sorted(others, reverse=True)


def test_the_queue_is_never_empty_while_videos_are_open(tmp_path: Path) -> None:
    """Also where the software found nothing, or has no probabilities for some classes."""
    inspection = made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    write_inspection(inspection.model_copy(update={"findings": inspection.findings[:1]}), tmp_path / "out" / "v0")
    client = client_of(served(tmp_path / "out", videos=2))
    for order in ("severity", "date", "name", "code", "uncertainty", "learning"):
        assert len(client.get("/api/queue", params={"order": order}).json()["videos"]) == 2


def test_a_video_page_shows_proposals_curves_and_decisions(client: TestClient) -> None:
    view = client.get("/api/videos/v0").json()
    assert [item["key"] for item in view["items"]] == ["CK@12500", "CK@41000", "CJ@52250", "SL@28000"]
    first = view["items"][0]
    assert first["decision"]["status"] == "open"
    assert first["decision"]["distance_m"] == 12.4
    assert first["evidence"][0]["picture"] == "CK-1.jpg"
    assert len(view["classes"]) == 17
    assert next(one for one in view["classes"] if one["code"] == "CK")["curve"].startswith("M0.0,100L")


def test_findings_that_cannot_be_read_are_listed_and_end_nothing(tmp_path: Path) -> None:
    for name, text in [("old", '{"format": "urbanpipe findings 1"}'), ("cut", '{"format"')]:
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "findings.json").write_text(text)
    client = client_of(served(tmp_path / "out", videos=1))
    videos = {video["folder"]: video for video in client.get("/api/queue").json()["videos"]}
    assert videos["v0"]["status"] == "open"
    assert "has the format 'urbanpipe findings 1'" in videos["old"]["error"]
    assert "is damaged" in videos["cut"]["error"]
    assert client.get("/api/videos/old").status_code == 404


def test_new_changed_and_removed_inspections_are_noticed(client: TestClient, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made_inspection(out / "new", "new.mp4")
    (out / "v2" / "findings.json").unlink()
    inspection = read_inspection(out / "v1")
    write_inspection(inspection.model_copy(update={"made_at": "2026-02-02T00:00:00+00:00"}), out / "v1")
    assert client.post("/api/refresh").json() == {"changed": 3}
    assert {video["folder"] for video in client.get("/api/queue").json()["videos"]} == {"v0", "v1", "new"}


def test_a_folder_that_was_moved_is_named(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    for path in ("/api/queue", "/api/videos/v0"):
        answer = client.get(path)
        assert answer.status_code in (404, 422)
        assert "was moved or deleted" in answer.json()["detail"]


def test_a_missing_video_still_can_be_decided_on(client: TestClient) -> None:
    assert client.get("/api/videos/v0/file").json()["status"] == "missing"
    assert client.get("/media/v0/video").status_code == 404
    assert client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0))).status_code == 200


def test_a_video_that_was_replaced_is_not_shown(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "out" / "v0.mp4").write_bytes(b"another file")
    answer = client.get("/media/v0/video")
    assert answer.status_code == 404
    assert "changed since the inspection" in answer.json()["detail"]
    assert client.get("/api/videos/v0/file").json()["status"] == "changed"


# ---- what it stores


def test_decisions_are_stored_undone_and_done_again(server: ReviewServer, client: TestClient) -> None:
    answer = client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED | {"grade": 3}, 0))).json()
    assert answer["recorded"][0]["after"]["grade"] == 3
    assert (answer["undo"], answer["redo"]) == (True, False)
    row = server.store.history()[0]
    assert (row.who, row.visit, row.elapsed_seconds, row.bundle) == ("Ana", "visit-1", 3.5, "1" * 64)
    undone = client.post("/api/undo", json={"request": "request-2"}).json()
    assert (undone["folder"], undone["undo"], undone["redo"]) == ("v0", False, True)
    assert client.get("/api/videos/v0").json()["items"][0]["decision"]["status"] == "open"
    client.post("/api/redo", json={"request": "request-3"})
    assert client.get("/api/videos/v0").json()["items"][0]["decision"]["grade"] == 3
    assert [one["reverts"] is not None for one in client.get("/api/videos/v0/history").json()] == [True, True, False]


def test_a_request_that_is_repeated_is_stored_once(server: ReviewServer, client: TestClient) -> None:
    for _ in range(3):
        assert client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0))).status_code == 200
    assert len(server.store.history()) == 1


def test_a_stale_change_is_answered_with_both_versions(server: ReviewServer, client: TestClient) -> None:
    client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED | {"grade": 2}, 0)))
    answer = client.post(
        "/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED | {"grade": 4}, 0), request="tab-two-1")
    )
    assert answer.status_code == 409
    assert answer.json()["mine"]["CK@12500"]["grade"] == 4
    assert answer.json()["theirs"]["CK@12500"]["after"]["grade"] == 2
    assert answer.json()["theirs"]["CK@12500"]["who"] == "Ana"
    assert len(server.store.history()) == 1


@pytest.mark.parametrize(
    ("item", "after", "message"),
    [
        ("CK@99", ACCEPTED, "there is no proposal 'CK@99' in this video"),
        ("CK@12500", ACCEPTED | {"code": "XX"}, "'XX' is no class of this inspection; expected one of ZC"),
        ("CK@12500", ACCEPTED | {"grade": 5}, "CK@12500: grade: Input should be less than or equal to 4"),
        ("CK@12500", ACCEPTED | {"clock_from": 13}, "CK@12500: clock_from"),
        ("CK@12500", ACCEPTED | {"clock_to": 3}, "clock_to needs clock_from"),
        ("CK@12500", ACCEPTED | {"seconds": 61}, "61 s lies after the end of the video, which lasts 60 s"),
        ("CK@12500", ACCEPTED | {"begin_seconds": 9, "end_seconds": 3}, "end_seconds 3 lies before begin_seconds 9"),
        ("CK@12500", ACCEPTED | {"colour": "red"}, "CK@12500: colour"),
        ("data", {"diameter_mm": 0.6}, "0.6 is implausible in millimetres"),
        ("data", {"date": "3/4/2026"}, "data: date"),
        ("data", {"date": "2026-02-30"}, "2026-02-30 is no day of the calendar"),
        ("review", {"reviewed": "perhaps"}, "review: reviewed"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_stored(
    server: ReviewServer, client: TestClient, item: str, after: dict[str, Any], message: str
) -> None:
    answer = client.post("/api/videos/v0/decisions", json=body((item, after, 0)))
    assert answer.status_code == 422
    assert message in answer.json()["detail"]
    assert not server.store.history()


def test_an_added_defect_and_inspection_data_come_back(client: TestClient) -> None:
    added = "+0123456789ab"
    client.post("/api/videos/v0/decisions", json=body((added, {"status": "accepted", "code": "FS", "seconds": 3}, 0)))
    client.post("/api/videos/v0/decisions", json=body(("data", {"street": "Kanalstraße"}, 0), request="request-2"))
    view = client.get("/api/videos/v0").json()
    assert next(item for item in view["items"] if item["key"] == added)["decision"]["code"] == "FS"
    assert view["data"]["decision"]["street"] == "Kanalstraße"
    client.post("/api/undo", json={"request": "request-3"})
    client.post("/api/undo", json={"request": "request-4"})
    view = client.get("/api/videos/v0").json()
    assert added not in {item["key"] for item in view["items"]}
    assert view["data"]["decision"] is None


def test_many_are_rejected_at_once_and_undone_at_once(server: ReviewServer, client: TestClient) -> None:
    wanted = {"filter": {}, "code": "SL", "probability": 0.5}
    counted = client.post("/api/reject-below", json={**wanted, "request": "request-1"}).json()
    assert (counted["number"], server.store.history()) == (3, [])
    client.post("/api/reject-below", json={**wanted, "count_only": False, "request": "request-2"})
    assert {row.video for row in server.store.history()} == {
        read_inspection(server_folder(server, n)).video.digest for n in range(3)
    }
    assert {row.after["status"] for row in server.store.history() if row.after} == {"rejected"}
    client.post("/api/undo", json={"request": "request-3"})
    assert client.post("/api/reject-below", json={**wanted, "request": "request-4"}).json()["number"] == 3
    reviewed = {**wanted, "filter": {"status": "reviewed"}, "request": "request-6"}
    assert client.post("/api/reject-below", json=reviewed).json()["number"] == 0, "those are closed"
    narrow = {**wanted, "probability": 0.44, "request": "request-5"}
    assert client.post("/api/reject-below", json=narrow).json()["number"] == 0


def server_folder(server: ReviewServer, number: int) -> Path:
    folder = server.app.state.service.source.folder(f"v{number}")
    assert folder is not None
    return Path(folder)


def test_ten_thousand_findings_in_one_video(tmp_path: Path) -> None:
    inspection = made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    ck = next(one for one in inspection.findings if one.code == "CK")
    many = tuple(ck.occurrences[0].model_copy(update={"seconds": n / 200}) for n in range(10_000))
    findings = tuple(
        one.model_copy(update={"occurrences": many}) if one.code == "CK" else one for one in inspection.findings
    )
    write_inspection(inspection.model_copy(update={"findings": findings}), tmp_path / "out" / "v0")
    server = served(tmp_path / "out", videos=1)
    client = client_of(server)
    items = client.get("/api/videos/v0").json()["items"]
    assert len(items) == 10_002
    changes = [(item["key"], {**ACCEPTED, "status": "rejected"}, 0) for item in items if item["key"].startswith("CK")]
    assert client.post("/api/videos/v0/decisions", json=body(*changes)).status_code == 200
    assert server.store.status(inspection.video.digest).decided == 10_000


def test_a_backup_while_the_server_runs_is_a_store(client: TestClient, tmp_path: Path) -> None:
    client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0)))
    (tmp_path / "copy.sqlite").write_bytes(client.get("/api/backup").content)
    assert len(ReviewStore(tmp_path / "copy.sqlite").history()) == 1


def test_a_full_disk_is_named_and_loses_nothing(server: ReviewServer, client: TestClient) -> None:
    client.post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0)))
    with sqlite3.connect(server.store.path) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    server.store.connection.execute("SELECT 1")
    for one in server.store._connections.all:
        one.execute(f"PRAGMA max_page_count={pages}")
    note = {"status": "accepted", "code": "CK", "seconds": 41, "note": "x" * 4000}
    answers = [
        client.post("/api/videos/v0/decisions", json=body((f"+{n:012x}", note, 0), request=f"full-disk-{n}"))
        for n in range(20)
    ]
    assert answers[-1].status_code in (200, 507)
    stored = sum(answer.status_code == 200 for answer in answers)
    assert len(server.store.history()) == stored + 1


def test_the_agreement_page_counts_what_people_confirmed(client: TestClient) -> None:
    client.post(
        "/api/videos/v0/decisions",
        json=body(
            ("CK@12500", ACCEPTED, 0),
            ("SL@28000", {"status": "unsure", "code": "SL", "seconds": 28}, 0),
            ("CJ@52250", {"status": "rejected", "code": "CJ", "seconds": 52.25}, 0),
            ("+0123456789ab", {"status": "accepted", "code": "FS", "seconds": 1}, 0),
            ("review", {"reviewed": True}, 0),
        ),
    )
    found = client.get("/api/agreement").json()
    assert (found["videos"], found["reviewed"]) == (3, 1)
    classes = {one["code"]: one for one in found["classes"]}
    assert "SL" not in classes, "unsure"
    assert (classes["CK"]["precision_of_accept"], classes["CK"]["recall"]) == (1.0, 1.0)
    assert classes["CJ"]["precision_of_accept"] == 0.0
    assert (classes["FS"]["added"], classes["FS"]["recall"]) == (1, 0.0)
    assert sum(one["number"] for one in found["bins"]) == 15
    assert found["seconds"] == {"number": 1, "median": 3.5}
    assert found["bundles"][0]["videos"] == 1


def test_bundles_are_compared_on_the_videos_that_they_share(client: TestClient, tmp_path: Path) -> None:
    for number in range(2):
        changes = body(("CK@12500", ACCEPTED, 0), ("review", {"reviewed": True}, 0), request=f"request-{number}")
        assert client.post(f"/api/videos/v{number}/decisions", json=changes).status_code == 200
    inspection = read_inspection(tmp_path / "out" / "v0")
    other = inspection.bundle.model_copy(update={"digest": "2" * 64, "name": "better"})
    findings = tuple(
        one.model_copy(update={"triage": "reject", "probability": 0.1} if one.code == "CJ" else {})
        for one in inspection.findings
    )
    write_inspection(inspection.model_copy(update={"bundle": other, "findings": findings}), tmp_path / "out" / "v0")
    bundles = {one["name"]: one for one in client.get("/api/agreement").json()["bundles"]}
    assert set(bundles) == {"demonstration (11111111)", "better (22222222)"}
    assert [one["videos"] for one in bundles.values()] == [1, 1], "v1 was inspected by one of them only"
    assert bundles["demonstration (11111111)"]["precision_of_accept"] == 0.5
    assert bundles["better (22222222)"]["precision_of_accept"] == 1.0


def test_inspection_data_of_a_file_is_shown_where_nobody_entered_any(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    (tmp_path / "data.csv").write_text("video,street,diameter_mm\nv0,Kanalstraße,600\nother.mp4,X,\n")
    lines: list[str] = []
    server = review_server(
        tmp_path / "out", token=TOKEN, inspection_data=tmp_path / "data.csv", say=lambda line: lines.append(line)
    )
    view = client_of(server).get("/api/videos/v0").json()
    assert (view["given_data"]["street"], view["given_data"]["diameter_mm"]) == ("Kanalstraße", 600)
    assert view["data"]["decision"] is None
    assert any("other.mp4" in line for line in lines)
    store_data(tmp_path / "out" / "v0", InspectionData(video="v0.mp4", street="Am Ufer"))
    assert client_of(server).get("/api/videos/v0").json()["given_data"]["street"] == "Kanalstraße"
    stored = client_of(review_server(tmp_path / "out", token=TOKEN, say=lambda _: None)).get("/api/videos/v0").json()
    assert (stored["given_data"]["street"], stored["given_data"]["diameter_mm"]) == ("Am Ufer", None)


def test_inspection_data_may_come_from_a_file_and_a_rule_and_dates_are_read_as_by_export(tmp_path: Path) -> None:
    made_inspection(tmp_path / "M1-M2" / "v0", "v0.mp4")
    (tmp_path / "data.csv").write_text("video,date,length_m\nv0,31.1.2026,131 ft\n")
    rule = "{from_manhole}-{to_manhole}/*"
    options = {"inspection_data": [tmp_path / "data.csv", rule], "say": lambda line: None}
    server = review_server(tmp_path / "M1-M2", token=TOKEN, **options)  # type: ignore[arg-type]
    given = client_of(server).get("/api/videos/v0").json()["given_data"]
    assert (given["date"], given["from_manhole"], given["to_manhole"]) == ("2026-01-31", "M1", "M2")
    assert given["length_m"] == pytest.approx(39.93, abs=0.005)
    (tmp_path / "data.csv").write_text("video,date\nv0,3/4/2026\n")
    with pytest.raises(InspectionError, match="3/4/2026 may be 2026-03-04 or 2026-04-03; write one of them"):
        review_server(tmp_path / "M1-M2", token=TOKEN, **options)  # type: ignore[arg-type]


def test_two_servers_share_a_store(tmp_path: Path) -> None:
    one, other = served(tmp_path / "out"), served(tmp_path / "out")
    client_of(one).post("/api/videos/v0/decisions", json=body(("CK@12500", ACCEPTED, 0)))
    view = client_of(other).get("/api/videos/v0").json()
    assert view["items"][0]["decision"]["status"] == "accepted"


def test_the_languages_have_the_same_texts() -> None:
    both = texts()
    assert set(both["en"]) == set(both["zh"])
    for key, text in both["en"].items():
        placeholders = {part.split("}")[0] for part in text.split("{")[1:]}
        assert placeholders == {part.split("}")[0] for part in both["zh"][key].split("{")[1:]}, key


def test_the_scripts_name_only_texts_that_exist() -> None:
    import re

    from urbanpipe.review.page_files import _PAGES

    source = "".join(path.read_text(encoding="utf-8") for path in _PAGES.iterdir())
    named = set(re.findall(r'\bt\("(\w+)"', source)) | set(re.findall(r'data-text="(\w+)"', source))
    counted = {f"{key}_{end}" for key in re.findall(r'\bplural\("(\w+)"', source) for end in ("one", "many")}
    assert named | counted <= set(texts()["en"])


def test_a_folder_without_inspections_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="holds no inspection; give the --out folder"):
        review_server(tmp_path, say=lambda line: None)


@pytest.mark.slow
def test_it_runs_without_torch(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'timm'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from pathlib import Path\n"
        "from urbanpipe.review.serve import review_server\n"
        f"server = review_server(Path({str(tmp_path / 'out')!r}))\n"
        "print(server.videos)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1:] == ["1"], run.stderr


def test_json_of_a_page_is_plain(client: TestClient) -> None:
    json.dumps(client.get("/api/videos/v0").json(), allow_nan=False)


def test_videos_that_could_not_be_inspected_are_named(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/api/queue").json()["failures"] == []
    write_csv(tmp_path / "out" / "failures.csv", ["video", "reason"], [["=cut, 半.mp4", "not a video"]])
    assert client.get("/api/queue").json()["failures"] == [{"name": "=cut, 半.mp4", "reason": "not a video"}]
    assert client.get("/api/queue?offset=1").json()["failures"] == []


def test_what_was_read_on_the_screen_is_only_suggested_until_it_is_checked(tmp_path: Path) -> None:
    for name in ("v0", "v1"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    table = "video,street,checked,ocr_text\nv0,Kanalstraße,no,street from 'Kanalstraße'\nv1,Am Ufer,yes,\n"
    (tmp_path / "data.csv").write_text(table, encoding="utf-8")
    server = review_server(tmp_path / "out", token=TOKEN, inspection_data=tmp_path / "data.csv", say=lambda _: None)
    client = client_of(server)
    unchecked, checked = (client.get(f"/api/videos/{name}").json() for name in ("v0", "v1"))
    assert (unchecked["given_data"], unchecked["suggested_data"]["street"]) == (None, "Kanalstraße")
    assert (checked["given_data"]["street"], checked["suggested_data"]) == ("Am Ufer", {})
