"""Is one cross-validated run better than another on the same folds?

    python benchmarks/two_runs.py RUN OTHER

Prints mAP over the defects fold by fold, and the difference with its 95 % interval (paired bootstrap over groups of
videos) and the p of the corrected resampled t-test over folds.
"""

import argparse
from pathlib import Path

from urbanpipe.evaluation.runs import read_out_of_fold, same_data
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.reproduce.gains import Judged, gain


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("other", type=Path)
    given = parser.parse_args()
    one = read_out_of_fold(given.run)
    other = same_data(one, read_out_of_fold(given.other))
    folds = sorted(set(one.folds.tolist()))
    data = Judged(one.taxonomy, one.targets, one.folds, one.groups, len(folds))
    found = gain(one.scores[None], other.scores[None], data)
    rows = [
        [name, *map(per_cent, maps[0]), f"{per_cent(maps.mean())} ({per_cent(maps.std(ddof=1))})"]
        for name, maps in ((given.run.name, found.on_defects), (given.other.name, found.off_defects))
    ]
    print(markdown_table(["run", *(f"fold {fold}" for fold in folds), "mAP of the defects (sd)"], rows))
    ends = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
    print(f"difference {100 * found.gains.mean():+.1f} points ({ends}), p = {found.p:.2f}: {found.reading}")


if __name__ == "__main__":
    main()
