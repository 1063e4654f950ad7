"""The training loop of one model: epochs, steps, EMA, validation, best weights, and resuming.

All randomness of an epoch is determined by (seed, epoch, position in the epoch). A run that resumes from the state at
the end of an epoch therefore gives the same result as an uninterrupted one.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from urbanpipe.contracts.run_folder import DONE, SEGMENTS, TRAINING_STATE, WEIGHTS, read_done
from urbanpipe.errors import DivergedError, OutOfMemoryError, RunError, WeightsError
from urbanpipe.evaluation.tables import per_cent
from urbanpipe.inputs.dataset import VideoDataset, without_pixels
from urbanpipe.inputs.loading import BatchLoader, loading_workers, training_batches
from urbanpipe.inputs.lost_workers import lost_workers_explained
from urbanpipe.learners.learner import Fitter, Learner, LearnerContext
from urbanpipe.learners.losses import make_loss
from urbanpipe.learners.state import EpochMetrics, State
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe
from urbanpipe.methods.table import method_of
from urbanpipe.models.device import grad_scaler, place, processors_left
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.weights import load_weights
from urbanpipe.outputs import remove_quietly, write_json
from urbanpipe.progress import duration_text, track
from urbanpipe.training.environment import environment
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.log import MetricsLog, forget_peak_memory, peak_memory_mib
from urbanpipe.training.loggers import LoggedModel, Logger, LoggerChoice, flat_settings, open_logger
from urbanpipe.training.optimiser import make_optimiser, make_schedule, step_scaled
from urbanpipe.training.validation import keep, validate


def train_model(job: FoldJob, distributed: DistributedContext) -> None:
    """Train one model, or resume its training; a finished model is left unchanged.

    Raises:
        OutOfMemoryError: memory is too small; the message names the settings to reduce.
        RunError: the loss became NaN, the saved state is damaged, another process trains this model, or batch
            normalisation got a single value per channel.
        WeightsError: the initial weights cannot be loaded.
        VideoError: a video can no longer be read.
        LoadingError: a process that loads videos was ended by the system.
    """
    try:
        with (
            lost_workers_explained(),
            memory_errors_explained(job.recipe, distributed.device),
            folder_lock(job.folder) if distributed.is_main else nullcontext(),
        ):
            if not distributed.from_main(read_done(job.folder) if distributed.is_main else None):
                with processors_left(distributed.device, loading_workers(job.recipe.training.workers)):
                    _train(job, distributed)
    except ValueError as error:  # raised by torch's batch normalisation
        if "more than 1 value per channel" not in str(error):
            raise
        raise RunError(
            f"{job.name}: batch normalisation needs more than one value per channel; give training.batch_size 2 or "
            "more, or larger inputs"
        ) from error


@contextmanager
def memory_errors_explained(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Turn errors for lack of memory into one that names the settings to reduce.

    Raises:
        OutOfMemoryError: memory is too small.
    """
    try:
        yield
    except (OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, (OutOfMemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(
            error
        ):
            raise
        raise OutOfMemoryError(_out_of_memory(recipe, device)) from error


def _train(job: FoldJob, distributed: DistributedContext) -> None:
    recipe, path = job.recipe, job.folder / TRAINING_STATE
    if distributed.is_main:
        _sweep(job.folder)
    forget_peak_memory(distributed.device)
    view = recipe.view
    datasets = [VideoDataset(videos, view, job.cache, recipe.training.seed) for videos in (job.train, job.valid)]
    steps = len(_batches(job, distributed, 0)) // recipe.training.accumulation
    state = _start(job, distributed, steps)
    if distributed.from_main(path.exists()) and not path.exists():
        raise RunError(
            f"process {distributed.rank} cannot find {path}: all machines of a run need the same --out folder"
        )
    rows = state.load(path, distributed) if path.exists() else []
    log = MetricsLog(job.folder, rows, _logger(job, len(rows))) if distributed.is_main else None
    learner = _learner(job, distributed, state, datasets[0])
    left = _time_left(job, rows)
    while state.epoch < recipe.training.epochs:
        row: EpochMetrics = {"epoch": state.epoch + 1}
        row |= _epoch(job, distributed, state, learner, datasets[0], left=left)
        _average_buffers(state, distributed)
        if (state.epoch + 1) % recipe.training.validate_every == 0 or state.epoch + 1 == recipe.training.epochs:
            row |= validate(job, distributed, state, datasets[1])
        row["peak_memory_mib"] = max(distributed.gather(peak_memory_mib(distributed.device)))
        learner.end_epoch()
        state.epoch += 1
        if log:
            log.add(row)
            state.save(path, log.rows, distributed)
        left = _time_left(job, log.rows) if log else ""
        distributed.log(_line(job, row, left))
    learner.forget()
    _finish(job, distributed, state, log)


def _logger(job: FoldJob, epochs: int) -> Logger:
    settings = flat_settings(job.recipe.model_dump(mode="json"))
    choice = job.logger or LoggerChoice("tensorboard", job.folder)
    return open_logger(choice, LoggedModel(job.name, job.folder, epochs, settings))


def _average_buffers(state: State, distributed: DistributedContext) -> None:
    """Average the running statistics over the processes, which have trained on different videos.

    Constant buffers, such as those of a frozen backbone, are skipped: rounding would change the mean of equal numbers.
    """
    norms = [name for name, part in state.model.named_modules() if isinstance(part, _NormBase) and part.training]
    for model in (state.model, state.final) if state.ema else (state.model,):
        distributed.average([buffer for name in norms for buffer in model.get_submodule(name).buffers(recurse=False)])


def _learner(job: FoldJob, distributed: DistributedContext, state: State, dataset: VideoDataset) -> Learner | Fitter:
    """Return what trains or fits the network of the recipe's method."""
    targets = job.targets(job.train)
    loss = make_loss(job.recipe.loss, torch.from_numpy(targets))
    context = LearnerContext(job.recipe, state, distributed, loss, targets, dataset, job.folder)
    return method_of(job.recipe).learner(job.recipe.input, context)


def _sweep(folder: Path) -> None:
    """Remove temporary files of interrupted writes."""
    for name in (TRAINING_STATE, WEIGHTS, "predictions.json", "predictions.csv", SEGMENTS, "metrics.csv", "memory"):
        for left in folder.glob(f".{name}.*"):
            remove_quietly(left)


def _start(job: FoldJob, distributed: DistributedContext, steps_per_epoch: int) -> State:
    recipe, device = job.recipe, distributed.device
    torch.manual_seed(recipe.training.seed)
    model = recipe.network(len(job.taxonomy))
    try:
        loaded = load_weights(model.backbone, recipe.model.backbone, recipe.model.weights)
    except WeightsError as error:
        if distributed.count == 1:
            raise
        # not a WeightsError, after which a table of runs would continue while the other processes wait
        raise RunError(f"process {distributed.rank}: {error}") from error
    distributed.log(f"{job.name}: {job.data_line}")
    distributed.log(f"{job.name}: {loaded}")
    if recipe.training.checkpointing:
        model.backbone.checkpoint_activations(True)
    place(model, recipe.training.channels_last, device)
    optimiser = make_optimiser(model, recipe.optimiser, device.type == "cuda")
    decay = recipe.training.ema_decay
    return State(
        model=model,
        ema=ModelEmaV3(model, decay=decay, use_warmup=True) if decay else None,
        optimiser=optimiser,
        schedule=make_schedule(optimiser, recipe.optimiser, recipe.training.epochs, steps_per_epoch),
        scaler=grad_scaler(device, recipe.training.precision),
    )


def _batches(job: FoldJob, distributed: DistributedContext, epoch: int) -> list[list[tuple[int, int]]]:
    t = job.recipe.training
    return training_batches(
        len(job.train),
        t.batch_size,
        accumulation=t.accumulation,
        processes=distributed.count,
        rank=distributed.rank,
        seed=t.seed,
        epoch=epoch,
    )


def _epoch(
    job: FoldJob,
    distributed: DistributedContext,
    state: State,
    learner: Learner | Fitter,
    dataset: VideoDataset,
    *,
    left: str,
) -> EpochMetrics:
    """Train one epoch, whose bar shows the time `left`; return mean loss, learning rate and throughput."""
    started = time.perf_counter()
    if isinstance(learner, Fitter):
        loss, waited, videos = learner.fit(), 0.0, len(dataset)
    else:
        learner.begin_epoch()
        loss, waited, videos = _steps(job, distributed, state, learner, dataset, left=left)
    seconds = time.perf_counter() - started
    losses = distributed.gather(loss)
    mean = sum(losses) / len(losses)
    if not math.isfinite(mean):
        raise DivergedError(
            f"{job.name}: the loss became {mean} in epoch {state.epoch + 1}; "
            "lower optimiser.learning_rate, or set training.precision to bf16 or fp32"
        )
    return {
        "loss": mean,
        "learning_rate": state.optimiser.param_groups[-1]["lr"],
        "backbone_learning_rate": state.optimiser.param_groups[0]["lr"],
        "videos_per_second": videos / seconds,
        "waited_for_data": waited / seconds,
        "train_seconds": seconds,
    }


def _steps(
    job: FoldJob, distributed: DistributedContext, state: State, learner: Learner, dataset: VideoDataset, *, left: str
) -> tuple[float, float, int]:
    """Take the steps of an epoch; return the mean loss of this process, the seconds it waited, and all videos used."""
    training, device = job.recipe.training, distributed.device
    batches = _batches(job, distributed, state.epoch)
    loader = (
        BatchLoader(dataset, batches, training.workers, pin=device.type == "cuda")
        if learner.reads()
        else map(without_pixels, batches)
    )
    label = f"{job.name} epoch {state.epoch + 1}/{training.epochs}{left}"
    total, waited, asked = torch.zeros((), device=device), 0.0, time.perf_counter()
    state.model.train()
    for position, batch in enumerate(track(loader, len(batches), label, "batches") if distributed.is_main else loader):
        waited += time.perf_counter() - asked
        if batch.failures:
            raise batch.failures[0][1]
        torch.manual_seed(_seed(training.seed, state.epoch, position * distributed.count + distributed.rank))
        last = (position + 1) % training.accumulation == 0
        total += learner.learn(batch, last)
        if last:
            step_optimiser(state, job.recipe.optimiser.clip_norm)
        asked = time.perf_counter()
    return float(total) / len(batches), waited, sum(map(len, batches)) * distributed.count


def step_optimiser(state: State, clip_norm: float) -> None:
    """Step optimiser, schedule and EMA with the current gradients."""
    if clip_norm:
        state.scaler.unscale_(state.optimiser)
        trained = [p for group in state.optimiser.param_groups for p in group["params"]]  # without a frozen backbone
        nn.utils.clip_grad_norm_(trained, clip_norm)
    step_scaled(state.scaler, state.optimiser, state.schedule)
    state.step += 1
    if state.ema:
        state.ema.update(state.model, state.step)


def _finish(job: FoldJob, distributed: DistributedContext, state: State, log: MetricsLog | None) -> None:
    if log:
        if not job.valid:
            keep(job, state, ())
        log.close()
        best = state.best_epoch if job.valid else state.epoch
        seconds = sum(row["train_seconds"] for row in log.rows)
        size = (job.folder / WEIGHTS).stat().st_size
        done = {"best_epoch": best, "map": state.best if job.valid else None, "train_seconds": seconds}
        made = {"processes": distributed.count, "weights_bytes": size, "commit": environment()["commit"]}
        write_json(job.folder / DONE, done | made)
        remove_quietly(job.folder / TRAINING_STATE)
    distributed.from_main(None)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _line(job: FoldJob, row: EpochMetrics, left: str) -> str:
    scores = f", mAP {per_cent(row['map'])} (defects {per_cent(row['map_defects'])})" if "map" in row else ""
    raw = f", raw weights {per_cent(row['raw_map'])}" if "raw_map" in row else ""
    epoch = f"{job.name} epoch {row['epoch']}/{job.recipe.training.epochs}"
    return f"{epoch}: loss {row['loss']:.4f}{scores}{raw}, {row['videos_per_second']:.1f} videos/s{left}"


def _time_left(job: FoldJob, rows: Sequence[EpochMetrics]) -> str:
    """Return the time left for this fold and those after it, by the epochs so far, after a comma; empty at the end."""
    total = job.recipe.training.epochs
    epochs = total - len(rows) + job.folds_after * total
    if not rows or not epochs:
        return ""
    seconds = sum(row["train_seconds"] + row.get("valid_seconds", 0.0) for row in rows) / len(rows)
    folds = f" for {job.folds_after + 1} folds" if job.folds_after else ""
    return f", {duration_text(seconds * epochs)} left{folds}"


def _out_of_memory(recipe: Recipe, device: torch.device) -> str:
    t = recipe.training
    is_frozen = recipe.input.frozen_backbone
    recompute = "" if is_frozen else f", set training.checkpointing = true (now {str(t.checkpointing).lower()})"
    return (
        f"out of memory on {device} with {recipe.name}: reduce training.batch_size (now {t.batch_size}; raise "
        f"training.accumulation, now {t.accumulation}, to keep the step){recompute}, or make {recipe.input.smaller}; "
        f"give another --out{'' if is_frozen else ' for changes other than checkpointing'}"
    )
