"""Moments from scores over time, beside a naive way: the best of nine uniform frames.

    urbanpipe predict RUN CCTV/videos --out scores.json
    python benchmarks/cctv_moments.py scores.pieces.npz --truth CCTV/moments.json

The naive way gives each class one moment a video, where the score of nine uniformly spaced frames (those that a
super-image would show) is highest. Both ways weigh a moment's score by the video's probability, and neither is tuned on
the truth. Scored as CCTV-Pipe is: AP at 5, 10 and 15 s.
"""

import argparse
from pathlib import Path

import numpy as np

from urbanpipe.contracts.predictions import Predictions, read_predictions
from urbanpipe.contracts.segment_scores import Pieces, read_pieces
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.evaluation.moments import TOLERANCES, Moment, MomentScores, read_truth, score_moments
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inspection.moments import find_moments
from urbanpipe.taxonomy import Taxonomy, default_taxonomy
from urbanpipe.video.sampling import uniform

FRAMES = 9


def naive(pieces: Pieces, videos: Predictions, taxonomy: Taxonomy) -> dict[str, list[Moment]]:
    """One moment a class and video: the best of nine pieces, spaced as a super-image's frames are."""
    found = {}
    for name, weight in zip(pieces.names, videos.aligned(pieces.names), strict=True):
        seconds, scores = pieces.of(name)
        seen = uniform(len(scores), FRAMES)
        times, scores = seconds.mean(axis=1)[seen], scores[seen] * weight
        best = scores.argmax(axis=0)
        moments = [
            Moment(label, float(times[best[label]]), float(scores[best[label], label])) for label in taxonomy.defects
        ]
        found[name] = sorted(moments, key=lambda moment: moment.seconds)
    return found


def row(name: str, scores: MomentScores) -> list[str]:
    """A row of the table, in per cent."""
    return [name, str(int(scores.found.sum())), *map(per_cent, scores.maps), per_cent(scores.mean)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    given = parser.parse_args()
    taxonomy = default_taxonomy()
    pieces = read_pieces(given.pieces, taxonomy)
    beside = given.pieces.with_name(given.pieces.name.removesuffix(".pieces.npz") + ".json")
    videos, truth = read_predictions(beside, taxonomy), read_truth(given.truth, taxonomy).only(pieces.names)
    ways = {
        "peaks of scores over time": find_moments(pieces, MomentsConfig(), taxonomy, videos),
        "best of nine uniform frames": naive(pieces, videos, taxonomy),
    }
    header = ["way", "moments", *(f"mAP {seconds:g} s" for seconds in TOLERANCES), "mean"]
    print(markdown_table(header, [row(name, score_moments(found, truth, taxonomy)) for name, found in ways.items()]))
    lengths = np.array([pieces.of(name)[0][-1, 1] for name in pieces.names])
    count = sum(map(len, truth.moments.values()))
    print(f"{len(pieces.names)} videos of {lengths.mean():.0f} s on average, {count} true moments.")


if __name__ == "__main__":
    main()
