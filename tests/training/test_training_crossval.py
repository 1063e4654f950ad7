"""Cross-validation end to end on a few simulated videos, and all that can be wrong with what it is given."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers.plots_of_folds import without_plots_of_folds
from helpers.tiny_recipes import TINY
from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog, write_catalog
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.errors import CatalogError, FoldError, OutputError, RecipeError, RunError, UrbanpipeError
from urbanpipe.inference.predict import predict
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe, load_recipe, write_recipe
from urbanpipe.models.distributed import DistributedContext, join_distributed
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.crossval import CrossvalResult, crossval, resolve
from urbanpipe.training.experiment import checked_folds, experiment_data, labels_line, warn_of_folds
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.training.run import begin_run, is_begun
from urbanpipe.training.train import train

CPU = torch.device("cpu")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_more_plots() -> Iterator[None]:
    """Leave out the plots of all cross-validations but `experiment`, which is made before."""
    with without_plots_of_folds():
        yield


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two recipes that differ in backbone and input."""
    folder = tmp_path_factory.mktemp("recipes")
    for name, backbone, rows in (("first", "test_convnext", 2), ("second", "test_resnet", 1)):
        changes = [*TINY, f"name={name}", f"model.backbone={backbone}", f"input.rows={rows}", "training.epochs=1"]
        write_recipe(
            load_recipe("small-mobilenetv2", ["model.options={}", "model.weights=random", *changes]),
            folder / f"{name}.toml",
        )
    return folder / "first.toml", folder / "second.toml"


@pytest.fixture(scope="session")
def experiment(archive: Path, recipes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> CrossvalResult:
    """Both recipes cross-validated from a folder of videos and a label file."""
    out = tmp_path_factory.mktemp("experiment")
    return crossval(
        archive / "videos",
        recipes,
        out=out,
        labels=archive / "labels.json",
        split=FoldOptions(folds=2),
        options=RunOptions(cache=out / "frames"),
    )


def test_one_command_from_videos_to_tables(experiment: CrossvalResult, archive: Path) -> None:
    labels = json.loads((archive / "labels.json").read_text())
    taxonomy = default_taxonomy()
    for run in experiment.runs:
        assert {"recipe.toml", "environment.json", "labels.json", "folds.csv", "groups.csv", "left_out.csv"} <= names(
            run
        )
        assert {"out_of_fold.json", "out_of_fold.csv", "table6.csv", "table6.md", "table6.png", "folds.png"} <= names(
            run
        )
        assert set(read_predictions(run / "out_of_fold.json", taxonomy).names) == set(labels)
        assert {"weights.safetensors", "metrics.csv", "done.json"} <= names(run / "fold0") & names(run / "fold1")
    assert experiment.ensemble is not None
    assert {"weights.toml", "out_of_fold.json", "table3.md", "thresholds.csv"} <= names(experiment.ensemble)
    assert len(experiment.tables) == 3


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_video_is_predicted_by_the_model_not_trained_on_it(experiment: CrossvalResult) -> None:
    run = experiment.runs[0]
    with (run / "folds.csv").open(newline="") as file:
        folds = {row["video"]: row["fold"] for row in csv.DictReader(file)}
    for number in ("0", "1"):
        predictions = json.loads((run / f"fold{number}" / "predictions.json").read_text())
        assert predictions.keys() == {name for name, fold in folds.items() if fold == number}


def test_folds_that_no_experiment_made_are_kept(archive: Path, recipes: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("video,fold\nmine.mp4,0\n")
    with pytest.raises(RunError, match=r"folds.csv exists already"):
        crossval(archive / "catalog.csv", recipes, out=tmp_path, split=FoldOptions(folds=2))
    assert "mine.mp4" in (tmp_path / "folds.csv").read_text()


def test_a_wrong_name_or_file_begins_nothing(archive: Path, recipes: tuple[Path, Path], tmp_path: Path) -> None:
    given = {"split": FoldOptions(folds=archive / "folds.csv"), "options": RunOptions(cache=tmp_path / "frames")}
    for wrong in ("model.backbone=test_resent", f"model.weights={tmp_path / 'absent.pth'}"):
        with pytest.raises(UrbanpipeError):
            crossval(archive / "catalog.csv", recipes[1:], out=tmp_path / "s", overrides=[wrong], **given)  # type: ignore[arg-type]
    crossval(archive / "catalog.csv", recipes[1:], out=tmp_path / "s", **given)  # type: ignore[arg-type]


def test_weights_that_were_lost_are_missed(
    experiment: CrossvalResult, archive: Path, recipes: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(experiment.folder, tmp_path / "s")
    (tmp_path / "s" / "first" / "fold0" / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"weights.safetensors is missing or damaged; delete"):
        crossval(
            archive / "videos", recipes, out=tmp_path / "s", labels=archive / "labels.json", split=FoldOptions(folds=2)
        )
    with pytest.raises(RunError, match=r"weights.safetensors is missing or damaged"):
        predict(tmp_path / "s" / "first", [archive / "videos"], out=tmp_path / "p.json")


def test_nothing_but_predictions_is_written_over(experiment: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    shutil.copy(archive / "labels.json", tmp_path)
    for name in ("labels.json", "labels.csv", "p.v1", ""):
        with pytest.raises(OutputError, match="cannot write"):
            predict(experiment.folder, [archive / "videos"], out=tmp_path / name, workers=0)
    assert (tmp_path / "labels.json").read_bytes() == (archive / "labels.json").read_bytes()


def test_folds_over_groups_are_warned_of(
    archive: Path, recipes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [video.name for video in read_catalog(archive / "catalog.csv").labelled]
    rows = "".join(f"{name},{place % 2}\n" for place, name in enumerate(videos))
    (tmp_path / "torn.csv").write_text("video,fold\n" + rows)
    crossval(
        archive / "catalog.csv",
        recipes[1:],
        out=tmp_path / "s",
        split=FoldOptions(folds=tmp_path / "torn.csv"),
        options=RunOptions(cache=tmp_path / "f"),
    )
    assert "are in several folds; scores will be too optimistic" in capsys.readouterr().err


def test_run_again_it_does_nothing_over(experiment: CrossvalResult, archive: Path, recipes: tuple[Path, Path]) -> None:
    weights = experiment.runs[0] / "fold0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    crossval(
        archive / "videos", recipes, out=experiment.folder, labels=archive / "labels.json", split=FoldOptions(folds=2)
    )
    assert weights.stat().st_mtime_ns == before


def test_other_settings_or_data_in_the_same_folder_are_refused(
    experiment: CrossvalResult, archive: Path, recipes: tuple[Path, Path]
) -> None:
    given = {"labels": archive / "labels.json", "split": FoldOptions(folds=2)}
    with pytest.raises(RunError, match=r"another recipe: optimiser.learning_rate = 0.5 instead of"):
        crossval(archive / "videos", recipes, out=experiment.folder, overrides=["optimiser.learning_rate=0.5"], **given)  # type: ignore[arg-type]
    before = (experiment.folder / "folds.csv").read_bytes()
    with pytest.raises(RunError, match="was started with other seed: 0 instead of 5"):
        crossval(
            archive / "videos",
            recipes,
            out=experiment.folder,
            labels=archive / "labels.json",
            split=FoldOptions(folds=2, seed=5),
        )
    assert (experiment.folder / "folds.csv").read_bytes() == before


def test_prediction_of_the_study(experiment: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    videos = tmp_path / "new"
    videos.mkdir()
    first = sorted((archive / "videos").iterdir())[:3]
    for path in first:
        shutil.copy(path, videos)
    shutil.copy(first[0], videos / "名前 with space.mp4")
    (videos / "bad.mp4").write_bytes(b"no video")
    assert experiment.ensemble is not None
    done = predict(experiment.ensemble, [videos], out=tmp_path / "p.json", workers=0)
    assert set(done.failures) == {"bad.mp4"}
    found = read_predictions(tmp_path / "p.json", default_taxonomy())
    assert len(found.names) == 4
    rows = dict(zip(found.names, found.scores, strict=True))
    assert rows["名前 with space.mp4"] == pytest.approx(rows[first[0].name], abs=1e-6)
    assert "bad.mp4" in (tmp_path / "p.failures.csv").read_text()
    assert done.videos_per_second > 0
    one = predict(experiment.runs[0], [videos / first[0].name], out=tmp_path / "one.json", workers=0)
    assert not one.failures
    assert len(list(one.lines(3))) == 1


def test_an_ensemble_is_the_mean_of_its_members(experiment: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    video = [min((archive / "videos").iterdir())]
    assert experiment.ensemble is not None
    each = [
        predict(run, video, out=tmp_path / f"{run.name}.json", workers=0).predictions.scores for run in experiment.runs
    ]
    both = predict(experiment.ensemble, video, out=tmp_path / "both.json", workers=0).predictions.scores
    assert both == pytest.approx((each[0] + each[1]) / 2, abs=1e-9)


def test_a_moved_experiment_still_predicts(experiment: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    assert experiment.ensemble is not None
    shutil.copytree(experiment.folder, tmp_path / "moved")
    video = [min((archive / "videos").iterdir())]
    before = predict(experiment.ensemble, video, out=tmp_path / "before.json", workers=0).predictions
    hidden = experiment.folder.with_name("hidden-experiment")
    experiment.folder.rename(hidden)
    try:
        moved = predict(tmp_path / "moved" / "ensemble", video, out=tmp_path / "p.json", workers=0).predictions
    finally:
        hidden.rename(experiment.folder)
    assert moved.names == before.names == (video[0].name,)
    assert moved.scores.tolist() == before.scores.tolist()


def test_models_that_cannot_predict(experiment: CrossvalResult, archive: Path, tmp_path: Path) -> None:
    video = [min((archive / "videos").iterdir())]
    with pytest.raises(RunError, match="neither a run nor an ensemble"):
        predict(tmp_path, video, out=tmp_path / "p.json")
    broken = tmp_path / "broken"
    shutil.copytree(experiment.runs[0], broken)
    (broken / "fold1" / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(RunError, match=r"fold1.*is missing or damaged"):
        predict(broken, video, out=tmp_path / "p.json")
    (broken / "fold1" / "done.json").unlink()
    with pytest.raises(RunError, match=r"is not finished \(fold1\)"):
        predict(broken, video, out=tmp_path / "p.json")
    with pytest.raises(UrbanpipeError, match=r"absent.mp4 is missing"):
        predict(experiment.runs[0], [tmp_path / "absent.mp4"], out=tmp_path / "p.json")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(UrbanpipeError, match="none of the 1 videos could be read"):
        predict(experiment.runs[0], [tmp_path / "text.mp4"], out=tmp_path / "p.json", workers=0)
    assert not (tmp_path / "p.json").exists()


def test_train_on_all_videos_and_on_all_but_a_fold(archive: Path, recipes: tuple[Path, Path], tmp_path: Path) -> None:
    cache = tmp_path / "frames"
    run = train(archive / "catalog.csv", recipes[1], out=tmp_path / "all", options=RunOptions(cache=cache))
    assert {"weights.safetensors", "done.json", "metrics.csv", "recipe.toml"} <= names(run)
    predict(run, [archive / "videos"], out=tmp_path / "p.json", workers=0)
    one = train(
        archive / "catalog.csv",
        recipes[1],
        out=tmp_path / "f",
        folds=archive / "folds.csv",
        fold=1,
        options=RunOptions(cache=cache),
    )
    assert {"weights.safetensors", "predictions.json"} <= names(one / "fold1")
    with pytest.raises(FoldError, match="require each other"):
        train(archive / "catalog.csv", recipes[1], out=tmp_path / "x", fold=1)
    with pytest.raises(FoldError, match="there is no fold 9 in"):
        train(
            archive / "catalog.csv",
            recipes[1],
            out=tmp_path / "y",
            folds=archive / "folds.csv",
            fold=9,
            options=RunOptions(cache=cache),
        )


def test_only_some_folds_leave_the_tables_for_later(archive: Path, recipes: tuple[Path, Path], tmp_path: Path) -> None:
    file, options = archive / "folds.csv", RunOptions(cache=tmp_path / "frames")
    part = crossval(
        archive / "catalog.csv",
        recipes[1:],
        out=tmp_path / "s",
        options=options,
        split=FoldOptions(folds=file, only=[1]),
    )
    assert part.ensemble is None
    assert not part.tables
    whole = crossval(
        archive / "catalog.csv",
        recipes[1:],
        out=tmp_path / "s",
        options=options,
        split=FoldOptions(folds=file, only=[0]),
    )
    assert whole.ensemble is not None
    with pytest.raises(FoldError, match="there is no fold 7; the folds are 0 to 1"):
        crossval(
            archive / "catalog.csv",
            recipes[1:],
            out=tmp_path / "s",
            options=options,
            split=FoldOptions(folds=file, only=[7]),
        )


def test_a_video_that_breaks_after_the_scan_is_left_out_by_name(
    archive: Path, recipes: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(archive, tmp_path / "a")
    victim = min((tmp_path / "a" / "videos").iterdir())
    victim.write_bytes(victim.read_bytes()[:300])
    experiment = crossval(
        tmp_path / "a" / "catalog.csv",
        recipes[1:],
        out=tmp_path / "s",
        split=FoldOptions(folds=tmp_path / "a" / "folds.csv"),
        options=RunOptions(cache_gb=0),
    )
    text = (experiment.runs[0] / "left_out.csv").read_text()
    assert victim.name in text
    assert victim.name not in (experiment.runs[0] / "out_of_fold.json").read_text()


def test_two_processes_in_one_run_folder_are_kept_apart(tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path / "run"),
        pytest.raises(RunError, match="another process is working in"),
        folder_lock(tmp_path / "run"),
    ):
        pass


def test_a_run_begun_halfway_is_begun_again(tmp_path: Path, tiny: Recipe) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert not is_begun(run, tiny, default_taxonomy(), videos=[], folds={})
    begin_run(run, tiny, default_taxonomy(), videos=[], folds={}, left_out={}, device=CPU)
    (run / "recipe.toml").unlink()  # the last file that a run's beginning writes
    assert not is_begun(run, tiny, default_taxonomy(), videos=[], folds={})
    begin_run(run, tiny, default_taxonomy(), videos=[], folds={}, left_out={}, device=CPU)
    assert is_begun(run, tiny, default_taxonomy(), videos=[], folds={})


def test_first_weights_are_known_by_what_they_hold(tmp_path: Path, tiny: Recipe) -> None:
    def of(file: Path) -> Recipe:
        return tiny.model_copy(update={"model": tiny.model.model_copy(update={"weights": str(file)})})

    first, moved = tmp_path / "first.safetensors", tmp_path / "moved.safetensors"
    first.write_bytes(b"one")
    begin_run(tmp_path / "run", of(first), default_taxonomy(), videos=[], folds={}, left_out={}, device=CPU)
    shutil.copy(first, moved)
    assert is_begun(tmp_path / "run", of(moved), default_taxonomy(), videos=[], folds={})
    first.write_bytes(b"two")
    with pytest.raises(RunError, match=r"first.safetensors has changed since .*run was started with it"):
        is_begun(tmp_path / "run", of(first), default_taxonomy(), videos=[], folds={})
    first.unlink()  # what is trained is trained
    assert is_begun(tmp_path / "run", of(first), default_taxonomy(), videos=[], folds={})


def test_frame_aspect_becomes_the_commonest_shape(archive: Path, tiny: Recipe) -> None:
    catalog = read_catalog(archive / "catalog.csv")
    framed = tiny.model_copy(update={"input": tiny.input.model_copy(update={"aspect": "frame"})})
    assert resolve(framed, catalog).input.aspect == "96:80"
    assert resolve(tiny, catalog) == tiny


def test_what_a_folder_has_beside_labelled_videos_is_told(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "videos"
    shutil.copytree(archive / "videos", folder)
    labels = json.loads((archive / "labels.json").read_text())
    lost = next(iter(labels))
    (folder / "bad.mp4").write_bytes(b"no video")
    changed = {name: value for name, value in labels.items() if name != lost} | {"elsewhere.mp4": [1]}
    (tmp_path / "labels.json").write_text(json.dumps(changed))
    experiment_data(
        folder,
        tmp_path / "s",
        labels=tmp_path / "labels.json",
        taxonomy=None,
        split=FoldOptions(folds=2, group_by="root", seed=0),
    )
    said = capsys.readouterr().err
    assert "21 videos, 19 of them readable and labelled" in said
    counts = labels_line(read_catalog(tmp_path / "s" / "catalog.csv"))
    assert counts.startswith("labels: 19 videos with classes, 0 with none of the classes (`-`), 1 not labelled")
    assert "cannot be read: 1 video: bad.mp4 (" in said
    assert lost in next(line for line in said.splitlines() if "without a label" in line)
    assert "1 labels have no file, elsewhere.mp4 first" in said


def test_training_against_a_fold_needs_folds_of_all_videos(
    archive: Path, recipes: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = (archive / "folds.csv").read_text().splitlines()
    (tmp_path / "folds.csv").write_text("\n".join(rows[:-2]) + "\n")
    with pytest.raises(FoldError, match="has no fold for 2 labelled videos"):
        train(archive / "catalog.csv", recipes[0], out=tmp_path / "r", folds=tmp_path / "folds.csv", fold=0)
    assert not (tmp_path / "r").exists()


def test_one_gpu_by_number_is_not_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(RunError, match="cuda:0 would put all 4 processes on one GPU"):
        join_distributed("cuda:0")


def test_folds_of_one_counter_are_refused_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = tuple(
        Video(
            f"clip_{number:02d}.mp4", tmp_path / "x", group="clip" if number < 28 else str(number), labels=(number % 3,)
        )
        for number in range(30)
    )
    write_catalog(Catalog(videos, default_taxonomy()), tmp_path / "catalog.csv")

    def data(**split: object) -> dict[str, int]:
        options = FoldOptions(folds=3, **split)  # type: ignore[arg-type]
        return experiment_data(tmp_path / "catalog.csv", tmp_path / "s", labels=None, taxonomy=None, split=options)[1]

    (tmp_path / "f.csv").write_text(
        "video,fold\n" + "".join(f"V/{v.name.upper()} ,{n % 2}\n" for n, v in enumerate(videos))
    )
    catalog = read_catalog(tmp_path / "catalog.csv")
    assert checked_folds(catalog, tmp_path / "f.csv") == {video.name: n % 2 for n, video in enumerate(videos)}
    (tmp_path / "f.csv").write_text((tmp_path / "f.csv").read_text() + "clip_00.mp4,1\nclip_00,1\n")
    assert checked_folds(catalog, tmp_path / "f.csv")["clip_00.mp4"] == 1, "the exact name counts"
    with pytest.raises(FoldError, match=r"folds would have .*28.* videos.*--group-by none"):
        data()
    folds = data(group_by="none")
    assert [list(folds.values()).count(number) for number in range(3)] == [10, 10, 10]
    capsys.readouterr()
    alone = DistributedContext(0, 1, torch.device("cpu"))
    warn_of_folds(catalog, folds, alone)
    assert capsys.readouterr().err == "", "a group that is none is not torn"
    warn_of_folds(catalog, {name: int(number > 27) for number, name in enumerate(folds)}, alone)
    assert "warning: the folds are very uneven: 28, 2 videos" in capsys.readouterr().err


def test_what_cannot_be_cross_validated(archive: Path, recipes: tuple[Path, Path], tmp_path: Path) -> None:
    catalog = archive / "catalog.csv"
    with pytest.raises(CatalogError, match="give its label file too"):
        crossval(archive / "videos", recipes, out=tmp_path / "s")
    with pytest.raises(CatalogError, match="--labels requires a folder"):
        crossval(catalog, recipes, out=tmp_path / "s", labels=archive / "labels.json")
    with pytest.raises(RunError, match="no recipe; give --recipe"):
        crossval(catalog, [], out=tmp_path / "s")
    with pytest.raises(RunError, match="two recipes are called first"):
        crossval(catalog, [recipes[0], recipes[0]], out=tmp_path / "s")
    with pytest.raises(RecipeError, match="unknown key trainig"):
        crossval(catalog, recipes, out=tmp_path / "s", overrides=["trainig.epochs=2"])
    with pytest.raises(FoldError):
        crossval(catalog, recipes, out=tmp_path / "s", split=FoldOptions(folds=1))
    with pytest.raises(RunError, match="unknown device 'tpux'"):
        crossval(catalog, recipes, out=tmp_path / "s", options=RunOptions(device="tpux"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        crossval(catalog, recipes, out=tmp_path / "file" / "s")
    (tmp_path / "few.csv").write_text("video,fold\nnobody.mp4,0\nno-one.mp4,1\n")
    with pytest.raises(FoldError, match="has no fold for 20 labelled videos"):
        crossval(catalog, recipes, out=tmp_path / "s", split=FoldOptions(folds=tmp_path / "few.csv"))
