"""The verb `review`: checks its arguments, brings the index up to date, and runs the server until it is stopped."""

import getpass
import secrets
import socket
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from urbanpipe.archive_store.open_source import open_inspections
from urbanpipe.archive_store.storage import is_bucket
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.errors import ReviewError
from urbanpipe.platform_support import IS_WINDOWS
from urbanpipe.review.app import Access, review_app
from urbanpipe.review.people import Person, Role, checked_name, people
from urbanpipe.review.service import PROXY_BYTES, ReviewService
from urbanpipe.review_store.store import ReviewStore

STORE = "review.sqlite"
PROXIES = "review-proxies"
PORT = 8010
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ReviewServer:
    """A server that is ready to run.

    Attributes:
        app: the app.
        url: link for the browser.
        store: the store of decisions.
        videos: number of indexed inspections.
    """

    app: FastAPI
    url: str
    store: ReviewStore
    videos: int


def review(
    inspected: str | Path,
    *,
    store: Path | None = None,
    host: str = LOOPBACK,
    port: int = PORT,
    reviewer: str = "",
    inspection_data: Source | Sequence[Source] | None = None,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the review app until it is interrupted.

    Args:
        inspected: output folder of `inspect`, or the folder of one video in it; or an archive: its folder or an address
            such as `s3://bucket/prefix`.
        store: SQLite file of the decisions, on a local disk; default: `review.sqlite` in the folder.
        host: address to listen on. Beyond this machine people log in with accounts.
        port: port to listen on; 0 for a free one.
        reviewer: name of the person on this machine; default: the name of the account.
        inspection_data: CSV or XLSX with the column `video` and the fields of `InspectionData`, a rule for paths, or
            several of them, shown where people have entered nothing.
        open_browser: whether to open the page in a browser.
        say: prints a line.

    Raises:
        InspectionError: there are no inspections.
        ArchiveError: the archive was never run, a part of it is damaged, or it cannot be read.
        ReviewError: the store cannot be used, the port is taken, or there are no accounts for others to log in.
        OutputError: the folder of the store cannot be written to.
    """
    with _listen(host, port) as listening:
        server = review_server(
            inspected,
            store=store,
            host=host,
            port=listening.getsockname()[1],
            reviewer=reviewer,
            inspection_data=inspection_data,
            say=say,
        )
        say(f"{server.videos} videos; decisions are kept in {server.store.path}")
        say(f"open {server.url}")
        say("press Ctrl+C to stop; nothing is lost")
        if open_browser and not webbrowser.open(server.url):
            say("no browser can be opened here; open the address in one yourself")
        config = uvicorn.Config(server.app, log_level="warning", server_header=False, timeout_graceful_shutdown=2)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # the usual way to stop it
            say("stopped; everything that was saved is kept")
        finally:
            server.app.state.service.close()


def review_server(
    inspected: str | Path,
    *,
    store: Path | None = None,
    host: str = LOOPBACK,
    port: int = PORT,
    reviewer: str = "",
    inspection_data: Source | Sequence[Source] | None = None,
    token: str = "",
    say: Callable[[str], None] = print,
) -> ReviewServer:
    """Return the server of the review app without running it.

    Args:
        inspected: as in `review`.
        store: as in `review`.
        host: as in `review`.
        port: port of the link.
        reviewer: as in `review`.
        inspection_data: as in `review`.
        token: token of the link; default: a random one.
        say: prints a line.

    Raises:
        InspectionError: there are no inspections.
        ArchiveError: the archive was never run, a part of it is damaged, or it cannot be read.
        ReviewError: the store cannot be used, or there are no accounts for others to log in.
        OutputError: the folder of the store cannot be written to.
    """
    source = open_inspections(inspected)
    local = Person(checked_name(reviewer or _account()), Role.lead)
    store = store_file(inspected, store)
    decisions = ReviewStore(store)
    is_local = is_loopback(host)
    if not is_local and not people(decisions):
        raise ReviewError(
            f"{host} is open to other machines and {store} has no accounts; add one with "
            f"`urbanpipe review {inspected} --add-account NAME --role lead`"
        )
    service = ReviewService(source, decisions, store.with_name(PROXIES), PROXY_BYTES)
    service.index.update(lambda done, total: say(f"reading findings: {done} of {total}") if done else None)
    for line in source.notes():
        say(line)
    if inspection_data:
        for name in service.give_data(inspection_data):
            say(f"inspection data of a video that was not inspected: {name}")
    videos = sum(1 for _ in service.index.connection.execute("SELECT 1 FROM videos"))
    token = token or secrets.token_urlsafe(24)
    names = ("localhost", "127.0.0.1", "[::1]", "::1", host)
    access = Access(names, token, local) if is_local else Access(("*",))
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/" + (f"enter?token={token}" if is_local else "")
    return ReviewServer(review_app(service, access), url, decisions, videos)


def store_file(inspected: str | Path, store: Path | None) -> Path:
    """Return the file of the store: the given one, or `review.sqlite` in the folder of the inspections.

    Raises:
        ReviewError: none is given, and the inspections lie in a bucket.
    """
    if store is None and is_bucket(str(inspected)):
        raise ReviewError(f"decisions on {inspected} are kept on a local disk; give their file with --store")
    return Path(store) if store else Path(inspected) / STORE


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "reviewer"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if not IS_WINDOWS:  # on Windows, it would let a second server take over the port of the first one
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # from now on the port is taken
    except (OSError, OverflowError, UnicodeError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise ReviewError(f"cannot listen on {host}:{port}: {reason}; give another --port") from error
    return listening
