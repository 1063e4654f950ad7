"""The videos to review, as rows in a database beside the store, so that 100,000 of them can be searched and ordered.

The database is derived from the inspections and the store; it can be deleted at any time.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import group_of
from urbanpipe.catalog.grouping import plausible_groups
from urbanpipe.contracts.distinct_names import distinct_file_names
from urbanpipe.contracts.inspections import InspectionSource
from urbanpipe.contracts.names import short_hash
from urbanpipe.locations import pure_path
from urbanpipe.outputs import remove
from urbanpipe.review.indexed_video import IndexedVideo, columns_of, indexed_video
from urbanpipe.review.learning_order import learning_order, uncertainty
from urbanpipe.review_store.control_share import CONTROL_SHARE, is_control
from urbanpipe.review_store.database import (
    BUSY_SECONDS,
    ThreadConnections,
    all_or_nothing,
    check_same,
    database_errors,
    identity,
    write_ahead,
)

FORMAT = 1
_TABLES = """
CREATE TABLE videos (
  folder TEXT PRIMARY KEY, version TEXT NOT NULL, digest TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL,
  place TEXT NOT NULL, text TEXT NOT NULL, duration_seconds REAL NOT NULL, made_at TEXT NOT NULL, date TEXT NOT NULL,
  proposals INTEGER NOT NULL, top REAL NOT NULL, top_code TEXT NOT NULL, severity REAL NOT NULL,
  picture TEXT NOT NULL, control INTEGER NOT NULL, error TEXT NOT NULL, learning INTEGER NOT NULL,
  uncertainty REAL NOT NULL
) STRICT;
CREATE INDEX videos_by_status ON videos (digest, error, duration_seconds);
CREATE INDEX videos_by_severity ON videos (severity DESC, name);
CREATE INDEX videos_by_date ON videos (date, name);
CREATE INDEX videos_by_name ON videos (name COLLATE NOCASE, name);
CREATE INDEX videos_by_uncertainty ON videos (uncertainty DESC, name);
CREATE INDEX videos_by_learning ON videos (learning);
CREATE TABLE proposals (folder TEXT NOT NULL, code TEXT NOT NULL, probability REAL NOT NULL) STRICT;
CREATE INDEX proposals_by_folder ON proposals (folder, code, probability);
CREATE TABLE probabilities (folder TEXT PRIMARY KEY, of_classes TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE about (root TEXT, format INTEGER);
"""
_BATCH = 500


class VideoIndex:
    """The index of the inspections of a source.

    Args:
        source: the inspections.
        path: the index's file; a damaged one, or one of another version, is made again.
        store: file of the review store, whose reviews rows are joined with.
    """

    def __init__(self, source: InspectionSource, path: Path, store: Path) -> None:
        self._source = source
        self._path, self._store = path, store
        self._updating = threading.Lock()
        self._store_opened = identity(store)
        self._connections = ThreadConnections(self._made(), self._connect)
        self._opened = identity(self._path)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the current thread; the store is attached as `store`.

        Raises:
            ReviewError: the file of the index or of the store was moved, deleted or replaced.
        """
        check_same(self._path, self._opened, "stop `urbanpipe review` and start it again")
        check_same(self._store, self._store_opened)  # SQLite would attach a new file in its place
        return self._connections.get()

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def __contains__(self, name: str) -> bool:
        """Return whether an inspection of this name is indexed."""
        return self.connection.execute("SELECT 1 FROM videos WHERE folder = ?", (name,)).fetchone() is not None

    def folder_of(self, digest: str) -> str | None:
        """Return the name of a folder with an inspection of a video; None if there is none."""
        row = self.connection.execute("SELECT folder FROM videos WHERE digest = ?", (digest,)).fetchone()
        return row[0] if row else None

    def codes(self) -> list[str]:
        """Return the proposed classes, the most frequent first."""
        rows = self.connection.execute("SELECT code FROM proposals GROUP BY code ORDER BY count(*) DESC, code")
        return [row[0] for row in rows]

    def update(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Read the findings that are new or changed, forget those that are gone, and return the number of changes.

        Args:
            progress: called with the number of inspections that were read, and of those to read.
        """
        with self._updating, self._explained():
            known = dict(self.connection.execute("SELECT folder, version FROM videos"))
            found = self._source.versions()
            changed = [name for name, version in found.items() if known.get(name) != version]
            gone = known.keys() - found.keys()
            inspections = self._source.read(changed)
            for begin in range(0, len(changed), _BATCH):
                if progress:
                    progress(begin, len(changed))
                self._write([indexed_video(name, found[name], read) for name, read in islice(inspections, _BATCH)])
            if changed or gone:
                self._finish(gone)
            return len(changed) + len(gone)

    def add(self, videos: Iterable[IndexedVideo]) -> None:
        """Add videos, or replace those of the same folders."""
        with self._updating, self._explained():
            self._write(videos)
            self._finish(())

    def _made(self) -> sqlite3.Connection:
        """Make the file, unless it is there for this folder in this format; another server may do so meanwhile."""
        with self._explained():
            try:
                return self._with_tables(_connect(self._path, self._store))
            except sqlite3.OperationalError:  # locked, or no permission: not damaged
                raise
            except sqlite3.DatabaseError:
                for ending in ("", "-wal", "-shm"):
                    remove(self._path.with_name(self._path.name + ending))
                return self._with_tables(_connect(self._path, self._store))

    def _connect(self) -> sqlite3.Connection:
        with self._explained():
            return _connect(self._path, self._store)

    def _with_tables(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        with all_or_nothing(connection):
            about = (self._source.location, FORMAT)
            with suppress(sqlite3.OperationalError):
                if tuple(connection.execute("SELECT root, format FROM main.about").fetchone() or ()) == about:
                    return connection
            tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in tables:
                connection.execute(f'DROP TABLE main."{name}"')
            for statement in _TABLES.split(";")[:-1]:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?, ?)", about)
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with database_errors(self._path, "an index of the review", "delete it and start again"):
            yield

    def _write(self, videos: Iterable[IndexedVideo]) -> None:
        connection = self.connection
        with all_or_nothing(connection):
            for video in videos:
                connection.execute("DELETE FROM proposals WHERE folder = ?", (video.folder,))
                connection.execute(
                    f"INSERT OR REPLACE INTO videos VALUES ({', '.join('?' * 19)})", tuple(columns_of(video))
                )
                rows = [(video.folder, code, probability) for code, probability in video.proposals]
                connection.executemany("INSERT INTO proposals VALUES (?, ?, ?)", rows)
                probabilities = (video.folder, json.dumps(video.probabilities))
                connection.execute("INSERT OR REPLACE INTO probabilities VALUES (?, ?)", probabilities)

    def _finish(self, gone: Iterable[str]) -> None:
        """Remove what is gone, and compute what depends on all videos: distinct names and the order for learning."""
        connection = self.connection
        with all_or_nothing(connection):
            for folder in gone:
                for table in ("videos", "proposals", "probabilities"):
                    connection.execute(f"DELETE FROM {table} WHERE folder = ?", (folder,))
            rows = connection.execute(
                "SELECT v.folder, digest, name, path, of_classes FROM videos v "
                "JOIN probabilities p ON p.folder = v.folder ORDER BY v.folder"
            ).fetchall()
            names = distinct_file_names(
                [(pure_path(row["path"]).name or row["folder"], row["path"] or row["folder"]) for row in rows],
                [f"{row['name']} [{row['folder']}]" for row in rows],
            )
            order, uncertainty = _learning(rows)
            connection.executemany(
                "UPDATE videos SET name = ?, learning = ?, uncertainty = ? WHERE folder = ?",
                [
                    (name, rank, doubt, row["folder"])
                    for row, name, rank, doubt in zip(rows, names, order, uncertainty, strict=True)
                ],
            )


def index_file(location: str, store: Path) -> Path:
    """Return the file of the index of a source, beside the store; sources that share a store have an index each."""
    mark = "" if location == str(store.parent.resolve()) else f"-{short_hash(location)}"
    return store.with_name(f"{store.stem}{mark}-index.sqlite")


def _connect(path: Path, store: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path.absolute(), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("ATTACH ? AS store", (str(store.absolute()),))
    except BaseException:
        connection.close()
        raise
    return connection


def _with_control(order: NDArray[np.intp], digests: Sequence[str]) -> NDArray[np.intp]:
    """Return an order in which every tenth video is one of the control share, in the random order of their digests.

    By uncertainty, those that are reviewed would be the uncertain ones, and no fair sample of the archive.
    """
    chosen = np.array([bool(digest) and is_control(digest) for digest in digests], dtype=bool)[order]
    others, control = order[~chosen], sorted(order[chosen].tolist(), key=lambda index: digests[index])
    places = np.concatenate(
        [np.arange(len(others)), (np.arange(len(control)) + 1) * round(1 / CONTROL_SHARE - 1) - 0.5]
    )
    return np.concatenate([others, np.array(control, dtype=np.intp)])[np.argsort(places, kind="stable")]


def _learning(rows: Sequence[sqlite3.Row]) -> tuple[list[int], list[float]]:
    """Return each video's place in the order for learning, and its uncertainty."""
    probabilities = [json.loads(row["of_classes"]) for row in rows]
    width = max(map(len, probabilities), default=0)
    matrix = np.full((len(rows), width), np.nan)
    for index, row in enumerate(probabilities):
        if len(row) == width:
            matrix[index] = row
    names = [row["path"].replace("\\", "/") for row in rows]
    groups = plausible_groups(names, [group_of(name) for name in names])  # one pipe, one turn
    order = _with_control(learning_order(matrix, groups), [row["digest"] for row in rows])
    rank = np.empty(len(rows), dtype=int)
    rank[order] = np.arange(len(rows))
    doubt = uncertainty(matrix)
    return rank.tolist(), np.nan_to_num(doubt, nan=doubt[~np.isnan(doubt)].max(initial=0.0)).tolist()
