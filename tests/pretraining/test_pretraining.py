"""Pretraining: the published losses, weights that recipes take, and nothing of labels or of held-out videos."""

import json
import math
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from helpers.training_runs import killed_at, losses, metrics, same_weights
from urbanpipe.catalog.catalog_file import Catalog, read_catalog, write_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.run_folder import DONE, TRAINING_STATE, WEIGHTS
from urbanpipe.errors import CatalogError, DivergedError, FoldError, RecipeError, RunError, UrbanpipeError
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.weights import load_weights
from urbanpipe.pretraining import loop
from urbanpipe.pretraining.config import MAEConfig, SimCLRConfig, read_settings
from urbanpipe.pretraining.frames import frame_batches
from urbanpipe.pretraining.mae import MAE
from urbanpipe.pretraining.pretrain import _videos, pretrain
from urbanpipe.pretraining.simclr import SimCLR
from urbanpipe.pretraining.views import mae_views, simclr_views
from urbanpipe.training.options import RunOptions

SHORT = ("size=32", "every_seconds=0.4", "epochs=3", "batch_size=16", "warmup_epochs=1", "precision=fp32", "workers=0")
TINY = {
    "simclr": ("test_resnet", (*SHORT, "learning_rate=1e-3")),
    "mae": ("test_vit", (*SHORT, "decoder_width=32", "decoder_depth=1", "decoder_heads=2", "learning_rate=1e-3")),
}


def pretrained(method: str, archive: Path, out: Path, *settings: str) -> Path:
    backbone, tiny = TINY[method]
    return pretrain(
        archive / "catalog.csv",
        method,
        backbone=backbone,
        out=out,
        overrides=(*tiny, *settings),
        options=RunOptions(device="cpu"),
    )


def backbone_of(name: str, size: int = 32) -> Backbone:
    torch.manual_seed(0)
    return Backbone(ModelConfig(backbone=name), (size, size))


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> float:
    """Equation 1 of arXiv 2002.05709, written out."""
    both = torch.stack([first, second], dim=1).flatten(0, 1)  # 2k and 2k + 1 are a pair
    count = len(both)

    def similarity(i: int, j: int) -> float:
        return math.exp((both[i] @ both[j] / both[i].norm() / both[j].norm()).item() / temperature)

    def one(i: int, j: int) -> float:
        return -math.log(similarity(i, j) / sum(similarity(i, k) for k in range(count) if k != i))

    return sum(one(2 * k, 2 * k + 1) + one(2 * k + 1, 2 * k) for k in range(count // 2)) / count


def test_the_loss_of_simclr_is_the_papers() -> None:
    model = SimCLR(backbone_of("test_resnet"), SimCLRConfig(temperature=0.3)).eval()
    views = torch.randint(0, 256, (3, 2, 3, 32, 32), dtype=torch.uint8)
    seen: list[Tensor] = []
    model.project.register_forward_hook(lambda *given: seen.append(given[2]))
    loss = model(views)
    projected = seen[0].view(3, 2, -1)
    assert loss.item() == pytest.approx(nt_xent(projected[:, 0], projected[:, 1], 0.3), rel=1e-5)
    alone = model.project(model.backbone.pooled(model.normalise(views[1])))
    torch.testing.assert_close(alone, projected[1], msg="both views of a frame are a pair")


def test_mae_hides_three_quarters_and_is_left_out_by_them_alone() -> None:
    config = MAEConfig(size=64, decoder_width=32, decoder_depth=1, decoder_heads=2)
    model = MAE(backbone_of("test_vit", 64), config).eval()
    views = torch.randint(0, 256, (2, 1, 3, 64, 64), dtype=torch.uint8)
    tokens: list[int] = []
    model.encoder.vit.blocks.register_forward_hook(lambda *given: tokens.append(given[1][0].shape[1]))
    torch.manual_seed(4)
    loss = model(views)
    assert tokens == [1 + 4], "a class token, and a quarter of 16 patches"
    model.paint.register_forward_hook(lambda *given: torch.zeros_like(given[2]))
    torch.manual_seed(4)
    assert model(views).item() == pytest.approx(1, rel=0.01), "every patch is normalised by itself"
    assert loss.item() != pytest.approx(1, rel=0.01)


def test_what_mae_paints_is_compared_with_the_patch_that_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MAE(backbone_of("test_vit", 64), MAEConfig(size=64, decoder_width=32, decoder_depth=1, decoder_heads=2))
    views = torch.randint(0, 256, (2, 1, 3, 64, 64), dtype=torch.uint8)
    images = model.normalise(views[:, 0])
    patches = images.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 4, 5, 1).flatten(1, 2).flatten(2)
    true = (patches - patches.mean(-1, keepdim=True)) / patches.std(-1, keepdim=True)
    hidden: list[Tensor] = []
    real = sys.modules["urbanpipe.pretraining.mae"].random_token_mask

    def told(*given: object, **named: object) -> tuple[Tensor, Tensor]:
        keep, mask = real(*given, **named)
        hidden.append(mask)
        return keep, mask

    monkeypatch.setattr("urbanpipe.pretraining.mae.random_token_mask", told)
    model.paint.register_forward_hook(lambda *_: torch.stack([true[i, hidden[-1][i] - 1] for i in range(2)]))
    assert model(views).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "mae"])
def test_it_leaves_weights_that_a_recipe_takes_whole(method: str, archive: Path, tmp_path: Path) -> None:
    backbone, _ = TINY[method]
    assert pretrained(method, archive, tmp_path / "out") == tmp_path / "out"
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {
        ".lock",
        "settings.toml",
        "videos.json",
        "left_out.csv",
        "metrics.csv",
        "tensorboard",
        WEIGHTS,
        DONE,
    }
    report = load_weights(backbone_of(backbone, 96), backbone, str(tmp_path / "out" / WEIGHTS))
    assert (report.share, report.missing, report.unused, report.mismatched) == (1, (), (), ())
    first = timm.create_model(backbone, num_classes=0).state_dict()
    found = load_file(tmp_path / "out" / WEIGHTS)
    assert found.keys() == first.keys()
    assert all(math.isfinite(float(value.float().sum())) for value in found.values())
    done = json.loads((tmp_path / "out" / DONE).read_text())
    assert done["videos"] == 20
    assert done["epochs"] == 3
    assert done["frames"] > 40
    settings = tomllib.loads((tmp_path / "out" / "settings.toml").read_text())
    assert settings["backbone"] == backbone
    assert settings["settings"]["size"] == 32
    recipe = load_recipe(f"bag-{method}-transmil", [f"model.backbone={backbone}", "input.size=96"])
    model = recipe.network(len(read_catalog(archive / "catalog.csv").taxonomy))
    assert load_weights(model.backbone, backbone, str(tmp_path / "out" / WEIGHTS)).share == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "mae"])
def test_it_learns_and_the_backbone_too(method: str) -> None:
    """Two views each of eight frames of stripes, by heart."""
    torch.manual_seed(0)
    stripes = torch.rand(8, 1, 3, 32, 1).mul(255).expand(-1, 2 if method == "simclr" else 1, -1, -1, 32)
    views = (stripes + 10 * torch.randn(stripes.shape)).clamp(0, 255).byte()
    backbone, config = backbone_of(TINY[method][0]), read_settings(method, TINY[method][1])
    first = {name: value.detach().clone() for name, value in backbone.net.named_parameters() if "weight" in name}
    objective = SimCLR(backbone, config) if isinstance(config, SimCLRConfig) else MAE(backbone, config)
    state = loop.make_state(
        objective, config.model_copy(update={"learning_rate": 3e-3, "epochs": 1}), 40, torch.device("cpu")
    )
    curve = [float(loop._step(state, views, config, torch.device("cpu"))) for _ in range(40)]
    assert sum(curve[-5:]) < 0.7 * sum(curve[:5]), curve
    now = dict(backbone.net.named_parameters())
    assert all(not torch.equal(now[name], value) for name, value in first.items() if value.std() > 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "mae"])
def test_killed_and_started_again_it_ends_the_same(method: str, archive: Path, tmp_path: Path) -> None:
    pretrained(method, archive, tmp_path / "whole")
    with killed_at(loop, "_step", 8):
        pretrained(method, archive, tmp_path / "killed")
    assert (tmp_path / "killed" / TRAINING_STATE).exists()
    assert not (tmp_path / "killed" / WEIGHTS).exists()
    torch.manual_seed(99)
    pretrained(method, archive, tmp_path / "killed")
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    before = (tmp_path / "killed" / WEIGHTS).stat().st_mtime_ns
    pretrained(method, archive, tmp_path / "killed")
    assert (tmp_path / "killed" / WEIGHTS).stat().st_mtime_ns == before, "what is done is left alone"
    assert float(metrics(tmp_path / "killed")[0]["frames_per_second"]) > 0


@pytest.mark.slow
def test_workers_change_nothing(archive: Path, tmp_path: Path) -> None:
    pretrained("simclr", archive, tmp_path / "none", "epochs=1")
    pretrained("simclr", archive, tmp_path / "two", "epochs=1", "workers=2")
    assert same_weights(tmp_path / "none", tmp_path / "two")


@pytest.mark.slow
def test_labels_are_not_read(archive: Path, catalog: Catalog, tmp_path: Path) -> None:
    """Labels that no taxonomy knows, and none at all."""
    text = (archive / "catalog.csv").read_text().splitlines()
    bad = [text[0].replace("/", "/"), *(f"{line.rsplit(',', 1)[0]},no such class" for line in text[1:])]
    (tmp_path / "bad.csv").write_text("\n".join(bad).replace("videos/", f"{archive}/videos/") + "\n")
    write_catalog(
        Catalog(tuple(replace(v, labels=None) for v in catalog.videos), catalog.taxonomy), tmp_path / "no.csv"
    )
    found = []
    for name in ("bad", "no"):
        backbone, settings = TINY["simclr"]
        given = (*settings, "epochs=1")
        pretrain(
            tmp_path / f"{name}.csv",
            "simclr",
            backbone=backbone,
            out=tmp_path / name,
            overrides=given,
            options=RunOptions(device="cpu", cache_gb=0),
        )
        found.append(tmp_path / name)
    assert same_weights(found[0], found[1])


def test_the_videos_of_a_fold_and_their_unlabelled_siblings_are_left_out(catalog: Catalog, archive: Path) -> None:
    folds = read_folds(archive / "folds.csv")
    left_out = next(video for video in catalog.ok if folds[video.name] == 1)
    sibling, stranger = (
        replace(left_out, name=name, group=group, labels=None) for name, group in (("s", left_out.group), ("t", "t"))
    )
    more = Catalog((*catalog.videos, sibling, stranger), catalog.taxonomy)
    names = {video.name for video in _videos(more, archive, archive / "folds.csv", 1)}
    assert names == {name for name, fold in folds.items() if fold == 0} | {"t"}
    assert len(_videos(more, archive, None, None)) == len(catalog.ok) + 2


def test_a_batch_is_of_different_frames_and_an_epoch_of_all_of_them_once() -> None:
    config = SimCLRConfig(batch_size=4)
    epochs = [frame_batches([3, 1, 6], config, epoch) for epoch in (0, 1)]
    for epoch, batches in enumerate(epochs):
        assert [len(batch) for batch in batches] == [4, 4]
        keys = [key for batch in batches for key in batch]
        assert len(set(keys)) == 8
        assert {key[0] for key in keys} == {epoch}
    assert [key[1:] for batch in epochs[0] for key in batch] != [key[1:] for batch in epochs[1] for key in batch]


def test_views_are_of_the_size_asked_for_and_differ() -> None:
    frame = torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8)
    torch.manual_seed(0)
    two, one = simclr_views(SimCLRConfig(size=32))(frame), mae_views(MAEConfig(size=32))(frame)
    assert two.shape == (2, 3, 32, 32)
    assert one.shape == (1, 3, 32, 32)
    assert two.dtype == one.dtype == torch.uint8
    assert not torch.equal(two[0], two[1])


@pytest.mark.parametrize(
    ("method", "backbone", "settings", "error", "message"),
    [
        ("moco", "test_resnet", (), RecipeError, "--method moco: the methods are simclr, mae"),
        ("mae", "test_resnet", (), RecipeError, "needs a plain ViT .* not ResNet; --method simclr takes any"),
        (
            "mae",
            "test_vit",
            ("size=40",),
            RecipeError,
            "must be multiples of 16 px, and are 40 x 40; .* size of a pret",
        ),
        (
            "mae",
            "test_vit",
            ("decoder_width=60", "decoder_heads=16"),
            RecipeError,
            "multiple of 4 and of decoder_heads",
        ),
        ("mae", "test_vit", ("temperature=1",), RecipeError, "--set temperature: mae has no such setting"),
        ("simclr", "test_resnet", ("epoch=1",), RecipeError, "did you mean epochs?"),
        ("simclr", "test_resnet", ("epochs=0",), RecipeError, "--set epochs = 0: input should be greater"),
        ("simclr", "test_resnet", ("epochs",), RecipeError, "expected key=value"),
        ("simclr", "resnet5000", (), RecipeError, "is not a timm model"),
        ("simclr", "test_resnet", ("batch_size=4096",), RecipeError, r"batch_size = 4096: there are \d+ frames"),
        (
            "simclr",
            "test_resnet",
            ("learning_rate=1e30", "clip_norm=0"),
            DivergedError,
            "the loss became .* lower --set learning_rate",
        ),
    ],
)
def test_a_mistake_is_named(
    method: str,
    backbone: str,
    settings: tuple[str, ...],
    error: type[UrbanpipeError],
    message: str,
    archive: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message) as caught:
        pretrain(
            archive / "catalog.csv",
            method,
            backbone=backbone,
            out=tmp_path,
            overrides=(*SHORT, *settings),
            options=RunOptions(device="cpu"),
        )
    assert "\n" not in str(caught.value)
    assert (tmp_path / "settings.toml").exists() == (error is DivergedError), "what cannot begin begins nothing"


def test_without_lightly_it_says_how_to_install_it(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.split(".")[0] == "lightly" or name in ("urbanpipe.pretraining.mae", "urbanpipe.pretraining.simclr"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightly", None)
    with pytest.raises(RunError, match=r'pip install "urbanpipe\[pretrain\]"'):
        pretrained("simclr", archive, tmp_path)


def test_names_in_folds_match_the_videos_as_elsewhere(catalog: Catalog, archive: Path, tmp_path: Path) -> None:
    exact = _videos(catalog, archive / "catalog.csv", archive / "folds.csv", 0)
    header, *rows = (archive / "folds.csv").read_text().splitlines()
    (tmp_path / "folds.csv").write_text("\n".join([header, *(row.upper() for row in rows)]))
    assert _videos(catalog, archive / "catalog.csv", tmp_path / "folds.csv", 0) == exact
    assert 0 < len(exact) < len(catalog.ok)


@pytest.mark.slow
def test_folds_that_do_not_fit_and_videos_that_cannot_be_read(catalog: Catalog, archive: Path, tmp_path: Path) -> None:
    backbone, settings = TINY["simclr"]
    with pytest.raises(FoldError, match="there is no fold 7"):
        pretrain(
            archive / "catalog.csv",
            "simclr",
            backbone=backbone,
            out=tmp_path,
            overrides=settings,
            folds=archive / "folds.csv",
            without_fold=7,
        )
    with pytest.raises(FoldError, match="go together"):
        pretrain(
            archive / "catalog.csv",
            "simclr",
            backbone=backbone,
            out=tmp_path,
            overrides=settings,
            folds=archive / "folds.csv",
        )
    other = tmp_path / "folds.csv"
    other.write_text((archive / "folds.csv").read_text() + "north/elsewhere.mp4,1\n")
    with pytest.raises(FoldError, match=r"puts 1 video: north/elsewhere.mp4 in fold 1, which .* does not have"):
        pretrain(
            archive / "catalog.csv",
            "simclr",
            backbone=backbone,
            out=tmp_path / "p",
            overrides=settings,
            folds=other,
            without_fold=1,
        )
    assert not (tmp_path / "p" / "settings.toml").exists()
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video" * 100)
    rows = tuple(replace(video, path=bad) for video in catalog.videos)
    write_catalog(Catalog(rows, catalog.taxonomy), tmp_path / "bad.csv")
    with pytest.raises(CatalogError, match=r"none of the 20 videos can be read; the first, .*mp4:"):
        pretrain(
            tmp_path / "bad.csv",
            "simclr",
            backbone=backbone,
            out=tmp_path / "out",
            overrides=settings,
            options=RunOptions(device="cpu", cache_gb=0),
        )
    write_catalog(Catalog((rows[0], *catalog.videos[1:]), catalog.taxonomy), tmp_path / "one.csv")
    out = pretrain(
        tmp_path / "one.csv",
        "simclr",
        backbone=backbone,
        out=tmp_path / "rest",
        overrides=settings,
        options=RunOptions(device="cpu", cache_gb=0),
    )
    assert json.loads((out / DONE).read_text())["videos"] == 19
    assert catalog.videos[0].name in (out / "left_out.csv").read_text()


@pytest.mark.slow
def test_another_folder_is_asked_for_where_settings_or_videos_changed(archive: Path, tmp_path: Path) -> None:
    pretrained("simclr", archive, tmp_path, "epochs=1")
    with pytest.raises(RunError, match=r"was started with other epochs: 1 instead of 2; give another --out"):
        pretrained("simclr", archive, tmp_path, "epochs=2")
    with pytest.raises(RunError, match="other method: 'simclr' instead of 'mae'"):
        pretrained("mae", archive, tmp_path, "epochs=1")
    backbone, settings = TINY["simclr"]
    with pytest.raises(RunError, match="other videos"):
        pretrain(
            archive / "catalog.csv",
            "simclr",
            backbone=backbone,
            out=tmp_path,
            overrides=(*settings, "epochs=1"),
            folds=archive / "folds.csv",
            without_fold=0,
            options=RunOptions(device="cpu"),
        )
    pretrained("simclr", archive, tmp_path, "epochs=1", "workers=1")


@pytest.mark.slow
def test_first_weights_are_known_by_what_they_hold(archive: Path, tmp_path: Path) -> None:
    first, moved = tmp_path / "first.safetensors", tmp_path / "moved.safetensors"
    save_file(backbone_of(TINY["simclr"][0]).net.state_dict(), first)
    pretrained("simclr", archive, tmp_path / "out", "epochs=1", f"weights={first}")
    first.rename(moved)
    pretrained("simclr", archive, tmp_path / "out", "epochs=1", f"weights={moved}")
    state = backbone_of(TINY["simclr"][0]).net.state_dict()
    save_file({name: value + 1 for name, value in state.items()}, moved)
    with pytest.raises(RunError, match="was started with other first_weights"):
        pretrained("simclr", archive, tmp_path / "out", "epochs=1", f"weights={moved}")


def test_settings_are_of_the_method() -> None:
    assert read_settings("mae", ["mask_ratio=0.6", "options={ a = 1 }"]).model_dump()["options"] == {"a": 1}
    assert isinstance(read_settings("simclr", []), SimCLRConfig)
