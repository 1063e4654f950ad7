"""`urbanpipe recipes`."""

from typing import Annotated

import typer

from urbanpipe.cli.options import recipe_names
from urbanpipe.cli.verb import Result


def command(
    name: Annotated[
        str | None, typer.Argument(help="Recipe to print as TOML, with every setting.", autocompletion=recipe_names)
    ] = None,
) -> Result:
    """List the recipes that come with urbanpipe, or print one to copy and change."""
    from urbanpipe.methods.recipe import load_recipe, recipe_text, shipped_recipes

    if name is not None:
        recipe = load_recipe(name)
        print(recipe_text(recipe), end="")
        return Result({recipe.name: recipe.model_dump(mode="json")})
    recipes = shipped_recipes()
    width = max(map(len, recipes))
    for key, recipe in recipes.items():
        clip = [] if recipe.input.clip_frames is None else [recipe.input.clip_frames]
        size = "x".join(map(str, [*clip, *recipe.input.image_size]))
        print(f"{key:<{width}}  {size:>10}  {recipe.description}")
    return Result({key: recipe.model_dump(mode="json") for key, recipe in recipes.items()})
