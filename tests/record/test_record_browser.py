"""The HTML of the record, printed by a browser: the same headers, footers and pages as the PDF."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.record_material import made_contract
from urbanpipe.record.report import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("pdftotext"), reason="poppler (pdftotext) is not installed"),
]


def test_a_browser_prints_headers_footers_and_pages(browser: "Browser", tmp_path: Path) -> None:
    report(
        made_contract(tmp_path),
        out=tmp_path / "r.html",
        store=tmp_path / "review.sqlite",
        inspection_data=tmp_path / "data.csv",
        contractor="Example Ltd",
        undecided="mark",
    )
    page = browser.new_page()
    asked: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto((tmp_path / "r.html").as_uri())
    page.pdf(path=tmp_path / "r.pdf", prefer_css_page_size=True)
    page.close()
    made = subprocess.run(["pdftotext", "-layout", str(tmp_path / "r.pdf"), "-"], check=True, capture_output=True)
    pages = [" ".join(text.split()) for text in made.stdout.decode().split("\f")[:-1]]
    assert len(pages) == 5
    for number, text in enumerate(pages, 1):
        assert f"Page {number} of 5" in text
        assert "Example Ltd" in text[:80]
        assert text.count("demonstration model") >= 1
    assert [text.split(" 2026")[0] for text in pages[1:]] == ["Segment K12-K13"] * 2 + ["Segment K9-K12"] * 2
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "r.html").as_uri()]
    assert messages == [], "the content security policy allows all that the page has"
