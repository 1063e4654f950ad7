"""A model that has seen nothing but simulated videos, tried on still pictures of real sewers.

    urbanpipe train simulated.csv --recipe small-frame --set model.weights=FILE --out run
    python benchmarks/stills.py run STILLS

STILLS holds `stills.csv` (columns `file`, `group`, `labels`) and the pictures that it names. Each becomes a video of
one frame, without loss. Prints the AP of the classes that the stills have, beside chance (their share of the stills),
with a bootstrap over scenes.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

from urbanpipe.catalog.labels import label_matrix
from urbanpipe.evaluation.average_precision import score
from urbanpipe.evaluation.intervals import bootstrap
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inference.predict import predict
from urbanpipe.taxonomy import load_taxonomy


def as_video(picture: Path, video: Path) -> None:
    """One frame, FFV1."""
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    with av.open(str(video), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("stills", type=Path)
    given = parser.parse_args()
    taxonomy = load_taxonomy(given.run / "taxonomy.toml")
    with (given.stills / "stills.csv").open(encoding="utf-8", newline="") as file:
        rows = {f"{Path(row['file']).stem}.mkv": row for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        for video, row in rows.items():
            as_video(given.stills / row["file"], folder / "videos" / video)
        found = predict(given.run, [folder / "videos"], out=folder / "predictions.json").predictions
    labels = {video: tuple(sorted(map(taxonomy.index, row["labels"].split()))) for video, row in rows.items()}
    targets = label_matrix(found.names, labels, len(taxonomy))
    there = np.flatnonzero(targets.any(axis=0))
    scores = score(found.scores, targets, taxonomy, empty="skip")
    ends = bootstrap(
        found.scores,
        targets,
        [rows[name]["group"] for name in found.names],
        taxonomy=taxonomy,
        draws=1000,
        seed=0,
        empty="skip",
    )
    table = [["mAP", "", per_cent(float(targets[:, there].mean())), per_cent(scores.map_all), _interval(ends.map_all)]]
    for index in there:
        share = per_cent(float(targets[:, index].mean()))
        interval = _interval((float(ends.ap[index, 0]), float(ends.ap[index, 1])))
        table.append(
            [
                taxonomy.codes[index],
                str(int(targets[:, index].sum())),
                share,
                per_cent(float(scores.ap[index])),
                interval,
            ]
        )
    print(f"{len(found.names)} stills of {len({row['group'] for row in rows.values()})} scenes\n")
    print(markdown_table(["class", "stills", "chance", "AP", "95 % interval"], table))


def _interval(ends: tuple[float, float]) -> str:
    return f"{per_cent(ends[0])}-{per_cent(ends[1])}"


if __name__ == "__main__":
    main()
