"""Finished cross-validations of random networks, which can be bundled."""

import json
from pathlib import Path

import numpy as np

from helpers.explain_runs import TAXONOMY, make_run, recipe_of
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import OUT_OF_FOLD
from urbanpipe.evaluation.runs import read_out_of_fold

CLASSES = len(TAXONOMY)
FOLDS = 2


def finished_run(folder: Path, method: str, videos: int = 60) -> Path:
    """A cross-validation of random networks whose out-of-fold scores tell something of made-up labels."""
    folder.mkdir(parents=True)
    run = make_run(folder, recipe_of(method), tuple(range(FOLDS)))
    rng = np.random.default_rng(7)
    names = tuple(f"d{number}_1.mp4" for number in range(videos))
    targets = np.arange(videos)[:, None] % CLASSES == np.arange(CLASSES)
    targets |= rng.random(targets.shape) < 0.4
    scores = np.clip(0.3 * targets + 0.7 * rng.random(targets.shape), 0, 1)
    labels = {name: np.flatnonzero(row).tolist() for name, row in zip(names, targets, strict=True)}
    (run / "labels.json").write_text(json.dumps(labels))
    (run / "folds.csv").write_text("video,fold\n" + "".join(f"{n},{i % FOLDS}\n" for i, n in enumerate(names)))
    (run / "groups.csv").write_text("video,group\n" + "".join(f"{n},{n[:-6]}\n" for n in names))
    (run / "environment.json").write_text(json.dumps({"format": "urbanpipe run 2", "data": "made up"}))
    write_predictions(Predictions(names, scores), run / "out_of_fold.json", TAXONOMY)
    return run


def noise_runs(folder: Path, count: int, seed: int) -> list[Path]:
    """Cross-validations of 150 videos whose out-of-fold scores are random."""
    rng, runs = np.random.default_rng(seed), []
    for number in range(count):
        run = finished_run(folder / str(number), "frame", videos=150)
        known = read_out_of_fold(run)
        write_predictions(Predictions(known.names, rng.random(known.scores.shape)), run / OUT_OF_FOLD, known.taxonomy)
        runs.append(run.rename(folder / f"run-{number}"))
    return runs
