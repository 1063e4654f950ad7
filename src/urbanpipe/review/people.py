"""The people of a review store: names, roles and hashed passwords."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from sqlite3 import Row

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from urbanpipe.errors import ReviewError
from urbanpipe.review_store.database import transaction
from urbanpipe.review_store.store import ReviewStore

LEAST_PASSWORD = 10
MAX_NAME = 80


class Role(StrEnum):
    """What a person may do: a lead can change videos that were reviewed in full, and see the work of all."""

    reviewer = "reviewer"
    lead = "lead"


@dataclass(frozen=True)
class Person:
    """A person who reviews.

    Attributes:
        name: name in the record.
        role: what they may do.
        account: role and hash of the password at login, to notice that the account was changed since; empty for the
            person at the own machine.
    """

    name: str
    role: Role
    account: str = field(default="", repr=False, compare=False)


def add_person(store: ReviewStore, name: str, role: Role, password: str) -> Person:
    """Add a person, or give one a new role and password.

    Raises:
        ReviewError: the name or the password cannot be used.
    """
    name = checked_name(name)
    if len(password) < LEAST_PASSWORD:
        raise ReviewError(f"the password has {len(password)} characters; expected at least {LEAST_PASSWORD}")
    with transaction(store.connection, store.path):
        values = (name, role.value, _hasher().hash(password))
        store.connection.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?)", values)
    return Person(name, role)


def checked_name(name: str) -> str:
    """Return a name without spaces around it.

    Raises:
        ReviewError: it is empty, too long, or has characters that cannot be printed.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise ReviewError(f"{name!r} cannot be used as a name; expected 1 to {MAX_NAME} printable characters")
    return name


def people(store: ReviewStore) -> list[Person]:
    """Return the people of a store, by name."""
    rows = store.rows("SELECT name, role FROM people ORDER BY name")
    return [Person(row["name"], Role(row["role"])) for row in rows]


def person_with(store: ReviewStore, name: str, password: str) -> Person | None:
    """Return the person of this name and password; None if there is none, after the same time in any case."""
    row = next(iter(store.rows("SELECT * FROM people WHERE name = ?", name.strip())), None)
    try:
        _hasher().verify(row["password"] if row else _unknown(), password)
    except (VerificationError, InvalidHashError):
        return None
    return Person(row["name"], Role(row["role"]), _account(row)) if row else None


def is_current(store: ReviewStore, person: Person) -> bool:
    """Return whether the account of a person has the role and the password with which they logged in."""
    rows = store.rows("SELECT * FROM people WHERE name = ?", person.name)
    return any(_account(row) == person.account for row in rows)


def _account(row: Row) -> str:
    return f"{row['role']} {row['password']}"


@lru_cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@lru_cache
def _unknown() -> str:
    """Return a hash to compare with where nobody has the given name."""
    return _hasher().hash("nobody has this password")
