"""`archive query`: SQL over the videos and findings of an archive."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from urbanpipe.archive_store.folder_storage import FolderStorage
from urbanpipe.archive_store.merged import FINDINGS, VIDEOS, is_merged
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.part_schemas import MERGED_FINDINGS, MERGED_VIDEOS
from urbanpipe.archive_store.parts import FINDINGS as PART_FINDINGS
from urbanpipe.archive_store.parts import VIDEOS as PART_VIDEOS
from urbanpipe.archive_store.results import CurrentResults, current_results
from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import ArchiveError
from urbanpipe.outputs import plain_text


@dataclass(frozen=True)
class QueryResult:
    """The rows that a query returns.

    Attributes:
        columns: names of the columns.
        rows: values.
        merged: whether they are of the merged tables, rather than of the parts written so far.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    merged: bool


def archive_query(archive: str | Path, sql: str) -> QueryResult:
    """Run one SELECT statement in DuckDB over the tables `videos` and `findings`.

    They are the merged tables or, if videos were planned or inspected since `archive merge`, those of the parts so far.
    SQL can read nothing else, and write nothing.

    Raises:
        ArchiveError: the archive has no results, or the statement is wrong, several, or no SELECT.
        StorageError: the archive cannot be read.
    """
    storage = open_storage(str(archive))
    with tempfile.TemporaryDirectory(prefix="urbanpipe-") as folder, duckdb.connect(":memory:") as connection:
        merged = is_merged(storage)
        try:
            views = _merged_views if merged else _part_views
            _close_off(connection, views(connection, storage, Path(folder)))
            found = _select(connection, sql)
            columns = tuple(item[0] for item in found.description or ())
            return QueryResult(columns, found.fetchall(), merged)
        except duckdb.Error as error:
            raise ArchiveError(f"the query failed: {plain_text(str(error).partition(chr(10))[0])}") from None


def _select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyConnection:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ArchiveError("give one SELECT statement over the tables videos and findings")
    return connection.execute(statements[0])


def _close_off(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Leave SQL no file but the ones of the tables."""
    connection.execute(f"SET allowed_paths = {_listed(files)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _merged_views(connection: duckdb.DuckDBPyConnection, storage: Storage, folder: Path) -> list[Path]:
    paths = [_local(storage, name, folder) for name in (VIDEOS, FINDINGS)]
    for view, path in zip(("videos", "findings"), paths, strict=True):
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM read_parquet({_listed([path])})")
    return paths


def _part_views(connection: duckdb.DuckDBPyConnection, storage: Storage, folder: Path) -> list[Path]:
    """Make views of the results that count so far."""
    found = current_results(storage)
    with _registered(connection, "current_results", _current_table(found)):
        connection.execute("CREATE TABLE current AS SELECT * FROM current_results")
    files = []
    for view, kind, schema in (
        ("videos", PART_VIDEOS, MERGED_VIDEOS),
        ("findings", PART_FINDINGS, MERGED_FINDINGS),
    ):
        parts = [
            part for part in found.parts if kind == PART_VIDEOS or any(item.status == "ok" for item in part.results)
        ]
        paths = [_local(storage, part.file(kind), folder) for part in parts]
        columns = ", ".join(schema.names)
        if paths:
            source = f"read_parquet({_listed(paths)}) JOIN current USING (id, part)"
            connection.execute(f"CREATE VIEW {view} AS SELECT {columns} FROM {source}")
        else:
            with _registered(connection, "nothing", schema.empty_table()):
                connection.execute(f"CREATE TABLE {view} AS SELECT * FROM nothing")
        files += paths
    return files


def _current_table(found: CurrentResults) -> pa.Table:
    names = [part.name for part in found.part_of.values()]
    return pa.table({"id": pa.array([*found.part_of], pa.string()), "part": pa.array(names, pa.string())})


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    connection.register(name, table)
    yield
    connection.unregister(name)


def _local(storage: Storage, name: str, folder: Path) -> Path:
    """Return a file of the storage, or a copy of it in a folder."""
    if isinstance(storage, FolderStorage):
        return (storage.folder / name).resolve()
    path = folder / name.replace("/", "-")
    storage.download(name, path)
    return path


def _listed(files: Sequence[Path]) -> str:
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"[{quoted}]"
