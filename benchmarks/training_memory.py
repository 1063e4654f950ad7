"""Peak memory and time of a training step of each recipe, on random pixels from random weights.

    python benchmarks/training_memory.py [--recipe NAME ...] [--set section.key=value ...] [--out FILE.md]
    python benchmarks/training_memory.py --estimate

Without --recipe it takes all recipes of the report's Tables 1 and 2, which want a GPU. Every recipe is tried in a
process of its own, with and without gradient checkpointing: three steps, the first is not timed. Network, moving
average, optimiser and precision are the recipe's; what a GPU's allocator keeps in reserve does not count. Out of memory
is a result. The report needed over 20 GiB for batch 4 at 1152 px.

`--estimate` needs no GPU and hardly any memory: the same step is gone through with tensors that have a shape and no
content, and what would be alive at once is counted. Kernels' own workspace is not.
"""

import argparse
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from timm.utils import ModelEmaV3

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inputs.batches import Batch
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.losses import make_loss
from urbanpipe.learners.segments import SegmentLearner
from urbanpipe.learners.state import State
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.device import autocast, choose_device, grad_scaler, images_to, place
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.reproduce.report_models import read_report_models
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.log import forget_peak_memory, peak_memory_mib
from urbanpipe.training.loop import step_optimiser
from urbanpipe.training.optimiser import make_optimiser, make_schedule

STEPS = 3
ESTIMATE = "estimate"


def random_images(recipe: Recipe) -> torch.Tensor:
    """Return the random pixels of a batch."""
    segments = recipe.training.batch_size * recipe.input.train_segments
    return torch.randint(0, 256, (segments, *recipe.input.segment_shape), dtype=torch.uint8)


def batch_of(recipe: Recipe) -> Batch:
    """Return a batch of random pixels."""
    count, each = recipe.training.batch_size, recipe.input.train_segments
    images = random_images(recipe).numpy()
    return Batch(
        images=images,
        samples=[*range(count)],
        counts=[each] * count,
        rows=np.tile(np.arange(each), count),
        real=np.ones(count * each, dtype=np.int64),
        seconds=np.zeros((count * each, 2)),
        whole=[True] * count,
        failures=[],
    )


def measure(recipe: Recipe, device: torch.device) -> tuple[float, float]:
    """Peak MiB, and median seconds of an optimiser step."""
    torch.manual_seed(0)
    taxonomy, training = default_taxonomy(), recipe.training
    model = recipe.network(len(taxonomy))
    if training.checkpointing:
        model.backbone.checkpoint_activations(True)
    place(model, training.channels_last, device)
    optimiser = make_optimiser(model, recipe.optimiser, device.type == "cuda")
    state = State(
        model=model.train(),
        ema=ModelEmaV3(model, decay=training.ema_decay) if training.ema_decay else None,
        optimiser=optimiser,
        schedule=make_schedule(optimiser, recipe.optimiser, training.epochs, 10),
        scaler=grad_scaler(device, training.precision),
    )
    targets = np.zeros((training.batch_size, len(taxonomy)), np.float32)
    loss, alone = make_loss(recipe.loss, torch.from_numpy(targets)), DistributedContext(0, 1, device)
    dataset = VideoDataset([], recipe.view, None)
    learner = SegmentLearner(LearnerContext(recipe, state, alone, loss, targets, dataset, Path()))
    batch, seconds = batch_of(recipe), []
    forget_peak_memory(device)
    for _ in range(STEPS):
        started = time.perf_counter()
        for number in range(training.accumulation):
            learner.learn(batch, number == training.accumulation - 1)
        step_optimiser(state, recipe.optimiser.clip_norm)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return peak_memory_mib(device), float(np.median(seconds[1:]))


def estimate(recipe: Recipe) -> tuple[float, float]:
    """Peak MiB of an optimiser step by its tensors' shapes; seconds are unknown."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    training, cpu = recipe.training, torch.device("cpu")
    with torch.device("meta"):
        model = recipe.network(len(default_taxonomy()))
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    _norms_in_fp32()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device=cpu).train()
        if training.checkpointing:
            model.backbone.checkpoint_activations(True)
        optimiser = make_optimiser(model, recipe.optimiser, on_gpu=False)
        images = random_images(recipe)
        tracker = MemTracker()
        tracker.track_external(model, optimiser, images)
        with tracker:
            for _ in range(2):  # the second step has the optimiser's state
                for _ in range(min(2, training.accumulation)):
                    with autocast(cpu, training.precision):
                        logits = model(images_to(images, cpu, training.channels_last))
                    logits.float().sum().backward()
                    tracker.reset_mod_stats()
                optimiser.step()
                optimiser.zero_grad()
        peak = sum(each["Total"] for each in tracker.get_tracker_snapshot("peak").values())
    return (peak + (weights if training.ema_decay else 0)) / 2**20, math.nan


def _norms_in_fp32() -> None:
    """As mixed precision on a GPU has it, and on a CPU not."""
    for name in ("layer_norm", "group_norm", "softmax"):
        usual = getattr(torch.nn.functional, name)
        setattr(torch.nn.functional, name, lambda x, *rest, usual=usual, **named: usual(x.float(), *rest, **named))


def one(name: str, settings: list[str], device: str) -> None:
    """Measure in this process and print."""
    recipe = load_recipe(name, settings)
    try:
        mebibytes, seconds = estimate(recipe) if device == ESTIMATE else measure(recipe, choose_device(device))
        print(f"{mebibytes:.0f} {seconds:.3f}".replace("nan", "-"))
    except torch.OutOfMemoryError:
        print("out of memory")


def row(name: str, settings: list[str], checkpointing: bool, device: str) -> list[str]:
    """Measure in a process of its own."""
    given = [*settings, f"training.checkpointing={str(checkpointing).lower()}"]
    command = [
        sys.executable,
        __file__,
        "--one",
        name,
        "--device",
        device,
        *(part for each in given for part in ("--set", each)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    recipe, printed = load_recipe(name, given), done.stdout.split()
    size = "x".join(map(str, recipe.input.image_size))
    shown = [name, size, str(recipe.training.batch_size), "yes" if checkpointing else "no"]
    if done.returncode != 0 or len(printed) != 2:
        reason = (
            "out of memory" if "out of memory" in done.stdout else (done.stderr.strip().splitlines() or ["failed"])[-1]
        )
        return [*shown, reason, "-"]
    return [*shown, f"{float(printed[0]) / 1024:.2f}", printed[1]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", default=[])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--estimate", action="store_true", help="by shapes, without a GPU")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="write the table here too")
    given = parser.parse_args()
    if given.one:
        one(given.one, given.settings, given.device)
        return
    entries = [entry for table in ("table2", "table1") for entry in read_report_models(table)]
    names = given.recipe or [*dict.fromkeys(entry.recipe for entry in entries)]
    device = ESTIMATE if given.estimate else given.device
    rows = [row(name, given.settings, on, device) for name in names for on in (True, False)]
    if given.estimate:
        gpu = "estimate by shapes, no GPU"
    elif torch.cuda.is_available() and given.device != "cpu":
        gpu = torch.cuda.get_device_name()
    else:
        gpu = "CPU, resident memory"
    text = f"{gpu}, torch {torch.__version__}\n\n"
    text += markdown_table(["recipe", "px", "batch", "checkpointing", "GiB", "s a step"], rows, left=2)
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
