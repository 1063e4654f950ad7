"""Add graphs to a bundle from its stored weights, and compare them with torch on simulated videos.

python benchmarks/demonstration_graphs.py SIMULATED [--bundle src/urbanpipe/bundles/demonstration]

`urbanpipe bundle --runtime` does this with the run of a bundle, on out-of-fold videos. The run of the demonstration
bundle is not kept, so all networks are compared on all videos of a folder of `urbanpipe simulate`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tomli_w

from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.catalog.scan import scan
from urbanpipe.ensembling.graphs import BATCHES, GraphCheck, logit_difference, predicted, write_graphs
from urbanpipe.evaluation.average_precision import score
from urbanpipe.inference.bundle import (
    DEMONSTRATION,
    MANIFEST,
    METRICS,
    Bundle,
    Manifest,
    ManifestMember,
    graph_files,
    graph_runtimes,
    read_bundle,
)
from urbanpipe.inference.choose_runtime import GRAPHS
from urbanpipe.outputs import write_json, write_text
from urbanpipe.settings import read_toml
from urbanpipe.video.probe import digest


def checked(bundle: Bundle, written: ManifestMember, catalog: Path, runtime: str) -> GraphCheck:
    """Compare the graphs of a member with torch on all videos of a catalog."""
    taxonomy, (member,) = bundle.models.taxonomy, bundle.models.members
    videos = read_catalog(catalog, taxonomy).ok
    targets = np.array([[index in (video.labels or ()) for index in range(len(taxonomy))] for video in videos])
    pairs = [*zip(member.runtimes, graph_runtimes(bundle.folder, written, runtime, len(taxonomy)), strict=True)]
    differences = {size: max(logit_difference(pair, member, size) for pair in pairs) for size in BATCHES}
    drops = []
    for pair in pairs:
        rows = dict(predicted(pair, member.recipe.view, range(len(videos)), videos))
        before, after = (
            score([rows[row][side].scores for row in rows], targets[[*rows]], taxonomy, "skip").ap for side in (0, 1)
        )
        drops.append(np.nan_to_num(before - after, nan=-np.inf))
    worst = np.max(drops, axis=0)
    code = taxonomy.codes[int(worst.argmax())]
    return GraphCheck(runtime, differences, len(videos), float(worst.max()), code, videos_are="simulated")


def main() -> None:
    """Write the graphs and the manifest, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path)
    parser.add_argument("--bundle", type=Path, default=DEMONSTRATION)
    given = parser.parse_args()
    bundle = read_bundle(given.bundle, device="cpu", runtime="torch")
    catalog = given.simulated / "catalog.csv"
    scan(given.simulated / "videos", out=catalog, labels=given.simulated / "labels.json")
    videos = {video.name: video for video in read_catalog(catalog, bundle.models.taxonomy).ok}
    (written,) = write_graphs(bundle.models.members, bundle.manifest.members, videos, given.bundle, half=True)
    checks = [checked(bundle, written, catalog, runtime) for runtime in GRAPHS]
    for check in checks:
        print(check.line)
        check.refuse()
    metrics = json.loads((given.bundle / METRICS).read_text(encoding="utf-8"))
    write_json(given.bundle / METRICS, metrics | {"graphs": {check.runtime: check.to_table() for check in checks}})
    files = dict.fromkeys([METRICS, *(file for pair in graph_files(written) for file in pair)])
    table = read_toml(given.bundle / MANIFEST)
    table["files"] |= {file: digest(given.bundle / file) for file in files}
    table |= {"runtimes": [*GRAPHS], "members": [written.model_dump()]}
    manifest = Manifest.model_validate(table)
    write_text(given.bundle / MANIFEST, tomli_w.dumps(manifest.model_dump(exclude_none=True)))


if __name__ == "__main__":
    main()
