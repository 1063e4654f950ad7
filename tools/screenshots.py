"""Take the pictures of the getting-started pages: `python tools/screenshots.py INSPECTED FIT`.

INSPECTED is the output folder of `urbanpipe inspect`, and FIT the folder `fit` in that of `urbanpipe fit`. Both must
be of simulated videos. Needs Chromium and Playwright.
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
    """Write `start-index.jpg`, `start-report.jpg` and `start-fit.jpg`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inspected", type=Path)
    parser.add_argument("fit", type=Path)
    given = parser.parse_args()
    report = max(given.inspected.glob("*/report.html"), key=lambda page: page.stat().st_size)
    pages = {"index": given.inspected / "index.html", "report": report, "fit": given.fit / "fit.html"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, page in pages.items():
            view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            view.goto(page.resolve().as_uri())
            view.wait_for_load_state("load")
            with Image.open(io.BytesIO(view.screenshot())) as picture:
                picture.convert("RGB").save(IMAGES / f"start-{name}.jpg", quality=QUALITY, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
