"""Probe many videos in parallel, so that a video that hangs or crashes the decoder affects only itself."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from urbanpipe.errors import VideoError
from urbanpipe.video.decoders import Decoders
from urbanpipe.video.isolated import probe


def probe_all(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Probe videos in `workers` decoder processes; yield each result when it is ready.

    Yields:
        The path and either the fields of `VideoInfo` by name or `{"reason": why it cannot be used}`.
    """
    decoders = Decoders()

    def facts(path: Path) -> dict[str, Any]:
        try:
            return asdict(probe(path, decoders=decoders))
        except VideoError as error:
            return {"reason": error.reason}

    with ThreadPoolExecutor(max(1, min(workers, len(paths)))) as pool:
        try:
            waiting = {pool.submit(facts, path): path for path in paths}
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            decoders.close()
