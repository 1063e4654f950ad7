"""The review store: nothing is lost, nothing is overwritten, and everything can be undone."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanpipe.errors import ClosedError, OutputError, ReviewError, StaleError
from urbanpipe.review_store import database
from urbanpipe.review_store.database import APPLICATION_ID, SCHEMA_VERSION
from urbanpipe.review_store.decision import REVIEW_KEY, Decision, Status
from urbanpipe.review_store.records import Author, Change, State
from urbanpipe.review_store.reviewed import decisions_on
from urbanpipe.review_store.store import ReviewStore


class Mount(NamedTuple):
    device: str
    mountpoint: str
    fstype: str
    opts: str


@pytest.fixture
def store(tmp_path: Path) -> ReviewStore:
    return ReviewStore(tmp_path / "review.sqlite")


def accepted(code: str = "CK", **fields: object) -> State:
    return Decision.model_validate({"status": Status.accepted, "code": code, **fields}).model_dump(mode="json")


def change(item: str = "CK@1000", after: State = None, version: int = 0, video: str = "v") -> Change:
    return Change(video, item, after, version, bundle="b")


def states(store: ReviewStore, video: str = "v") -> dict[str, State]:
    return {key: row.after for key, row in store.items(video).items()}


def test_a_decision_is_stored_with_everything_that_a_record_needs(store: ReviewStore) -> None:
    (row,) = store.decide([change(after=accepted(grade=3))], Author("Ana", visit="p1", elapsed_seconds=4.5))
    assert (row.who, row.bundle, row.video, row.item, row.before) == ("Ana", "b", "v", "CK@1000", None)
    assert row.after == accepted(grade=3)
    assert (row.visit, row.elapsed_seconds) == ("p1", 4.5)
    assert row.at.endswith("+00:00")
    assert ReviewStore(store.path).items("v") == {"CK@1000": row}


def test_a_stale_decision_is_refused_and_nothing_of_its_action_is_stored(store: ReviewStore) -> None:
    (first,) = store.decide([change(after=accepted())], Author("Ana"))
    both = [change("FS@1", accepted("FS")), change(after=accepted(grade=2), version=0)]
    with pytest.raises(StaleError, match=r"CK@1000 was changed by Ana in the meantime"):
        store.decide(both, Author("Ben"))
    assert store.items("v") == {"CK@1000": first}


def test_an_action_that_is_sent_twice_is_stored_once(store: ReviewStore) -> None:
    author = Author("Ana", request="r1")
    once = store.decide([change(after=accepted())], author)
    assert store.decide([change(after=accepted())], author) == once
    assert len(store.history()) == 1


def test_an_action_changes_an_item_once(store: ReviewStore) -> None:
    with pytest.raises(ReviewError, match="only once"):
        store.decide([change(after=accepted()), change(after=None)], Author("Ana"))
    with pytest.raises(ReviewError, match="no change"):
        store.decide([], Author("Ana"))


def test_an_action_is_undone_as_a_whole_and_only_by_its_author(store: ReviewStore) -> None:
    store.decide([change("A@1", accepted("A"))], Author("Ben"))
    store.decide([change("B@1", accepted("B")), change("C@1", accepted("C"))], Author("Ana"))
    store.undo(Author("Ana"))
    assert states(store) == {"A@1": accepted("A"), "B@1": None, "C@1": None}
    assert store.undo(Author("Ana")) == []
    assert store.undoable("Ana") == (False, True)


def test_undo_does_not_overwrite_what_another_person_decided_since(store: ReviewStore) -> None:
    (row,) = store.decide([change(after=accepted())], Author("Ana"))
    store.decide([change(after=accepted(grade=4), version=row.seq)], Author("Ben"))
    with pytest.raises(StaleError, match="changed by Ben") as refused:
        store.undo(Author("Ana"))
    assert refused.value.action == row.action


def test_what_others_built_on_is_left_alone_and_earlier_actions_can_still_be_undone(store: ReviewStore) -> None:
    store.decide([change("A@1", accepted("A"))], Author("Ana"))
    (row,) = store.decide([change(after=accepted())], Author("Ana"))
    store.decide([change(after=accepted(grade=4), version=row.seq)], Author("Ben"))
    store.undo(Author("Ana"), below=row.action)
    assert states(store) == {"A@1": None, "CK@1000": accepted(grade=4)}
    store.redo(Author("Ana"))
    assert states(store)["A@1"] == accepted("A")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["x", "y", "undo", "redo"]), max_size=16))
def test_undo_and_redo_without_limit(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """Against the textbook's model: a list of states and a position in it."""
    store = ReviewStore(tmp_path_factory.mktemp("undo") / "review.sqlite")
    past: list[dict[str, State]] = [{}]
    future: list[dict[str, State]] = []
    for number, step in enumerate(steps):
        if step == "undo":
            assert bool(store.undo(Author("Ana"))) == (len(past) > 1)
            if len(past) > 1:
                future.append(past.pop())
        elif step == "redo":
            assert bool(store.redo(Author("Ana"))) == bool(future)
            if future:
                past.append(future.pop())
        else:
            version = rows[step].seq if step in (rows := store.items("v")) else 0
            after = accepted(note=str(number))
            store.decide([change(step, after, version)], Author("Ana"))
            past.append({**past[-1], step: after})
            future.clear()
        assert {key: state for key, state in states(store).items() if state} == past[-1]
    derived = store.statuses()
    store.rebuild()
    assert store.statuses() == derived
    store.close()


def test_a_reviewed_video_is_closed_to_a_reviewer_and_open_to_a_lead(store: ReviewStore) -> None:
    reviewer, lead = Author("Ana", is_lead=False), Author("Lea")
    store.decide([change(after=accepted())], reviewer)
    store.decide([change(REVIEW_KEY, {"reviewed": True})], reviewer)
    assert store.status("v").reviewed
    with pytest.raises(ClosedError, match="a lead can open it again"):
        store.decide([change("FS@1", accepted("FS"))], Author("Ben", is_lead=False))
    store.decide([change("FS@1", accepted("FS"))], lead)
    assert store.status("v").decided == 2


def test_a_reviewer_can_undo_their_own_slip_of_closing_a_video(store: ReviewStore) -> None:
    reviewer = Author("Ana", is_lead=False)
    store.decide([change(REVIEW_KEY, {"reviewed": True})], reviewer)
    store.undo(Author("Ana", is_lead=False))
    assert not store.status("v").reviewed


def test_decisions_cannot_be_changed_or_deleted_even_by_sql(store: ReviewStore) -> None:
    store.decide([change(after=accepted())], Author("Ana"))
    with pytest.raises(sqlite3.IntegrityError, match="only added"):
        store.connection.execute("UPDATE decisions SET who = 'Eve'")
    with pytest.raises(sqlite3.IntegrityError, match="only added"):
        store.connection.execute("DELETE FROM decisions")


def test_the_store_survives_a_power_cut(store: ReviewStore) -> None:
    pragmas = {
        name: store.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_threads_and_two_stores_on_one_file_lose_nothing(store: ReviewStore) -> None:
    other = ReviewStore(store.path)

    def decide(target: ReviewStore, who: str) -> None:
        for number in range(10):
            target.decide([change(f"{who}@{number}", accepted())], Author(who))

    threads = [threading.Thread(target=decide, args=(target, f"p{n}")) for n, target in enumerate([store, other] * 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.items("v")) == 80
    assert store.status("v").decided == 80


def test_a_backup_is_a_store_of_its_own(store: ReviewStore, tmp_path: Path) -> None:
    store.decide([change(after=accepted())], Author("Ana"))
    store.backup(tmp_path / "copy.sqlite")
    store.decide([change("FS@1", accepted("FS"))], Author("Ana"))
    assert set(ReviewStore(tmp_path / "copy.sqlite").items("v")) == {"CK@1000"}


def test_what_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    text, foreign = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    text.write_text("these are 40 bytes that are not SQLite..." * 30)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    for path, message in [
        (text, "is not a review store, or is damaged"),
        (foreign, "is a database of another program"),
        (tmp_path, "is a folder; give the file of the store"),
        (tmp_path / "no" / "c.sqlite", "no is not a folder"),
    ]:
        with pytest.raises(ReviewError, match=message):
            ReviewStore(path)
    with pytest.raises(ReviewError, match="does not exist"):
        ReviewStore(tmp_path / "c.sqlite", create=False)
    assert text.read_text().startswith("these")


def test_a_store_of_a_newer_version_is_left_alone(store: ReviewStore) -> None:
    store.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    store.close()
    with pytest.raises(ReviewError, match=rf"newer version of urbanpipe \(schema {SCHEMA_VERSION + 1}"):
        ReviewStore(store.path)


def test_a_store_is_marked_as_one(store: ReviewStore) -> None:
    assert store.connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


def test_a_network_share_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (share := tmp_path / "share").mkdir()
    local = Mount("/dev/x", "/", "ext4", "rw")
    for kind in ("nfs4", "cifs", "fuse.sshfs", "9p"):
        mounts = [local, Mount("host:/x", str(share), kind, "rw")]
        monkeypatch.setattr(psutil, "disk_partitions", lambda mounts=mounts, **_: mounts)
        with pytest.raises(ReviewError, match=rf"network share \({kind}\)"):
            ReviewStore(share / "review.sqlite")
    ReviewStore(tmp_path / "review.sqlite")


def test_a_full_disk_is_reported_and_what_was_stored_stays(store: ReviewStore) -> None:
    store.decide([change(after=accepted())], Author("Ana"))
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(OutputError, match="the disk is full"):
        store.decide(
            [change("FS@1", accepted(note="x" * 4000)), change("FS@2", accepted(note="y" * 4000))], Author("Ana")
        )
    assert set(store.items("v")) == {"CK@1000"}


def test_an_older_store_is_upgraded_step_by_step_and_keeps_its_decisions(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two made-up steps: the mechanism is in place before the first real one is needed."""
    kept = store.decide([change(after=accepted())], Author("Ana"))
    store.close()
    steps = {
        SCHEMA_VERSION: lambda connection: connection.execute("ALTER TABLE people ADD COLUMN mail TEXT"),
        SCHEMA_VERSION + 1: lambda connection: connection.execute("ALTER TABLE people ADD COLUMN phone TEXT"),
    }
    monkeypatch.setattr(database, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
    monkeypatch.setattr(database, "MIGRATIONS", steps)
    upgraded = ReviewStore(store.path)
    assert upgraded.history() == kept
    columns = [row["name"] for row in upgraded.connection.execute("PRAGMA table_info(people)")]
    assert columns[-2:] == ["mail", "phone"]
    upgraded.close()
    assert ReviewStore(store.path).history() == kept, "and opened again as it is"


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(store: ReviewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.decide([change(after=accepted())], Author("Ana"))
    store.close()

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE people ADD COLUMN mail TEXT")
        raise sqlite3.OperationalError("no such column: x")

    with monkeypatch.context() as patch:
        patch.setattr(database, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        patch.setattr(database, "MIGRATIONS", {SCHEMA_VERSION: fails})
        with pytest.raises(ReviewError, match="no such column"):
            ReviewStore(store.path)
    again = ReviewStore(store.path)
    assert len(again.history()) == 1
    assert "mail" not in [row["name"] for row in again.connection.execute("PRAGMA table_info(people)")]


def test_a_clock_that_goes_back_changes_no_order(store: ReviewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([datetime(2026, 5, 2, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)])

    class Clock:
        @staticmethod
        def now(zone: object) -> datetime:
            return next(times)

    monkeypatch.setattr("urbanpipe.review_store.log.datetime", Clock)
    (first,) = store.decide([change(after=accepted(grade=1))], Author("Ana"))
    store.decide([change(after=accepted(grade=2), version=first.seq)], Author("Ana"))
    assert states(store)["CK@1000"] == accepted(grade=2)
    assert [row.at[:10] for row in store.history()] == ["2026-05-01", "2026-05-02"]


@pytest.mark.parametrize("item", ["CK@1", "data"])
def test_a_state_that_no_version_wrote_is_named(store: ReviewStore, item: str) -> None:
    store.decide([Change("d", item, {"nonsense": 1}, 0)], Author("Ana"))
    decisions = decisions_on(store, "d")
    with pytest.raises(ReviewError, match=r"decision 1 in the review store is damaged: .*; use a backup of the store"):
        print(decisions.data("a.mp4") if item == "data" else decisions.reviews)


def test_a_new_store_that_two_processes_make_at_once_is_no_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.sqlite"
    pragma = database._pragma

    def read_and_be_overtaken(connection: sqlite3.Connection, name: str) -> int:
        value = pragma(connection, name)
        if value == 0:
            monkeypatch.setattr(database, "_pragma", pragma)
            database.open_database(path).close()
        return value

    monkeypatch.setattr(database, "_pragma", read_and_be_overtaken)
    with closing(database.open_database(path)) as connection:
        assert database._what_it_is(connection) == (APPLICATION_ID, SCHEMA_VERSION, True)


def test_threads_that_open_a_new_store_at_once_wait_for_each_other(tmp_path: Path) -> None:
    for number in range(40):
        start = threading.Barrier(6)

        def opened(path: Path, start: threading.Barrier = start) -> int:
            start.wait()
            with closing(database.open_database(path)) as connection:
                return database._pragma(connection, "user_version")

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(opened, [tmp_path / f"{number}.sqlite"] * 6)) == {SCHEMA_VERSION}
