"""`reproduce`: a table or figure of the report on your own videos, beside the report's numbers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.catalog.catalog_file import Video, read_catalog
from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.weights import is_weights_file
from urbanpipe.outputs import write_json
from urbanpipe.reproduce.ablate import BASE, run_ablation
from urbanpipe.reproduce.ablation_table import Ablation, Line
from urbanpipe.reproduce.changes import Change, read_changes
from urbanpipe.reproduce.combined import table_of_classes, table_of_ensembles
from urbanpipe.reproduce.experiment import NOT_TRAINED, ReportExperiment, open_report_experiment
from urbanpipe.reproduce.figures import picture_of_inputs, pictures_of_attention
from urbanpipe.reproduce.models import (
    Model,
    check_recipes,
    lacking_weights,
    load_report_models,
    need_all_folds,
    train_models,
    write_models,
)
from urbanpipe.reproduce.options import ReportOptions
from urbanpipe.reproduce.report_models import (
    BASES,
    Given,
    ReportModel,
    Scale,
    load_base,
    notes_on,
    notes_on_epochs,
    read_report_models,
)
from urbanpipe.reproduce.weak_supervision import check_pretraining, weak_supervision_lines
from urbanpipe.taxonomy import given_taxonomy
from urbanpipe.training.crossval import resolve
from urbanpipe.training.environment import environment
from urbanpipe.training.options import FoldOptions, RunOptions

SCALES: tuple[Scale, ...] = ("small", "paper")
ONE_MODEL = "convnext-b"  # the model of Table 6 and Figure 3
VIDEO_BASE = "video-base"


@dataclass(frozen=True)
class _Asked:
    """The user's options that the tables need; see `reproduce`."""

    given: Given
    seeds: int
    test: tuple[Video, ...]
    device: str


Finish = Callable[[], str]  # writes the table and returns it, in one process
Maker = Callable[[ReportExperiment, _Asked], Finish]  # trains what is missing, in all processes


def reproduce(
    what: str,
    data: Path,
    *,
    out: Path,
    report: ReportOptions = ReportOptions(),
    taxonomy: Path | None = None,
    split: FoldOptions = FoldOptions(),
    options: RunOptions = RunOptions(),
) -> str:
    """Train the missing models of a table or figure of the UrbanPipe report, and write it.

    Args:
        what: `table1` (video method), `table2` (super-images), `table3` (ensembles), `table4` (gains), `table5`
            (losses), `table6` (classes by fold), `figure2` (network inputs) or `figure3` (Grad-CAM).
        data: a catalog.
        out: output folder for the runs, which all tables share, and for `<what>.md` and `.csv`, or the figure. The same
            call resumes an interrupted one.
        report: scale, seeds (of tables 4 and 5), overrides, weights and test videos. `base` and `video-base` are the
            keys of the models of tables 4 and 5. By default the last epoch is kept (`training.keep`).
        taxonomy: the classes; default: the 17 QV-Pipe classes.
        split: the folds.
        options: device, frame cache and logger.

    Returns:
        The table as Markdown, or a description of the figure.

    Raises:
        UrbanpipeError: an argument cannot be used. A model without available weights does not raise but is left out of
            its table, which says how to give the weights.
    """
    given = Given(report.scale, tuple(report.overrides), report.weights or {})
    _check(what, given, report.seeds, report.test, split.only)
    others = tuple(read_catalog(report.test, given_taxonomy(taxonomy)).labelled) if report.test else ()
    asked = _Asked(given, report.seeds, others, options.device)
    experiment = open_report_experiment(data, out, taxonomy=taxonomy, split=split, options=options)
    finish = MAKERS[what](experiment, asked)
    text = ""
    if experiment.distributed.is_main:
        with folder_lock(out, wait=True):
            text = finish()
            write_json(out / f"{what}.json", {"scale": report.scale, "folds": list(experiment.used)} | environment())
    return experiment.distributed.from_main(text)


def _check(what: str, given: Given, seeds: int, test: Path | None, only_folds: Sequence[int]) -> None:
    """Refuse invalid options, and options without effect.

    Raises:
        RecipeError: an option is invalid or has no effect.
    """
    if what not in MAKERS:
        raise RecipeError(f"there is no {what!r} to reproduce; give one of {', '.join(MAKERS)}")
    if given.scale not in SCALES:
        raise RecipeError(f"scale = {given.scale!r}: give {' or '.join(SCALES)}")
    if seeds < 1:
        raise RecipeError(f"seeds = {seeds}: give 1 or more")
    if seeds > 1 and what not in ("table4", "table5"):
        raise RecipeError(f"seeds = {seeds} has no effect on {what}: only table4 and table5 use several seeds")
    if test is not None and what != "table4":
        raise RecipeError(f"--test has no effect on {what}: only table4 has a row that uses it")
    if only_folds and what == "figure2":
        raise RecipeError("--only-fold has no effect on figure2, which trains nothing")
    if any(setting.split("=")[0].strip() == "model.weights" for _, setting in given.addressed):
        raise RecipeError("--set model.weights: give initial weights per model with --weights KEY=FILE")
    keys = _keys(what, given.scale)
    _check_keys("--set", what, [key for key, _ in given.addressed if key], keys)
    _check_keys("--weights", what, given.weights, [] if what == "figure2" else keys)
    for key, file in given.weights.items():
        if file not in ("hub", "package", "random") and not is_weights_file(file):
            raise RecipeError(
                f"--weights {key}={file}: there is no such file; give a file, `hub`, `package` or `random`"
            )


def _check_keys(option: str, what: str, keys: Collection[str], known: Sequence[str]) -> None:
    if unknown := sorted(set(keys) - set(known)):
        models = f"its models are {', '.join(known)}" if known else "it trains none"
        raise RecipeError(f"{option} {unknown[0]}: {what} has no such model; {models}")


def _keys(what: str, scale: Scale) -> list[str]:
    """Return the keys of the models of a table or figure."""
    if what in ("table6", "figure3"):
        return [ONE_MODEL]
    if what in ("table4", "figure2"):
        return [BASE]
    weak = [entry.key for entry in read_report_models(what) if entry.at(scale)]
    return [*BASES, *weak] if what == "table5" else weak


def _models(name: str) -> Maker:
    def make(experiment: ReportExperiment, asked: _Asked) -> Finish:
        models = train_models(experiment, read_report_models(name), asked.given)
        return lambda: write_models(models, experiment.out / name, asked.given.scale, experiment.used)

    return make


def _table3(experiment: ReportExperiment, asked: _Asked) -> Finish:
    need_all_folds(experiment, "table3")
    models = train_models(experiment, read_report_models("table3"), asked.given)
    return lambda: table_of_ensembles(models, experiment.out, asked.given.scale)


def _rows(name: str) -> list[Change]:
    return [row for row in read_changes().values() if f"table{row.table}" == name]


def _ablation(experiment: ReportExperiment, base: Recipe, rows: Sequence[Change], asked: _Asked) -> Ablation:
    try:
        return run_ablation(replace(experiment, out=experiment.out / "ablation"), base, rows, asked.seeds, asked.test)
    except WeightsError as error:
        raise WeightsError(lacking_weights(BASE, base, error, experiment.catalog)) from error


def _table4(experiment: ReportExperiment, asked: _Asked) -> Finish:
    base = load_base(BASE, asked.given)
    check_recipes({BASE: base}, experiment.catalog)
    made = _ablation(experiment, base, _rows("table4"), asked)
    notes = notes_on({f"the base {base.name}": base}, asked.given.scale)
    return lambda: replace(made, notes=(*made.notes, *notes)).write(experiment.out / "table4")


def _table5(experiment: ReportExperiment, asked: _Asked) -> Finish:
    """Make the rows of `ablate`, with a base of clips for rows not about super-images, and the rows of bags."""
    given, bags = asked.given, read_report_models("table5")
    bases, recipes = {key: load_base(key, given) for key in BASES}, load_report_models(bags, given)
    check_recipes(bases | recipes, experiment.catalog)  # fails before hours of training
    check_pretraining(experiment, given)
    of_clips = [row for row in _rows("table5") if row.methods and "super-image" not in row.methods]
    rows = [row for row in _rows("table5") if row not in of_clips]
    made = _ablation(experiment, bases[BASE], rows, asked)
    lines = [*made.lines, *_lines_of_clips(experiment, bases[VIDEO_BASE], of_clips, asked.seeds)]
    lines += weak_supervision_lines(experiment, experiment.out / "ablation" / f"seed{made.seeds[0]}" / BASE, given)
    shown = {entry.key: _begun(entry, recipes[entry.key], given) for entry in bags if entry.key in recipes}
    notes = notes_on({f"the base {bases[BASE].name}": bases[BASE], VIDEO_BASE: bases[VIDEO_BASE], **shown}, given.scale)
    notes += notes_on_epochs({VIDEO_BASE: bases[VIDEO_BASE], **recipes})
    if asked.seeds > 1:
        notes.append(f"Bags of frozen features, and the base that they are compared with: seed {made.seeds[0]} only.")
    whole = replace(made, lines=tuple(lines), notes=(*made.notes, *notes))
    return lambda: whole.write(experiment.out / "table5")


def _begun(entry: ReportModel, recipe: Recipe, given: Given) -> Recipe:
    """Return the recipe with the name of its pretraining as weights, if it starts from one."""
    if not entry.pretrained or entry.key in given.weights:
        return recipe
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": entry.pretrained})})


def _lines_of_clips(experiment: ReportExperiment, base: Recipe, rows: Sequence[Change], seeds: int) -> list[Line]:
    """Return the rows on the base of clips; they are left out if the base cannot be trained."""
    named = [row.model_copy(update={"name": f"{row.name} (of {VIDEO_BASE})"}) for row in rows]
    try:
        return [*run_ablation(replace(experiment, out=experiment.out / "ablation-video"), base, named, seeds, ()).lines]
    except WeightsError as error:
        reason = lacking_weights(VIDEO_BASE, base, error, experiment.catalog)
    except NOT_TRAINED as error:
        reason = f"{VIDEO_BASE}: {error}"
    experiment.distributed.log(f"not trained: {reason}")
    return [Line(row, reason=reason) for row in named]


def _one(experiment: ReportExperiment, asked: _Asked) -> Model:
    """Train the model of Table 6 and Figure 3."""
    entry = next(model for model in read_report_models("table2") if model.key == ONE_MODEL)
    (model,) = train_models(experiment, [entry], asked.given)
    return model


def _table6(experiment: ReportExperiment, asked: _Asked) -> Finish:
    model = _one(experiment, asked)
    return lambda: table_of_classes(experiment, model, experiment.out, asked.given.scale)


def _figure2(experiment: ReportExperiment, asked: _Asked) -> Finish:
    recipe = resolve(load_base(BASE, asked.given), experiment.catalog)
    return lambda: picture_of_inputs(experiment, recipe, experiment.out, asked.given.scale)


def _figure3(experiment: ReportExperiment, asked: _Asked) -> Finish:
    model = _one(experiment, asked)
    return lambda: pictures_of_attention(experiment, model, asked.device, experiment.out, asked.given.scale)


MAKERS: dict[str, Maker] = {
    "table1": _models("table1"),
    "table2": _models("table2"),
    "table3": _table3,
    "table4": _table4,
    "table5": _table5,
    "table6": _table6,
    "figure2": _figure2,
    "figure3": _figure3,
}
