"""The registry of methods."""

from importlib.metadata import entry_points
from typing import Any

from urbanpipe.learners.config import RecipeSettings
from urbanpipe.methods.bag import BagMethod
from urbanpipe.methods.dense import DenseMethod
from urbanpipe.methods.frame import FrameMethod
from urbanpipe.methods.method import Method
from urbanpipe.methods.super_image import SuperImageMethod
from urbanpipe.methods.video import VideoMethod

ENTRY_POINTS = "urbanpipe.methods"
METHODS: dict[str, Method[Any]] = {
    method.name(): method for method in (SuperImageMethod(), FrameMethod(), VideoMethod(), DenseMethod(), BagMethod())
}


def register(method: Method[Any]) -> None:
    """Add a method that another package defines, replacing any method of the same name."""
    METHODS[method.name()] = method


def method_named(name: object) -> Method[Any]:
    """Return a method by its name, including those of installed packages (entry points `urbanpipe.methods`).

    Raises:
        ValueError: there is no such method.
    """
    if isinstance(name, str) and name not in METHODS:
        for entry_point in entry_points(group=ENTRY_POINTS, name=name):
            register(entry_point.load()())
    if not isinstance(name, str) or name not in METHODS:
        known = dict.fromkeys([*METHODS, *sorted(entry_points(group=ENTRY_POINTS).names)])
        raise ValueError(f"input.method = {name!r}: the methods are {', '.join(known)}")
    return METHODS[name]


def method_of(recipe: RecipeSettings) -> Method[Any]:
    """Return the method of a recipe."""
    return method_named(recipe.input.method)
