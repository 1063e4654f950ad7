"""What the training loop asks of a learner, and what it gives it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.learners.losses import Loss
from urbanpipe.learners.state import State
from urbanpipe.models.distributed import DistributedContext


@dataclass(frozen=True, eq=False)
class LearnerContext:
    """What a learner learns with.

    Attributes:
        recipe: precision, accumulation and the rest.
        state: of the model.
        distributed: the processes that share a step.
        loss: of (logits, targets).
        targets: (videos, classes) of the training set, 0 or 1.
        dataset: the training set.
        folder: for what only training needs.
    """

    recipe: RecipeSettings
    state: State
    distributed: DistributedContext
    loss: Loss
    targets: NDArray[np.float32]
    dataset: VideoDataset
    folder: Path


class Learner(Protocol):
    """Turn batches into gradients; the loop steps the optimiser."""

    def begin_epoch(self) -> None:
        """Prepare for the first batch of an epoch."""

    def reads(self) -> bool:
        """Return whether this epoch's batches need pixels."""

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Add a batch's gradients, `last` of its step; return its mean loss, detached."""

    def end_epoch(self) -> None:
        """Finish an epoch after its last step, before its state is saved."""

    def forget(self) -> None:
        """Remove what only training needed; called once the model is done."""
