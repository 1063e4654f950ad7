"""Hostile and unlucky input of the review server: one clear line, the policy on every answer, and nothing is lost."""

import json
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from helpers.inspection_material import made_inspection
from helpers.review_material import TOKEN, body, client_of, served
from urbanpipe.errors import ReviewError
from urbanpipe.review import app, bodies, routes
from urbanpipe.review.app import HEADER
from urbanpipe.review.people import Person, Role
from urbanpipe.review.serve import ReviewServer, _listen, review_server
from urbanpipe.review.sessions import MAX_FAILURES, LoginLimit
from urbanpipe.review_store.records import Author, Change
from urbanpipe.review_store.store import ReviewStore

ACCEPTED = {"status": "accepted", "code": "CK", "seconds": 12.5}
DECISIONS = "/api/videos/v0/decisions"
HUGE = "9" * 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReviewServer]:
    server = served(tmp_path / "out")
    yield server
    server.app.state.service.close()


@pytest.fixture
def client(server: ReviewServer) -> TestClient:
    followed = client_of(server)
    client = TestClient(
        server.app, base_url=str(followed.base_url), headers={HEADER: "1"}, raise_server_exceptions=False
    )
    client.cookies = followed.cookies
    return client


def refused(answer: Any, status: int = 422) -> str:
    """The line of an answer that refuses something."""
    assert answer.status_code == status, answer.text[:200]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    line = answer.json()["detail"]
    assert isinstance(line, str)
    assert len(line) < 600
    return line


@pytest.mark.parametrize(
    "path",
    [
        f"/api/queue?offset={HUGE}",
        "/api/queue?offset=-1",
        "/api/queue?limit=x",
        "/api/queue?order=worst",
        "/api/queue?status=closed",
        "/api/queue?min_probability=nan",
        "/api/queue?search=" + "a+" * 1500,
        "/api/queue?search=" + "a" * 60_000,
        f"/api/videos/v0/history?before={HUGE}",
        "/api/videos/v0/frame?seconds=nan",
        "/media/v0/still/first",
    ],
)
def test_an_odd_query_is_refused_in_one_line(client: TestClient, path: str) -> None:
    refused(client.get(path))


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (DECISIONS, {"visit": "\ud800"}),
        (DECISIONS, {"request": "\ud800 and more"}),
        (DECISIONS, {"elapsed_seconds": float("nan")}),
        (DECISIONS, {"changes": [{"item": "\ud800", "after": ACCEPTED, "version": 0}]}),
        (DECISIONS, {"changes": [{"item": "CK@12500", "after": ACCEPTED | {"note": "\ud800"}, "version": 0}]}),
        (DECISIONS, {"changes": [{"item": "CK@12500", "after": ACCEPTED | {"\ud800": 1}, "version": 0}]}),
        (DECISIONS, {"changes": [{"item": "data", "after": {"street": "\ud800"}, "version": 0}]}),
        (DECISIONS, {"changes": [{"item": "CK@12500", "after": ACCEPTED, "version": float("nan")}]}),
        ("/api/login", {"name": "\ud800", "password": "x"}),
        ("/api/reject-below", {"filter": {"search": "\ud800"}, "code": "CK", "probability": 0.5}),
        ("/api/reject-below", {"filter": {}, "code": "\ud800", "probability": 0.5}),
        ("/api/reject-below", {"filter": {}, "code": "CK", "probability": float("nan")}),
    ],
)
def test_half_characters_and_numbers_that_are_none_are_refused_and_stored_nowhere(
    server: ReviewServer, client: TestClient, path: str, changes: dict[str, Any]
) -> None:
    sent = (body(("CK@12500", ACCEPTED, 0)) if path == DECISIONS else {"request": "request-1"}) | changes
    refused(client.post(path, content=json.dumps(sent), headers={"content-type": "application/json"}))
    assert not server.store.history()


def test_what_is_no_json_is_refused_in_one_line(client: TestClient) -> None:
    for content, status in (("[" * 100_000, 400), (b'{"request": "\xff"}', 400), ("{", 422), ("", 422), ("null", 422)):
        refused(client.post(DECISIONS, content=content, headers={"content-type": "application/json"}), status)
    plain = json.dumps(body(("CK@12500", ACCEPTED, 0)))
    refused(client.post(DECISIONS, content=plain, headers={"content-type": "text/plain"}))


def test_a_huge_body_is_refused_before_it_fills_the_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY_BYTES", 2**20)
    assert "larger than 1 MiB" in refused(client.post(DECISIONS, json={"request": "x" * 2**21}), 413)
    chunks = (b"[" + b" " * 2**18 for _ in range(8))  # no length is given
    refused(client.post(DECISIONS, content=chunks, headers={"content-type": "application/json"}), 413)


def test_answers_of_the_framework_and_faults_carry_the_policy(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(client.get("/nothing/here"), 404)
    refused(client.get("/static/nothing.js"), 404)
    refused(client.get("/media/v0/picture/findings.json"), 404)
    refused(client.put("/api/queue"), 405)
    assert "content-security-policy" in client.get("/", headers={"host": "evil.example"}).headers
    monkeypatch.setattr(routes, "queue_page", lambda *_, **__: 1 / 0)
    answer = client.get("/api/queue")
    assert "a fault of the program (ZeroDivisionError)" in refused(answer, 500)
    assert answer.headers["cache-control"] == "no-store"


def test_many_attempts_at_once_and_spaces_are_no_way_around_the_limit() -> None:
    limit = LoginLimit(clock=lambda: 0.0)
    names = [" " * number + "Ana" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda name: limit.begin(name, "10.0.0.1"), names))
    assert waits.count(0.0) == MAX_FAILURES


def test_the_sessions_of_two_servers_on_a_machine_do_not_end_each_other(server: ReviewServer) -> None:
    first, second = (
        TestClient(server.app, base_url=f"http://127.0.0.1:{port}", headers={HEADER: "1"}) for port in (8010, 8011)
    )
    first.get(f"/enter?token={TOKEN}")
    second.cookies = first.cookies
    assert second.get("/api/queue").status_code == 401
    second.get(f"/enter?token={TOKEN}")
    assert first.get("/api/queue").status_code == 200


def test_only_a_lead_gets_a_backup_with_the_accounts(server: ReviewServer, client: TestClient) -> None:
    assert client.get("/api/backup").status_code == 200
    server.app.state.sessions._local = Person("Ben", Role.reviewer)
    assert "only a lead" in refused(client_of(server).get("/api/backup"), 403)


def test_a_page_that_was_open_forever_does_not_spoil_the_agreement_page(client: TestClient) -> None:
    for number, item in enumerate(("CK@12500", "CK@41000", "review")):
        after: dict[str, Any] = {"reviewed": True} if item == "review" else ACCEPTED
        sent = body((item, after, 0), request=f"request-{number}") | {"elapsed_seconds": 1.7e308, "visit": f"v{number}"}
        assert client.post(DECISIONS, json=sent).status_code == 200
    assert client.get("/api/agreement").json()["seconds"]["median"] == 3 * bodies.MAX_VISIT_SECONDS


def test_a_note_keeps_wide_spaces_and_loses_what_reorders_text(client: TestClient) -> None:
    note = "裂\u3000缝\u202e\x07\nb"
    client.post(DECISIONS, json=body(("CK@12500", ACCEPTED | {"note": note}, 0), ("data", {"street": note}, 0)))
    shown = client.get("/api/videos/v0").json()
    assert next(one for one in shown["items"] if one["key"] == "CK@12500")["decision"]["note"] == "裂\u3000缝\nb"
    assert shown["data"]["decision"]["street"] == "裂\u3000缝\nb"


# ---- files


def removed(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove open files")
def test_nothing_is_said_to_be_saved_into_a_store_that_is_gone(server: ReviewServer, client: TestClient) -> None:
    client.get("/api/queue")
    removed(server.store.path)
    for answer in (client.post(DECISIONS, json=body(("CK@12500", ACCEPTED, 0))), client.get("/api/queue")):
        assert "was moved or deleted while it was in use" in refused(answer)
    assert not server.store.path.exists()  # a new one in its place would be in the way of the old one
    ReviewStore(server.store.path).close()
    answer = client.post(DECISIONS, json=body(("CK@12500", ACCEPTED, 0)))
    assert "was replaced while it was in use; stop" in refused(answer)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove open files")
def test_an_index_that_is_deleted_while_in_use_is_named(client: TestClient, tmp_path: Path) -> None:
    removed(tmp_path / "out" / "review-index.sqlite")
    assert "review-index.sqlite was moved or deleted" in refused(client.get("/api/queue"))


@pytest.mark.parametrize("content", [b"no database" * 1000, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_again(tmp_path: Path, content: bytes) -> None:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    (tmp_path / "out" / "review-index.sqlite").write_bytes(content)
    server = served(tmp_path / "out", videos=1)
    assert server.videos == 1
    server.app.state.service.close()


def test_servers_that_start_at_the_same_moment_share_a_new_folder(tmp_path: Path) -> None:
    for number in range(3):
        made_inspection(tmp_path / "out" / f"v{number}", f"v{number}.mp4")
    with ThreadPoolExecutor(4) as pool:
        servers = list(pool.map(lambda _: served(tmp_path / "out"), range(4)))
    assert [server.videos for server in servers] == [3] * 4
    for server in servers:
        server.app.state.service.close()


def test_folders_that_share_a_store_keep_their_own_lists(tmp_path: Path) -> None:
    servers = [served(tmp_path / name, videos=n, store=tmp_path / "all.sqlite") for n, name in enumerate("ab", 1)]
    assert [client_of(server).get("/api/queue").json()["total"] for server in servers] == [1, 2]
    for server in servers:
        server.app.state.service.close()


def test_an_error_while_the_index_is_written_leaves_it_usable(server: ReviewServer, tmp_path: Path) -> None:
    index = server.app.state.service.index
    with pytest.raises(ZeroDivisionError):
        index.add(1 // 0 for _ in range(1))
    made_inspection(tmp_path / "out" / "v9", "v9.mp4")
    assert index.update() == 1


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "a b%20#?.sqlite"])
def test_the_name_of_a_store_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    store = ReviewStore(Path(name))
    store.decide([Change("d", "CK", ACCEPTED, 0)], Author("Ana"))
    store.close()
    assert len(ReviewStore(tmp_path / name).history()) == 1


def test_a_damaged_decision_is_named(server: ReviewServer, client: TestClient) -> None:
    client.post(DECISIONS, json=body(("CK@12500", ACCEPTED, 0)))
    with sqlite3.connect(server.store.path) as connection:
        connection.execute("DROP TRIGGER decisions_stay")
        connection.execute("UPDATE decisions SET after = '{'")
    assert "a decision in it cannot be read; use a backup" in refused(client.get("/api/videos/v0"))


def test_findings_that_no_page_can_show_are_listed_as_such(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    path = tmp_path / "out" / "v0" / "findings.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"name": "v0.mp4"', r'"name": "\ud800"'), encoding="utf-8")
    server = served(tmp_path / "out", videos=1)
    (shown,) = client_of(server).get("/api/queue").json()["videos"]
    assert (shown["status"], "not UTF-8" in shown["error"]) == ("unreadable", True)
    server.app.state.service.close()


# ---- arguments


@pytest.mark.parametrize("name", ["a\nb", "\ud800", "\u202eevil", "x" * 100])
def test_a_name_that_no_record_can_show_is_refused(tmp_path: Path, name: str) -> None:
    made_inspection(tmp_path / "out" / "v0")
    with pytest.raises(ReviewError, match="cannot be used as a name"):
        review_server(tmp_path / "out", reviewer=name, say=lambda line: None)
    assert not (tmp_path / "out" / "review.sqlite").exists()


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "256.1.1.1"])
def test_an_address_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ReviewError, match="cannot listen on"):
        _listen(host, 0)


def test_two_servers_cannot_take_the_same_port() -> None:
    with _listen("127.0.0.1", 0) as first, pytest.raises(ReviewError, match="cannot listen on"):
        _listen("127.0.0.1", first.getsockname()[1])


def test_every_address_of_this_machine_is_a_name_of_the_server(tmp_path: Path) -> None:
    server = served(tmp_path / "out", videos=1, host="127.0.0.2")
    assert client_of(server).get("/healthz", headers={"host": "127.0.0.2:8010"}).status_code == 200
    server.app.state.service.close()
