"""The weakly supervised rows of the report's Table 5: bags of frozen features against the super-image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from urbanpipe.errors import UrbanpipeError
from urbanpipe.pretraining.pretrain import pretrain
from urbanpipe.reproduce.entries import Entry, Scale, read_entries
from urbanpipe.reproduce.gains import gain
from urbanpipe.reproduce.models import Model, train_models
from urbanpipe.reproduce.rows import Row
from urbanpipe.reproduce.table import Line
from urbanpipe.reproduce.work import Work
from urbanpipe.training.job import WEIGHTS

# `pretrain` at its defaults is for GPUs.
PRETRAINING: dict[Scale, tuple[str, ...]] = {
    "paper": (),
    "small": ("size=96", "every_seconds=2", "epochs=10", "batch_size=64", "warmup_epochs=1"),
}
# The decoder of MAE, which is thrown away, would be nearly all of the work beside a small encoder.
DECODER: dict[Scale, tuple[str, ...]] = {
    "paper": (),
    "small": ("decoder_width=128", "decoder_depth=2", "decoder_heads=4"),
}


def weak_lines(
    work: Work, base: Path, scale: Scale, overrides: Sequence[str], weights: Mapping[str, str]
) -> list[Line]:
    """Train the bag models and compare each with a run of the super-image on the same videos and folds.

    Networks that are to learn without labels do so first, on all videos as in the report, once for the rows that share
    them.

    Args:
        work: the data.
        base: run of the super-image.
        scale: of the recipes.
        overrides: `section.key=value` for all of them.
        weights: `model.weights` by the key of a model; a model that has some is not pretrained.
    """
    return [_line(work, base, _model(work, entry, scale, overrides, weights)) for entry in read_entries("table5")]


def _model(work: Work, entry: Entry, scale: Scale, overrides: Sequence[str], weights: Mapping[str, str]) -> Model:
    given = dict(weights)
    if entry.pretrained and entry.key not in given:
        try:
            given[entry.key] = str(_pretrained(work, entry, scale, overrides))
        except UrbanpipeError as error:
            return Model(entry, work.out / "models" / entry.key, reason=f"its pretraining: {error}")
    (model,) = train_models(work, [entry], scale, overrides, given)
    return model


def _pretrained(work: Work, entry: Entry, scale: Scale, overrides: Sequence[str]) -> Path:
    """The weights that an entry starts from, made if they are not there."""
    assert entry.pretrained
    recipe = entry.load(scale, tuple(overrides))
    options = ", ".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for key, value in recipe.model.options.items()
    )
    folder = work.out / "pretrained" / f"{entry.pretrained}-{recipe.model.backbone}"
    settings = [*PRETRAINING[scale], *(DECODER[scale] if entry.pretrained == "mae" else ()), f"options={{{options}}}"]
    given = work.data, entry.pretrained, recipe.model.backbone, folder, settings
    device = str(work.processes.device)
    work.processes.on_main(lambda: pretrain(*given, device=device, cache=work.cache_folder, cache_gb=work.cache_gb))
    return (folder / WEIGHTS).resolve()


def _line(work: Work, base: Path, model: Model) -> Line:
    row = Row(key=model.entry.key, table=5, name=model.entry.name, report=model.entry.report)
    if model.maps is None:
        return Line(row, reason=model.reason)
    names = work.judged_by([base, model.run])
    found = gain(work.scores([model.run], names), work.scores([base], names), work.judged(work.videos(names)))
    return Line(row, found, model.costs, work.costs([base]))
