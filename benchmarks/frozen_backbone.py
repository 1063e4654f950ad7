"""What an ImageNet network sees without any training: the baseline that fine-tuning must beat.

Nine uniform frames of every video go one by one through a frozen backbone at 224 px; logistic regression, one a class,
classifies the mean of their features, on the folds of a cross-validation. The regularisation is the best of three on
those very folds, which flatters the baseline.

    python benchmarks/frozen_backbone.py STUDY/catalog.csv --folds STUDY/folds.csv --weights mobilenetv2_100.safetensors

With `--against RUN`, given once or more, it tells by how much each run of a cross-validation on the same folds is
better.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from urbanpipe.catalog.catalog_file import Catalog, read_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.contracts.predictions import Predictions
from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.evaluation.intervals import compare
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import fold_table
from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.weights import load_weights
from urbanpipe.progress import track
from urbanpipe.video.decode import read_frames
from urbanpipe.video.sampling import uniform

SIZE, FRAMES = 224, 9
STRENGTHS = (0.001, 0.01, 0.1)  # C of the logistic regression


def features(catalog: Catalog, backbone: str, weights: str) -> NDArray[np.float32]:
    """Mean feature of the frames of every labelled video, (videos, channels)."""
    options: dict[str, str | int | float | bool] = {"pad_type": "same"} if backbone.startswith("mobilenetv2") else {}
    net = Backbone(ModelConfig(backbone=backbone, options=options), (SIZE, SIZE)).eval()
    print(load_weights(net, backbone, weights))
    normalise = Normalise(net.mean, net.std)
    rows = []
    with torch.inference_mode():
        for video in track(catalog.labelled, len(catalog.labelled), "frozen features"):
            frames = read_frames(video.path, uniform(video.frame_count, FRAMES), (SIZE, SIZE))
            rows.append(net.pooled(normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))).mean(0).numpy())
    return np.stack(rows)


def out_of_fold(
    inputs: NDArray[np.float32], targets: NDArray[np.bool_], folds: NDArray[np.int64], strength: float
) -> NDArray[np.float64]:
    """Probabilities (videos, classes), each by a classifier that has not seen the video."""
    scores = np.zeros(targets.shape)
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        for column in np.flatnonzero(targets[train].any(0)):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
            model.fit(inputs[train], targets[train, column])
            scores[test, column] = model.predict_proba(inputs[test])[:, 1]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--weights", default="hub", help="file, or hub")
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--against", type=Path, action="append", default=[], help="a run folder")
    given = parser.parse_args()
    catalog = read_catalog(given.catalog)
    names = tuple(video.name for video in catalog.labelled)
    labels = {video.name: video.labels or () for video in catalog.labelled}
    targets = label_matrix(names, labels, len(catalog.taxonomy))
    assigned = read_folds(given.folds)
    folds = np.array([assigned[name] for name in names])
    groups = [video.group for video in catalog.labelled]
    inputs = features(catalog, given.backbone, given.weights)
    scores = [out_of_fold(inputs, targets, folds, strength) for strength in STRENGTHS]
    data = EvaluationSet(catalog.taxonomy, tuple(names), targets, folds, tuple(groups))
    tables = [fold_table(Predictions(names, found).scores, data) for found in scores]
    for strength, table in zip(STRENGTHS, tables, strict=True):
        print(f"C = {strength}: mAP over the defects {table.map_defects:.4f}, mean of the folds")
    best = max(range(len(tables)), key=lambda place: tables[place].map_defects)
    print(tables[best].to_markdown())
    for run in given.against:
        found = read_out_of_fold(run)
        rows = [found.names.index(name) for name in names]
        gain = compare(found.scores[rows], scores[best], data)
        print(f"{run}: {gain.map_defects:+.4f} ({gain.level:.0%} interval {gain.low:+.4f} to {gain.high:+.4f})")


if __name__ == "__main__":
    main()
