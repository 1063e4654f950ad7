"""The review server under load, killed, and with an archive: how long a decision takes until it is saved.

python benchmarks/review_server.py WORK [--clients 20] [--seconds 30] [--kills 50] [--videos 100000]
"""

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import URLError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.inspection_material import made_inspection
from urbanpipe.contracts.inspections import FolderInspections
from urbanpipe.review.indexed_video import IndexedVideo
from urbanpipe.review.queue import Filter, Order, neighbours, queue_page
from urbanpipe.review.video_index import VideoIndex
from urbanpipe.review_store.records import Author, Change
from urbanpipe.review_store.store import ReviewStore

TOKEN = "benchmark"
CODES = ["CK", "FS", "CJ", "ZW", "BX", "PL", "CR", "TJ", "AJ", "SG", "QF", "JG", "CQ"]
SERVER = """
import sys, uvicorn
from pathlib import Path
from urbanpipe.review.serve import review_server
server = review_server(Path(sys.argv[1]), token="benchmark", say=lambda line: None)
uvicorn.run(server.app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""
EXPORTS = """
import sys
from pathlib import Path
from urbanpipe.exports.export import export
folder = Path(sys.argv[1])
while True:
    export(folder, out=folder.parent / "export.jsonl", to="jsonl", store=folder / "review.sqlite")
    print(flush=True)
"""


class Browser:
    """A client with a session."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._opener.open(f"{self._root}/enter?token={TOKEN}", timeout=30).read()

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return json.loads(self._opener.open(self._root + path, timeout=30).read())

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """Post JSON and return the answer."""
        headers = {"X-Urbanpipe": "1", "Content-Type": "application/json"}
        request = urllib.request.Request(self._root + path, json.dumps(content).encode(), headers)
        return json.loads(self._opener.open(request, timeout=30).read())


def started(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start a server and wait until it answers."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(folder), str(port)])
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).read()
        except (URLError, OSError):
            time.sleep(0.05)
            continue
        return process
    raise RuntimeError("the server did not start")


def decision(number: int, version: int = 0, item: str = "") -> dict[str, Any]:
    """Return the body of a request that adds a defect."""
    after = {"status": "accepted", "code": "FS", "seconds": 3.0, "note": f"number {number}"}
    return {
        "request": f"request-{number:09}",
        "changes": [{"item": item or f"+{number:012x}", "after": after, "version": version}],
    }


def client(port: int, folder: str, first: int, *, until: float, pause: float, times: list[float]) -> None:
    """Store decisions until a time, with a pause after the start of each; add the seconds that each took."""
    browser = Browser(port)
    number = first
    time.sleep(random.Random(first).uniform(0, pause))  # people do not press keys in step
    while (begin := time.perf_counter()) < until:
        browser.post(f"/api/videos/{folder}/decisions", decision(number))
        times.append(time.perf_counter() - begin)
        number += 1
        time.sleep(max(0.0, pause - (time.perf_counter() - begin)))


def load(folder: Path, port: int, *, clients: int, seconds: float, pause: float) -> list[float]:
    """Return the seconds from each decision to its answer, while another process exports the store without a pause."""
    process = started(folder, port)
    exports = subprocess.Popen([sys.executable, "-c", EXPORTS, str(folder)], stdout=subprocess.PIPE)
    assert exports.stdout is not None
    exports.stdout.readline()  # the first one is written
    times: list[float] = []
    until = time.perf_counter() + seconds
    folders = [path.parent.name for path in sorted(folder.glob("*/findings.json"))]
    threads = [
        threading.Thread(
            target=client,
            args=(port, folders[n % len(folders)], (port * 1000 + n) * 10**5),
            kwargs={"until": until, "pause": pause, "times": times},
        )
        for n in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in (exports, process):
        one.terminate()
    process.wait()
    print(f"  {len(times)} decisions, {len(exports.stdout.readlines())} exports meanwhile", file=sys.stderr)
    return times


def killed(folder: Path, port: int, kills: int) -> tuple[int, int]:
    """Kill the server at random moments; return the numbers of acknowledged and of lost decisions."""
    acknowledged: list[str] = []
    chance = random.Random(0)
    for round_number in range(kills):
        process = started(folder, port)
        timer = threading.Timer(chance.uniform(0.02, 0.6), process.send_signal, [signal.SIGKILL])
        browser = Browser(port)
        timer.start()
        for number in range(10**6):
            body = decision((1 << 40) + round_number * 10**6 + number)
            try:
                browser.post("/api/videos/v0/decisions", body)
            except (URLError, OSError, HTTPException, ValueError):
                break
            acknowledged.append(body["changes"][0]["item"])
        process.wait()
    store = ReviewStore(folder / "review.sqlite")
    kept = {row.item for row in store.all_items()}
    store.close()
    return len(acknowledged), sum(item not in kept for item in acknowledged)


def archive(folder: Path, videos: int) -> list[tuple[str, float]]:
    """Return the median milliseconds of queue pages of an archive, of which a sixth is reviewed."""
    folder.mkdir(parents=True, exist_ok=True)
    store = ReviewStore(folder / "review.sqlite")
    made_inspection(folder / "v0")
    index = VideoIndex(FolderInspections(folder), folder / "index.sqlite", store.path)
    chance = random.Random(0)
    index.add(_video(number, chance) for number in range(videos))
    for begin in range(0, videos, 6000):
        changes = [
            Change(f"{n:032x}", "review", {"reviewed": True}, 0) for n in range(begin, min(begin + 1000, videos))
        ]
        store.decide(changes, Author("benchmark"))
    cases: list[tuple[str, Callable[[], object]]] = [
        ("first page, by severity", lambda: queue_page(index, Filter())),
        (
            "page 100, by name, not reviewed",
            lambda: queue_page(index, Filter(order=Order.name, status="todo"), offset=6000),
        ),
        ("best for learning, not reviewed", lambda: queue_page(index, Filter(order=Order.learning, status="todo"))),
        ("search of a name", lambda: queue_page(index, Filter(search="video 99"))),
        ("search of a folder and a class", lambda: queue_page(index, Filter(search="archive CK"))),
        ("one class from 50 %", lambda: queue_page(index, Filter(code="FS", min_probability=0.5))),
        ("next open video", lambda: neighbours(index, Filter(), f"v{videos // 2}")),
    ]
    return [(name, _median_ms(run)) for name, run in cases]


def _video(number: int, chance: random.Random) -> IndexedVideo:
    codes = chance.sample(CODES, chance.randint(0, 4))
    place = f"/archive/{number // 300}"
    return IndexedVideo(
        folder=f"v{number}",
        version="1",
        digest=f"{number:032x}",
        name=f"video {number}.mp4",
        path=f"{place}/video {number}.mp4",
        place=place,
        duration_seconds=60.0,
        date="2026-01-01",
        proposals=tuple((code, chance.random()) for code in codes),
        severity=10 * chance.random(),
        probabilities=tuple(chance.random() for _ in range(16)),
    )


def _median_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def _shown(name: str, times: Sequence[float]) -> str:
    ordered = sorted(1000 * one for one in times)
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99))
    return f"| {name} | {len(ordered)} | {p50:.1f} | {p95:.1f} | {p99:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--port", type=int, default=8123)
    given = parser.parse_args()
    folder = given.work / "inspected"
    for number in range(given.clients):
        made_inspection(folder / f"v{number}", f"v{number}.mp4")
    print("| decisions | number | median ms | p95 ms | p99 ms |\n|---|---:|---:|---:|---:|")
    for name, pause in (
        (f"{given.clients} clients, one a second each", 1.0),
        (f"{given.clients} clients, closed loop", 0.0),
    ):
        times = load(folder, given.port, clients=given.clients, seconds=given.seconds, pause=pause)
        given.port += 1
        print(_shown(name, times), flush=True)
    acknowledged, lost = killed(folder, given.port, given.kills)
    print(f"\n{given.kills} kills: {acknowledged} decisions acknowledged, {lost} lost\n", flush=True)
    print(f"| queue of {given.videos:,} videos | median ms |\n|---|---:|")
    for name, median in archive(given.work / "archive", given.videos):
        print(f"| {name} | {median:.0f} |")


if __name__ == "__main__":
    main()
