"""Networks that run in torch."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from urbanpipe.errors import RunError
from urbanpipe.methods.build import build_model
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.device import place
from urbanpipe.models.network import Network
from urbanpipe.taxonomy import Taxonomy


def load_network(file: Path, recipe: Recipe, taxonomy: Taxonomy, device: torch.device) -> Network:
    """A trained network, ready to judge.

    Raises:
        RunError: the weights are damaged or of another recipe.
    """
    model = build_model(recipe, taxonomy)
    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise RunError(f"{file} is damaged or not of its recipe: {str(error).splitlines()[0]}") from error
    place(model, recipe, device)
    return model.eval()
