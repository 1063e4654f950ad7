"""The report in a browser: what a click, a key and paper do. Skipped where there is no Chromium."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.inspection_material import made_inspection
from helpers.video_files import write, x264
from urbanpipe.contracts.findings import Remark
from urbanpipe.report.html import write_index, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=alert(1)> #?%\"'&.mp4"
PATIENCE_SECONDS = 15.0

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two videos of a minute, one with a hostile name, and beside them their reports and the index."""
    folder = tmp_path_factory.mktemp("reports")
    video = write(folder / "d1_1.mp4", 300, options=x264(5), ticks=range(0, 6000, 20))
    (folder / HOSTILE).write_bytes(video.read_bytes())
    write_report(made_inspection(folder / "d1_1"), folder / "d1_1")
    write_report(made_inspection(folder / "hostile", name=HOSTILE), folder / "hostile")
    remarks = (Remark(kind="out_of_distribution", text="It is unlike the others."),)
    write_report(made_inspection(folder / "lost", name="lost.mp4", remarks=remarks), folder / "lost", "zh")
    made = made_inspection(folder / "unlikely")
    low = {"triage": "review", "probability": 0.04}
    for name, weak in (("unlikely", {"SL"}), ("one", {one.code for one in made.findings} - {"CK", "ZC"})):
        findings = tuple(one.model_copy(update=low if one.code in weak else {}) for one in made.findings)
        (folder / name).mkdir(exist_ok=True)
        for picture in (folder / "unlikely").glob("*.[jp][pn]g"):
            (folder / name / picture.name).write_bytes(picture.read_bytes())
        write_report(made.model_copy(update={"findings": findings}), folder / name)
    write_index([folder / name for name in ("d1_1", "hostile", "lost")], folder, failures={"x.mp4": "no stream"})
    return folder


Opening = Callable[..., "Page"]


@pytest.fixture
def opened(browser: "Browser", out: Path) -> Iterator[Opening]:
    """Opens a report or the index; afterwards there must be no error, no dialog, no request but for files."""
    faults: list[str] = []
    contexts = []

    def watched(page: "Page", allowed: str) -> None:
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("request", lambda asked: None if re.match(allowed, asked.url) else faults.append(asked.url))

    def open_page(where: str, base: str = "", fails: str = "", **options: Any) -> "Page":
        context = browser.new_context(viewport=options.pop("viewport", {"width": 1280, "height": 800}), **options)
        contexts.append(context)
        page = context.new_page()
        watched(page, f"{base or 'file:'}|data:")
        page.goto(f"{base or out.as_uri()}/{where}")
        if "report" in where and options.get("java_script_enabled", True):
            until(page, "document.querySelector('video').readyState > 0 || document.querySelector('video').error")
        if fails:
            faults[:] = [fault for fault in faults if fails not in fault]
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def until(page: "Page", condition: str) -> None:
    """Wait until a condition holds; evaluated from outside, as the page's policy forbids to do it inside."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < end, f"never: {condition}"
        page.wait_for_timeout(20)


def record_seeks(page: "Page") -> None:
    page.evaluate(
        "() => { const video = document.querySelector('video'); window.sought = [];"
        " video.addEventListener('seeking', () => window.sought.push(video.currentTime)); }"
    )


def last_seek(page: "Page") -> float:
    until(page, "window.sought.length")
    return float(page.evaluate("window.sought.pop()"))


def now(page: "Page") -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


PAUSED = "document.querySelector('video').paused"


@pytest.mark.parametrize("selector", ["a.mark", "a.finding", ".card a.view"])
def test_a_click_plays_from_before_the_moment_and_the_next_one_pauses(opened: Opening, selector: str) -> None:
    page = opened("d1_1/report.html")
    record_seeks(page)
    page.locator(selector).first.click()
    assert last_seek(page) == pytest.approx(10.5, abs=0.01)
    until(page, f"!{PAUSED}")
    until(page, "document.querySelector('video').currentTime > 10.6")
    assert "CK displaced joint · 00:12.5" in page.locator("#chosen").inner_text()
    assert page.locator(".card[aria-current]").count() == 1
    page.locator(selector).first.click()
    until(page, PAUSED)
    assert page.evaluate("window.sought.length") == 0, "pausing does not go back"


def test_enter_on_a_finding_and_on_a_mark_seeks(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    record_seeks(page)
    page.locator("a.finding").nth(1).focus()
    page.keyboard.press("Enter")
    assert last_seek(page) == pytest.approx(50.25, abs=0.01)
    page.locator("a.mark").last.focus()
    page.keyboard.press("Enter")
    assert last_seek(page) == pytest.approx(26.0, abs=0.01)


def test_a_click_on_the_timeline_goes_there(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    record_seeks(page)
    plot = page.locator(".lane .plot").nth(2)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.4 * box["height"])
    assert last_seek(page) == pytest.approx(45.0, abs=0.2)
    assert page.locator("#cross span").inner_text() in {"00:44", "00:45"}
    until(page, "Math.abs(parseFloat(document.querySelector('#head').style.left) - 75) < 0.5")


def test_marks_stand_at_their_times(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    plot, dot = page.locator(".plot").first.bounding_box(), page.locator(".plot").first.locator(".dot").first
    found = dot.bounding_box()
    assert plot is not None
    assert found is not None
    share = (found["x"] + found["width"] / 2 - plot["x"]) / plot["width"]
    assert share == pytest.approx(12.5 / 60, abs=0.005)


def test_keys_step_through_findings_and_moments(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    record_seeks(page)
    page.keyboard.press("j")
    assert last_seek(page) == pytest.approx(12.5, abs=0.01), "a paused video shows the moment itself"
    assert page.evaluate("document.activeElement.dataset.moment") == "f1-1"
    page.keyboard.press("j")
    assert last_seek(page) == pytest.approx(52.25, abs=0.01)
    page.keyboard.press("ArrowLeft")
    assert last_seek(page) == pytest.approx(41.0, abs=0.01)
    assert page.locator("a.finding[aria-current]").get_attribute("data-moment") == "f1-1"
    page.keyboard.press("ArrowRight")
    assert last_seek(page) == pytest.approx(52.25, abs=0.01)
    page.keyboard.press("k")
    assert last_seek(page) == pytest.approx(12.5, abs=0.01)
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.dataset.moment") == "f1-1", "the first stays the first"


def test_unlikely_findings_are_neither_stepped_through_nor_printed(opened: Opening) -> None:
    page = opened("unlikely/report.html")
    for key in ("j", "ArrowRight"):
        for _ in range(6):
            page.keyboard.press(key)
        assert page.evaluate("document.querySelector('.card[aria-current]').dataset.moment") == "f2-1"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.how.between[open]").count() == 1
    assert page.locator("details.weak[open]").count() == 0
    page.emulate_media(media="print")
    assert page.locator("details.weak summary").is_visible()
    assert not page.locator("details.weak table").is_visible()


def test_the_moment_of_an_unlikely_finding_is_one_click_away(opened: Opening) -> None:
    page = opened("unlikely/report.html")
    record_seeks(page)
    page.locator("details.weak summary").click()
    page.locator("details.weak tr a.stop").click()
    assert last_seek(page) == pytest.approx(26.0, abs=0.01)
    assert (page.locator("#chosen").text_content() or "").startswith("SL")
    linked = opened("unlikely/report.html#f3")
    assert linked.locator("details.weak[open]").count() == 1


def test_a_report_with_one_defect_prints_on_two_pages(opened: Opening, tmp_path: Path) -> None:
    page = opened("one/report.html")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "report.pdf").read_bytes())) <= 2


def test_space_plays_and_pauses_wherever_the_focus_is(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    page.keyboard.press(" ")
    until(page, f"!{PAUSED}")
    page.locator("a.finding").first.focus()
    page.keyboard.press(" ")
    until(page, PAUSED)
    page.locator("#heat").focus()
    page.keyboard.press(" ")
    assert page.locator("#heat").get_attribute("aria-pressed") == "false", "a button keeps its own space"
    assert page.evaluate(PAUSED)


def test_heat_is_switched_by_button_and_key_and_made_weaker(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    heat, ring = page.locator(".card .heat").first, page.locator(".card .ring").first
    assert heat.is_visible()
    assert ring.is_visible()
    picture, over = page.locator(".card .picture").first.bounding_box(), heat.bounding_box()
    assert picture == over, "heat lies over the whole picture"
    page.locator("#heat").click()
    assert not heat.is_visible()
    assert not ring.is_visible()
    page.keyboard.press("h")
    assert heat.is_visible()
    assert page.locator("#heat").get_attribute("aria-pressed") == "true"
    page.locator("#strength").fill("20")
    assert heat.evaluate("one => getComputedStyle(one).opacity") == "0.2"


def test_a_picture_is_enlarged_and_arrows_go_on(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    page.locator(".enlarge").nth(1).click()
    dialog = page.locator("#large")
    assert dialog.is_visible()
    assert "00:41.0" in dialog.inner_text()
    assert dialog.locator("img").count() == 2
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.keyboard.press("j")
    page.keyboard.press("e")
    assert "00:12.5" in dialog.inner_text()
    page.keyboard.press("ArrowRight")
    assert "00:41.0" in dialog.inner_text()
    page.keyboard.press("e")
    assert not dialog.is_visible()


def test_the_keys_are_listed(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("j")
    assert page.locator("[aria-current]").count() == 0, "keys do nothing behind the dialog"
    page.keyboard.press("?")
    assert not page.locator("#keys").is_visible()


def test_every_control_is_reached_by_tab_and_shows_it(opened: Opening) -> None:
    page = opened("d1_1/report.html")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(one => one.id || one.getAttribute('class'))(document.activeElement)"))
        if page.evaluate("document.activeElement.matches('a.finding')"):
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid"
    wanted = {"theme", "help", "previous", "play", "next", "finding stop", "mark stop", "heat", "strength", "view stop"}
    assert wanted <= seen


def test_light_and_dark(opened: Opening) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page = opened("d1_1/report.html", color_scheme="dark")
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    light = page.evaluate(ground)
    assert dark == "rgb(17, 23, 26)"
    assert light == "rgb(243, 245, 244)"
    stored = page.evaluate("localStorage.getItem('urbanpipe-theme')")
    assert stored == "light"
    page.add_init_script(f"localStorage.setItem('urbanpipe-theme', '{stored}')")  # a busy browser may lose it on reload
    page.reload()
    assert page.evaluate(ground) == light, "the choice is kept"
    page.keyboard.press("d")
    assert page.evaluate(ground) == dark


def test_paper_is_white_and_has_no_controls(opened: Opening) -> None:
    page = opened("d1_1/report.html", color_scheme="dark")
    page.keyboard.press("d")
    page.keyboard.press("d")  # now dark by choice, too
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for selector in ("video", "#theme", "#heat", "#strength", ".enlarge >> nth=0", "#head"):
        assert not page.locator(selector).is_visible()
    for selector in (".finding", ".curve", ".card img", ".how.between"):
        assert page.locator(selector).first.is_visible()
    assert page.locator(".card").first.evaluate("one => getComputedStyle(one).breakInside") == "avoid"


def test_without_its_video_the_report_says_where_it_must_lie_and_works(opened: Opening) -> None:
    page = opened("lost/report.html", fails="ERR_FILE_NOT_FOUND")
    until(page, "!document.querySelector('#notice').hidden")
    assert "../lost.mp4" in page.locator("#notice").inner_text()
    assert not page.locator("video").is_visible()
    page.locator("a.mark").first.click()
    assert page.locator(".card[aria-current]").count() == 1
    page.keyboard.press("h")
    assert not page.locator(".card .heat").first.is_visible()


def test_a_hostile_name_is_shown_and_its_video_plays(opened: Opening) -> None:
    page = opened("hostile/report.html")
    assert page.locator("h1").inner_text() == HOSTILE
    page.locator("a.mark").first.click()
    until(page, "document.querySelector('video').currentTime > 10.6")
    assert page.locator("img[src='x']").count() == 0


@pytest.mark.parametrize("width", [1440, 1024, 768, 390, 320])
def test_nothing_sticks_out_at_any_width(opened: Opening, width: int) -> None:
    for where in ("d1_1/report.html", "index.html"):
        page = opened(where, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("End")
        if width <= 768 and "report" in where:
            page.wait_for_timeout(100)
            assert page.evaluate("document.querySelector('video').getBoundingClientRect().bottom") > 50, "out of sight"


def test_without_scripts_all_is_there_to_read(opened: Opening) -> None:
    page = opened("d1_1/report.html", java_script_enabled=False)
    for selector in (".finding", ".curve", ".mark .dot", ".card .heat", "video"):
        assert page.locator(selector).first.is_visible()
    assert not page.locator("#heat").is_visible()
    page.locator("a.mark").nth(1).click()
    assert page.url.endswith("#f1-2")


def test_the_index_leads_to_a_finding(opened: Opening) -> None:
    page = opened("index.html")
    page.locator("#filter").fill("nobody")
    assert page.locator("tbody tr:visible").count() == 0
    page.locator("#filter").fill("D1_1")
    assert page.locator("tbody tr:visible").count() == 1
    page.locator("tbody tr:visible a.chip", has_text="sediment").click()
    assert page.url.endswith("d1_1/report.html#f2")
    until(page, "Math.abs(document.querySelector('video').currentTime - 52.25) < 0.1")
    assert "sediment deposit" in page.locator("#chosen").inner_text()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_the_policy_holds_over_http_too(opened: Opening, out: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(out)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = opened("d1_1/report.html", base=f"http://127.0.0.1:{server.server_address[1]}")
        assert page.evaluate("document.querySelector('video').videoWidth") == 192
        page.keyboard.press("h")
        assert not page.locator(".card .heat").first.is_visible()
        assert not page.locator("#unseekable").is_visible()
        page.locator("a.finding").first.click()
        until(page, "!document.querySelector('#unseekable').hidden")  # this server has no byte ranges
    finally:
        server.shutdown()
        server.server_close()
