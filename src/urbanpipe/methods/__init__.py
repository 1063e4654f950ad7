"""Methods, one object each, and the recipes that configure them."""

from urbanpipe.methods.method import Method
from urbanpipe.methods.recipe import Recipe, load_recipe, shipped_recipes, write_recipe
from urbanpipe.methods.table import METHODS, method_named, register

__all__ = ["METHODS", "Method", "Recipe", "load_recipe", "method_named", "register", "shipped_recipes", "write_recipe"]
