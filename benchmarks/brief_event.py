"""What the feature memory's settings do to one event of a second in a minute, which nine uniform frames never show.

The videos are those of the tests: 22 to learn from, 14 to evaluate on, twelve epochs from random weights. Prints, for
each setting and seed, the AP of the event after every epoch, and in how many videos the best clip is where the event
was.

    python benchmarks/brief_event.py
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import torch

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.contracts.segment_scores import read_segment_scores
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model

VIDEOS, LEARNED_FROM = 36, 22


def run(videos: list[Video], when: dict[str, int], keep: float, auxiliary: float, seed: int, folder: Path) -> list[str]:
    """A row of the table."""
    from helpers.event_videos import EVENT, RATE, SETTINGS

    chosen = [f"input.memory.keep_stale={keep}", f"input.memory.auxiliary={auxiliary}", f"training.seed={seed}"]
    recipe, taxonomy = load_recipe("small-dense", [*SETTINGS, *chosen]), default_taxonomy()
    job = FoldJob(recipe, taxonomy, videos[:LEARNED_FROM], videos[LEARNED_FROM:], folder, None, "event")
    train_model(job, DistributedContext(0, 1, torch.device("cpu")))
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        curve = [f"{100 * float(row['map_defects']):.0f}" for row in csv.DictReader(file)]
    segments = read_segment_scores(folder / "segments.npz", taxonomy)
    hits = []
    for name in (name for name in segments.names if name in when):
        seconds, scores = segments.of(name)
        hits.append(abs(seconds[scores[:, EVENT].argmax()].mean() - (when[name] + 1) / RATE) <= 1.5)
    return [str(keep), str(auxiliary), str(seed), " ".join(curve), f"{sum(hits)} of {len(hits)}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from helpers.event_videos import make_events, read_events

    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        make_events(Path(name), VIDEOS)
        videos, when = read_events(Path(name))
        for keep, auxiliary in ((1.0, 0.0), (0.9, 0.05), (0.5, 0.0), (1.0, 0.2), (0.5, 0.2)):
            for seed in range(3):
                folder = Path(name) / f"{keep}-{auxiliary}-{seed}"
                rows.append(run(videos, when, keep, auxiliary, seed, folder))
    header = ["keep_stale", "auxiliary", "seed", "AP after each epoch, per cent", "best clip at the event"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
