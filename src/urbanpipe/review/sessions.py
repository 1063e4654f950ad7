"""Who is at which browser: sessions in memory, entered by the link's token or by name and password."""

import hmac
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from urbanpipe.review.people import Person

COOKIE = "urbanpipe_session"
SESSION_SECONDS = 14 * 3600.0
MAX_FAILURES = 5
MAX_FAILURES_OF_ADDRESS = 20
FAILURE_SECONDS = 300.0


@dataclass(frozen=True)
class Session:
    """A person at a browser.

    Attributes:
        person: who it is.
        until: when it ends, on the clock of `Sessions`.
    """

    person: Person
    until: float


class Sessions:
    """The sessions of a server.

    Args:
        token: lets `local` in; empty where people log in.
        local: the person of a server on the own machine.
        is_current: whether the account of a person is as it was when they logged in.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        token: str,
        local: Person | None,
        *,
        is_current: Callable[[Person], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token, self._local, self._is_current, self._clock = token, local, is_current, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def enter(self, token: str) -> str | None:
        """Return a new session for the token of the link; None if it is another token."""
        same = hmac.compare_digest(token.encode(), self._token.encode())
        return self.begin(self._local) if self._local and self._token and same else None

    def begin(self, person: Person) -> str:
        """Begin a session and return its secret."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            self._sessions = {key: one for key, one in self._sessions.items() if one.until > now}
            self._sessions[secret] = Session(person, now + SESSION_SECONDS)
        return secret

    def person(self, secret: str | None) -> Person | None:
        """Return whose session it is; None if there is none of that secret, or its account was changed since."""
        session = self._sessions.get(secret or "")
        if session is None or session.until <= self._clock():
            return None
        return session.person if session.person is self._local or self._is_current(session.person) else None

    def end(self, secret: str | None) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(secret or "", None)


class LoginLimit:
    """Slows down the guessing of passwords: few failures per name and per address within some minutes.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def begin(self, name: str, address: str) -> float:
        """Count an attempt, unless this name or address has to wait; return how long, 0 if not at all.

        An attempt counts as failed until `succeeded` says otherwise, so that many at once are no way around the limit.
        """
        with self._lock:
            limits = (MAX_FAILURES, MAX_FAILURES_OF_ADDRESS)
            keys = _keys(name, address)
            wait = max(self._wait(key, limit) for key, limit in zip(keys, limits, strict=True))
            if not wait:
                for key in keys:
                    self._failures[key].append(self._clock())
            return wait

    def succeeded(self, name: str, address: str) -> None:
        """Take back the last attempt, which gave the right password."""
        with self._lock:
            for key in _keys(name, address):
                if self._failures[key]:
                    self._failures[key].pop()

    def _wait(self, key: str, limit: int) -> float:
        now = self._clock()
        times = self._failures.get(key)
        while times and times[0] <= now - FAILURE_SECONDS:
            times.popleft()
        if not times:
            self._failures.pop(key, None)
            return 0.0
        return times[-limit] + FAILURE_SECONDS - now if len(times) >= limit else 0.0


def _keys(name: str, address: str) -> tuple[str, str]:
    return f"name {name.strip()}", f"address {address}"


def cookie_name(request: Request) -> str:
    """Return the name of the cookie; it holds the port, as browsers send cookies to all ports of a machine."""
    return f"{COOKIE}_{(request.scope.get('server') or ('', 0))[1]}"
