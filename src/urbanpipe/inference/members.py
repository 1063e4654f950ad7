"""The trained networks of a run or an ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.run_folder import WEIGHTS, check_run_format, read_done
from urbanpipe.errors import RunError
from urbanpipe.inference.runtime import Runtime
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.settings import read_toml
from urbanpipe.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Member:
    """The networks of a recipe, one per fold, and the weight of their mean."""

    name: str
    recipe: Recipe
    runtimes: tuple[Runtime, ...]
    weight: float


@dataclass(frozen=True)
class Models:
    """All networks of a run or an ensemble.

    Attributes:
        taxonomy: the classes.
        members: members, whose weights sum to 1.
        exclusive_threshold: threshold of the rule for the exclusive class; None disables the rule.
    """

    taxonomy: Taxonomy
    members: tuple[Member, ...]
    exclusive_threshold: float | None


@dataclass(frozen=True)
class Trained:
    """The location of the networks of a run or an ensemble.

    Attributes:
        folder: folder of the run or ensemble.
        runs: run folders of the members with a positive weight, with their weights.
        exclusive_threshold: threshold of the rule for the exclusive class; None disables the rule.
    """

    folder: Path
    runs: tuple[tuple[Path, float], ...]
    exclusive_threshold: float | None


def find_trained(folder: Path) -> Trained:
    """Find the networks of a run (recipe.toml), an ensemble (weights.toml), or an experiment, which has an ensemble.

    The ensemble of an experiment is that of `crossval`, or else that of `fit`.

    Raises:
        RunError: the folder is none of these, or a member is missing.
    """
    if (folder / "experiment.json").exists():
        of_experiment = (folder / "ensemble", folder / "fit" / "ensemble")
        folder = next((path for path in of_experiment if (path / "weights.toml").exists()), folder)
    if (folder / "weights.toml").exists():
        return _ensemble(folder)
    if not (folder / "recipe.toml").exists():
        raise RunError(f"{folder} is neither a run nor an ensemble: it has no recipe.toml and no weights.toml")
    return Trained(folder, ((folder, 1.0),), None)


def load_models(folder: Path, device: "torch.device") -> Models:
    """Load the networks that `find_trained` finds; code in their files is never executed.

    Raises:
        RunError: see `find_trained`; or a member is unfinished, or weights are damaged or belong to another recipe.
    """
    trained = find_trained(folder)
    for run, _ in trained.runs:
        check_run_format(run)
    members = tuple(_member(run, weight, device) for run, weight in trained.runs)
    return Models(load_taxonomy(trained.runs[0][0] / "taxonomy.toml"), members, trained.exclusive_threshold)


def _ensemble(folder: Path) -> Trained:
    try:
        table = read_toml(folder / "weights.toml")
        rows = [(_run_path(folder, row), float(row["weight"])) for row in table["members"]]
        runs = tuple((path, weight) for path, weight in rows if weight > 0)
        threshold = None if (value := table.get("exclusive_threshold")) is None else float(value)
        runs[0]  # raises if no member has a positive weight
    except (OSError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise RunError(
            f"{folder / 'weights.toml'} is damaged ({error!r}); write it again with `urbanpipe ensemble`"
        ) from error
    return Trained(folder, runs, threshold)


def _run_path(folder: Path, row: dict[str, Any]) -> Path:
    """Return the current folder of a member: the recorded one, or one near the ensemble if both were moved.

    A moved member lies beside the ensemble, or where `fit` wrote the ensemble, one folder above.
    """
    written = Path(row["path"])
    places = (written, folder.parent / written.name, folder.parent.parent / written.name)
    found = next((path for path in places if (path / "recipe.toml").exists()), None)
    if found is None:
        raise RunError(f"{folder} needs the run {written}, which is missing; put it beside the ensemble's folder")
    return found


def _member(run: Path, weight: float, device: "torch.device") -> Member:
    recipe, taxonomy = load_recipe(run / "recipe.toml"), load_taxonomy(run / "taxonomy.toml")
    from urbanpipe.inference.torch_runtime import load_runtimes

    return Member(recipe.name, recipe, load_runtimes(weight_files(run), recipe, taxonomy, device), weight)


def weight_files(run: Path) -> list[Path]:
    """Return the weight files of a run's networks, one per fold.

    Raises:
        RunError: a network is not finished.
    """
    folders = _model_folders(run)
    if unfinished := [folder.name for folder in folders if read_done(folder) is None]:
        raise RunError(f"{run} is not finished ({', '.join(unfinished)}); run its `crossval` or `train` again first")
    return [folder / WEIGHTS for folder in folders]


def _model_folders(run: Path) -> list[Path]:
    """Return the model folders of a run: one per fold, or the run itself.

    A finished cross-validation must have all of them.
    """
    if (run / "out_of_fold.json").exists():
        return [run / f"fold{number}" for number in sorted(set(read_folds(run / "folds.csv").values()))]
    return sorted(path for path in run.glob("fold*") if path.is_dir()) or [run]


def groups_by_pixels(members: Sequence[Member]) -> list[list[int]]:
    """Group the members, by index, that use the same pixels and precision, so that each group reads a video once."""
    groups: dict[str, list[int]] = {}
    for number, member in enumerate(members):
        pixels, training = member.recipe.input.pixels(), member.recipe.training
        key = f"{pixels} {training.precision} {training.channels_last}"
        groups.setdefault(key, []).append(number)
    return list(groups.values())


def evidence_member(members: Sequence[Member]) -> int:
    """Return the index of the member that provides scores over time.

    This is the member with the largest weight among those with many segments, or else among all.
    """
    return max(range(len(members)), key=lambda n: (members[n].recipe.input.many_segments, members[n].weight, -n))
