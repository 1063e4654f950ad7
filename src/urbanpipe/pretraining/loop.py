"""Pretraining loop, resumable after a kill.

All random choices of an epoch follow from (seed, epoch, step), as in `training.loop`.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from urbanpipe.contracts.run_folder import DONE, TRAINING_STATE, WEIGHTS
from urbanpipe.errors import DivergedError, RunError, VideoError
from urbanpipe.inputs.lost_workers import lost_workers_explained
from urbanpipe.learners.config import OptimiserConfig
from urbanpipe.learners.state import EpochMetrics, save_whole
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.device import autocast, grad_scaler
from urbanpipe.outputs import remove_quietly, whole_file, write_json
from urbanpipe.pretraining.config import MAEConfig, SimCLRConfig
from urbanpipe.pretraining.frames import FrameDataset, frame_batches, frame_loader, seed_of
from urbanpipe.progress import track
from urbanpipe.training.log import MetricsLog, peak_memory_mib
from urbanpipe.training.loggers import LoggedModel, LoggerChoice, open_logger
from urbanpipe.training.optimiser import make_schedule, step_scaled

BETAS = (0.9, 0.95)  # of MAE (arXiv 2111.06377, table 8)


@dataclass
class PretrainState:
    """The mutable state of pretraining."""

    objective: nn.Module
    optimiser: AdamW
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    epoch: int = 0

    def save(self, path: Path, rows: list[EpochMetrics]) -> None:
        """Write the state and the rows of the log, atomically."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        save_whole(parts | {"epoch": self.epoch, "rows": rows}, path)

    def load(self, path: Path, device: torch.device) -> list[EpochMetrics]:
        """Restore a saved state; return the rows of the log.

        Raises:
            RunError: the file is damaged.
        """
        try:
            value: dict[str, Any] = torch.load(path, device, weights_only=True)
            for name in _PARTS:
                if value[name]:  # a scaler's is empty if saved on a machine that computed in another precision
                    getattr(self, name).load_state_dict(value[name])
            rows: list[EpochMetrics] = value["rows"]
            self.epoch = value["epoch"]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # any error that torch or pickle raises for a damaged file
            raise RunError(f"{path} is damaged; delete it to restart pretraining from the first epoch") from error
        return rows


_PARTS = ("objective", "optimiser", "schedule", "scaler")


def make_state(
    objective: nn.Module, config: SimCLRConfig | MAEConfig, steps: int, device: torch.device
) -> PretrainState:
    """Return the state before the first epoch, for the given number of steps per epoch."""
    objective.to(device).to(memory_format=torch.channels_last)
    groups = param_groups_weight_decay(objective, config.weight_decay)
    optimiser = AdamW(groups, lr=config.learning_rate, betas=BETAS)
    rates = OptimiserConfig(learning_rate=config.learning_rate, schedule="cosine", warmup_epochs=config.warmup_epochs)
    return PretrainState(
        objective,
        optimiser,
        make_schedule(optimiser, rates, config.epochs, steps),
        grad_scaler(device, config.precision),
    )


def run_epochs(
    objective: nn.Module,
    backbone: Backbone,
    frames: FrameDataset,
    *,
    config: SimCLRConfig | MAEConfig,
    folder: Path,
    device: torch.device,
    logger: LoggerChoice,
) -> None:
    """Run all epochs, or those that a killed run left; then write the weights.

    Raises:
        DivergedError: the loss became NaN.
        RunError: the saved state is damaged.
        VideoError: a video can no longer be read.
        LoadingError: a process that loads videos was ended by the system.
        RecipeError: there are fewer frames than one batch needs.
    """
    counts = [frames.dataset.segment_count(index) for index in range(len(frames.dataset))]
    state = make_state(objective, config, len(frame_batches(counts, config, 0)), device)
    path = folder / TRAINING_STATE
    for left in folder.glob(f".{path.name}.*"):  # from a kill while writing
        remove_quietly(left)
    rows = state.load(path, device) if path.exists() else []
    model = LoggedModel(folder.name, folder, len(rows), config.model_dump(mode="json"))
    log = MetricsLog(folder, rows, open_logger(logger, model))
    while state.epoch < config.epochs:
        log.add({"epoch": state.epoch + 1} | _epoch(state, frames, counts, config, device))
        state.epoch += 1
        state.save(path, log.rows)
    log.close()
    weights = {key: value.contiguous().cpu() for key, value in backbone.net.state_dict().items()}
    with whole_file(folder / WEIGHTS, "wb") as file:
        file.write(serialise(weights))
    seconds, size = sum(row["train_seconds"] for row in log.rows), (folder / WEIGHTS).stat().st_size
    found = {"epochs": state.epoch, "videos": len(counts), "frames": sum(counts), "loss": log.rows[-1]["loss"]}
    write_json(folder / DONE, found | {"train_seconds": seconds, "weights_bytes": size})
    remove_quietly(path)


@lost_workers_explained()
def _epoch(
    state: PretrainState,
    frames: FrameDataset,
    counts: Sequence[int],
    config: SimCLRConfig | MAEConfig,
    device: torch.device,
) -> EpochMetrics:
    batches = frame_batches(counts, config, state.epoch)
    loader = frame_loader(frames, batches, config.workers, pin=device.type == "cuda")
    label = f"{config.method} epoch {state.epoch + 1}/{config.epochs}"
    started, total = time.perf_counter(), torch.zeros((), device=device)
    state.objective.train()
    for place, views in enumerate(track(loader, len(batches), label, "batches")):
        if isinstance(views, VideoError):
            raise views
        torch.manual_seed(seed_of(config.seed, state.epoch, place))
        total += _step(state, views.to(device, non_blocking=True), config, device)
    mean, seconds = float(total) / len(batches), time.perf_counter() - started
    if not math.isfinite(mean):
        raise DivergedError(
            f"the loss became {mean} in epoch {state.epoch + 1}; "
            f"lower --set learning_rate (now {config.learning_rate:g})"
        )
    return {
        "loss": mean,
        "learning_rate": state.optimiser.param_groups[0]["lr"],
        "frames_per_second": len(batches) * config.batch_size / seconds,
        "train_seconds": seconds,
        "peak_memory_mib": peak_memory_mib(device),
    }


def _step(state: PretrainState, views: Tensor, config: SimCLRConfig | MAEConfig, device: torch.device) -> Tensor:
    """Run one optimisation step; return its loss, detached."""
    with autocast(device, config.precision):
        loss: Tensor = state.objective(views)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    if config.clip_norm:
        state.scaler.unscale_(state.optimiser)
        nn.utils.clip_grad_norm_(state.objective.parameters(), config.clip_norm)
    step_scaled(state.scaler, state.optimiser, state.schedule)
    return loss.detach()
