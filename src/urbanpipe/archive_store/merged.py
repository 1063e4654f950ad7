"""The merged tables of an archive, and whether they are of its present state."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from urbanpipe.archive_store.results import state_of
from urbanpipe.archive_store.storage import Storage

VIDEOS, FINDINGS = "merged/videos.parquet", "merged/findings.parquet"
_FOOTER = 1 << 20
_STATE_KEY = b"urbanpipe.state"


def with_state(schema: pa.Schema, state: str) -> pa.Schema:
    """Return the columns of a merged table with the `state_of` the archive."""
    return schema.with_metadata({_STATE_KEY: state.encode()})


def is_merged(storage: Storage) -> bool:
    """Return whether both merged tables exist, and nothing was planned or inspected since."""
    return [*_merged_states(storage)] == [state_of(storage)] * 2


def _merged_states(storage: Storage) -> Iterator[str]:
    """Yield the `state_of` the archive when each of the merged tables was written, of those that exist."""
    for item in storage.list("merged"):
        if item.name in {VIDEOS, FINDINGS}:
            start = max(0, item.size - _FOOTER)
            tail = storage.read_range(item.name, start, item.size - start)
            try:
                facts = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
            except (pa.ArrowException, OSError):
                facts = {}
            yield facts.get(_STATE_KEY, b"").decode()
