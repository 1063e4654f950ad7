"""Links within a built site that lead nowhere: Zensical checks those between pages, but neither files nor pictures."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Links(HTMLParser):
    """Collects what a page refers to, and whether it loads anything from another host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links of a tag."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                (self.found if tag == "a" else self.loaded).append(value)


def broken_links(site: Path) -> Iterator[str]:
    """Yield a line per link to a file that the site lacks, and per file that a page loads from another host."""
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":  # served under any address, so its links are absolute
            continue
        links = _Links()
        links.feed(page.read_text(encoding="utf-8"))
        where = page.relative_to(site)
        yield from (f"{where}: loads {link}" for link in links.loaded if urlsplit(link).netloc)
        yield from (f"{where}: no {link}" for link in [*links.found, *links.loaded] if not _leads(page, link))


def _leads(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return True
    target = page.parent / unquote(parts.path)
    return target.is_file() or (target / "index.html").is_file()
