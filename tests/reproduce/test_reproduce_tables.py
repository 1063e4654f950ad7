import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from conftest import TINY
from urbanpipe.cli.main import app
from urbanpipe.ensembling.weights import mean_map
from urbanpipe.errors import FoldError, RecipeError, WeightsError
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.inputs.config import has_clips
from urbanpipe.models import weights
from urbanpipe.reproduce import reproduce as room
from urbanpipe.reproduce import weak
from urbanpipe.reproduce.entries import Entry, read_entries, report_classes, report_ensemble
from urbanpipe.reproduce.models import train_models
from urbanpipe.reproduce.reproduce import reproduce
from urbanpipe.reproduce.weak import weak_lines
from urbanpipe.reproduce.work import begin
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.forward import build_model
from urbanpipe.training.recipe import load_recipe

TAXONOMY = default_taxonomy()
QUICK = (*TINY, "training.epochs=1", "training.keep=last")
ENTRIES = [entry for table in ("table1", "table2", "table5") for entry in read_entries(table)]


def test_the_figures_of_the_report() -> None:
    found = {
        entry.name: (entry.validation, entry.test) for name in ("table1", "table2") for entry in read_entries(name)
    }
    assert list(found.values()) == [
        (69.42, 68.3), (69.15, None), (68.52, None), (None, 64.8), (55.2, 54.7), (67.19, 68.3), (69.89, 70.3),
        (71.41, 71.1), (70.45, 70.8), (70.69, None), (71.11, None), (70.95, 70.9),
    ]  # fmt: skip
    weights = {entry.key: entry.weight for entry in read_entries("table3")}
    assert list(weights.values()) == [0.1, 0.1, 0.15, 0.0, 0.15, 0.2, 0.2, 0.1]
    assert list(weights)[-1] == "video-swin-b-k400"
    assert report_ensemble() == (72.69, 72.18)
    assert [entry.report for entry in read_entries("table5")][:4] == [-19.4, -19.7, -22.0, -25.0]
    classes = report_classes()
    assert tuple(classes) == TAXONOMY.codes
    assert np.mean([mean for mean, _ in classes.values()]) == pytest.approx(70.0, abs=0.05)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_every_row_builds_at_paper_scale(entry: Entry) -> None:
    recipe = entry.load("paper")
    with torch.device("meta"):
        model = build_model(recipe, TAXONOMY)
    assert sum(parameter.numel() for parameter in model.parameters()) > 20e6


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.small], ids=lambda entry: entry.key)
def test_every_row_steps_at_a_small_scale(entry: Entry) -> None:
    recipe = entry.load("small")
    model = build_model(recipe, TAXONOMY).train()
    width, height = recipe.input.image_size
    frames = [recipe.input.frames] if has_clips(recipe.input) else []
    images = torch.randint(0, 255, (2, 3, *frames, height, width), dtype=torch.uint8)
    seen = model.see(images, torch.ones(2, dtype=torch.int64))
    if recipe.input.method == "bag":
        return  # its backbone is frozen; its head is tested where it lives
    seen.square().mean().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_row_that_is_about_large_weights_has_no_small_one(archive: Path, tmp_path: Path) -> None:
    lacking = [entry for entry in ENTRIES if not entry.small]
    assert [entry.key for entry in lacking] == ["video-swin-b-k600", "video-swin-b-ssv2"]
    work = begin(archive / "catalog.csv", tmp_path, archive / "folds.csv", [1], None, "cpu", None, 0.1)
    models = train_models(work, lacking, "small", (), {})
    assert all("weights that exist for the full network alone" in model.reason for model in models)


def run(archive: Path, out: Path, what: str, **given: object) -> str:
    settings = {"folds": archive / "folds.csv", "device": "cpu", "overrides": QUICK} | given
    return reproduce(what, archive / "catalog.csv", out, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("reproduced")
    images = [entry for entry in read_entries("table3") if entry.key != "video-swin-b-k400"]  # takes other settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "read_entries", lambda table: images if table == "table3" else read_entries(table))
        return out, run(archive, out, "table3", overrides=(*QUICK, "model.head=linear"))


def test_ensembles(done: tuple[Path, str]) -> None:
    out, text = done
    with (out / "table3.csv").open(newline="") as file:
        rows = {(row["model"], row["exclusive_rule"]): row for row in csv.DictReader(file)}
    ways = ["equal weights", "the report's weights", "searched, nested", "simplex, flattered", "simplex, nested"]
    assert all((way, rule) in rows for way in ways for rule in "01")
    assert float(rows["nfnet-f3", "0"]["weight"]) == pytest.approx(0.15 / 0.9, abs=1e-6), (
        "the video network is left out"
    )
    assert "72.69" in text
    found = read_out_of_fold(out / "table3" / "report")
    value = mean_map(found.scores, found.targets, found.folds, TAXONOMY)
    assert float(rows["the report's weights", "1"]["map"]) == pytest.approx(value, abs=1e-6)
    assert (out / "table3" / "simplex" / "contributions.csv").exists()


def test_tables_share_what_is_trained(done: tuple[Path, str], archive: Path) -> None:
    out, _ = done
    settings = (*QUICK, "model.head=linear")
    before = {path: path.stat().st_mtime_ns for path in out.glob("models/*/fold*/done.json")}
    assert len(before) == 14
    text = run(archive, out, "table2", overrides=settings)
    assert "71.41" in text
    assert "Small scale" in text
    classes = run(archive, out, "table6", overrides=settings)
    assert "40.0 (11.7)" in classes
    assert {path: path.stat().st_mtime_ns for path in out.glob("models/*/fold*/done.json")} == before
    with (out / "table2.csv").open(newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    with (out / "table6.csv").open(newline="") as file:
        means = {row["class"]: row for row in csv.DictReader(file)}
    assert rows["ConvNeXt-B"]["report_validation"] == "0.6989"
    assert float(rows["ConvNeXt-B"]["map"]) == pytest.approx(float(means["mAP"]["mean"]), abs=1e-5)
    assert json.loads((out / "table2.json").read_text())["scale"] == "small"


def test_figures(done: tuple[Path, str], archive: Path) -> None:
    out, _ = done
    settings = (*QUICK, "model.head=linear")
    run(archive, out, "figure2", overrides=settings)
    picture = np.asarray(Image.open(out / "figure2.png"))
    assert picture.shape[1] > 900
    assert picture.std() > 10
    text = run(archive, out, "figure3", overrides=settings)
    assert list((out / "figure3").glob("*.png"))
    assert text.count(".png") == len(list((out / "figure3").glob("*.png")))


def test_some_folds_alone(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(FoldError, match="table3 needs every fold"):
        run(archive, tmp_path, "table3", only_folds=[0])
    work = begin(archive / "catalog.csv", tmp_path, archive / "folds.csv", [1], None, "cpu", None, 0.1)
    entry = next(each for each in read_entries("table2") if each.key == "convnext-b")
    (model,) = train_models(work, [entry], "small", QUICK, {})
    assert model.maps is not None
    assert model.maps.shape == (1, 2)
    assert model.costs[0] > 0


def test_weights_that_cannot_be_had_are_named_and_the_rest_goes_on(archive: Path, tmp_path: Path) -> None:
    work = begin(archive / "catalog.csv", tmp_path, archive / "folds.csv", [1], None, "cpu", None, 0.1)
    entries = [each for each in read_entries("table2") if each.key in ("convnext-b", "swin-l")]
    settings = [*QUICK, "model.head=linear"]
    models = train_models(work, entries, "small", settings, {"convnext-b": str(tmp_path / "none.safetensors")})
    assert [model.maps is None for model in models] == [True, False]
    assert "no weights file" in models[0].reason
    assert "--weights convnext-b=FILE" in models[0].reason


def test_bad_input(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no 'table7' to reproduce; there are table1"):
        run(archive, tmp_path / "out", "table7")
    with pytest.raises(RecipeError, match="scale = 'large': give small or paper"):
        run(archive, tmp_path / "out", "table1", scale="large")
    with pytest.raises(RecipeError, match="weights for 'nfnet', which is no model; the models are base, convnext-b"):
        run(archive, tmp_path / "out", "table1", weights={"nfnet": "x"})
    with pytest.raises(RecipeError, match=r"training.epoch; did you mean training.epochs"):
        run(archive, tmp_path / "out", "table2", overrides=["training.epoch=3"])
    with pytest.raises(FoldError, match="there is no fold 9"):
        run(archive, tmp_path / "out", "table1", only_folds=[9])


def test_on_the_command_line(archive: Path, tmp_path: Path) -> None:
    settings = [part for setting in QUICK for part in ("--set", setting)]
    given = ["--data", str(archive / "catalog.csv"), "--folds", str(archive / "folds.csv"), "--out", str(tmp_path)]
    found = CliRunner().invoke(app, ["reproduce", "figure2", *given, *settings])
    assert found.exit_code == 0, found.output
    assert found.stdout.strip().endswith(f"results: {tmp_path}")
    bad = CliRunner().invoke(app, ["reproduce", "table1", *given, "--weights", "base"])
    assert isinstance(bad.exception, RecipeError)


def _no_network(*_: object) -> object:
    raise WeightsError("no network")


def test_weak_rows_are_pretrained_once_and_compared_with_the_base(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = begin(archive / "catalog.csv", tmp_path, archive / "folds.csv", [0], None, "cpu", None, 0.1)
    work.train(tmp_path / "base", load_recipe("small-mobilenetv2", [*QUICK, "name=base"]))
    monkeypatch.setattr(weights, "_from_hub", _no_network)
    quick = ("size=32", "every_seconds=0.5", "epochs=1", "batch_size=8", "workers=0", "warmup_epochs=0")
    monkeypatch.setitem(weak.PRETRAINING, "small", quick)
    settings = ["input.size=32", "training.epochs=1", "training.workers=0", "bag.width=16", "bag.heads=2"]
    lines = weak_lines(work, tmp_path / "base", "small", settings, {})
    assert [line.row.report for line in lines] == [-19.4, -19.7, -22.0, -25.0, None, None]
    found = {line.row.key: line for line in lines}
    assert {path.parent.name.split("-")[0] for path in tmp_path.glob("pretrained/*/done.json")} == {"simclr", "mae"}
    for key in ("simclr-transmil", "simclr-ml-decoder"):
        assert found[key].gain is not None, found[key].reason
    assert found["imagenet-transmil"].reason == "no network; its own weights: --weights imagenet-transmil=FILE"
    recipe = load_recipe(tmp_path / "models" / "simclr-transmil" / "recipe.toml")
    assert recipe.model.weights == str(tmp_path / "pretrained" / "simclr-mobilenetv2_100" / "weights.safetensors")
