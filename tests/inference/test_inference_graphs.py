"""Networks as graphs say what they say in torch, for any number of segments."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from helpers.explain_runs import TAXONOMY, recipe_of
from urbanpipe.ensembling.graph_export import export_encoder, export_head, map_layer
from urbanpipe.errors import BundleError
from urbanpipe.inference import choose_runtime as choosing
from urbanpipe.inference.choose_runtime import GRAPHS, choose_runtime
from urbanpipe.inference.graph import FEATURES, IMAGES, REAL, SECONDS, OnnxGraph
from urbanpipe.inference.graph_runtime import GraphRuntime
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.models.layers import noise

CLASSES = len(TAXONOMY)


def runtime_of(method: str, *settings: str) -> TorchRuntime:
    torch.manual_seed(3)
    recipe = recipe_of(method, *settings)
    network = recipe.network(CLASSES).requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))  # heads start near zero, where all logits are equal
    return TorchRuntime(network, recipe, torch.device("cpu"))


def segments_of(runtime: TorchRuntime, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    config, rng = runtime.recipe.input, np.random.default_rng(count)
    images = rng.integers(256, size=(count, *config.segment_shape), dtype=np.uint8)
    return images, rng.integers(1, config.frames + 1, size=count)


SMALL_VIT = "model.options={depth = 3, embed_dim = 32, num_heads = 2}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("frame", ('input.test_flips=["horizontal"]',)),
        ("frame", ("model.backbone=vit_tiny_patch16_224", SMALL_VIT)),
        ("super-image", ("input.tile=32",)),
        ("dense-pool", ("input.size=32",)),
        ("bag-layers", ("input.size=32",)),
        ("bag-layers", ("input.size=64", "model.backbone=vit_tiny_patch16_224", "input.layers=3", SMALL_VIT)),
        ("video", ("input.frames=4",)),
    ],
)
def test_encoders_give_what_torch_gives(method: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    runtime = runtime_of(method, *settings)
    layer = map_layer(runtime, torch.from_numpy(noise(runtime.recipe.input).numpy()), torch.tensor([1]))
    export_encoder(runtime, layer, tmp_path / "encode.onnx", half=False)
    export_head(runtime, runtime.encode(*segments_of(runtime, 1)).features.shape[1], tmp_path / "head.onnx", half=False)
    text = (tmp_path / "encode.onnx").read_bytes()
    assert b"site-packages" not in text
    assert str(Path(__file__).parents[2]).encode() not in text, "paths of the machine stay out of bundles"
    for name, open_graph in GRAPHS.items():
        if method == "video" and name == "openvino":
            with pytest.raises(BundleError, match="Conversion is failed for: ScatterND"):  # Video Swin: onnx only
                open_graph(tmp_path / "encode.onnx")
            continue
        graph = GraphRuntime(open_graph(tmp_path / "encode.onnx"), open_graph(tmp_path / "head.onnx"), CLASSES)
        for count in (1, 7):
            images, real = segments_of(runtime, count)
            wanted, found = (one.encode(images, real, observe=True) for one in (runtime, graph))
            np.testing.assert_allclose(found.features, wanted.features, atol=2e-4, rtol=1e-3)
            assert found.observed is not None
            assert wanted.observed is not None
            np.testing.assert_allclose(found.observed, wanted.observed, atol=1e-3, rtol=1e-3)
        maps = graph.class_maps(images[:1], int(real[0]))
        assert (maps >= 0).all()
        assert maps.shape[0] == (runtime.recipe.input.frames if method == "dense-pool" else 1)
        assert maps.shape[1] == CLASSES
        assert maps.ndim == (5 if method == "video" else 4)


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_norms_are_merged_with_convolutions_whatever_the_storage(half: bool, tmp_path: Path) -> None:
    runtime = runtime_of("frame", "model.backbone=mobilenetv3_small_050", "model.options={}", "model.weights=random")
    export_encoder(runtime, None, tmp_path / "encode.onnx", half=half)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(tmp_path / "encode.onnx", options)
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert "Conv" in kinds
    assert not kinds & {"BatchNormalization", "CastLike", "Expand"}, "they make the network several times slower"
    images, real = segments_of(runtime, 3)
    found = OnnxGraph(tmp_path / "encode.onnx").run({IMAGES: images, REAL: real})[FEATURES]
    wanted = runtime.encode(images, real).features
    assert np.abs(found - wanted).max() < (0.02 if half else 1e-4) * np.abs(wanted).max()


REGRESSION = (
    *("input.head.kind=regression", "input.head.width=512", "input.head.heads=8"),
    *("training.epochs=1", "training.validate_every=1", "training.ema_decay=0", "optimiser.warmup_epochs=0"),
)
HEADS = {
    "segments": ("frame", "input.pooling=median"),
    "attention": ("frame", "input.pooling=attention"),
    "log-sum-exp": ("frame", "input.pooling=lse"),
    "mean-max": ("frame", "input.pooling=mean-max"),
    "TransMIL": ("bag", "input.head.layers=2"),
    "regression": ("bag", *REGRESSION),
    "multi-query": ("bag", "input.head.kind=multi-query"),
    "ML-Decoder": ("bag", "input.head.kind=ml-decoder"),
    "queries": ("dense-pool", "input.head.kind=queries"),
    "token": ("dense-pool", "input.head.kind=token"),
    "pooled clips": ("dense-pool", "input.head.layers=3", "input.head.heads=8", "input.head.kind=mean-max"),
}


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_heads_aggregate_any_number_of_segments_as_torch_does(head: str, tmp_path: Path) -> None:
    runtime, file = runtime_of(*HEADS[head]), tmp_path / "head.onnx"
    width = runtime.encode(*segments_of(runtime, 1)).features.shape[1]
    if head == "regression":  # it has no random weights
        for name, value in runtime.network.state_dict().items():
            if name.startswith("head."):
                value.uniform_(0.5, 1.5)
    export_head(runtime, width, file, half=False)
    for open_graph in GRAPHS.values():
        graph = open_graph(file)
        for count in (1, 2, 4, 5, 9, 60):
            rng = np.random.default_rng(count)
            features, seconds = rng.normal(size=(count, width)).astype(np.float32), 100 * rng.random((count, 2))
            found, wanted = graph.run({FEATURES: features, SECONDS: seconds}), runtime.aggregate(features, seconds)
            np.testing.assert_allclose(found["video"], wanted.scores, atol=1e-5)
            np.testing.assert_allclose(found["segments"], wanted.segments, atol=1e-5)
            assert found["video"].dtype == np.float64


def test_a_file_that_is_no_graph_is_named(tmp_path: Path) -> None:
    file = tmp_path / "fold0.encode.onnx"
    for content in (b"", b"no graph"):
        file.write_bytes(content)
        for open_graph in GRAPHS.values():
            with pytest.raises(BundleError, match=r"fold0\.encode\.onnx cannot be run: "):
                open_graph(file)


class Constant:
    """A graph with made-up outputs. See `inference.graph.Graph`."""

    def __init__(self, **outputs: NDArray[np.float64]) -> None:
        self.inputs: Sequence[str] = ()
        self.outputs: Sequence[str] = tuple(outputs)
        self._arrays = outputs

    def run(self, inputs: object) -> dict[str, NDArray[np.float64]]:
        return self._arrays


SIGNAL_AFTER_GRAPHS = """
import os, signal, sys
from pathlib import Path
from urbanpipe.inference.graph import OpenVinoGraph

first, second = OpenVinoGraph(Path(sys.argv[1])), OpenVinoGraph(Path(sys.argv[1]))
del first
del second
signal.signal(signal.SIGINT, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.slow
def test_signals_are_heard_after_graphs_were_freed_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "identity.onnx"
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("features", "video")]
    nodes = [onnx.helper.make_node("Identity", ["features"], ["video"])]
    graph = onnx.helper.make_graph(nodes, "identity", value[:1], value[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 20)]), file)
    command = [sys.executable, "-X", "faulthandler", "-c", SIGNAL_AFTER_GRAPHS, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_graphs_with_other_outputs_are_refused() -> None:
    video, segments, features = np.zeros(3), np.zeros((2, 3)), np.zeros((2, 3))
    with pytest.raises(BundleError, match="lacks the output 'segments'"):
        GraphRuntime(Constant(features=features), Constant(video=video), 3)
    runtime = GraphRuntime(Constant(features=features), Constant(video=video, segments=segments), 4)
    with pytest.raises(BundleError, match=r"returns features of the shape \(2, 3\) instead of \(5, 3\)"):
        runtime.encode(np.zeros((5, 3, 8, 8), np.uint8), np.ones(5, np.int64))
    with pytest.raises(BundleError, match=r"returns video of the shape \(3,\) instead of \(4,\)"):
        runtime.aggregate(features.astype(np.float32), np.zeros((2, 2)))
    assert not runtime.has_maps
    with pytest.raises(BundleError, match="lacks the output 'observed'"):
        runtime.encode(np.zeros((2, 3, 8, 8), np.uint8), np.ones(2, np.int64), observe=True)


def test_networks_share_an_encoder_that_is_the_same_object() -> None:
    encoder, head = Constant(features=np.zeros((1, 1))), Constant(video=np.zeros(1), segments=np.zeros((1, 1)))
    first, second = GraphRuntime(encoder, head, 1), GraphRuntime(encoder, head, 1)
    assert first.shares_encoder(second)
    assert not first.shares_encoder(GraphRuntime(Constant(features=np.zeros((1, 1))), head, 1))


class TestChoice:
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        names = {"torch", "onnx", "openvino"}
        monkeypatch.setattr(choosing, "is_installed", lambda name: name in names)
        return names

    def choice(self, wanted: str = "auto", checked: tuple[str, ...] = ("onnx", "openvino"), device: str = "cpu") -> str:
        return choose_runtime(wanted, checked, device, Path("b"))  # type: ignore[arg-type]

    def test_auto_takes_the_fastest_that_is_installed_and_checked(self, installed: set[str]) -> None:
        assert self.choice() == "onnx"
        assert self.choice(checked=("openvino",)) == "openvino"
        assert self.choice(checked=()) == "torch"
        assert self.choice(device="cuda") == "torch"
        installed.remove("onnx")
        assert self.choice() == "openvino"
        installed.remove("openvino")
        assert self.choice() == "torch"

    def test_what_cannot_run_says_what_would(self, installed: set[str]) -> None:
        with pytest.raises(BundleError, match=r"b has no graphs for --runtime onnx; .*bundle --runtime onnx"):
            self.choice("onnx", checked=("openvino",))
        with pytest.raises(BundleError, match="--runtime onnx runs on the CPU; use --device cpu"):
            self.choice("onnx", device="cuda:0")
        installed -= {"onnx", "openvino"}
        with pytest.raises(BundleError, match=r"needs the extra `onnx`: pip install 'urbanpipe\[onnx\]'"):
            self.choice("onnx")
        installed.remove("torch")
        with pytest.raises(BundleError, match=r"b needs a runtime, .*run `pip install .*onnx.*` or .*openvino"):
            self.choice()

    @pytest.mark.parametrize(
        ("wanted", "checked", "device", "message"),
        [
            ("torch", ("onnx",), "cpu", "--runtime torch needs torch, * --runtime onnx on the CPU"),
            ("auto", ("openvino",), "cuda:1", "--device cuda:1 needs torch, * --runtime openvino on the CPU"),
            ("auto", (), "cpu", "torch is not installed, and b has no graphs; * `urbanpipe bundle --runtime onnx`"),
            ("torch", (), "cuda", "torch is not installed, and b has no graphs; * `urbanpipe bundle --runtime onnx`"),
        ],
    )
    def test_the_extra_with_torch_is_named_where_only_torch_will_do(
        self, installed: set[str], wanted: str, checked: tuple[str, ...], device: str, message: str
    ) -> None:
        installed.remove("torch")
        with pytest.raises(BundleError) as caught:
            self.choice(wanted, checked, device)
        before, after = message.split(" * ")
        assert str(caught.value).startswith(before)
        assert "run `pip install 'urbanpipe[train]'`, or " in str(caught.value)
        assert str(caught.value).endswith(after)
