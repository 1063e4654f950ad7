"""The verb `reproduce`: a table or figure of the report on your own videos, beside the report's numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.catalog.table import Video, read_catalog
from urbanpipe.errors import RecipeError
from urbanpipe.outputs import write_json
from urbanpipe.reproduce.ablate import BASE, run_ablation
from urbanpipe.reproduce.combined import table_of_classes, table_of_ensembles
from urbanpipe.reproduce.entries import Scale, read_entries
from urbanpipe.reproduce.figures import picture_of_inputs, pictures_of_attention
from urbanpipe.reproduce.models import Model, load_entries, need_all_folds, train_models, write_models
from urbanpipe.reproduce.rows import read_rows
from urbanpipe.reproduce.weak import weak_lines
from urbanpipe.reproduce.work import Work, begin
from urbanpipe.taxonomy import load_taxonomy
from urbanpipe.training.crossval import CACHE_GB, resolve
from urbanpipe.training.recipe import load_recipe
from urbanpipe.training.run import alone_in, environment

SCALES: tuple[Scale, ...] = ("small", "paper")
BASES: dict[Scale, str] = {"small": "small-mobilenetv2", "paper": "super-image-convnext-b"}
ONE_MODEL = "convnext-b"  # of Table 6 and the figures


@dataclass(frozen=True)
class _Asked:
    """What the user asked for, as far as the tables need it; see `reproduce`."""

    scale: Scale
    seeds: int
    overrides: tuple[str, ...]
    weights: Mapping[str, str]
    test: tuple[Video, ...]
    device: str


Finish = Callable[[], str]  # writes the table and returns it, in one process
Maker = Callable[[Work, _Asked], Finish]  # trains what is missing, in all processes


def reproduce(
    what: str,
    data: Path,
    out: Path,
    scale: Scale = "small",
    folds: int | Path = 5,
    only_folds: Sequence[int] = (),
    seeds: int = 1,
    overrides: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
    test: Path | None = None,
    taxonomy: Path | None = None,
    device: str = "auto",
    cache: Path | None = None,
    cache_gb: float = CACHE_GB,
) -> str:
    """Train what a table or figure of the UrbanPipe report needs and is not there yet, and write it.

    Args:
        what: `table1` (video method), `table2` (super-images), `table3` (ensembles), `table4` (what gained), `table5`
            (what lost), `table6` (classes by fold), `figure2` (what a network sees) or `figure3` (Grad-CAM).
        data: a catalog.
        out: gets the runs, which all tables share, and `<what>.md` and `.csv`, or the figure. Run again, it goes on.
        scale: `paper` takes the report's networks and pictures, `small` such as two processor cores can train.
        folds: how many to make, or a CSV `video,fold`.
        only_folds: train and judge these alone.
        seeds: of tables 4 and 5; see `ablate`.
        overrides: `section.key=value` for all recipes.
        weights: first weights by the key of a model; `base` is that of tables 4 and 5.
        test: a catalog of other labelled videos, for a row of table 4.
        taxonomy: the classes; the 17 of QV-Pipe without.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        cache: folder for decoded frames; by default one that all runs of the user share.
        cache_gb: its largest size in GB; 0 decodes every time.

    Returns:
        The table as Markdown, or what the figure shows.

    Raises:
        UrbanpipeError: whatever of the above cannot be used. A model whose weights cannot be had is left out of its
            table, which says what to give.
    """
    _check(what, scale, seeds, weights or {})
    others = tuple(read_catalog(test, load_taxonomy(taxonomy)).labelled) if test else ()
    asked = _Asked(scale, seeds, tuple(overrides), weights or {}, others, device)
    work = begin(data, out, folds, only_folds, taxonomy, device, cache, cache_gb)
    finish = MAKERS[what](work, asked)
    text = ""
    if work.processes.is_main:
        with alone_in(out, wait=True):
            text = finish()
            write_json(out / f"{what}.json", {"scale": scale, "folds": list(work.used)} | environment())
    return work.processes.from_main(text)


def _check(what: str, scale: Scale, seeds: int, weights: Mapping[str, str]) -> None:
    if what not in MAKERS:
        raise RecipeError(f"there is no {what!r} to reproduce; there are {', '.join(MAKERS)}")
    if scale not in SCALES:
        raise RecipeError(f"scale = {scale!r}: give {' or '.join(SCALES)}")
    if seeds < 1:
        raise RecipeError(f"seeds = {seeds}: give 1 or more")
    known = {each.key for name in ("table1", "table2", "table5") for each in read_entries(name)} | {BASE}
    if unknown := sorted(set(weights) - known):
        raise RecipeError(f"weights for {unknown[0]!r}, which is no model; the models are {', '.join(sorted(known))}")


def _models(name: str) -> Maker:
    def make(work: Work, asked: _Asked) -> Finish:
        models = train_models(work, read_entries(name), asked.scale, asked.overrides, asked.weights)
        return lambda: write_models(models, work.out / name, asked.scale, work.used)

    return make


def _table3(work: Work, asked: _Asked) -> Finish:
    need_all_folds(work, "table3")
    models = train_models(work, read_entries("table3"), asked.scale, asked.overrides, asked.weights)
    return lambda: table_of_ensembles(models, work.out)


def _ablation(name: str) -> Maker:
    rows = [row for row in read_rows().values() if f"table{row.table}" == name]

    def make(work: Work, asked: _Asked) -> Finish:
        first = [f"model.weights={asked.weights[BASE]}"] if BASE in asked.weights else []
        base = load_recipe(BASES[asked.scale], [*asked.overrides, *first])
        if name == "table5":  # a setting that does not fit is told before hours of training
            load_entries(read_entries(name), asked.scale, asked.overrides, asked.weights)
        apart = replace(work, out=work.out / "ablation")
        made = run_ablation(apart, base, rows, asked.seeds, asked.test)
        if name == "table5":
            of_base = apart.out / f"seed{made.seeds[0]}" / BASE
            weak = weak_lines(work, of_base, asked.scale, asked.overrides, asked.weights)
            made = replace(made, lines=(*made.lines, *weak))
        return lambda: made.write(work.out / name)

    return make


def _one(work: Work, asked: _Asked) -> Model:
    """The model of Table 6 and Figure 3, trained."""
    entry = next(each for each in read_entries("table2") if each.key == ONE_MODEL)
    (model,) = train_models(work, [entry], asked.scale, asked.overrides, asked.weights)
    return model


def _table6(work: Work, asked: _Asked) -> Finish:
    model = _one(work, asked)
    return lambda: table_of_classes(work, model, work.out)


def _figure2(work: Work, asked: _Asked) -> Finish:
    recipe = resolve(load_recipe(BASES[asked.scale], list(asked.overrides)), work.catalog)
    return lambda: picture_of_inputs(work, recipe, work.out)


def _figure3(work: Work, asked: _Asked) -> Finish:
    model = _one(work, asked)
    return lambda: pictures_of_attention(work, model, asked.device, work.out)


MAKERS: dict[str, Maker] = {
    "table1": _models("table1"),
    "table2": _models("table2"),
    "table3": _table3,
    "table4": _ablation("table4"),
    "table5": _ablation("table5"),
    "table6": _table6,
    "figure2": _figure2,
    "figure3": _figure3,
}
