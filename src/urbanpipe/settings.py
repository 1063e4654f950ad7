"""The base of every section of a recipe: frozen, complete, and strict about names."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. Unknown keys are refused; values never change after they were read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
