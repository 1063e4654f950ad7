"""TensorBoard, MLflow and Weights & Biases, read back from what they wrote; nothing needs a network."""

import json
import os
import struct
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.training_runs import ALONE, changed, job, metrics
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.contracts.run_folder import read_done
from urbanpipe.errors import RunError
from urbanpipe.learners.state import EpochMetrics
from urbanpipe.methods.recipe import Recipe
from urbanpipe.training import loggers
from urbanpipe.training.log import MetricsLog
from urbanpipe.training.loggers import LoggedModel, LoggerChoice, check_logger, flat_settings, open_logger
from urbanpipe.training.loop import train_model
from urbanpipe.training.options import RunOptions
from urbanpipe.training.train import train

ROWS: list[EpochMetrics] = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "map": 0.75}]
SETTINGS = {"training.epochs": 2, "model.backbone": "resnet50"}

with_mlflow = pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow: pip install 'urbanpipe[loggers]'")
with_wandb = pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb: pip install 'urbanpipe[loggers]'")
of_others = pytest.mark.filterwarnings("ignore")  # warnings of the logger's own packages


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the user's servers, and what a logger sets for its process."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "WANDB_"))]:
        monkeypatch.delenv(name)
    for name in (*loggers._MLFLOW_DEFAULTS, "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


def log_rows(kind: str, folder: Path, rows: list[EpochMetrics], before: list[EpochMetrics]) -> None:
    model = LoggedModel("run fold 0", folder / "fold0", len(before), SETTINGS)
    log = MetricsLog(model.folder, before, open_logger(LoggerChoice(kind, folder), model))
    for row in rows:
        log.add(row)
    log.close()


def test_tensorboard_has_the_metrics(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_rows("tensorboard", tmp_path, ROWS, [])
    board = EventAccumulator(str(tmp_path / "fold0" / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert [(event.step, event.value) for event in board.Scalars("map")] == [(2, 0.75)]
    assert {path.name for path in tmp_path.iterdir()} == {"fold0"}


@of_others
@with_mlflow
@pytest.mark.slow
def test_mlflow_has_the_metrics_and_settings_of_a_resumed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_rows("mlflow", tmp_path, ROWS[:1], [])
    log_rows("mlflow", tmp_path, ROWS[1:], ROWS[:1])
    assert "failed" not in capsys.readouterr().err
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("urbanpipe")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run fold 0", "FINISHED")
    assert run.data.params == {"training.epochs": "2", "model.backbone": "resnet50"}
    history = {key: client.get_metric_history(run.info.run_id, key) for key in ("loss", "map")}
    assert [(one.step, one.value) for one in history["loss"]] == [(1, 0.5), (2, 0.25)]
    assert [(one.step, one.value) for one in history["map"]] == [(2, 0.75)]
    assert not (tmp_path / "fold0" / "tensorboard").exists()


@of_others
@with_mlflow
@pytest.mark.slow
def test_a_run_that_starts_again_is_another_run_of_mlflow(tmp_path: Path) -> None:
    for _ in range(2):
        log_rows("mlflow", tmp_path, ROWS, [])
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    assert len(client.search_runs([client.get_experiment_by_name("urbanpipe").experiment_id])) == 2


def records(path: Path) -> Iterator[bytes]:
    """The records of a file of wandb below 32 KiB: 7 bytes, then CRC, length and kind before each."""
    content, position = path.read_bytes(), 7
    assert len(content) < 2**15
    while position + 7 <= len(content):
        (length,) = struct.unpack_from("<H", content, position + 4)
        yield content[position + 7 : position + 7 + length]
        position += 7 + length


@of_others
@with_wandb
@pytest.mark.slow
def test_wandb_has_the_metrics_and_is_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_rows("wandb", tmp_path, ROWS, [])
    assert "failed" not in capsys.readouterr().err
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # ends the process of wandb that writes the file, as the end of a command does
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    run_id = json.loads((tmp_path / "fold0" / "logger.json").read_text())["wandb"]
    (file,) = folder.glob("*.wandb")
    assert file.name == f"run-{run_id}.wandb"
    history, begun = [], []
    for content in records(file):
        record = Record()
        record.ParseFromString(content)
        if record.HasField("history"):
            values = {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            history.append({key: value for key, value in values.items() if not key.startswith("_")})
        if record.HasField("run"):
            begun.append(record.run)
    assert history == [{"loss": 0.5}, {"loss": 0.25, "map": 0.75}]
    assert (begun[0].project, begun[0].display_name) == ("urbanpipe", "run fold 0")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("comet", r"--logger comet: the loggers are tensorboard, mlflow, wandb"),
        ("mlflow", r"mlflow needs a package that is not installed; run `pip install 'urbanpipe\[loggers\]'`"),
        ("wandb", r"wandb needs a package that is not installed; run `pip install 'urbanpipe\[loggers\]'`"),
        ("tensorboard", r"tensorboard needs a package that is not installed; run `pip install 'urbanpipe\[train\]'`"),
    ],
)
def test_a_logger_that_is_not_there_is_one_line_before_training(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    with pytest.raises(RunError, match=message):
        train(archive / "catalog.csv", "small-frame", out=tmp_path / "run", options=RunOptions(logger=kind))
    assert not (tmp_path / "run").exists()


def test_the_loggers_of_the_extra_are_known_by_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("mlflow", "wandb"):
        monkeypatch.setattr(loggers, "find_spec", {kind: object()}.get)
        check_logger(kind)


class Breaks:
    """A logger that fails in its second epoch, or when it is closed."""

    def __init__(self, *_: object) -> None:
        self.epochs: list[int] = []

    def add(self, values: object, epoch: int) -> None:
        self.epochs.append(epoch)
        if epoch == 2:
            raise ConnectionError("the server is down\nin several lines")

    def close(self) -> None:
        raise OSError("disk full")


@pytest.mark.slow
def test_a_logger_that_fails_ends_no_training(
    catalog: Catalog, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(loggers._MAKERS, "tensorboard", Breaks)
    train_model(job(catalog, changed(tiny, "training", epochs=2), tmp_path), ALONE)
    assert read_done(tmp_path)
    assert len(metrics(tmp_path)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert lines == [
        "the logger tensorboard failed (the server is down); training goes on, and metrics.csv has all metrics"
    ]


def test_a_logger_that_cannot_start_or_close_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    log_rows("wandb", tmp_path, ROWS, [])
    monkeypatch.setitem(loggers._MAKERS, "tensorboard", Breaks)
    log_rows("tensorboard", tmp_path, ROWS[:1], [])
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("the logger wandb failed (import of wandb halted")
    assert second.startswith("the logger tensorboard failed (disk full)")
    assert len((tmp_path / "fold0" / "metrics.csv").read_text().splitlines()) == 2


def test_settings_are_flat() -> None:
    assert flat_settings({"name": "a", "input": {"head": {"kind": "x"}, "size": 2}, "model": {}}) == {
        "name": "a",
        "input.head.kind": "x",
        "input.size": 2,
    }
