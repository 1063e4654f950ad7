"""How long a browser takes to open a report.

    urbanpipe inspect LONG.mp4 --out inspected
    python benchmarks/opening.py inspected/LONG.mp4/report.html

From navigation to two painted frames after the load event, in Debian's Chromium, each time in a fresh profile. Needs
the extra `dev` (Playwright).
"""

import argparse
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def main() -> None:
    """Print sizes and times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for report in given.reports:
            seconds = []
            for _ in range(given.times):
                context = browser.new_context(viewport={"width": 1280, "height": 800})
                page = context.new_page()
                page.goto(report.resolve().as_uri(), wait_until="load")
                seconds.append(page.evaluate(PAINTED) / 1000)
                context.close()
            size = report.stat().st_size / 2**20
            times = f"{median(seconds):.2f} s (longest of {len(seconds)}: {max(seconds):.2f})"
            print(f"{report}: {size:.1f} MiB, opens in {times}")
        browser.close()


if __name__ == "__main__":
    main()
