"""Dynamic evaluation: the weights go on learning from each segment once it is scored (Krause et al. 2018).

Krause, Kahembwe, Murray, Renals 2018, arXiv 1709.07432; the RMS rule with decay of the authors' code.

    MS_i = sqrt(mean over training segments of g_i^2)
    theta <- theta + decay d_i (theta_0 - theta) - lr g / (MS_i + eps),    d_i = min(MS_i / mean MS, 1 / decay)

g is the gradient of a segment's mean loss, theta_0 are the trained weights, and the mean of MS is that of the parameter
tensors' means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.pytree import State, detach
from seqbench.contracts.ranges import Count, NotNegative, Positive, Share
from seqbench.contracts.task import Task
from seqbench.evaluation.protocols import Stream, require
from seqbench.learners.network import Network


class Dynamic(Evaluation):
    """`segment` tokens are scored, then learnt from. The statistics come from the training split in
    `statistics_batch_size` rows of `statistics_segment` tokens: MS is about a tenth as large for a hundred rows as for
    one, so `lr` and `eps` go with these two. `lr` 0 is plain evaluation.
    """

    category = "dynamic"
    context = "all that the model carries from the start"
    memory = "the weights"

    def __init__(
        self,
        lr: NotNegative,
        decay: Share,
        eps: Positive,
        segment: Count = 5,
        statistics_batch_size: Count = 100,
        statistics_segment: Count = 5,
    ):
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is between 0 and 1, not {decay}")
        if lr < 0 or eps <= 0:
            raise ValueError(f"lr is at least 0 and eps above 0, not {lr} and {eps}")
        if segment < 1 or statistics_segment < 1 or statistics_batch_size < 1:
            raise ValueError("segment, statistics_segment and statistics_batch_size are at least 1")
        self.lr, self.decay, self.eps, self.segment = lr, decay, eps, segment
        self.statistics_batch_size, self.statistics_segment = statistics_batch_size, statistics_segment

    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        stream = require(task, Stream, self.category, "language modelling")
        assert isinstance(learner, Network)
        network = learner
        weights: list[Tensor] = [parameter for parameter in network.parameters() if parameter.requires_grad]
        trained = [weight.detach().clone() for weight in weights]
        # cuDNN's recurrent kernels have no backward pass in evaluation mode
        with torch.backends.cudnn.flags(enabled=False), torch.enable_grad(), _uncached(weights[0].device.type):
            try:
                rms = self._statistics(network, weights, stream)
                return self._adapt(network, weights, trained, rms, batches)
            finally:
                with torch.no_grad():
                    torch._foreach_copy_(weights, trained)

    def _statistics(self, network: Network, weights: list[Tensor], stream: Stream) -> list[Tensor]:
        squares = [torch.zeros_like(weight) for weight in weights]
        n_segments, state = 0, None
        for batch in stream.windows("train", self.statistics_batch_size, self.statistics_segment):
            batch = batch.map(lambda tensor: tensor.to(weights[0].device))
            _, grads, state = _gradients(network, weights, batch, state)
            torch._foreach_addcmul_(squares, grads, grads)
            n_segments += 1
        return [(square / n_segments).sqrt_() for square in squares]

    def _adapt(
        self,
        network: Network,
        weights: list[Tensor],
        trained: list[Tensor],
        rms: list[Tensor],
        batches: Iterable[Batch],
    ) -> Findings:
        level = torch.stack([one.mean() for one in rms]).mean()
        pull = [(one * (self.decay / level)).clamp_max_(1.0) for one in rms]  # decay times d_i
        scale = [one + self.eps for one in rms]
        total, count, state = 0.0, 0, None
        for segment in _segments(batches, self.segment):
            loss_sum, grads, state = _gradients(network, weights, segment, state)
            total, count = total + loss_sum.double(), count + segment.count()
            with torch.no_grad():
                torch._foreach_lerp_(weights, trained, pull)
                torch._foreach_addcdiv_(weights, grads, scale, value=-self.lr)
        return Findings({"nll": (float(total), count)})


def _uncached(device: str) -> torch.autocast:
    """Autocast, where it is on, without its cache, which would go on with the weights from before an update; not in
    float16, whose small gradients vanish unless they are scaled."""
    dtype = torch.get_autocast_dtype(device)
    enabled = torch.is_autocast_enabled(device) and dtype != torch.float16
    return torch.autocast(device, dtype, enabled, cache_enabled=False)


def _gradients(
    network: Network, weights: list[Tensor], batch: Batch, state: State
) -> tuple[Tensor, list[Tensor], State]:
    """The summed loss, the mean loss's gradients, and the state, cut off."""
    loss_sum, state, _ = network(batch, state)
    grads = torch.autograd.grad(loss_sum / batch.count(), weights, allow_unused=True, materialize_grads=True)
    return loss_sum.detach(), list(grads), detach(state)


def _segments(batches: Iterable[Batch], length: int) -> Iterator[Batch]:
    """One stream in pieces of `length` steps (the last may be shorter), however it was cut before."""
    rest: Batch | None = None
    for batch in batches:
        text = batch if rest is None else rest.followed_by([batch])
        whole = text.inputs.shape[1] // length * length
        for start in range(0, whole, length):
            yield text.steps(start, start + length)
        rest = text.steps(whole)
    if rest is not None and rest.count():
        yield rest
