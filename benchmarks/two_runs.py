"""Are cross-validated runs better than a first one on the same folds?

    python benchmarks/two_runs.py RUN OTHER [OTHER ...]

Prints mAP over the defects fold by fold, and each OTHER minus RUN with its 95 % interval (paired bootstrap over groups
of videos) and the p of the corrected resampled t-test over folds. Folds that not all of them have done are left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.labels import label_matrix, read_labels
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.evaluation.runs import OutOfFold, read_groups, same_data
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.reproduce.paired_comparison import ComparisonData, compare_paired
from urbanpipe.taxonomy import load_taxonomy


def done_folds(run: Path) -> set[int]:
    """The folds whose network is trained."""
    return {int(path.parent.name[4:]) for path in run.glob("fold*/done.json")}


def read_done(run: Path, folds: Sequence[int]) -> OutOfFold:
    """Return what the networks of these folds predict for their videos."""
    taxonomy = load_taxonomy(run / "taxonomy.toml")
    predictions = [read_predictions(run / f"fold{fold}" / "predictions.json", taxonomy) for fold in folds]
    names = tuple(name for each in predictions for name in each.names)
    fold_of, group_of = read_folds(run / "folds.csv"), read_groups(run / "groups.csv")
    return OutOfFold(
        run=run,
        taxonomy=taxonomy,
        names=names,
        targets=label_matrix(names, read_labels(run / "labels.json", taxonomy), len(taxonomy)),
        folds=np.array([fold_of[name] for name in names], dtype=np.int64),
        groups=tuple(group_of[name] for name in names),
        scores=np.concatenate([each.scores for each in predictions]),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    given = parser.parse_args()
    folds = sorted(set.intersection(*(done_folds(run) for run in (given.run, *given.others))))
    if not folds:
        raise SystemExit("no fold is done in all of the runs")
    one = read_done(given.run, folds)
    all_folds = len(set(read_folds(given.run / "folds.csv").values()))
    data = ComparisonData(one.taxonomy, one.names, one.targets, one.folds, one.groups, all_folds)
    rows: list[list[str]] = []
    for run in given.others:
        found = compare_paired(same_data(one, read_done(run, folds)).scores[None], one.scores[None], data)
        if not rows:
            rows.append([given.run.name, *_maps(found.off_defects[0]), "", "", "", ""])
        ends = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        difference = [f"{100 * found.gains.mean():+.1f}", ends, f"{found.p:.2f}", found.reading]
        rows.append([run.name, *_maps(found.on_defects[0]), *difference])
    header = ["run", *(f"fold {fold}" for fold in folds), "mAP of the defects (sd)"]
    print(markdown_table([*header, f"minus {given.run.name}", "95 %", "p", "reading"], rows))


def _maps(maps: NDArray[np.float64]) -> list[str]:
    spread = f" ({per_cent(maps.std(ddof=1))})" if len(maps) > 1 else ""
    return [*map(per_cent, maps), f"{per_cent(maps.mean())}{spread}"]


if __name__ == "__main__":
    main()
