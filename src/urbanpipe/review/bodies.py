"""What the pages send to the server."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from urbanpipe.review.people import Person, Role
from urbanpipe.review.queue import Filter
from urbanpipe.review_store.records import Author

MAX_CHANGES = 20_000
MAX_VISIT_SECONDS = 24 * 3600.0


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ItemChange(_Body):
    """A change of an item; see `store.Change`."""

    item: str = Field(max_length=100)
    after: dict[str, Any] | None
    version: int = Field(ge=0)


class Action(_Body):
    """Who does what when; see `store.Author`."""

    request: str = Field(min_length=8, max_length=64)
    visit: str = Field(default="", max_length=64)
    elapsed_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    def author(self, person: Person) -> Author:
        """Return the author of the action."""
        is_lead = person.role is Role.lead
        elapsed = min(self.elapsed_seconds, MAX_VISIT_SECONDS)
        return Author(person.name, is_lead, self.visit, elapsed, f"{person.name} {self.request}")


class Decisions(Action):
    """Changes of items of one video."""

    changes: list[ItemChange] = Field(min_length=1, max_length=MAX_CHANGES)


class Undo(Action):
    """Undoes the last action, or the last one before another."""

    below: int | None = None


class RejectBelow(Action):
    """Rejects the open proposals of a class below a probability in the videos of a filter."""

    filter: Filter
    code: str = Field(min_length=1, max_length=64)
    probability: float = Field(gt=0, le=1)
    count_only: bool = True


class Login(_Body):
    """Name and password."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)
