"""Take the pictures of the getting-started pages, such as `python tools/screenshots.py --record proposals.html`.

`--inspected` is the output folder of `urbanpipe inspect`, `--fit` the folder `fit` in that of `urbanpipe fit`, and
`--record` an HTML record of an archive. Pictures of what is not given stay as they are. All must be of simulated
videos. Needs Chromium and Playwright.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, HEIGHT = 1200, 800
QUALITY = 80


def main() -> None:
    """Write `start-index.jpg`, `start-report.jpg`, `start-fit.jpg` and `start-record.jpg`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("inspected", "fit", "record"):
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args()
    pages: dict[str, Path] = {}
    if given.inspected:
        report = max(given.inspected.glob("*/report.html"), key=lambda page: page.stat().st_size)
        pages |= {"index": given.inspected / "index.html", "report": report}
    if given.fit:
        pages["fit"] = given.fit / "fit.html"
    if given.record:
        pages["record"] = given.record
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, page in pages.items():
            view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            view.goto(page.resolve().as_uri())
            view.wait_for_load_state("load")
            if name == "record":  # the cover of an archive without inspection data is mostly empty
                view.locator("#segment-1").evaluate("segment => segment.scrollIntoView()")
            with Image.open(io.BytesIO(view.screenshot())) as picture:
                picture.convert("RGB").save(IMAGES / f"start-{name}.jpg", quality=QUALITY, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
