"""The interface between the training loop and a learner."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

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
    """Everything that a learner needs.

    Attributes:
        recipe: settings of the run.
        state: training state of the model.
        distributed: the processes that share a step.
        loss: function of (logits, targets).
        targets: labels of the training set, (videos, classes), 0 or 1.
        dataset: the training set.
        folder: folder for files that only training needs.
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
        """Return whether the batches of this epoch need pixels."""

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Add the gradients of a batch, the `last` of its step or not; return its mean loss, detached."""

    def end_epoch(self) -> None:
        """Finish an epoch after its last step, before the state is saved."""

    def forget(self) -> None:
        """Remove files that only training needed; called once the model is finished."""


@runtime_checkable
class Fitter(Protocol):
    """Fit the only epoch of a training at once, without batches and gradients."""

    def fit(self) -> float:
        """Fit the network; return the mean loss."""

    def end_epoch(self) -> None:
        """Finish, before the state is saved."""

    def forget(self) -> None:
        """Remove files that only the fit needed; called once the model is finished."""
