import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.decision.exclusive import EXCLUSIVE_THRESHOLD
from urbanpipe.errors import RecipeError
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.reproduce.changes import asked_changes, change, choose_rows, listing, read_changes, trial
from urbanpipe.reproduce.score_changes import SCORE_CHANGES
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import loop
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model

TAXONOMY = default_taxonomy()
BASES = ("small-mobilenetv2", "small-video", "super-image-convnext-b", "video-swin-b-k400")
# Of the report's Tables 4 and 5, the rows that are changes to one recipe.
REPORT = {
    "input-size": 1, "flip": 0.6, "tile-shuffle": 1, "uniform": 2.2, "warm-up": 0.9, "large-rate": 1.8,
    "onecycle": 0.5, "effective-batch": 2, "ema": 5, "fold-ensemble": 1.8, "exclusive-rule": 0.12, "rand-augment": -1,
    "auto-augment": -0.6, "rotation-flip-jitter": -1.6, "sequence": -2.2, "grid-4x4": -1, "grid-5x5": -1,
    "test-flips": -3, "test-resample": -0.3, "test-shuffle": -0.5, "best-per-class": -1.6,
}  # fmt: skip
# The same networks with small pictures, for one epoch of a step or four.
QUICK = ("optimiser.warmup_epochs=1", "training.epochs=1", "training.batch_size=4", "training.workers=0")
SMALL = {
    "small-mobilenetv2": (*QUICK, "input.tile=32", "model.weights=random"),
    "small-video": (*QUICK, "input.size=32", "input.frames=4"),
}


def test_every_row_of_the_report_is_there_with_its_figure() -> None:
    rows = read_changes()
    assert {key: row.report for key, row in rows.items() if row.report is not None} == REPORT
    assert (rows["ema"].reported, rows["thresholds"].reported, rows["frame-order"].reported) == (
        "+5",
        "loss",
        "no loss",
    )
    assert set(read_changes()) - set(REPORT) == {
        "accumulation",
        "mixed-precision",
        "checkpointing",
        "thresholds",
        "frame-order",
    }
    assert {row.key for row in read_changes().values() if row.kind == "scores"} == set(SCORE_CHANGES)
    assert EXCLUSIVE_THRESHOLD == 0.9


@pytest.mark.parametrize("key", [key for key, row in read_changes().items() if row.kind in ("train", "evaluate")])
@pytest.mark.parametrize("name", BASES)
def test_every_row_builds(key: str, name: str) -> None:
    base, row = load_recipe(name), read_changes()[key]
    found = trial(row, base)
    if row.methods and base.input.method not in row.methods:
        assert found.reason
        return
    assert not found.reason
    assert found.on != found.off
    # a base with precision auto is neither bf16 nor fp32
    assert base in (found.on, found.off) or row.key in ("flip", "onecycle", "mixed-precision")
    for recipe in (found.on, found.off):
        assert recipe.view.frame_size
        if name.startswith("small"):
            recipe.network(len(TAXONOMY))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BASES if not name.startswith("small")])
def test_every_network_of_the_rows_goes_forward_at_paper_scale(name: str) -> None:
    base = load_recipe(name)
    trials = [trial(row, base) for row in read_changes().values()]
    networks = {}
    for recipe in (recipe for each in trials for recipe in (each.on, each.off)):
        seen = recipe.input.image_size, recipe.input.clip_frames is not None, recipe.training.checkpointing
        networks[*seen, recipe.model.model_dump_json()] = recipe
    sizes = {"super-image": {(1344, 1344), (1152, 1152), (1360, 1360)}, "video": {(224, 224)}}
    assert {size for size, *_ in networks} == sizes[base.input.method]
    for recipe in networks.values():
        assert on_meta(recipe).shape == (2, len(TAXONOMY))


def on_meta(recipe: Recipe) -> torch.Tensor:
    """What a network says of two inputs, as far as shapes go: without memory or arithmetic."""
    width, height = recipe.input.image_size
    frames = [] if recipe.input.clip_frames is None else [recipe.input.clip_frames]
    with torch.device("meta"):
        model = recipe.network(len(TAXONOMY))
        model.backbone.checkpoint_activations(recipe.training.checkpointing)
        images = torch.zeros((2, 3, *frames, height, width), dtype=torch.uint8)
        return model.encode(images, torch.ones(2, dtype=torch.int64))


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key, row in read_changes().items() if row.kind in ("train", "evaluate")])
def test_every_row_trains(key: str, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "forget_peak_memory", lambda _: None)  # a third of the time, and no memory is asked for
    name = "small-video" if read_changes()[key].methods == ("video",) else "small-mobilenetv2"
    base = load_recipe(name, SMALL[name])
    found = trial(read_changes()[key], base)
    assert not found.reason
    for side, recipe in (("on", found.on), ("off", found.off)):
        if recipe == base:
            continue
        job = FoldJob(recipe, TAXONOMY, catalog.labelled[:4], catalog.labelled[4:6], tmp_path / side, None, key)
        train_model(job, DistributedContext(0, 1, torch.device("cpu")))
        assert json.loads((job.folder / "done.json").read_text())["best_epoch"] == 1
        predictions = read_predictions(job.folder / "predictions.json", TAXONOMY)
        assert np.isfinite(predictions.scores).all()


def test_changes() -> None:
    base = load_recipe("small-mobilenetv2")
    found = change(base, ["input.tile*=0.857", "training.batch_size*=0.25", "optimiser.learning_rate*=0.1"])
    assert found.input.frame_size == (56, 56)
    assert found.training.batch_size == 4
    assert found.optimiser.learning_rate == pytest.approx(1e-4)
    twice = change(base, ["augment.tile+=rotation", "augment.tile+=rotation"])
    assert twice.augment.tile == ("horizontal_flip", "rotation")
    assert change(twice, ["augment.tile-=horizontal_flip"]).augment.tile == ("rotation",)
    assert change(base, ["input.sampling=sequence"]).input != base.input
    assert change(base, []) == base


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input.tile", "is not a change"),
        ("input.tiles*=2", "has no input.tiles"),
        ("input.tile=huge", "input.tile"),
        ("training.batch_size*=0.1", "batch_size = 16 cannot be multiplied by 0.1"),
        ("nothing.at=all", "unknown key nothing"),
        ("optimiser.learning_rate*=ten", r"rate\*=ten: give a number"),
        ("input.tile*=inf", r"tile\*=inf: give a number"),
        ("name*=2", "is not a change"),
        ("name.small*=2", "has no name.small"),
        ("name.small=2", "name is a value, not a section"),
        ("optimiser.schedule*=2", "schedule = 'onecycle' is not a number"),
        ("augment.tile_shuffle*=2", "tile_shuffle = True is not a number"),
        (
            "optimiser.learning_rate+=1",
            "optimiser.learning_rate is not a list but 0.001; give optimiser.learning_rate=VALUE",
        ),
    ],
)
def test_changes_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        change(load_recipe("small-mobilenetv2"), [text])


def test_a_row_without_effect_says_so() -> None:
    base = load_recipe("small-mobilenetv2", ["training.batch_size=1", "training.accumulation=4"])
    rows = read_changes()
    assert trial(rows["effective-batch"], base).reason.startswith("batch_size = 1 cannot be multiplied by 0.25")
    assert trial(rows["flip"], change(base, ['augment.tile=["rotation"]'])).on.augment.tile[1] == "horizontal_flip"
    assert trial(rows["frame-order"], base).reason == "it applies to video, not super-image"


def test_rows_are_chosen_by_name() -> None:
    assert [row.key for row in choose_rows(["ema", "flip", "ema"])] == ["ema", "flip"]
    assert len(choose_rows([])) == len(read_changes())
    with pytest.raises(RecipeError, match="no row 'tile-shufle': did you mean tile-shuffle"):
        choose_rows(["tile-shufle"])


def test_changes_of_ones_own() -> None:
    rows = asked_changes(
        ["ema"], ["optimiser.learning_rate=3e-4", "input.rows=4; input.columns=4", "augment.tile+=rotation"]
    )
    assert [row.name for row in rows][2:] == ["input.rows=4; input.columns=4", "augment.tile+=rotation"]
    base = load_recipe("small-mobilenetv2")
    grid = trial(rows[2], base)
    assert grid.on.input.tile_grid == (4, 4)
    assert grid.off == base
    assert len(asked_changes([], [])) == len(read_changes())
    (quoted,) = asked_changes([], ['model.options={name="x;y", other=1}'])
    assert quoted.on == ('model.options={name="x;y", other=1}',)


def test_a_change_of_ones_own_is_called_by_what_it_changes() -> None:
    base = load_recipe("small-mobilenetv2")

    def keys(*changes: str) -> list[str]:
        return [trial(row, base).row.key for row in asked_changes([], changes)]

    assert (
        keys("optimiser.learning_rate*=0.1", "optimiser.learning_rate = 1e-4") == ["optimiser.learning_rate-0.0001"] * 2
    )
    assert keys("input.rows=4; input.columns=4", "input.columns=4;input.rows=4") == ["input.rows-4-input.columns-4"] * 2
    alike = keys(
        "model.weights=w-1.safetensors",
        "model.weights=w_1.safetensors",
        "model.weights=w/1.safetensors",
        "model.weights=w 1.safetensors",
        *(f"model.options={{depths={[*range(count)]}}}" for count in (63, 64)),
    )
    assert len(set(alike)) == 6
    assert all(len(key) < 100 and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", key) for key in alike)


def test_changes_of_tests_alone_train_nothing_however_they_are_written() -> None:
    base = load_recipe("small-mobilenetv2", ["input.sampling=jittered", "input.candidates=5"])
    changes = [
        'input.test_flips=["horizontal"]',
        "input.test_shuffles=4; input.tile=32",
        "input.test_draws=3",
        "input.sampling=jittered; input.test_draws=3",
    ]
    rows = [trial(row, base).row for row in asked_changes([], changes)]
    assert [row.kind for row in rows] == ["evaluate", "train", "evaluate", "evaluate"]
    assert rows[2].key == rows[3].key == "input.test_draws-3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a change"),
        (" ; ", "is not a change"),
        ("optimiser.learning_rate", "is not a change"),
        ("name=other", "is not a change"),
        ("training.seed=7", "use --seeds to change the seed"),
        ("optimiser.learning_rate=2e-3; training.seed=7", "use --seeds to change the seed"),
    ],
)
def test_changes_of_ones_own_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        asked_changes([], [text])


def test_listing_says_what_changes() -> None:
    own = listing([], "small-mobilenetv2", [], ["optimiser.learning_rate=3e-4"])
    first, second = own.splitlines()
    assert first == "yours    optimiser.learning_rate=3e-4"
    assert second.strip() == (
        "trains; on: optimiser.learning_rate=3e-4; off: the recipe as it is; named optimiser.learning_rate-0.0003"
    )
    text = listing(["ema", "frame-order"], "small-mobilenetv2", [])
    assert "on: the recipe as it is; off: training.ema_decay=0" in text
    assert "it applies to video, not super-image" in text
    assert len(listing([], None, []).splitlines()) == len(read_changes())


def test_a_recipe_is_not_harmed() -> None:
    base = load_recipe("small-mobilenetv2")
    before = base.model_dump()
    change(base, ["augment.tile+=rotation", "input.tile*=0.5"])
    assert Recipe.model_validate(before) == base
