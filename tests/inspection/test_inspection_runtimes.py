"""Bundles with graphs: they are inspected with as in torch, and without torch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from urbanpipe.cli.main import app
from urbanpipe.contracts.findings import Inspection, read_inspection
from urbanpipe.ensembling.bundle_options import NetworkStorage
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.ensembling.graphs import GraphCheck
from urbanpipe.errors import BundleError, RunError
from urbanpipe.inference.bundle import MANIFEST, METRICS, graph_files, read_bundle, read_manifest
from urbanpipe.inference.options import InferenceOptions, RuntimeName
from urbanpipe.inference.predict import predict
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.settings import read_toml
from urbanpipe.video.probe import digest

pytestmark = pytest.mark.slow

RUN = "import sys; from urbanpipe.cli.main import main; sys.argv = ['urbanpipe', *sys.argv[1:]]; main()"
HEAVY = ("scipy", "matplotlib", "openpyxl")  # each takes a tenth of a second to import
WITHOUT_TORCH = """
import os
import sys
from importlib.abc import MetaPathFinder


class NoTorch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", *os.environ["HIDDEN"].split()):
            raise ImportError(f"{name} is not installed here")


sys.meta_path.insert(0, NoTorch())

from urbanpipe.cli.main import main

sys.argv = ["urbanpipe", *sys.argv[1:]]
main()
"""


def without_torch(*arguments: str | Path, also: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    environment = {**os.environ, "HIDDEN": " ".join(also)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def by_torch(graph_bundle: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """The inspection in torch, by a process of its own."""
    out = tmp_path_factory.mktemp("torch") / "out"
    arguments = ["inspect", video, "--bundle", graph_bundle, "--out", out, "--runtime", "torch", "--device", "cpu"]
    subprocess.run([sys.executable, "-c", RUN, *map(str, arguments)], capture_output=True, check=True)
    return read_inspection(out / video.name)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_an_inspection_by_graphs_is_that_of_torch(
    graph_bundle: Path, video: Path, by_torch: Inspection, runtime: RuntimeName
) -> None:
    by_graph = Inspector.load(graph_bundle, device="cpu", runtime=runtime).inspect(video)
    for one, other in zip(by_torch.findings, by_graph.inspection.findings, strict=True):
        assert other.score == pytest.approx(one.score, abs=1e-5)
        assert other.triage == one.triage
        times = [[place.seconds for place in found.occurrences] for found in (one, other)]
        assert times[1] == pytest.approx(times[0], abs=0.31)  # within a frame of the other at equal heights
    assert {r.kind for r in by_graph.inspection.remarks} == {r.kind for r in by_torch.remarks}
    assert any(name.endswith(".heat.png") for name in by_graph.pictures)


def test_auto_takes_the_graphs_and_the_record_of_the_check_is_kept(graph_bundle: Path) -> None:
    assert read_bundle(graph_bundle, device="cpu").runtime == "onnx"
    checks = json.loads((graph_bundle / METRICS).read_text())["graphs"]
    assert set(checks) == {"onnx", "openvino"}
    assert checks["onnx"]["videos"] == 60
    assert max(checks["onnx"]["logit_difference"].values()) < 1e-3
    assert abs(checks["onnx"]["largest_ap_drop"]) <= 0.002


def test_inspect_and_predict_need_no_torch(
    graph_bundle: Path, video: Path, by_torch: Inspection, tmp_path: Path
) -> None:
    arguments = ("inspect", video, "--bundle", graph_bundle, "--out", tmp_path / "out", "--runtime", "onnx")
    done = without_torch(*arguments, also=HEAVY)
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/findings.json"))
    assert list(folder.glob("*.heat.png"))
    wanted = by_torch.findings
    found = json.loads((folder / "findings.json").read_text())["findings"]
    assert [one["score"] for one in found] == pytest.approx([one.score for one in wanted], abs=2e-3)
    done = without_torch("predict", graph_bundle, video, "--out", tmp_path / "p.json")
    assert done.returncode == 0, done.stderr
    (scores,) = json.loads((tmp_path / "p.json").read_text()).values()
    assert scores == pytest.approx([one.score for one in wanted], abs=2e-3)


def test_without_torch_a_bundle_without_graphs_is_refused_in_a_line(
    frame_bundle: Path, video: Path, tmp_path: Path
) -> None:
    done = without_torch("inspect", video, "--bundle", frame_bundle, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        f"torch is not installed, and {frame_bundle} has no graphs; run `pip install 'urbanpipe[train]'`, or make the "
        "bundle again with `urbanpipe bundle --runtime onnx`"
    )


def test_predict_takes_a_bundle_and_tells_a_run_what_graphs_need(
    graph_bundle: Path, video: Path, by_torch: Inspection, tmp_path: Path
) -> None:
    scores = predict(
        graph_bundle, [video], out=tmp_path / "p.json", workers=0, options=InferenceOptions(runtime="onnx")
    )
    found = [one.score for one in by_torch.findings]
    np.testing.assert_allclose(scores.predictions.scores[0], found, atol=1e-5)
    run = finished_run(tmp_path / "run", "frame")
    with pytest.raises(
        RunError, match=r"--runtime onnx needs a bundle with graphs; make one of .*bundle --runtime onnx"
    ):
        predict(run, [video], out=tmp_path / "r.json", options=InferenceOptions(runtime="onnx"))


def test_graphs_that_were_changed_or_do_not_fit_are_refused(graph_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(graph_bundle, folder)
    (member,) = read_manifest(folder).members
    encoder, head = graph_files(member)[0]
    shutil.copy(folder / head, folder / encoder)
    with pytest.raises(BundleError, match="was changed after the bundle was made"):
        read_bundle(folder)
    manifest = read_toml(folder / MANIFEST)
    manifest["files"][encoder] = digest(folder / encoder)
    (folder / MANIFEST).write_text(tomli_w.dumps(manifest))
    with pytest.raises(BundleError, match="a graph of the bundle lacks the output 'features'"):
        read_bundle(folder, runtime="onnx")
    for encoders in ([0], [1, 1], [0, 5]):
        manifest["members"][0]["encoders"] = encoders
        (folder / MANIFEST).write_text(tomli_w.dumps(manifest))
        with pytest.raises(BundleError, match=r"encoders = .* does not fit networks = 2"):
            read_bundle(folder)


def test_graphs_need_videos_to_be_checked_on(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "frame")
    with pytest.raises(BundleError, match="--runtime onnx needs --data CATALOG"):
        bundle(run, out=tmp_path / "bundle", storage=NetworkStorage(runtimes=("onnx",)))
    done = CliRunner().invoke(app, ["bundle", str(run), "--out", str(tmp_path / "b"), "--runtime", "tensorrt"])
    assert done.exit_code == 2


def test_graphs_that_predict_worse_are_refused() -> None:
    good = GraphCheck("onnx", {1: 1e-4, 7: 1e-5}, 60, 0.0019, "CK")
    good.refuse()
    assert good.line == (
        "onnx against torch: largest logit difference 1.0e-04 at 1, 1.0e-05 at 7 segments; largest drop of AP on 60 "
        "out-of-fold videos 0.19 points (CK)"
    )
    nothing = GraphCheck("onnx", {1: 0.0}, 3, float("-inf"), "CK")
    nothing.refuse()
    assert nothing.line.endswith("on 3 out-of-fold videos unknown: no class varies")
    assert nothing.to_table()["largest_ap_drop"] is None
    for differences, drop in (({1: 0.0, 7: 0.2}, 0.0), ({1: 0.0, 7: 0.0}, 0.0021)):
        with pytest.raises(BundleError, match="the export is refused, as its graphs predict differently: onnx"):
            GraphCheck("onnx", differences, 60, drop, "CK").refuse()
