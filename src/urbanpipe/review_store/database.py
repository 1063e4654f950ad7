"""The SQLite file of a review store: where it may lie, its schema, and the upgrade of older ones."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil

from urbanpipe.errors import BusyError, OutputError, ReviewError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x75727076  # "urpv", so that another program's database is not taken for a store
BUSY_SECONDS = 10.0

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "webdav", "davfs", "sshfs", "s3fs", "ncpfs")
_TABLES = """
CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  who TEXT NOT NULL,
  bundle TEXT NOT NULL,
  video TEXT NOT NULL,
  item TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  action INTEGER NOT NULL,
  reverts INTEGER,
  request TEXT NOT NULL,
  visit TEXT NOT NULL,
  elapsed_seconds REAL NOT NULL
) STRICT;
CREATE INDEX decisions_by_item ON decisions (video, item, seq);
CREATE INDEX decisions_by_person ON decisions (who, seq);
CREATE INDEX decisions_by_action ON decisions (action);
CREATE UNIQUE INDEX decisions_once ON decisions (request, video, item);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are only added'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are only added'); END;
CREATE TABLE reviews (
  video TEXT PRIMARY KEY,
  reviewed INTEGER NOT NULL,
  decided INTEGER NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE predictions (
  video TEXT NOT NULL,
  bundle TEXT NOT NULL,
  bundle_name TEXT NOT NULL,
  code TEXT NOT NULL,
  probability REAL NOT NULL,
  triage TEXT NOT NULL,
  PRIMARY KEY (video, bundle, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE people (
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL,
  password TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {}
"""The function that upgrades a store from each older version to the next one, inside a transaction."""


def open_database(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """Open a store, make it if it does not exist, and upgrade it if an older version wrote it.

    The connection commits by itself outside `transaction`. Committed rows survive a killed process and a power cut.

    Args:
        path: the file, on a local disk.
        create: whether to make a missing store.

    Raises:
        ReviewError: the file is no store, is damaged, was written by a newer version, lies on a network share, or does
            not exist.
        OutputError: its folder cannot be written to.
    """
    _check_place(path, create)
    with database_errors(path):
        connection = sqlite3.connect(
            path.absolute(), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Run the block in a transaction that holds the write lock from the start; all of it is stored, or nothing.

    Raises:
        OutputError: the disk is full or read-only.
        BusyError: another process kept the store locked for too long.
        ReviewError: the file is damaged.
    """
    with database_errors(path), all_or_nothing(connection):
        yield


@contextmanager
def all_or_nothing(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a transaction that holds the write lock from the start.

    Raises:
        sqlite3.Error: the database cannot be written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def write_ahead(connection: sqlite3.Connection) -> None:
    """Make a database keep a write-ahead log, so that readers do not wait for a writer.

    SQLite does not wait for its timeout here where another process makes the same change, so this does.

    Raises:
        sqlite3.Error: the database cannot be written, or stays locked for `BUSY_SECONDS`.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class ThreadConnections:
    """A connection for each thread that asks for one.

    Args:
        first: the connection of this thread.
        connect: opens a connection for another thread.
    """

    def __init__(self, first: sqlite3.Connection, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._local.connection = first
        self.all = [first]

    def get(self) -> sqlite3.Connection:
        """Return the connection of the current thread."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self.all.append(self._local.connection)
        connection: sqlite3.Connection = self._local.connection
        return connection

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self.all:
            connection.close()


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one that takes its name; None if it is missing."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def check_same(path: Path, opened: tuple[int, int] | None, advice: str = "move it back and try again") -> None:
    """Check that a file in use is still the one that was opened: what is written into a deleted one is lost.

    Args:
        path: the file.
        opened: its `identity` when it was opened.
        advice: what to do where it is missing.

    Raises:
        ReviewError: it was moved, deleted or replaced.
    """
    now = identity(path)
    if now is None:
        raise ReviewError(f"{path} was moved or deleted while it was in use; {advice}")
    if now != opened:
        raise ReviewError(f"{path} was replaced while it was in use; stop `urbanpipe review` and start it again")


@contextmanager
def database_errors(
    path: Path, what: str = "a review store", advice: str = "use a backup of it, or give another --store"
) -> Iterator[None]:
    """Turn SQLite's errors in the block into errors about a file.

    Args:
        path: the file.
        what: what it should be.
        advice: what to do with a damaged one.
    """
    try:
        yield
    except json.JSONDecodeError as error:
        raise ReviewError(f"{path} is damaged: a decision in it cannot be read; use a backup of it") from error
    except sqlite3.Error as error:
        text = str(error)
        if "unable to open" in text and not path.exists():
            raise ReviewError(f"{path} was moved or deleted while it was in use; move it back and try again") from error
        if "full" in text or "readonly" in text or "read-only" in text or "unable to open" in text:
            reason = {"database or disk is full": "the disk is full"}.get(text, "no permission to write here")
            raise OutputError(
                f"cannot write {path}: {reason}; give another --store or free some space there"
            ) from error
        if "locked" in text or "busy" in text:
            raise BusyError(f"{path}: another program keeps it locked; close it and try again") from error
        raise ReviewError(f"{path} is not {what}, or is damaged: {text}; {advice}") from error


def backup(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the store into another file while it is in use; the copy is the state of one moment.

    Raises:
        OutputError: the target cannot be written.
    """
    with database_errors(target), closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")


def network_share(path: Path) -> str | None:
    r"""Return the kind of network file system that a path lies on; None for a local disk.

    >>> network_share(Path("//server/share/review.sqlite"))
    'UNC path'
    """
    text = str(path)
    if text.startswith(("\\\\", "//")):
        return "UNC path"
    real = path.resolve()
    mounts = [one for one in psutil.disk_partitions(all=True) if real.is_relative_to(one.mountpoint)]
    if not mounts:
        return None
    mount = max(mounts, key=lambda one: len(one.mountpoint))
    kind = mount.fstype.lower()
    is_remote = "remote" in mount.opts.split(",") or any(kind.removeprefix("fuse.").startswith(one) for one in _NETWORK)
    return mount.fstype or "network drive" if is_remote else None


def _check_place(path: Path, create: bool) -> None:
    if share := network_share(path):
        raise ReviewError(
            f"{path} lies on a network share ({share}), where SQLite can lose decisions; give a --store on a local disk"
        )
    if path.is_dir():
        raise ReviewError(f"{path} is a folder; give the file of the store, for example {path / 'review.sqlite'}")
    if not create and not path.is_file():
        raise ReviewError(f"{path} does not exist; give the --store that `urbanpipe review` wrote")
    if create and not path.parent.is_dir():
        raise ReviewError(f"{path.parent} is not a folder; make it, or give another --store")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")
    application, version, has_tables = _what_it_is(connection)
    if application not in (0, APPLICATION_ID) or (application == 0 and has_tables):
        raise ReviewError(f"{path} is a database of another program; give another --store")
    if version > SCHEMA_VERSION:
        raise ReviewError(
            f"{path} was written by a newer version of urbanpipe (schema {version}, this one reads up to "
            f"{SCHEMA_VERSION}); update urbanpipe"
        )
    if version < SCHEMA_VERSION:
        with transaction(connection, path):
            _upgrade(connection)


def _upgrade(connection: sqlite3.Connection) -> None:
    """Make the tables, or upgrade them step by step; another process may have done so in the meantime."""
    version = _pragma(connection, "user_version")
    if version == 0:
        for statement in _statements(_TABLES):
            connection.execute(statement)
    else:
        for step in range(version, SCHEMA_VERSION):
            MIGRATIONS[step](connection)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _what_it_is(connection: sqlite3.Connection) -> tuple[int, int, bool]:
    """Return the application, the version and whether there are tables, all as of one moment.

    Read one by one, they could be of two moments: before and after another process made the tables.
    """
    connection.execute("BEGIN")
    try:
        application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        return application, version, connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    finally:
        connection.execute("ROLLBACK")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
