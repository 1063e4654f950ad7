import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from typer.testing import CliRunner

from helpers.evaluation_sets import labelled
from helpers.tiny_recipes import TINY
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.cli.main import app
from urbanpipe.ensembling.weights import mean_map
from urbanpipe.errors import CatalogError, FoldError, OutOfMemoryError, RecipeError, RunError, WeightsError
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models import weights
from urbanpipe.pretraining import pretrain as pretraining
from urbanpipe.reproduce import reproduce as room
from urbanpipe.reproduce import weak_supervision as weak
from urbanpipe.reproduce.changes import read_changes
from urbanpipe.reproduce.experiment import ReportExperiment, open_report_experiment
from urbanpipe.reproduce.models import lacking_weights, misfit, train_models
from urbanpipe.reproduce.options import ReportOptions
from urbanpipe.reproduce.report_models import (
    Given,
    ReportModel,
    Scale,
    load_base,
    notes_on_epochs,
    read_report_models,
    report_classes,
    report_ensemble,
)
from urbanpipe.reproduce.reproduce import reproduce
from urbanpipe.reproduce.weak_supervision import weak_supervision_lines
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.options import FoldOptions, RunOptions

TAXONOMY = default_taxonomy()
QUICK = (*(setting for setting in TINY if "weights" not in setting), "training.epochs=1", "training.keep=last")
ENTRIES = [entry for table in ("table1", "table2", "table5") for entry in read_report_models(table)]


def test_the_figures_of_the_report() -> None:
    found = {
        entry.name: (entry.validation, entry.test)
        for name in ("table1", "table2")
        for entry in read_report_models(name)
    }
    assert list(found.values()) == [
        (69.42, 68.3), (69.15, None), (68.52, None), (None, 64.8), (55.2, 54.7), (67.19, 68.3), (69.89, 70.3),
        (71.41, 71.1), (70.45, 70.8), (70.69, None), (71.11, None), (70.95, 70.9),
    ]  # fmt: skip
    weights = {entry.key: entry.weight for entry in read_report_models("table3")}
    assert list(weights.values()) == [0.1, 0.1, 0.15, 0.0, 0.15, 0.2, 0.2, 0.1]
    assert list(weights)[-1] == "video-swin-b-k400"
    assert report_ensemble() == (72.69, 72.18)
    assert [entry.report for entry in read_report_models("table5")][:4] == [-19.4, -19.7, -22.0, -25.0]
    classes = report_classes()
    assert tuple(classes) == TAXONOMY.codes
    assert np.mean([mean for mean, _ in classes.values()]) == pytest.approx(70.0, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_every_row_builds_at_paper_scale(entry: ReportModel) -> None:
    recipe = entry.load("paper")
    with torch.device("meta"):
        model = recipe.network(len(TAXONOMY))
    assert sum(parameter.numel() for parameter in model.parameters()) > 20e6


@pytest.mark.slow
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.small], ids=lambda entry: entry.key)
def test_every_row_steps_at_a_small_scale(entry: ReportModel) -> None:
    recipe = entry.load("small")
    model = recipe.network(len(TAXONOMY)).train()
    width, height = recipe.input.image_size
    frames = [] if recipe.input.clip_frames is None else [recipe.input.clip_frames]
    images = torch.randint(0, 255, (2, 3, *frames, height, width), dtype=torch.uint8)
    seen = model.encode(images, torch.ones(2, dtype=torch.int64))
    if recipe.input.method == "bag":  # a frozen backbone, and a head over what it saw of all frames
        assert not seen.requires_grad
        seen = model(seen)
        assert seen.shape == (len(TAXONOMY),)
    seen.square().mean().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_row_that_is_about_large_weights_has_no_small_one(archive: Path, tmp_path: Path) -> None:
    lacking = [entry for entry in ENTRIES if not entry.small]
    assert [entry.key for entry in lacking] == ["video-swin-b-k600", "video-swin-b-ssv2"]
    experiment = open_report_experiment(
        archive / "catalog.csv",
        tmp_path,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[1]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    models = train_models(experiment, lacking, Given())
    assert all("weights that exist only for the full network" in model.reason for model in models)


IMAGES = [entry.key for entry in read_report_models("table2")]
OF_ALL = [setting for setting in QUICK if setting.startswith(("optimiser.", "training."))]
OF_IMAGES = [setting for setting in (*QUICK, "model.head=linear") if setting not in OF_ALL]
OF_EACH = [
    *OF_ALL,
    *(f"{key}:{setting}" for key in IMAGES for setting in OF_IMAGES),
    *(f"video-swin-b-k400:{setting}" for setting in ("input.size=32", "input.frames=4")),
]
OF_ONE = [*QUICK, "model.head=linear"]


def run(archive: Path, out: Path, what: str, **given: object) -> str:
    split = FoldOptions(folds=given.pop("folds", archive / "folds.csv"), only=given.pop("only_folds", ()))  # type: ignore[arg-type]
    has_models = what in room.MAKERS and what != "figure2"
    keys = {*IMAGES, "frame-tresnet", "base"} & {*(room._keys(what, "small") if has_models else ())}
    weights = dict.fromkeys(keys, "random") | given.pop("weights", {})  # type: ignore[operator]
    report = ReportOptions(**{"overrides": QUICK, "weights": weights} | given)
    return reproduce(
        what, archive / "catalog.csv", out=out, report=report, split=split, options=RunOptions(device="cpu")
    )


@pytest.fixture(scope="module")
def done(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("reproduced")
    return out, run(archive, out, "table3", overrides=OF_EACH)


@pytest.mark.slow
def test_ensembles(done: tuple[Path, str]) -> None:
    out, text = done
    with (out / "table3.csv").open(newline="") as file:
        rows = {(row["model"], row["exclusive_rule"]): row for row in csv.DictReader(file)}
    ways = ["equal weights", "the report's weights", "searched, nested", "simplex, flattered", "simplex, nested"]
    assert all((way, rule) in rows for way in ways for rule in "01")
    assert float(rows["nfnet-f3", "0"]["weight"]) == pytest.approx(0.15, abs=1e-6)
    beside = {key: (row["report_validation"], row["report_test"]) for key, row in rows.items()}
    assert beside["nfnet-f3", "0"] == ("0.7141", "0.7110")
    assert beside["swin-l", "0"] == ("0.7111", "")
    assert beside["the report's weights", "1"] == ("0.7269", "0.7218")
    assert beside["the report's weights", "0"] == beside["equal weights", "1"] == ("", "")
    (line,) = [line for line in text.splitlines() if line.startswith("| the report's weights") and "| on " in line]
    assert [cell.strip() for cell in line.split("|")[-3:-1]] == ["72.69", "72.18"]
    assert "swin-l: test_convnext from random weights, 2x2 tiles of 32 px" in text
    assert "video-swin-b-k400: swin3d_nano from random weights, frames of 32 px" in text
    assert "differ from the report's" in text
    found = read_out_of_fold(out / "table3" / "report")
    value = mean_map(found.scores, labelled(found.targets, found.folds, TAXONOMY))
    assert float(rows["the report's weights", "1"]["map"]) == pytest.approx(value, abs=1e-6)
    assert (out / "table3" / "simplex" / "contributions.csv").exists()


@pytest.mark.slow
def test_tables_share_what_is_trained(done: tuple[Path, str], archive: Path) -> None:
    out, _ = done
    before = {path: path.stat().st_mtime_ns for path in out.glob("models/*/fold*/done.json")}
    assert len(before) == 16
    text = run(archive, out, "table2", overrides=OF_ONE)
    assert "71.41" in text
    assert "The report's mAP over the defects of NFNet-F3: 69.62." in text
    assert "Small scale" in text
    assert "ConvNeXt-B: test_convnext from random weights, 2x2 tiles of 32 px" in text
    classes = run(archive, out, "table6", overrides=OF_ONE)
    assert "40.0 (11.7)" in classes
    assert "Small scale" in classes
    assert "convnext-b: test_convnext from random weights, 2x2 tiles of 32 px" in classes
    assert {path: path.stat().st_mtime_ns for path in out.glob("models/*/fold*/done.json")} == before
    with (out / "table2.csv").open(newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    with (out / "table6.csv").open(newline="") as file:
        means = {row["class"]: row for row in csv.DictReader(file)}
    assert rows["ConvNeXt-B"]["report_validation"] == "0.6989"
    assert rows["ConvNeXt-B"]["backbone"] == "test_convnext"
    assert float(rows["ConvNeXt-B"]["map"]) == pytest.approx(float(means["mAP"]["mean"]), abs=1e-5)
    assert json.loads((out / "table2.json").read_text())["scale"] == "small"


@pytest.mark.slow
def test_figures(done: tuple[Path, str], archive: Path) -> None:
    out, _ = done
    text = run(archive, out, "figure2", overrides=OF_ONE)
    assert "Small scale" in text
    assert "2x2 tiles of 32 px" in text
    picture = np.asarray(Image.open(out / "figure2.png"))
    assert picture.shape[1] > 900
    assert picture.std() > 10
    text = run(archive, out, "figure3", overrides=OF_ONE)
    assert "Small scale" in text
    assert "convnext-b: test_convnext" in text
    assert list((out / "figure3").glob("*.png"))
    assert text.count(".png") == len(list((out / "figure3").glob("*.png")))


@pytest.mark.slow
def test_some_folds_alone(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(FoldError, match="table3 needs every fold"):
        run(archive, tmp_path, "table3", only_folds=[0])
    experiment = open_report_experiment(
        archive / "catalog.csv",
        tmp_path,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[1]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    entry = next(each for each in read_report_models("table2") if each.key == "convnext-b")
    (model,) = train_models(experiment, [entry], Given("small", QUICK, {"convnext-b": "random"}))
    assert model.maps is not None
    assert model.maps.shape == (1, 2)
    assert model.costs[0] > 0


@pytest.mark.slow
def test_weights_that_cannot_be_had_are_named_and_the_rest_goes_on(archive: Path, tmp_path: Path) -> None:
    experiment = open_report_experiment(
        archive / "catalog.csv",
        tmp_path,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[1]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    entries = [each for each in read_report_models("table2") if each.key in ("convnext-b", "swin-l")]
    models = train_models(
        experiment,
        entries,
        Given("small", OF_ONE, {"convnext-b": str(tmp_path / "none.safetensors"), "swin-l": "random"}),
    )
    assert [model.maps is None for model in models] == [True, False]
    assert "no weights file" in models[0].reason
    assert "--weights convnext-b=FILE" in models[0].reason


def test_bad_input(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no 'table7' to reproduce; give one of table1"):
        run(archive, tmp_path / "out", "table7")
    with pytest.raises(RecipeError, match="scale = 'large': give small or paper"):
        run(archive, tmp_path / "out", "table1", scale="large")
    with pytest.raises(RecipeError, match=r"training.epoch; did you mean training.epochs"):
        run(archive, tmp_path / "out", "table2", overrides=["training.epoch=3"])
    with pytest.raises(FoldError, match="there is no fold 9"):
        run(archive, tmp_path / "out", "table1", only_folds=[9])
    with pytest.raises(CatalogError, match=r"is a folder; give a catalog: urbanpipe scan"):
        reproduce("table1", archive / "videos", out=tmp_path / "out")


@pytest.mark.slow
def test_on_the_command_line(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [part for setting in QUICK for part in ("--set", setting)]
    given = ["--data", str(archive / "catalog.csv"), "--folds", str(archive / "folds.csv")]
    found = CliRunner().invoke(app, ["reproduce", "figure2", *given, *settings])
    assert found.exit_code == 0, found.output
    assert found.stdout.strip().endswith("results: reproduced")
    assert (tmp_path / "reproduced" / "figure2.png").exists()
    useless = CliRunner().invoke(app, ["reproduce", "figure2", *given, "--only-fold", "0"])
    assert isinstance(useless.exception, RecipeError)
    for files in (["--weights", "base"], ["--weights", "base=a.pt", "--weights", "base=b.pt"]):
        bad = CliRunner().invoke(app, ["reproduce", "table1", *given, *files])
        assert isinstance(bad.exception, RecipeError)


def _no_network(*_: object) -> object:
    raise WeightsError("cannot get them from the hub (no network)")


BAGS = ["input.size=32", "training.epochs=1", "training.workers=0", "input.head.width=16", "input.head.heads=2"]
PRETRAINING = ("size=32", "every_seconds=0.5", "epochs=1", "workers=0", "warmup_epochs=0")


@pytest.fixture
def quick_pretraining(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "hub_weights", _no_network)
    monkeypatch.setitem(weak.PRETRAINING, "small", (*PRETRAINING, "batch_size=8"))


@pytest.fixture(scope="module")
def one_fold(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportExperiment:
    """A base that is trained, on one fold."""
    out = tmp_path_factory.mktemp("weak")
    experiment = open_report_experiment(
        archive / "catalog.csv",
        out,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[0]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    experiment.train(out / "base", load_recipe("small-mobilenetv2", [*QUICK, "model.weights=random", "name=base"]))
    return experiment


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pretraining")
def test_weak_rows_are_pretrained_once_and_compared_with_the_base(
    one_fold: ReportExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = one_fold.out
    lines = weak_supervision_lines(one_fold, out / "base", Given("small", BAGS))
    assert [line.row.report for line in lines] == [-19.4, -19.7, -22.0, -25.0, None, None]
    found = {line.row.key: line for line in lines}
    assert {path.parent.name.split("-")[0] for path in out.glob("pretrained/*/done.json")} == {"simclr", "mae"}
    for key in ("simclr-transmil", "simclr-ml-decoder", "mae-transmil", "mae-ml-decoder"):
        assert found[key].gain is not None, found[key].reason
    reason = found["imagenet-transmil"].reason
    assert "no weights of mobilenetv2_100 from the hub" in reason
    assert "give --weights imagenet-transmil=FILE" in reason
    assert "--set" not in reason
    recipe = load_recipe(out / "models" / "simclr-transmil" / "recipe.toml")
    assert recipe.model.weights == str(out / "pretrained" / "simclr-mobilenetv2_100" / "weights.safetensors")

    monkeypatch.setattr(weak, "pretrain", _working_elsewhere)  # as it would for an added video: rows stay all the same
    again = weak_supervision_lines(one_fold, out / "base", Given("small", BAGS))
    assert [line.gain is None for line in again] == [line.gain is None for line in lines]


def _working_elsewhere(*_: object, **__: object) -> Path:
    raise RunError("another process is working in it")


def _out_of_memory(*_: object, **__: object) -> Path:
    raise OutOfMemoryError("too large")


def _of_one_bag(experiment: ReportExperiment, out: Path, monkeypatch: pytest.MonkeyPatch) -> ReportExperiment:
    """The same data in another folder, for the first of the bags alone."""
    (entry,) = [each for each in read_report_models("table5") if each.key == "simclr-transmil"]
    monkeypatch.setattr(weak, "read_report_models", lambda _: [entry])
    return replace(experiment, out=out)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pretraining")
def test_only_what_is_of_one_row_costs_it_alone(
    one_fold: ReportExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = _of_one_bag(one_fold, tmp_path, monkeypatch)
    monkeypatch.setattr(weak, "pretrain", _out_of_memory)
    (line,) = weak_supervision_lines(experiment, one_fold.out / "base", Given("small", BAGS))
    assert line.reason == "its pretraining: too large"
    monkeypatch.setattr(weak, "pretrain", _working_elsewhere)
    with pytest.raises(RunError, match="another process is working"):
        weak_supervision_lines(experiment, one_fold.out / "base", Given("small", BAGS))


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pretraining")
def test_few_frames_are_a_small_batch_or_say_how_to_pretrain(
    one_fold: ReportExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = _of_one_bag(one_fold, tmp_path, monkeypatch)
    monkeypatch.setitem(weak.PRETRAINING, "small", PRETRAINING)  # a batch of 256
    begun: list[str] = []
    monkeypatch.setattr(weak, "pretrain", lambda *_, overrides, **__: begun.extend(overrides))
    (line,) = weak_supervision_lines(experiment, one_fold.out / "base", Given("small", BAGS))
    (batch,) = [setting for setting in begun if setting.startswith("batch_size=")]
    frames = int(batch.partition("=")[2])
    assert 20 <= frames <= 100
    monkeypatch.setattr(weak, "pretrain", pretraining.pretrain)
    (line,) = weak_supervision_lines(
        experiment, one_fold.out / "base", Given("paper", ["simclr-transmil:training.epochs=1"])
    )
    assert "frames are fewer than a batch of 256; make the weights with `urbanpipe pretrain" in line.reason
    assert "--weights simclr-transmil=DIR/weights.safetensors" in line.reason


@pytest.mark.slow
def test_a_missing_package_is_told_before_anything_is_trained(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weak, "find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"lightly.*--weights KEY=FILE for simclr-transmil, simclr-ml-decoder, mae"):
        run(archive, tmp_path, "table5", overrides=OF_ALL)
    assert not list(tmp_path.glob("ablation*/*"))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["table2", "table3", "table4", "table5"])
def test_a_recipe_that_does_not_fit_is_told_before_anything_is_trained(
    archive: Path, tmp_path: Path, what: str
) -> None:
    key = {"table4": "base", "table5": "mae-transmil"}.get(what, "swin-l")
    bad = {"table5": "model.options={num_heads = 5}"}.get(what, "model.options={img_size = 192}")
    setting = [f"{key}:model.backbone=swin_tiny_patch4_window7_224"] if key != "mae-transmil" else []
    setting += [f"{key}:{bad}", *([f"{key}:input.tile=40"] if key != "mae-transmil" else [])]
    with pytest.raises(RecipeError, match=f"the model {key} cannot be built with these settings: ") as caught:
        run(archive, tmp_path, what, overrides=[*OF_ALL, *setting])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("**/recipe.toml"))


@pytest.mark.slow
def test_every_network_of_table_2_takes_other_tiles(archive: Path, tmp_path: Path) -> None:
    experiment = open_report_experiment(
        archive / "catalog.csv",
        tmp_path,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[1]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    misfits = {}
    for tile in (32, 48):
        given = Given("small", [f"input.tile={tile}"])
        for each in read_report_models("table2"):
            recipe = each.load("small", given.changes(each.key))
            assert recipe.model_dump()["input"]["tile"] == tile
            misfits[each.key, tile] = misfit(recipe, experiment.catalog)
    assert len(misfits) == 2 * 7
    assert set(misfits.values()) == {""}


@pytest.mark.parametrize("scale", ["small", "paper"])
def test_the_last_epoch_is_kept_unless_the_user_says_otherwise(scale: Scale) -> None:
    recipes = {each.key: each.load(scale, Given(scale).changes(each.key)) for each in ENTRIES if each.at(scale)}
    recipes |= {key: load_base(key, Given(scale)) for key in ("base", "video-base")}
    assert {recipe.training.keep for recipe in recipes.values()} == {"last"}
    assert notes_on_epochs(recipes) == []
    best = load_base("base", Given(scale, ["training.keep=best"]))
    assert best.training.keep == "best"
    assert notes_on_epochs({"base": best})[0].startswith("Too optimistic")


def test_a_setting_for_one_model_comes_after_those_for_all() -> None:
    given = Given("small", ["a-b:training.epochs=3", "training.epochs=2", "input.aspect=4:3"], {"a-b": "x"})
    assert given.changes("a-b")[1:] == ("training.epochs=2", "input.aspect=4:3", "training.epochs=3", "model.weights=x")
    assert given.changes("c")[1:] == ("training.epochs=2", "input.aspect=4:3")


@pytest.mark.slow
def test_tables_name_the_classes_that_a_fold_lacks(archive: Path, tmp_path: Path) -> None:
    with (archive / "catalog.csv").open(newline="") as file:
        labels = {row["name"]: row["labels"].split() for row in csv.DictReader(file)}
    with_zw = {name for name, codes in labels.items() if "ZW" in codes}
    folds = {name: 0 if name in with_zw or place % 3 else 1 for place, name in enumerate(labels)}
    (tmp_path / "folds.csv").write_text("video,fold\n" + "".join(f"{name},{fold}\n" for name, fold in folds.items()))
    entries = [each for each in read_report_models("table2") if each.key in ("convnext-b", "nfnet-f3")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "read_report_models", lambda _: entries)
        for table in ("table2", "table3"):
            text = run(archive, tmp_path / "out", table, folds=tmp_path / "folds.csv", overrides=OF_ONE)
            assert "Fold 1: no video of ZW" in text


@pytest.mark.slow
def test_rows_about_clips_have_a_base_of_clips(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {key: row for key, row in read_changes().items() if key in ("exclusive-rule", "frame-order", "thresholds")}
    monkeypatch.setattr(room, "read_changes", lambda: rows)
    monkeypatch.setattr(room, "weak_supervision_lines", lambda *_: [])
    settings = [*OF_ALL, *(f"base:{setting}" for setting in QUICK if setting not in OF_ALL)]
    small = ["video-base:input.size=32", "video-base:input.frames=4"]
    text = run(archive, tmp_path, "table5", overrides=[*settings, *small])
    with (tmp_path / "table5.csv").open(newline="") as file:
        found = {row["row"]: row for row in csv.DictReader(file)}
    assert [*found] == ["thresholds", "frame-order"]
    assert found["frame-order"]["gain"]
    assert found["frame-order"]["change"] == "frames of a clip shuffled in training (of video-base)"
    assert "the base small-mobilenetv2: test_convnext from random weights, 2x2 tiles of 32 px" in text
    assert "video-base: swin3d_nano from random weights, frames of 32 px" in text
    assert "simclr-transmil: mobilenetv2_100 from SimCLR, frames of 96 px" in text
    assert (tmp_path / "ablation-video" / "seed0" / "frame-order" / "out_of_fold.json").exists()

    monkeypatch.setattr(weights, "hub_weights", _no_network)
    lost = run(archive, tmp_path / "other", "table5", overrides=[*settings, *small], weights={"video-base": "hub"})
    assert "--weights video-base=FILE" in lost, "the row is lost, the table is not"


def test_what_would_have_no_effect_is_refused(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"")
    file = {"weights": {"base": str(tmp_path / "w.safetensors")}}
    for what, given, said in (
        ("table6", {"seeds": 3}, "seeds = 3 has no effect on table6: only table4 and table5"),
        ("table2", {"test": tmp_path / "x.csv"}, "--test has no effect on table2: only table4"),
        ("table6", file, "--weights base: table6 has no such model; its models are convnext-b"),
        ("table2", file, "--weights base: table2 has no such model; its models are tresnet-xl-ml-decoder, convnext-b,"),
        ("figure2", file, "--weights base: figure2 has no such model; it trains none"),
        ("table1", {"weights": {"video-swin-b-k600": "x"}}, "its models are video-swin-b-k400, video-swin-b-no-ema,"),
        ("table4", {"weights": {"base": "none.pt"}}, "--weights base=none.pt: there is no such file"),
        (
            "table5",
            {"overrides": ["simclr-transmil:model.weights=random"]},
            "--set model.weights: give initial weights",
        ),
        (
            "table5",
            {"overrides": ["bas:training.epochs=2"]},
            "--set bas: table5 has no such model; its models are base",
        ),
    ):
        with pytest.raises(RecipeError) as caught:
            run(archive, tmp_path / "out", what, **given)
        assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("table", ["table1", "table2", "table5"])
def test_small_models_start_from_weights_that_exist_or_from_random_ones(table: str) -> None:
    for entry in read_report_models(table):
        if not entry.small:
            continue
        model = load_recipe(entry.small, entry.small_set).model
        if model.weights == "hub":
            assert timm.get_pretrained_cfg(model.backbone).has_weights, entry.key
            assert set(model.options) <= {"pad_type"}, "another network than that of the weights"
        else:
            assert model.weights == "random", entry.key


def test_weights_that_the_hub_does_not_give_are_asked_for_by_key(catalog: Catalog) -> None:
    base = load_base("base", Given("small", ["model.weights=hub", "input.aspect=frame"]))
    said = lacking_weights("base", base, WeightsError("nothing from the hub; --set model.weights=FILE"), catalog)
    assert "--weights base=FILE" in said
    assert "huggingface.co/timm/mobilenetv2_100" in said
    assert "--set" not in said


def test_an_error_of_the_whole_run_is_no_models(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = open_report_experiment(
        archive / "catalog.csv",
        tmp_path,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[1]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    monkeypatch.setattr(ReportExperiment, "train", _working_elsewhere)  # as where several processes ran out of memory
    with pytest.raises(RunError, match="another process"):
        train_models(experiment, read_report_models("table2")[:1], Given())
