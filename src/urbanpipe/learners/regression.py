"""Fitting the regression head of a bag: one logistic regression per class on standardised pooled features."""

import torch
from torch import Tensor
from torch.nn import functional

from urbanpipe.inputs.batches import Batch
from urbanpipe.learners.bag import BagLearner
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.moment_rows import moment_rows
from urbanpipe.learners.probe import fit_pooled
from urbanpipe.models.config import BagHeadConfig
from urbanpipe.models.regression_head import RegressionHead


class RegressionLearner(BagLearner):
    """The learner of a bag whose head is a regression: it fits the head once instead of training it.

    Args:
        config: the candidates of the regularisation strength.
        context: recipe, state, loss, targets and training set.
    """

    def __init__(self, config: BagHeadConfig, context: LearnerContext) -> None:
        super().__init__(context)
        head = self._model.head
        assert isinstance(head, RegressionHead), "the method builds no other"
        self._head, self._strengths = head, config.strengths

    def begin_epoch(self) -> None:
        """Fill the store and fit the head."""
        super().begin_epoch()
        if self._distributed.is_main:
            self._fit()
        self._head.load_state_dict(self._distributed.from_main(self._head.state_dict()))

    def _fit(self) -> None:
        count, groups = len(self._targets), [video.group for video in self._dataset.videos]
        moments = moment_rows(self.store.read, self._seconds, self._moments)
        bags = (self.store.read(video) for video in range(count))  # one at a time: pooled, they take little memory
        strength = fit_pooled(self._head, bags, self._targets.numpy() > 0, groups, self._strengths, moments=moments)
        width = self._head.linear.in_features
        self._distributed.log(f"{self._recipe.name}: regression on {width} features, C = {strength:g}")

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Return the loss of a batch; the fitted head gets no gradient."""
        del last
        device = self._distributed.device
        with torch.no_grad():
            logits = torch.stack([self._model(bag.to(device)) for bag in self._bags(batch.samples)])
            return functional.binary_cross_entropy_with_logits(logits, self._targets[batch.samples].to(device))
