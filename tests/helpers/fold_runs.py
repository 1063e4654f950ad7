"""A finished cross-validation of made-up scores, of ninety videos in three folds."""

from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray

from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.outputs import write_csv, write_json, write_text
from urbanpipe.taxonomy import DefectClass, Taxonomy, taxonomy_table

NAMES = {"OK": "in order", "A": "crack", "B": "roots|moss", "C": "管 sag"}
SMALL = Taxonomy("small", tuple(DefectClass(i, c, en) for i, (c, en) in enumerate(NAMES.items())), exclusive="OK")
N = 90


def material(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores, targets and three folds; class C has a single positive, in fold 2."""
    rng = np.random.default_rng(seed)
    targets = rng.random((N, 4)) < 0.4
    folds = np.arange(N) % 3
    targets[:, 3] = np.arange(N) == 5
    return (rng.random((N, 4)) + targets / 2) / 1.5, targets, folds


def make_run(folder: Path) -> Path:
    scores, targets, folds = material()
    names = [f"v{i}.mp4" for i in range(N)]
    write_text(folder / "taxonomy.toml", tomli_w.dumps(taxonomy_table(SMALL)))
    write_json(folder / "labels.json", {n: np.flatnonzero(t).tolist() for n, t in zip(names, targets, strict=True)})
    write_csv(folder / "folds.csv", ("video", "fold"), zip(names, folds.tolist(), strict=True))
    write_csv(folder / "groups.csv", ("video", "group"), ((n, f"g{i // 2}") for i, n in enumerate(names)))
    write_predictions(Predictions(tuple(names[::-1]), scores[::-1]), folder / "out_of_fold.json", SMALL)
    return folder
