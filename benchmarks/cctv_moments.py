"""Moments from scores over time, beside a naive way: the best of nine uniform frames.

    urbanpipe predict RUN CCTV/videos --out scores.json
    python benchmarks/cctv_moments.py scores.segments.npz --truth CCTV/moments.json

The naive way gives each class one moment a video, where the score of nine uniformly spaced frames (those that a
super-image would show) is highest. Both ways weigh a moment's score by the video's probability, and neither is tuned on
the truth. Scored as CCTV-Pipe is: AP at 5, 10 and 15 s.
"""

import argparse
from pathlib import Path

import numpy as np

from urbanpipe.contracts.predictions import Predictions, read_predictions
from urbanpipe.contracts.segment_scores import SegmentScores, read_segment_scores
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.evaluation.moments import TOLERANCES, Moment, MomentScores, read_truth, score_moments
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inspection.moments import find_moments
from urbanpipe.taxonomy import Taxonomy, default_taxonomy
from urbanpipe.video.sampling import uniform

FRAMES = 9


def naive(segments: SegmentScores, videos: Predictions, taxonomy: Taxonomy) -> dict[str, list[Moment]]:
    """One moment a class and video: the best of nine segments, spaced as a super-image's frames are."""
    found = {}
    for name, weight in zip(segments.names, videos.aligned(segments.names), strict=True):
        seconds, scores = segments.of(name)
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
    parser.add_argument("segments", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    given = parser.parse_args()
    taxonomy = default_taxonomy()
    segments = read_segment_scores(given.segments, taxonomy)
    beside = given.segments.with_name(given.segments.name.removesuffix(".segments.npz") + ".json")
    videos, truth = read_predictions(beside, taxonomy), read_truth(given.truth, taxonomy).only(segments.names)
    ways = {
        "peaks of scores over time": find_moments(segments, MomentsConfig(), taxonomy, videos),
        "best of nine uniform frames": naive(segments, videos, taxonomy),
    }
    header = ["way", "moments", *(f"mAP {seconds:g} s" for seconds in TOLERANCES), "mean"]
    print(markdown_table(header, [row(name, score_moments(found, truth, taxonomy)) for name, found in ways.items()]))
    lengths = np.array([segments.of(name)[0][-1, 1] for name in segments.names])
    count = sum(map(len, truth.moments.values()))
    print(f"{len(segments.names)} videos of {lengths.mean():.0f} s on average, {count} true moments.")


if __name__ == "__main__":
    main()
