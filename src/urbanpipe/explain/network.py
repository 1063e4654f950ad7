"""The network of a run that is explained."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.run_folder import WEIGHTS, check_run_format, read_done, read_json, read_left_out
from urbanpipe.errors import RunError
from urbanpipe.inference.torch_runtime import load_network
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.network import Network
from urbanpipe.settings import read_toml
from urbanpipe.taxonomy import Taxonomy, load_taxonomy
from urbanpipe.training.run import begun_rows


@dataclass(frozen=True)
class Explained:
    """A trained network.

    Attributes:
        recipe: recipe of the network.
        taxonomy: the classes.
        network: the network on its device, in evaluation mode, with parameters that need no gradients.
        fold: fold of a cross-validation; None for the single network of `train`.
        notes: notes on the choice of the network, one sentence each.
    """

    recipe: Recipe
    taxonomy: Taxonomy
    network: Network
    fold: int | None
    notes: tuple[str, ...]


def load_explained(run: Path, fold: int | None, video: str, device: torch.device) -> Explained:
    """Load one network of a run.

    Args:
        run: folder of `train` or of one run of `crossval`.
        fold: number of the fold; None takes the first one.
        video: name of the video, to check whether the network was trained on it.
        device: device for the network.

    Raises:
        RunError: the folder is not a run, the fold does not exist or is not finished, or weights are damaged.
    """
    _refuse_others(run)
    check_run_format(run)
    folds = _folds(run)
    if fold is not None and fold not in folds:
        there = f"it has {', '.join(map(str, folds))}" if folds else "it is a single model; omit --fold"
        raise RunError(f"{run} has no fold {fold}: {there}")
    number = folds[0] if fold is None and folds else fold
    folder = run if number is None else run / f"fold{number}"
    if read_done(folder) is None:
        other = "" if number is None else " or give another --fold"
        raise RunError(f"{folder} is not finished; run its `crossval` or `train` again first{other}")
    recipe, taxonomy = load_recipe(run / "recipe.toml"), load_taxonomy(run / "taxonomy.toml")
    network = load_network(folder / WEIGHTS, recipe, taxonomy, device)
    network.requires_grad_(False)
    return Explained(recipe, taxonomy, network, number, _notes(run, folds, number, fold is None, video))


def _refuse_others(run: Path) -> None:
    """Refuse a folder that is not a run; the message names the runs that it holds."""
    if (run / "weights.toml").exists():
        raise RunError(f"{run} is an ensemble; give the run of one of its members: {_members(run)}")
    if (run / "experiment.json").exists() and not (run / "recipe.toml").exists():
        runs = sorted(path.parent.name for path in run.glob("*/recipe.toml"))
        raise RunError(f"{run} is an experiment; give one of its runs: {', '.join(runs) or 'there is none yet'}")
    if not (run / "recipe.toml").exists():
        raise RunError(f"{run} is not a run: it has no recipe.toml")


def _members(ensemble: Path) -> str:
    try:
        table = read_toml(ensemble / "weights.toml")
        return ", ".join(str(row["path"]) for row in table["members"])
    except (OSError, ValueError, KeyError, TypeError):
        return "its weights.toml is damaged"


def _folds(run: Path) -> list[int]:
    """Return the numbers of the folds that have a folder, ascending."""
    names = [path.name.removeprefix("fold") for path in run.glob("fold*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal())


def _notes(run: Path, folds: list[int], number: int | None, is_default: bool, video: str) -> tuple[str, ...]:
    notes = []
    if is_default and len(folds) > 1:
        notes.append(f"the network of fold {number} is explained, the first of {len(folds)}; --fold takes another")
    if number is None:
        learned = read_json(run / "labels.json") if (run / "labels.json").exists() else {}
        return (f"this network was trained on {video}",) if _named_so(video, learned) else ()
    assignment = read_folds(run / "folds.csv") if (run / "folds.csv").exists() else {}
    own = {assignment[name] for name in _named_so(video, assignment)}
    if len(own) == 1 and own != {number}:
        (fold,) = own
        unseen = f"; the one of --fold {fold} was not" if fold in folds else ""
        notes.append(f"this network was trained on {video}{unseen}")
    elif not own and _named_so(video, {row[0] for row, _ in begun_rows(run)} - read_left_out(run).keys()):
        notes.append(f"this network was trained on {video}, as those of the other folds were")
    return tuple(notes)


def _named_so(video: str, known: Iterable[str]) -> list[str]:
    """Return the videos with a file name, which catalogs prefix with folders where it occurs several times."""
    return [name for name in known if name.rpartition("/")[2] == video]
