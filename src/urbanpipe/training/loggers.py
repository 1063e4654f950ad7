"""Loggers: programs that show the metrics of a training beside others; `metrics.csv` is always written.

Nothing leaves the machine unless the user configures it: MLflow writes to a folder unless MLFLOW_TRACKING_URI names a
server, and Weights & Biases is offline unless WANDB_MODE says otherwise.
"""

import json
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from urbanpipe.errors import RunError
from urbanpipe.outputs import write_json

log = logging.getLogger(__name__)

LOGGERS = ("tensorboard", "mlflow", "wandb")
RUN_IDS = "logger.json"  # in the folder of a model: the id of its run, by logger
_GROUP = "urbanpipe"  # experiment of MLflow, project of Weights & Biases
_PARAM_LENGTH = 500


@dataclass(frozen=True)
class LoggerChoice:
    """The logger of an experiment.

    Attributes:
        kind: one of `LOGGERS`.
        folder: folder of the experiment, for `mlruns/` and `wandb/`; TensorBoard writes to the folder of each model.
    """

    kind: str
    folder: Path


@dataclass(frozen=True)
class LoggedModel:
    """A model whose metrics are logged.

    Attributes:
        name: name for people.
        folder: folder of the model.
        epochs: epochs that are logged already; 0 for a new run.
        settings: settings by name, as `flat_settings` returns them.
    """

    name: str
    folder: Path
    epochs: int
    settings: Mapping[str, object]


class Logger(Protocol):
    """What shows metrics."""

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of an epoch, which counts from 1."""

    def close(self) -> None:
        """Write what is left."""


def check_logger(kind: str) -> None:
    """Refuse a logger that does not exist or is not installed.

    Raises:
        RunError: the message names the loggers, or the command that installs it.
    """
    if kind not in LOGGERS:
        raise RunError(f"--logger {kind}: the loggers are {', '.join(LOGGERS)}")
    if find_spec(kind) is None:
        extra = "train" if kind == "tensorboard" else "loggers"
        raise RunError(f"--logger {kind} needs a package that is not installed; run `pip install 'urbanpipe[{extra}]'`")


def open_logger(choice: LoggerChoice, model: LoggedModel) -> Logger:
    """Return the logger of a model. If it fails, a line says so and the training goes on without it."""
    return _Forgiving(choice, model)


def flat_settings(table: Mapping[str, Any], section: str = "") -> dict[str, object]:
    """Return nested settings as `section.key` and values."""
    flat: dict[str, object] = {}
    for key, value in table.items():
        flat |= flat_settings(value, f"{section}{key}.") if isinstance(value, dict) else {f"{section}{key}": value}
    return flat


class _Forgiving:
    """Pass metrics on until the logger fails for the first time, which is logged."""

    def __init__(self, choice: LoggerChoice, model: LoggedModel) -> None:
        self._kind = choice.kind
        self._logger: Logger | None = None
        try:
            self._logger = _MAKERS[choice.kind](choice, model)
        except Exception as error:  # a logger may fail in any way, and costs no training
            self._give_up(error)

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        try:
            if self._logger is not None:
                self._logger.add(values, epoch)
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        try:
            if self._logger is not None:
                self._logger.close()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._logger = None
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        log.warning("the logger %s failed (%s); training goes on, and metrics.csv has all metrics", self._kind, reason)


class _TensorBoard:
    def __init__(self, _: LoggerChoice, model: LoggedModel) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board: Any = SummaryWriter(str(model.folder / "tensorboard"), purge_step=model.epochs + 1)

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        for key, value in values.items():
            self._board.add_scalar(key, value, epoch)
        self._board.flush()

    def close(self) -> None:
        self._board.close()


class _MLflow:
    def __init__(self, choice: LoggerChoice, model: LoggedModel) -> None:
        for name, value in _MLFLOW_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        folder = (choice.folder / "mlruns").resolve().as_uri()
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or folder)
        self._run = _known_id("mlflow", model) or self._begin(model)

    def _begin(self, model: LoggedModel) -> str:
        from mlflow.entities import Param

        known = self._client.get_experiment_by_name(_GROUP)
        experiment = known.experiment_id if known else self._client.create_experiment(_GROUP)
        run: str = self._client.create_run(experiment, run_name=model.name).info.run_id
        params = [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in model.settings.items()]
        self._client.log_batch(run, params=params)
        _remember_id("mlflow", model, run)
        return run

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        for key, value in values.items():
            self._client.log_metric(self._run, key, value, step=epoch)

    def close(self) -> None:
        self._client.set_terminated(self._run)


_MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is down holds a training up for seconds, once
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class _WandB:
    def __init__(self, choice: LoggerChoice, model: LoggedModel) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        run = _known_id("wandb", model) or uuid.uuid4().hex[:16]
        _remember_id("wandb", model, run)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _GROUP),
            dir=choice.folder,
            name=model.name,
            id=run,
            resume="allow",
            reinit="create_new",
            mode=mode,
            config=dict(model.settings),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def close(self) -> None:
        self._run.finish()


_MAKERS: dict[str, Callable[[LoggerChoice, LoggedModel], Logger]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _WandB,
}


def _known_id(kind: str, model: LoggedModel) -> str | None:
    """Return the id of the run that a resumed training goes on with."""
    path = model.folder / RUN_IDS
    if not model.epochs or not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8")).get(kind)
    return found if isinstance(found, str) else None


def _remember_id(kind: str, model: LoggedModel, run: str) -> None:
    write_json(model.folder / RUN_IDS, {kind: run})
