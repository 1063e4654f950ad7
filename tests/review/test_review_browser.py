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
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uvicorn
from PIL import Image

from helpers.inspection_material import made_inspection
from helpers.review_day import B_FRAMES, EMPTY_VIDEO, NEEDS_PROXY, PROPOSALS, VARYING, Day, made_day
from helpers.video_files import number_in
from urbanpipe.contracts.findings import read_inspection, write_inspection
from urbanpipe.exports.export import export
from urbanpipe.review.serve import ReviewServer, review_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENCE_SECONDS = 20.0
TOKEN = "a-token-for-tests"
SHOWN_PICTURE = """which => { const element = document.querySelector(which), canvas = document.createElement("canvas");
  canvas.width = element.videoWidth || element.naturalWidth;
  canvas.height = element.videoHeight || element.naturalHeight;
  canvas.getContext("2d").drawImage(element, 0, 0); return canvas.toDataURL("image/png"); }"""


class Running:
    """A review server in a thread; it can be stopped, and started again at the same port."""

    def __init__(self, out: Path, reviewer: str = "Ana", port: int = 0, inspection_data: Path | None = None) -> None:
        self.out, self.reviewer, self.token, self.inspection_data = out, reviewer, TOKEN, inspection_data
        self._start(port)

    def _start(self, port: int) -> None:
        self.server: ReviewServer = review_server(
            self.out,
            token=self.token,
            reviewer=self.reviewer,
            inspection_data=self.inspection_data,
            say=lambda line: None,
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
        self.server.app.state.service.close()

    def start_again(self, token: str) -> None:
        self.token = token
        self._start(self.port)


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
        from playwright.sync_api import Error

        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(Error):  # the page is being left
                if self.page.evaluate(f"Boolean({condition})"):
                    return
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

    def stored(self) -> int:
        """Return how many decisions are stored."""
        return int(self.server.server.store.connection.execute("SELECT count(*) FROM decisions").fetchone()[0])

    def decide(self, *keys: str, moves: bool = True) -> str:
        """Press keys that decide on the current item; wait until the page says that it is saved, and what comes next.

        The page must not show the next item before the decision is stored.
        """
        before, seen = self.current(), self.stored()
        self.press(*keys)
        if moves:
            self.until(f"document.querySelector('.item[aria-current]').dataset.key !== {json.dumps(before)}")
        self.until("document.querySelector('#saved.good')")
        assert self.stored() == seen + 1
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

    (written,) = export(out, out=tmp_path / "all.jsonl", to="jsonl", store=out / "review.sqlite").files
    rows = [json.loads(line) for line in written.read_text("utf-8").splitlines()]
    assert all(row["reviewed"] for row in rows)
    rows = [row for row in rows if row["code"]]  # one video shows nothing
    assert {row["reviewed_by"] for row in rows} == {"Ana"}
    row = next(row for row in rows if row["note"])
    assert (row["video"], row["decision"], row["grade"], row["clock_from"]) == (NEEDS_PROXY, "accepted", 3, 10)
    assert sum(row["decision"] == "unsure" for row in rows) == 1


# ---- two people, two tabs, a dead server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Inspections of two videos that are missing."""
    for name in ("v0", "v1"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    return tmp_path / "out"


def test_two_people_who_decide_on_the_same_see_both_versions(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    ana = Person(browser, servers(out))
    ben = Person(browser, servers(out, reviewer="Ben"), allowed="409")
    ana.open("v0")
    ben.open("v0")
    key = ana.decide("a")
    assert ben.current() == key
    ben.press("r")
    ben.until("document.querySelector('#conflict[open]')")
    shown = ben.page.inner_text("#conflict")
    assert all(part in shown for part in ("Yours", "rejected", "Theirs", "accepted", "Ana", "CK 00:12.5"))
    ben.press("Enter")  # keeps theirs
    assert ben.decision(key)["status"] == "accepted"
    ben.press("Home")
    assert "accepted" in ben.page.inner_text(f"[data-key='{key}']")
    second = ana.decide("a")
    ben.page.evaluate("document.querySelectorAll('.item-head')[1].click()")
    assert ben.current() == second
    ben.press("u")
    ben.until("document.querySelector('#conflict[open]')")
    ben.page.focus("#use-mine")
    ben.press("Enter")
    ben.until("document.querySelector('.item.unsure')")
    assert ben.decision(second)["status"] == "unsure"
    assert [row.who for row in ben.server.server.store.history()] == ["Ben", "Ana", "Ana"]
    ana.close()
    ben.close()


def test_what_was_read_on_the_screen_is_entered_by_its_button(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    table = out.parent / "data.csv"
    table.write_text("video,street,direction,checked\nv0,Mill Lane,upstream,no\n", encoding="utf-8")
    ana = Person(browser, servers(out, inspection_data=table))
    ana.open("v0")
    ana.page.click("#data-box summary")
    assert ana.page.locator("#data .suggested").all_inner_texts() == ["use Mill Lane", "use upstream"]
    ana.page.click("#data .street .suggested")
    ana.until("document.querySelectorAll('#data .suggested').length === 1")
    ana.page.reload()
    ana.ready()
    ana.page.click("#data-box summary")
    assert ana.page.input_value("#data [name=street]") == "Mill Lane"
    assert ana.page.input_value("#data [name=direction]") == ""
    assert ana.faults == []


def test_nothing_is_lost_while_the_server_is_away(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    server = servers(out)
    ana = Person(browser, server, allowed="ERR_|401|Failed to load")
    ana.open("v0")
    server.stop()
    key = ana.current()
    ana.press("a")
    ana.until("document.querySelector('#unsaved')?.textContent.includes('does not answer')")
    assert ana.current() == key, "the next item waits until this one is saved"
    ana.press("a", "a")  # impatient: holds for the item on screen only
    server.start_again("another-token")
    ana.until("document.querySelector('#unsaved')?.textContent.includes('Open the new link')")
    ana.until("document.querySelector('#signed-out')")
    tab = ana.context.new_page()
    tab.goto(f"{server.url}/enter?token=another-token")
    tab.wait_for_url(f"{server.url}/")
    ana.until("document.querySelector('#saved.good') && !document.querySelector('#unsaved')")
    ana.until("!document.querySelector('#signed-out')")
    assert ana.current() != key
    assert [(row.item, row.after and row.after["status"]) for row in server.server.store.history()] == [
        (key, "accepted")
    ]
    ana.close()


def test_a_decision_survives_that_the_page_is_closed_before_it_is_saved(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    server = servers(out)
    ana = Person(browser, server, allowed="ERR_|Failed to load")
    ana.open("v0")
    key = ana.current()
    ana.context.route("**/decisions", lambda route: route.abort())  # a route of the page ends before the page does
    ana.press("a")
    ana.until("document.querySelector('#unsaved')")
    assert not server.server.store.history()
    ana.page.close(run_before_unload=False)  # Chromium may still send it now, past the route
    ana.context.unroute("**/decisions")
    ana.page = ana.context.new_page()
    ana.page.on("pageerror", lambda error: ana.faults.append(str(error)))
    ana.page.goto(server.url)  # the list of videos sends it, too
    ana.ready()
    ana.open("v0")
    assert ana.decision(key)["status"] == "accepted"
    assert [row.who for row in server.server.store.history()] == ["Ana"]
    assert ana.page.evaluate("localStorage.getItem('urbanpipe-pending')") == "[]"
    ana.close()


def test_another_tab_shows_what_was_decided_meanwhile(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    ana = Person(browser, servers(out))
    ana.open("v0")
    tab = ana.context.new_page()
    tab.goto(ana.page.url)
    key = ana.decide("a")
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.wait_for_selector(f"[data-key='{key}'].accepted")
    ana.close()


def test_enter_belongs_to_a_button_only_after_tab(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    focused = "document.activeElement.dataset.do"
    ana = Person(browser, servers(out))
    ana.open("v0")
    for _ in range(40):
        ana.press("Tab")
        if ana.page.evaluate(focused) == "accept":
            break
    first, second = ana.decide("Enter"), ana.current()
    assert ana.page.evaluate(focused) == "accept", "of the next defect"
    ana.decide("r")
    ana.press("Enter")
    ana.until("document.querySelector('.message.error')?.textContent.includes('proposals are open')")
    assert [ana.decision(key)["status"] for key in (first, second)] == ["accepted", "rejected"]
    ana.page.click(f"[data-key='{first}'] .item-head")
    ana.page.click(f"[data-key='{first}'] .do.rejected")
    ana.until(f"document.querySelector(\"[data-key='{first}'].rejected\")")
    ana.press("Enter")
    assert (ana.stored(), open_left(ana)) == (3, 2)
    ana.close()


def test_many_are_rejected_in_a_dialog_that_counts_first(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    ana = Person(browser, servers(out))
    ana.page.click("#bulk")
    ana.page.select_option("#many-code", "SL")
    ana.page.fill("#many-percent", "50")
    ana.until("document.querySelector('#many-reject').textContent === 'Reject 2 proposals'")
    ana.press("Enter")
    ana.until("document.querySelector('.message.saved')?.textContent.includes('2 proposals rejected')")
    assert len(ana.server.server.store.history()) == 2
    ana.page.click(".message .undo")
    ana.until("document.querySelector('.message.saved')?.textContent.includes('Undone')")
    assert {row.after["status"] if row.after else "open" for row in ana.server.server.store.history(limit=2)} == {
        "open"
    }
    ana.close()


# ---- exact frames, many findings


def test_the_still_and_the_player_show_the_same_frame(
    browser: "Browser", day: Day, servers: Callable[..., Running]
) -> None:
    ana = Person(browser, servers(day.out))
    for name, first in ((VARYING, 100), (B_FRAMES, 0), (NEEDS_PROXY, 0)):
        ana.open(day.folders[name])
        ana.until("document.querySelector('#player').readyState >= 2")
        for item in ana.view()["items"][1:4]:
            frame = item["evidence"][0]["frame"]
            ana.press("j")
            _both_show(ana, frame, first + frame)
        ana.press(".")
        _both_show(ana, frame + 1, first + frame + 1)
    ana.close()


def _both_show(person: Person, frame: int, number: int) -> None:
    """Check the numbers drawn into the still and into the frame of the player, which comes somewhat later."""
    person.until(f"document.querySelector('#frame-note').textContent === 'no. {frame}'")
    person.until("document.querySelector('#still').complete")
    assert _number(person, "#still") == number
    end = time.monotonic() + PATIENCE_SECONDS
    while (shown := _number(person, "#player")) != number:
        assert time.monotonic() < end, f"the player shows {shown}, not {number}"
        time.sleep(0.05)


def _number(person: Person, element: str) -> int:
    encoded = person.page.evaluate(SHOWN_PICTURE, element).partition(",")[2]
    return number_in(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")))


NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, summary")]
  .filter(one => one.checkVisibility())
  .filter(one => !(one.ariaLabel || one.title || one.textContent.trim() || one.labels?.length))
  .map(one => one.outerHTML)"""
INSIDE = """which => { const box = document.querySelector(which).getBoundingClientRect();
  return box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth; }"""


def test_nothing_is_cut_off_and_the_main_buttons_are_always_in_sight(
    browser: "Browser", out: Path, servers: Callable[..., Running]
) -> None:
    made_inspection(out / "long", f"{'long name ' * 12}{'x' * 90} שלום.mp4")
    ana = Person(browser, servers(out))
    for language in ("en", "zh"):
        ana.page.evaluate(f"localStorage.setItem('urbanpipe-language', '{language}')")
        for path, main in (("/", "#start"), ("/video/long", "#finish"), ("/agreement.html", "h1")):
            ana.page.goto(ana.server.url + path)
            ana.ready()
            assert ana.page.evaluate(NAMELESS) == [], path
            for width, height in ((1440, 900), (1024, 768), (420, 800)):
                ana.page.set_viewport_size({"width": width, "height": height})
                assert ana.page.evaluate("document.documentElement.scrollWidth") <= width, (path, language)
                assert ana.page.evaluate(INSIDE, main), (path, language, width)
    ana.close()


def test_ten_thousand_findings_stay_quick(browser: "Browser", out: Path, servers: Callable[..., Running]) -> None:
    inspection = read_inspection(out / "v0")
    ck = next(one for one in inspection.findings if one.code == "CK")
    best = ck.occurrences[0]
    many = tuple(
        best.model_copy(update={"seconds": n / 200, "evidence": best.evidence[: n % 2]}) for n in range(10_000)
    )
    findings = [one.model_copy(update={"occurrences": many}) if one is ck else one for one in inspection.findings]
    write_inspection(inspection.model_copy(update={"findings": tuple(findings)}), out / "v0")
    ana = Person(browser, servers(out))
    ana.open("v0")
    nodes = ana.page.evaluate("document.querySelectorAll('*').length")
    assert nodes < 4_000
    assert "10002 of 10002 open" in ana.page.inner_text("#left")
    for _ in range(3):
        ana.decide("a")
    ana.page.click("text=9902 after these")
    assert ana.page.locator("#items .item").count() == 100
    ana.press("j")  # back to where the work goes on
    ana.until("document.querySelector('.item[aria-current]').dataset.key === 'CK@20'")
    ana.press("Shift+X")
    ana.until("document.querySelector('#left').textContent === 'none open'")
    assert ana.stored() == 10_002
    ana.close()
