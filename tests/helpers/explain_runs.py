"""Runs of random weights and a video, for the tests of `explain`."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import tomli_w
import torch
from safetensors.torch import save_file

from urbanpipe.methods.recipe import Recipe, load_recipe, write_recipe
from urbanpipe.taxonomy import default_taxonomy, taxonomy_table

TAXONOMY = default_taxonomy()
SMALL = ("model.backbone=test_convnext", "model.options={}", "model.weights=random")
SWIN = ("model.backbone=swin3d_nano", "model.options={}", "model.weights=random")
DENSE = ("input.size=64", "input.head.width=16", "input.head.layers=1", "input.head.heads=2")
METHODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "super-image": ("small-mobilenetv2", (*SMALL, "input.rows=2", "input.columns=3")),
    "super-image-3-draws": ("small-mobilenetv2", (*SMALL, "input.rows=2", "input.columns=2", "input.test_draws=3")),
    "frame": ("small-frame", (*SMALL, "input.size=64", "input.every_seconds=0.3")),
    "video": ("small-video", ("input.frames=8",)),
    "dense-pool": ("small-dense", (*SMALL, *DENSE, "input.frames=3", "input.encoder=pool")),
    "dense-super-image": ("small-dense", (*SMALL, *DENSE, "input.frames=6")),
    "dense-video": ("small-dense", (*DENSE, "input.frames=4", "input.encoder=video", *SWIN)),
    "bag": (
        "small-bag",
        (*SMALL, "input.size=64", "input.every_seconds=0.3", "input.head.width=16", "input.head.heads=2"),
    ),
}
METHODS["bag-layers"] = ("small-bag", (*METHODS["bag"][1], "input.layers=2"))


def recipe_of(name: str, *settings: str) -> Recipe:
    source, given = METHODS[name]
    return load_recipe(source, [*given, f"name={name}", "training.precision=fp32", *settings])


def make_run(
    folder: Path, recipe: Recipe, folds: tuple[int, ...] = (), change: Callable[[Any], None] | None = None
) -> Path:
    """A finished run of random weights, as `train` leaves it, or `crossval` where there are folds."""
    write_recipe(recipe, folder / "recipe.toml")
    (folder / "taxonomy.toml").write_text(tomli_w.dumps(taxonomy_table(TAXONOMY)))
    for number, place in enumerate([folder / f"fold{number}" for number in folds] or [folder]):
        place.mkdir(exist_ok=True)
        torch.manual_seed(5 + len(place.name) + 100 * number)
        network = recipe.network(len(TAXONOMY))
        if change:
            change(network)
        save_file(network.state_dict(), place / "weights.safetensors")
        (place / "done.json").write_text(json.dumps({"weights_bytes": (place / "weights.safetensors").stat().st_size}))
    return folder


RED_SECONDS, BLUE_SECONDS = 2.0, 3.0


def make_video(path: Path) -> Path:
    """Grey for 4 s; red at the top right from 2.0 to 2.5 s, blue at the bottom left from 3.0 to 3.5 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10), options={"qp": "10", "g": "8"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for number in range(40):
            pixels = np.full((64, 128, 3), 60, np.uint8)
            if 20 <= number < 25:
                pixels[8:24, 96:120] = (250, 40, 40)
            if 30 <= number < 35:
                pixels[40:56, 8:32] = (40, 40, 250)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return path
