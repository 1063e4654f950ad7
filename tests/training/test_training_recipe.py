from pathlib import Path

import pytest

from urbanpipe.errors import RecipeError
from urbanpipe.methods.recipe import difference, load_recipe, recipe_text, shipped_recipes, write_recipe
from urbanpipe.methods.super_image import SuperImageConfig
from urbanpipe.methods.video import VideoConfig


def test_every_shipped_recipe_reads_and_survives_a_round_trip(tmp_path: Path) -> None:
    recipes = shipped_recipes()
    assert len(recipes) >= 9
    for name, recipe in recipes.items():
        assert recipe.name == name
        assert recipe.description
        write_recipe(recipe, tmp_path / "r.toml")
        assert load_recipe(tmp_path / "r.toml") == recipe
        assert difference(recipe, load_recipe(tmp_path / "r.toml")) == ""


def test_the_reports_recipes_are_the_reports() -> None:
    recipes = {
        name: recipe
        for name, recipe in shipped_recipes().items()
        if name.startswith("super-image-") and recipe.description.startswith("Report")
    }
    assert {recipe.model.backbone for recipe in recipes.values()} == {
        "tresnet_xl.miil_in1k_448",
        "convnext_base.fb_in22k_ft_in1k_384",
        "dm_nfnet_f3.dm_in1k",
        "dm_nfnet_f6.dm_in1k",
        "ecaresnet269d.ra2_in1k",
        "swin_large_patch4_window12_384.ms_in22k_ft_in1k",
        "tf_efficientnet_l2.ns_jft_in1k",
    }
    for name, recipe in recipes.items():
        assert isinstance(recipe.input, SuperImageConfig)
        assert (recipe.input.rows, recipe.input.columns) == (3, 3)
        assert recipe.input.tile == (384 if name.endswith("f6") else 448)
        assert recipe.input.sampling == "uniform"
        assert recipe.augment.tile == ("horizontal_flip",)
        assert recipe.augment.tile_shuffle
        assert recipe.optimiser.schedule == "onecycle"
        assert recipe.training.epochs == 30
        assert recipe.training.checkpointing
        assert recipe.training.accumulation > 1
        assert recipe.training.ema_decay > 0
    assert recipes["super-image-tresnet-xl"].model.head == "ml-decoder"


def test_the_reports_video_rows_are_the_reports() -> None:
    rows = {name: recipe for name, recipe in shipped_recipes().items() if name.startswith("video-swin-b-")}
    assert set(rows) == {"video-swin-b-k400", "video-swin-b-k600", "video-swin-b-ssv2"}
    for recipe in rows.values():
        assert isinstance(recipe.input, VideoConfig)
        assert (recipe.model.backbone, recipe.input.frames, recipe.input.sampling) == ("swin3d_b", 32, "uniform")
        assert recipe.training.ema_decay > 0
    assert rows["video-swin-b-ssv2"].model.options == {"window_size": [16, 7, 7]}


def test_set_overrides_any_value_with_toml_or_a_bare_word() -> None:
    recipe = load_recipe(
        "small-mobilenetv2",
        ["training.epochs=3", "model.weights=some/file.pth", 'augment.tile=["crop"]', "name=x", "model.options={}"],
    )
    assert recipe.training.epochs == 3
    assert recipe.model.weights == "some/file.pth"
    assert recipe.augment.tile == ("crop",)
    assert recipe.name == "x"


@pytest.mark.parametrize(
    ("recipe", "override", "message"),
    [
        ("small-mobilenetv2", "training.epoch=3", "unknown key training.epoch; did you mean training.epochs?"),
        ("small-mobilenetv2", "trainig.epochs=3", "unknown key trainig; did you mean training?"),
        ("small-mobilenetv2", "training.epochs=0", "training.epochs = 0: input should be greater than or equal to 1"),
        ("small-mobilenetv2", "training.precision=fp8", "training.precision = 'fp8'"),
        ("small-mobilenetv2", 'augment.tile=["flip"]', "augment.tile.0 = 'flip'"),
        ("small-mobilenetv2", "input.candidates=4", "candidates = 4: must be odd"),
        ("small-mobilenetv2", "training.epochs", "expected section.key=value"),
        ("small-mobilenetv2", "name.first=3", "name is a value, not a section"),
        ("small-mobilenetv2", "name=../up", "name = '../up'"),
        ("small-mobilenetv2", "loss.class_weights=true", "no effect on the asymmetric loss"),
        ("small-mobilenetv2", "optimiser.learning_rate=inf", "optimiser.learning_rate = inf"),
        ("small-mobilenetv2", "input.row=3", "unknown key input.row; did you mean input.rows?"),
        (
            "small-mobilenetv2",
            "input.method=fram",
            "input.method = 'fram': the methods are super-image, frame, video",
        ),
        ("small-mobilenetv2", "input.method=frame", "unknown key input."),
        ("small-mobilenetv2", "input.test_draws=5", "test_draws = 5: jittered sampling, candidates = 3, has 3"),
        ("small-mobilenetv2", "input.method=[1]", "input.method = [1]: the methods are"),
        ("small-mobilenetv2", "input.memory.refresh_epochs=1", "unknown key input.memory"),
        ("small-mobilenetv2", "input.head.width=64", "unknown key input.head"),
        ("small-bag", "input.head.heads=5", "input.head: width = 256: must be a multiple of heads = 5"),
        ("small-bag", "input.memory.refresh_epochs=1", "unknown key input.memory"),
        ("small-bag", "augment.tile=[]", "the section augment has no effect on the bag method"),
        ("small-bag", "model.head=ml-decoder", "model.head has no effect on the bag method"),
        ("small-bag", "optimiser.layer_decay=0.9", "optimiser.layer_decay has no effect on the bag method"),
        ("small-bag", "training.checkpointing=true", "training.checkpointing has no effect on the bag method"),
        ("small-bag", "model.decoder_width=128", "model.decoder_width has no effect on the bag method"),
        ("bag-imagenet-ml-decoder", "input.head.layers=3", "input.head: layers has no effect on ml-decoder"),
        ("small-dense", "input.frames=7", "input: frames = 7 do not fill rows = 2 of tiles"),
        ("small-dense", "training.compile=true", "no effect on the dense method"),
        ("small-dense", "training.epochs=2", "leave none for the encoder"),
        ("small-dense", "model.head=ml-decoder", "no effect on the dense method"),
        ("small-dense", "input.head.heads=5", "input.head: width = 256: must be even and a multiple of heads = 5"),
        ("small-dense", "input.memory.auxiliary=inf", "memory.auxiliary = inf"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(recipe: str, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean small-mobilenetv2"):
        load_recipe("small-mobilenet2")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(tmp_path / "bad.toml")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(tmp_path / "bin.toml")
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_a_recipe_may_have_any_encoding_that_editors_write(tmp_path: Path, encoding: str) -> None:
    text = recipe_text(load_recipe("small-mobilenetv2")).replace("description = ", "# 管道检测\ndescription = ", 1)
    (tmp_path / "r.toml").write_text(text, encoding=encoding)
    assert load_recipe(tmp_path / "r.toml") == load_recipe("small-mobilenetv2")


def test_difference_names_the_setting() -> None:
    one = load_recipe("small-mobilenetv2")
    other = load_recipe("small-mobilenetv2", ["optimiser.learning_rate=0.5"])
    assert difference(one, other).startswith("optimiser.learning_rate = ")
    assert "rate = 0.5" in recipe_text(other)
