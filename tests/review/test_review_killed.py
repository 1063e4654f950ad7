"""A server that is killed: what it acknowledged is stored."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from helpers.inspection_material import made_inspection
from helpers.platforms import needs_posix
from helpers.review_material import TOKEN, body
from urbanpipe.review.app import HEADER
from urbanpipe.review_store.store import ReviewStore

SERVER = """
import sys, uvicorn
from pathlib import Path
from urbanpipe.review.serve import review_server
server = review_server(Path(sys.argv[1]), token=sys.argv[3], say=lambda line: None)
uvicorn.run(server.app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def started(out: Path, port: int) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(out), str(port), TOKEN])
    for _ in range(1200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz")
        except httpx.HTTPError:
            assert process.poll() is None
            time.sleep(0.05)
        else:
            return process
    raise AssertionError("the server did not start")


@needs_posix
@pytest.mark.slow
@pytest.mark.multiprocess
def test_no_acknowledged_decision_is_lost_when_the_server_is_killed(tmp_path: Path, port: int) -> None:
    made_inspection(tmp_path / "out" / "v0", "v0.mp4")
    acknowledged: list[str] = []
    for round_number, delay in enumerate((0.05, 0.21, 0.37)):
        process = started(tmp_path / "out", port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={HEADER: "1"}, timeout=20) as client:
            client.get(f"/enter?token={TOKEN}")
            threading.Timer(delay, process.send_signal, [signal.SIGKILL]).start()
            for number in range(100_000):
                item = f"+{round_number:02x}{number:010x}"
                request = body(
                    (item, {"status": "accepted", "code": "FS", "seconds": 1.0}, 0), request=f"request-{item}"
                )
                try:
                    assert client.post("/api/videos/v0/decisions", json=request).status_code == 200
                except httpx.HTTPError:
                    break
                acknowledged.append(item)
        assert process.wait() == -signal.SIGKILL
    store = ReviewStore(tmp_path / "out" / "review.sqlite")
    assert acknowledged
    assert store.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert set(acknowledged) <= set(store.items(_digest(tmp_path)))


def _digest(tmp_path: Path) -> str:
    from urbanpipe.contracts.findings import read_inspection

    return read_inspection(tmp_path / "out" / "v0").video.digest
