"""The weakly supervised rows of the report's Table 5: bags of frozen features, compared with the super-image."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.contracts.run_folder import WEIGHTS
from urbanpipe.errors import RecipeError, RunError, WeightsError
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.interval_frames import AllFrames
from urbanpipe.methods.bag import BagConfig
from urbanpipe.methods.recipe import Recipe
from urbanpipe.pretraining.config import PretrainConfig, read_settings
from urbanpipe.pretraining.pretrain import pretrain
from urbanpipe.reproduce.ablation_table import Line
from urbanpipe.reproduce.changes import Change
from urbanpipe.reproduce.experiment import NOT_TRAINED, ReportExperiment
from urbanpipe.reproduce.models import Model, train_models
from urbanpipe.reproduce.paired_comparison import compare_paired
from urbanpipe.reproduce.report_models import Given, ReportModel, Scale, read_report_models
from urbanpipe.training.options import RunOptions

# The defaults of `pretrain` are for GPUs.
PRETRAINING: dict[Scale, tuple[str, ...]] = {
    "paper": (),
    "small": ("size=96", "every_seconds=2", "epochs=10", "batch_size=64", "warmup_epochs=1"),
}
# The decoder of MAE, which is discarded, would take most of the time with a small encoder.
DECODER: dict[Scale, tuple[str, ...]] = {
    "paper": (),
    "small": ("decoder_width=128", "decoder_depth=2", "decoder_heads=4"),
}


def weak_supervision_lines(experiment: ReportExperiment, base: Path, given: Given) -> list[Line]:
    """Train the bag models and compare each with a run of the super-image on the same videos and folds.

    Self-supervised backbones are pretrained first, on all videos as in the report, once for all rows that share them.
    A row is left out if its weights are not available, or if training runs out of memory or diverges.

    Args:
        experiment: the data.
        base: run folder of the super-image.
        given: the user's options; a model with given weights is not pretrained.

    Raises:
        UrbanpipeError: a network cannot be trained for another reason.
    """
    return [_line(experiment, base, _model(experiment, entry, given)) for entry in read_report_models("table5")]


def check_pretraining(experiment: ReportExperiment, given: Given) -> None:
    """Check that the package for pretraining is installed if a model needs it.

    Raises:
        RunError: lightly is not installed, and a model still has to be pretrained.
    """
    keys = [entry.key for entry in read_report_models("table5") if entry.pretrained and entry.key not in given.weights]
    missing = [key for key in keys if not experiment.distributed.on_main(_recipe(experiment, key).exists)]
    if missing and find_spec("lightly") is None:
        needs = 'the package lightly: pip install "urbanpipe[pretrain]"'
        raise RunError(f"pretraining needs {needs}; or give --weights KEY=FILE for {', '.join(missing)}")


def _recipe(experiment: ReportExperiment, key: str) -> Path:
    """Return the file that exists once the run of a model has started."""
    return experiment.out / "models" / key / "recipe.toml"


def _model(experiment: ReportExperiment, entry: ReportModel, given: Given) -> Model:
    """Train a model; if it cannot be trained, return it with the reason."""
    if entry.pretrained and entry.key not in given.weights:
        try:
            made = _pretrained(experiment, entry, given)
        except (*NOT_TRAINED, WeightsError, _TooFewFramesError) as error:
            experiment.distributed.log(f"{entry.key}: its pretraining: {error}")
            return Model(entry, experiment.out / "models" / entry.key, reason=f"its pretraining: {error}")
        given = replace(given, weights={**given.weights, entry.key: str(made)})
    (model,) = train_models(experiment, [entry], given)
    return model


class _TooFewFramesError(RecipeError):
    """The videos have fewer frames than a batch of the pretraining."""


def _pretrained(experiment: ReportExperiment, entry: ReportModel, given: Given) -> Path:
    """Return the initial weights of an entry, and pretrain them if needed.

    A run that has started keeps its weights, even if videos were added later.
    """
    recipe = entry.load(given.scale, given.changes(entry.key))
    folder = experiment.out / "pretrained" / f"{entry.pretrained}-{recipe.model.backbone}"
    if not experiment.distributed.on_main(_recipe(experiment, entry.key).exists):
        experiment.distributed.on_main(lambda: _pretrain(experiment, entry, recipe, given.scale, folder))
    return (folder / WEIGHTS).resolve()


def _pretrain(experiment: ReportExperiment, entry: ReportModel, recipe: Recipe, scale: Scale, folder: Path) -> None:
    options = ", ".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for key, value in recipe.model.options.items()
    )
    settings = [*PRETRAINING[scale], *(DECODER[scale] if entry.pretrained == "mae" else ()), f"options={{{options}}}"]
    config, method = read_settings(entry.pretrained, settings), entry.pretrained
    frames = _frames(experiment, config)
    if scale == "small" and 2 <= frames < config.batch_size:
        settings.append(f"batch_size={frames}")
    elif frames < config.batch_size:
        raise _TooFewFramesError(
            f"{frames} frames are fewer than a batch of {config.batch_size}; make the weights with `urbanpipe pretrain "
            f"{experiment.data} --method {method} --backbone {recipe.model.backbone} --set batch_size=N --out DIR` "
            f"and give --weights {entry.key}=DIR/{WEIGHTS}"
        )
    pretrain(
        experiment.data,
        method,
        backbone=recipe.model.backbone,
        out=folder,
        overrides=settings,
        options=RunOptions(
            device=str(experiment.distributed.device),
            cache=experiment.options.cache,
            cache_gb=experiment.options.cache_gb,
            logger=experiment.options.logger,
        ),
    )


def _frames(experiment: ReportExperiment, config: PretrainConfig) -> int:
    """Return the number of frames for pretraining."""
    view = AllFrames(BagConfig(size=config.size, every_seconds=config.every_seconds))
    dataset = VideoDataset(read_catalog(experiment.data, labels=False).ok, view, None)
    return sum(dataset.segment_count(index) for index in range(len(dataset)))


def _line(experiment: ReportExperiment, base: Path, model: Model) -> Line:
    row = Change(key=model.entry.key, table=5, name=model.entry.name, report=model.entry.report)
    if model.maps is None:
        return Line(row, reason=model.reason)
    names = experiment.videos_predicted_by([base, model.run])
    comparison = compare_paired(
        experiment.scores([model.run], names),
        experiment.scores([base], names),
        experiment.comparison_data(experiment.videos(names)),
    )
    return Line(row, comparison, model.costs, experiment.costs([base]))
