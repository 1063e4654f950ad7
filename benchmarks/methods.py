"""The methods side by side: how well they rank defects, also those that are hardly visible, and what they cost.

    urbanpipe crossval catalog.csv --folds folds.csv --recipe small-frame --recipe small-video \\
        --recipe small-mobilenetv2 --recipe small-dense --set training.seed=0 --out experiment-0
    python benchmarks/methods.py experiment-0 [experiment-1 ...] [--truth truth.jsonl] [--test FOLDER]

Each experiment is a seed, with the same recipes on the same folds; folds that are not trained in all of them are left
out. A defect is brief where its class is in view for less than two seconds of the video in all (`truth.jsonl` of
`simulate`). Its AP ranks the videos with a brief defect of a class among those without the class. With `--test`, a
folder that `simulate` made, every network predicts its videos too, which is a second table; videos a second are told
there.

With `--ensembles` the first experiment's recipes are weighed equally, greedily and over the simplex, each search
evaluated on the videos that it chose by and, nested, on folds that it has not seen; and what each recipe adds to each
class.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from two_runs import read_done

from urbanpipe.catalog.labels import Labels, label_matrix, read_labels
from urbanpipe.contracts.predictions import Predictions, read_predictions
from urbanpipe.decision.exclusive import EXCLUSIVE_THRESHOLD
from urbanpipe.ensembling.contributions import contributions
from urbanpipe.ensembling.ensemble_table import ensemble_table
from urbanpipe.ensembling.weights import SEARCHES, equal_weights, search_nested
from urbanpipe.evaluation.average_precision import average_precision, score
from urbanpipe.evaluation.runs import same_data
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inference.predict import predict
from urbanpipe.taxonomy import Taxonomy, load_taxonomy
from urbanpipe.training.log import read_costs

BRIEF_SECONDS, FEWEST = 2.0, 3
Found = dict[int, Predictions]  # by fold


@dataclass(frozen=True)
class Figures:
    """Of one recipe and seed: a row a fold, in per cent but for `seconds` and `mebibytes`."""

    folds: NDArray[np.float64]  # (folds, 4): mAP, mAP over the defects, AP of SL, AP of brief defects
    seconds: float
    mebibytes: float


def brief(truth: Path | None, taxonomy: Taxonomy) -> set[tuple[str, int]]:
    """(video, class) of the brief defects."""
    if truth is None:
        return set()
    seen: dict[tuple[str, int], float] = {}
    for line in truth.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        key = row["video"], taxonomy.index(row["class"])
        seen[key] = seen.get(key, 0.0) + sum(end - begin + 0.25 for begin, end in row["intervals"])
    return {key for key, seconds in seen.items() if seconds < BRIEF_SECONDS}


def figures(run: Path, found: Found, labels: Labels, short: set[tuple[str, int]], taxonomy: Taxonomy) -> Figures:
    """Figures of a run, or of an ensemble of several (then its costs are not asked for)."""
    rows = []
    for predictions in found.values():
        targets = label_matrix(predictions.names, labels, len(taxonomy))
        scores = score(predictions.scores, targets, taxonomy, empty="skip")
        leak = scores.ap[taxonomy.index("SL")] if "SL" in taxonomy.codes else np.nan
        rows.append([scores.map_all, scores.map_defects, leak, _of_brief(predictions, targets, short)])
    costs = [read_costs(run / f"fold{fold}") for fold in found if (run / f"fold{fold}").exists()]
    seconds, mebibytes = np.mean([cost[0] for cost in costs] or [0]), max([cost[1] for cost in costs] or [0])
    return Figures(100 * np.array(rows), float(seconds), float(mebibytes))


def _of_brief(found: Predictions, targets: NDArray[np.bool_], short: set[tuple[str, int]]) -> float:
    each = []
    for index in range(targets.shape[1]):
        positive = np.array([(name, index) in short for name in found.names])
        counted = positive | ~targets[:, index]
        if positive.sum() >= FEWEST:
            each.append(average_precision(found.scores[counted, index], positive[counted]))
    return float(np.mean(each)) if each else float("nan")


def predicted(run: Path, folds: Sequence[int], videos: Path) -> tuple[Found, float]:
    """Return the predictions of each fold for unseen videos, and the median of the folds' videos per second."""
    found, speeds = {}, []
    for fold in folds:
        with tempfile.TemporaryDirectory() as name:
            alone = Path(name) / "run"
            shutil.copytree(run / f"fold{fold}", alone / f"fold{fold}")
            for file in ("recipe.toml", "taxonomy.toml"):
                shutil.copy(run / file, alone / file)
            result = predict(alone, [videos], out=Path(name) / "p.json")
        found[fold] = result.predictions
        speeds.append(result.videos_per_second)
    return found, float(np.median(speeds))


def _mean(values: Sequence[NDArray[np.float64]], column: int) -> str:
    """`mean (sd over folds; sd over seeds)` of one column."""
    stacked = np.stack(values)[:, :, column]  # (seeds, folds)
    if np.isnan(stacked).all():
        return ""
    spread = [per_cent(float(np.nanstd(stacked.mean(0), ddof=1)) / 100)] if stacked.shape[1] > 1 else []
    spread += [per_cent(float(np.nanstd(stacked.mean(1), ddof=1)) / 100)] if len(stacked) > 1 else []
    mean = per_cent(float(np.nanmean(stacked)) / 100)
    return f"{mean} ({'; '.join(spread)})" if spread else mean


@dataclass(frozen=True)
class Experiments:
    """One experiment a seed, each with the same recipes."""

    folders: Sequence[Path]
    names: Sequence[str]
    folds: Sequence[int]
    taxonomy: Taxonomy

    def table(self, found: dict[str, list[Found]], labels: Labels, truth: Path | None, speeds: dict[str, float]) -> str:
        """A row a recipe and one for the mean of all."""
        short = brief(truth, self.taxonomy)
        seeds = range(len(self.folders))
        together = [_together([found[name][seed] for name in self.names]) for seed in seeds]
        rows = []
        for name, many in [*found.items(), ("mean of all", together)]:
            each = [figures(self.folders[seed] / name, many[seed], labels, short, self.taxonomy) for seed in seeds]
            speed = f"{speeds[name]:.2f}" if name in speeds else ""
            cost = [f"{each[0].seconds / 60:.1f}", f"{each[0].mebibytes:.0f}"] if name in self.names else ["", ""]
            rows.append([name, *(_mean([one.folds for one in each], column) for column in range(4)), *cost, speed])
        header = ["recipe", "mAP", "mAP of the defects", "AP of SL", "AP of brief defects", "min", "MiB", "videos/s"]
        return markdown_table(header, rows)


def ensembles(experiment: Path, names: Sequence[str], folds: Sequence[int], taxonomy: Taxonomy) -> str:
    """Table 3 of the folds that are there, and the contributions of the members with equal weights."""
    data = read_done(experiment / names[0], folds)
    stack = np.stack([same_data(data, read_done(experiment / name, folds)).scores for name in names])
    threshold = EXCLUSIVE_THRESHOLD if taxonomy.exclusive is not None else None
    texts = []
    for kind, search in SEARCHES.items():
        searched = search_nested(stack, data, search)
        table = ensemble_table(
            stack, tuple(names), data, chosen=searched.weights, kind=kind, searched=searched, threshold=threshold
        )
        texts.append(replace(table, of_folder=()).to_markdown())
    each = contributions(stack, equal_weights(len(stack)), data)
    rows = [
        [name, *(_points(value) for value in by_class), _points(mean)]
        for name, by_class, mean in zip(names, each.ap, each.map_all, strict=True)
    ]
    return "\n".join([*texts, markdown_table(["adds, points of AP", *taxonomy.codes, "mAP"], rows)])


def _points(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:+.1f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", type=Path, nargs="+")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--test", type=Path, help="a folder of `simulate`: predict its videos with every network too")
    parser.add_argument("--ensembles", action="store_true", help="weights by search, nested too")
    given = parser.parse_args()
    first = given.experiments[0]
    names = sorted(path.parent.name for path in first.glob("*/recipe.toml"))
    taxonomy = load_taxonomy(first / names[0] / "taxonomy.toml")
    runs = {name: [experiment / name for experiment in given.experiments] for name in names}
    done = [{int(p.parent.name[4:]) for p in run.glob("fold*/done.json")} for many in runs.values() for run in many]
    folds = sorted(set.intersection(*done))
    if not folds:
        raise SystemExit("no fold is done in all runs of all experiments")
    experiments = Experiments(given.experiments, names, folds, taxonomy)
    evaluated = {
        name: [
            {fold: read_predictions(run / f"fold{fold}" / "predictions.json", taxonomy) for fold in folds}
            for run in many
        ]
        for name, many in runs.items()
    }
    print(f"folds {folds}, {len(given.experiments)} seeds; mean (sd over folds; sd over seeds)\n")
    labels = read_labels(first / names[0] / "labels.json", taxonomy)
    print(experiments.table(evaluated, labels, given.truth, {}))
    if given.ensembles:
        print(ensembles(first, names, folds, taxonomy))
    if given.test:
        results = {name: [predicted(run, folds, given.test / "videos") for run in many] for name, many in runs.items()}
        found = {name: [each for each, _ in many] for name, many in results.items()}
        speeds = {name: many[0][1] for name, many in results.items()}
        labels = read_labels(given.test / "labels.json", taxonomy)
        print(f"on {len(labels)} videos of {given.test.name}\n")
        print(experiments.table(found, labels, given.test / "truth.jsonl", speeds))


def _together(each: Sequence[Found]) -> Found:
    """The mean of several recipes' probabilities, fold by fold."""
    return {
        fold: Predictions(
            each[0][fold].names, np.mean([one[fold].aligned(each[0][fold].names) for one in each], axis=0)
        )
        for fold in each[0]
    }


if __name__ == "__main__":
    main()
