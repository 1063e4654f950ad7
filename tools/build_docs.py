"""Build the documentation site into `build/site`: `python tools/build_docs.py`.

Pages lie in `build/pages` as in the repository, so that the same links lead from one to another. The pages of the
reference are generated from the code. Errors are Zensical's warnings, links that lead nowhere, and files that a page
would load from another host.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from docs_pages import command_line, python
from docs_pages.executed import noted
from docs_pages.links import broken_links
from docs_pages.search_from_disk import write_scripts

PROJECT = Path(__file__).parents[1]
UNLISTED = "How-to guides"
"""Section of the pages of `docs/` that the navigation does not name."""
_LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")


def build(build_folder: Path) -> list[str]:
    """Build the site and return its errors, one line each."""
    shutil.rmtree(build_folder, ignore_errors=True)
    pages = stage(build_folder / "pages")
    settings = tomllib.loads((PROJECT / "zensical.toml").read_text(encoding="utf-8"))
    settings["project"]["nav"] = navigation(settings["project"]["nav"], pages)
    config = build_folder / "zensical.toml"
    config.write_bytes(tomli_w.dumps(settings).encode())
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(config)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    print(without_abort(done.stdout), end="")
    if done.returncode:
        return ["zensical refuses a page; its message is above"]
    write_scripts(build_folder / "site")
    return list(broken_links(build_folder / "site"))


def without_abort(output: str) -> str:
    """Return what zensical prints without the traceback that ends a strict build with warnings."""
    messages, _, traceback = output.partition("Traceback (most recent call last):\n")
    return messages if traceback.endswith("Aborted because --strict flag is set\n") else output


def stage(folder: Path) -> list[str]:
    """Write all pages, and the files that they link to, as in the repository; return the paths of the pages."""
    sources = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("benchmarks/*.md")]
    texts = {path.relative_to(PROJECT).as_posix(): noted(path.read_text(encoding="utf-8")) for path in sorted(sources)}
    texts |= {f"docs/reference/{name}.md": text for name, text in generated().items()}
    for name, text in texts.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
        for file in linked_files(PROJECT / name, text):
            copy = folder / file.relative_to(PROJECT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    return list(texts)


def generated() -> dict[str, str]:
    """Return the pages that are made from the code, by name."""
    from docs_pages import recipe_keys  # needs the extra docs

    return {"commands": command_line.page(), "recipe-keys": recipe_keys.page(), **python.pages()}


def linked_files(page: Path, text: str) -> Iterator[Path]:
    """Yield the files of the repository, other than pages, that a page links to."""
    for link in _LINK.findall(text):
        file = (page.parent / link).resolve()
        if file.suffix != ".md" and file.is_file() and file.is_relative_to(PROJECT):
            yield file


def navigation(nav: list[dict[str, Any]], pages: list[str]) -> list[dict[str, Any]]:
    """Return the navigation with the pages that it lacks: benchmarks, and at the end of the guides all others."""
    named = set(_paths(nav))
    others = [page for page in pages if page not in named]
    more = {
        "Benchmarks": [page for page in others if page.startswith("benchmarks/")],
        UNLISTED: [page for page in others if page.startswith("docs/")],
    }
    return [
        {title: [*below, *more.get(title, [])] if isinstance(below, list) else below}
        for entry in nav
        for title, below in entry.items()
    ]


def _paths(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
        return
    for one in nav.values() if isinstance(nav, dict) else nav:
        yield from _paths(one)


def main() -> None:
    """Build the site, print its errors and exit with status 1 if there are any."""
    errors = build(PROJECT / "build")
    for error in errors:
        print(error, file=sys.stderr)
    if errors:
        sys.exit(1)
    print("documentation: build/site/index.html")


if __name__ == "__main__":
    main()
