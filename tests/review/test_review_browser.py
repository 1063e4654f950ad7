"""A day of reviewing in a browser, by keyboard alone; and what happens when two people, or a dead server, meet it."""

import base64
import io
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uvicorn
from PIL import Image

from helpers.inspection_material import made_inspection
from helpers.review_day import B_FRAMES, EMPTY_VIDEO, NEEDS_PROXY, PROPOSALS, VARYING, Day, made_day
from helpers.video_files import number_in
from urbanpipe.contracts.findings import read_inspection
from urbanpipe.exports.export import export
from urbanpipe.review.serve import ReviewServer, review_server
from urbanpipe.review_store.store import ReviewStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path(shutil.which("chromium") or "/usr/bin/chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"no {CHROMIUM}"),
]
PATIENCE_SECONDS = 20.0
TOKEN = "a-token-for-tests"
SHOWN_PICTURE = """which => { const element = document.querySelector(which), canvas = document.createElement("canvas");
  canvas.width = element.videoWidth || element.naturalWidth; canvas.height = element.videoHeight || element.naturalHeight;
  canvas.getContext("2d").drawImage(element, 0, 0); return canvas.toDataURL("image/png"); }"""


class Running:
    """A review server in a thread; it can be stopped, and started again at the same port."""

    def __init__(self, out: Path, reviewer: str = "Ana", port: int = 0) -> None:
        self.out, self.reviewer, self.token = out, reviewer, TOKEN
        self._start(port)

    def _start(self, port: int) -> None:
        self.server: ReviewServer = review_server(
            self.out, token=self.token, reviewer=self.reviewer, say=lambda line: None
        )
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(self.server.app, log_level="error", timeout_graceful_shutdown=1)
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._uvicorn.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._uvicorn.should_exit = True
        self._thread.join()
        self.server.app.state.desk.close()

    def start_again(self, token: str) -> None:
        self.token = token
        self._start(self.port)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return made_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def servers() -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(out: Path, **options: Any) -> Running:
        running.append(Running(out, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


class Person:
    """Somebody at a browser who only presses keys; what goes wrong in the browser is collected in `faults`."""

    def __init__(self, browser: "Browser", server: Running, allowed: str = "") -> None:
        self.context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
        self.page: Page = self.context.new_page()
        self.server, self.presses, self.faults = server, 0, list[str]()
        self._allowed = allowed
        self.page.on("console", lambda message: self._fault(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self._fault(str(error)))
        self.page.on("request", lambda one: None if one.url.startswith((server.url, "data:")) else self._fault(one.url))
        self.page.on("response", lambda one: self._fault(f"{one.status} {one.url}") if one.status >= 400 else None)
        self.page.goto(f"{server.url}/enter?token={server.token}")
        self.page.wait_for_url(f"{server.url}/")
        self.ready()

    def _fault(self, text: str) -> None:
        if not (self._allowed and re.search(self._allowed, text)):
            self.faults.append(text)

    def ready(self) -> None:
        self.until("document.documentElement.dataset.ready")

    def until(self, condition: str) -> None:
        """Wait until a condition holds; evaluated from outside, as the page's policy forbids to do it inside."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if self.page.evaluate(f"Boolean({condition})"):
                    return
            except sync_api.Error:  # the page is being left
                pass
            assert time.monotonic() < end, f"never: {condition}; {self.faults}"
            time.sleep(0.01)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.presses += 1
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.presses += len(text)
        self.page.keyboard.type(text)

    def open(self, folder: str) -> None:
        self.page.goto(f"{self.server.url}/video/{folder}")
        self.ready()

    @property
    def folder(self) -> str:
        return self.page.url.partition("/video/")[2].partition("?")[0]

    def view(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.page.request.get(f"{self.server.url}/api/videos/{self.folder}").json()
        return answer

    def current(self) -> str:
        return str(self.page.evaluate("document.querySelector('.item[aria-current]')?.dataset.key ?? ''"))

    def decision(self, key: str) -> dict[str, Any]:
        decision: dict[str, Any] = next(one["decision"] for one in self.view()["items"] if one["key"] == key)
        return decision

    def decide(self, *keys: str, moves: bool = True) -> str:
        """Press keys that decide on the current item; wait until the page says that it is saved, and what comes next.

        The page must not show the next item before the decision is stored.
        """
        before, seen = self.current(), len(self.server.server.store.history(limit=1000))
        self.press(*keys)
        if moves:
            self.until(f"document.querySelector('.item[aria-current]').dataset.key !== {json.dumps(before)}")
        self.until("document.querySelector('#saved.good')")
        assert len(self.server.server.store.history(limit=1000)) == seen + 1
        return before

    def finish(self, key: str = "Enter") -> None:
        folder = self.folder
        self.press(key)
        self.until(f"!location.pathname.endsWith({json.dumps(folder)}) && document.documentElement.dataset.ready")

    def close(self) -> None:
        self.context.close()
        assert not self.faults


def open_left(person: Person) -> int:
    return sum(one["decision"]["status"] == "open" for one in person.view()["items"])


def test_a_day_is_reviewed_by_keyboard_alone(
    browser: "Browser", day: Day, servers: Callable[..., Running], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(day.out, out)  # videos are found by their absolute paths
    ana = Person(browser, servers(out))
    shown = ana.page.inner_text("#failures")
    assert all(name in shown for name in day.failed)
    assert "truncated" in shown
    names = ana.page.locator("#videos strong").all_inner_texts()
    assert {NEEDS_PROXY, EMPTY_VIDEO, B_FRAMES, VARYING} <= set(names), "equal names come with their folder"
    assert len(names) == len(day.folders) == 11

    ana.press("n")
    ana.until("document.documentElement.dataset.ready && document.querySelector('.item[aria-current]')")
    first = ana.folder
    changed = ana.current()
    ana.press("c", "f")  # another class, by its letter
    ana.until("document.querySelector('.item[aria-current] .badge.accepted')")
    ana.decide("3", moves=False)
    ana.press("e")
    ana.type("10")
    ana.decide("Enter", moves=False)
    ana.press("t")
    ana.type("wet")
    ana.decide("Enter", moves=False)
    stored = ana.decision(changed)
    assert (stored["grade"], stored["clock_from"], stored["note"], stored["status"]) == (3, 10, "wet", "accepted")
    assert stored["code"] != changed.partition("@")[0]
    ana.press("n")
    rejected = ana.decide("r")
    unsure = ana.decide("u")
    ana.press(".")
    ana.until("document.querySelector('#still').src.includes('/still/')")
    moved = ana.current()
    before = ana.decision(moved)["seconds"]
    ana.decide("m", moves=False)
    assert ana.decision(moved)["seconds"] > before
    accepted = ana.decide("a")
    ana.decide("z", moves=False)
    assert ana.decision(accepted)["status"] == "open"
    ana.decide("y", moves=False)
    assert ana.decision(accepted)["status"] == "accepted"
    ana.page.reload()
    ana.ready()
    assert [ana.decision(key)["status"] for key in (changed, rejected, unsure, moved)] == [
        "accepted",
        "rejected",
        "unsure",
        "accepted",
    ]
    assert ana.decision(ana.current())["status"] == "open"
    ana.press("d")
    ana.until("document.querySelector('#classes[open]')")
    ana.press("d")  # a missed defect
    ana.until("document.querySelector('.item[aria-current]').dataset.key.startsWith('+')")
    ana.press("n")
    while open_left(ana):
        ana.decide("a", moves=open_left(ana) > 1)
    ana.finish()

    for _ in range(len(day.folders) - 2):
        empty = read_inspection(out / ana.folder).video.name == EMPTY_VIDEO
        if empty:
            assert "proposes no defect" in ana.page.inner_text("#no-items")
        for left in range(0 if empty else PROPOSALS, 0, -1):
            ana.decide("a" if left % 3 else "r", moves=left > 1)
        ana.finish()
    ana.press("Shift+Enter")  # rejects all six of the last video and finishes
    ana.until("document.querySelector('.message.saved')?.textContent.includes('All videos are reviewed')")
    assert ana.page.evaluate("document.querySelector('#messages').textContent").count("All videos are reviewed") == 1
    assert ana.presses <= 150, ana.presses
    counts = ana.page.request.get(f"{ana.server.url}/api/queue").json()["counts"]
    assert counts == {"reviewed": 11}
    ana.close()

    made = export(out, out=tmp_path / "decisions.jsonl", to="jsonl", store=out / "review.sqlite")
    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text("utf-8").splitlines()]
    assert made
    text = (tmp_path / "decisions.jsonl").read_text("utf-8")
    assert len(lines) == 11
    assert "Ana" in text
    assert '"wet"' in text
    assert first
