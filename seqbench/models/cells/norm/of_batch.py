"""What norms by statistics of a batch share: the population's statistics, estimated over training batches.

In evaluation mode the statistics are those of the population: at each step the plain average, over training batches,
of the batches' means and biased variances (Cooijmans et al. 2016, arXiv 1603.09025). They are estimated with the
weights as they are, before each evaluation, and are part of the state dict.

Shapes: T time, B batch, D features, S steps that have statistics.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Peers


class OfBatch(Norm):
    """A norm of (T, B, d_input) by means and variances (T, d_input) of the rows. `n_steps` steps have statistics of
    their own; a later one takes those of the last or, if `cyclic`, those of its number modulo `n_steps`. So does a step
    that no training batch reached."""

    couples_rows = True

    def __init__(self, d_input: int, n_steps: int, n_batches: int | None, cyclic: bool = False):
        super().__init__()
        self.n_batches, self.cyclic = n_batches, cyclic
        self.mean_SD: Tensor
        self.variance_SD: Tensor
        self.register_buffer("mean_SD", torch.zeros(n_steps, d_input))
        self.register_buffer("variance_SD", torch.ones(n_steps, d_input))
        self._estimate: _Estimate | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.over_time(x, Steps(), None)[0]

    def statistics(self, x_TBD: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (T, D): the batch's in training, else the population's."""
        if not self.training:
            return self.population(steps.start, len(x_TBD))
        mean_TD, variance_TD, count_T = moments(x_TBD, steps.valid_TB, steps.peers)
        self.observe(steps.start, mean_TD, variance_TD, count_T)
        return mean_TD, variance_TD

    def population(self, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Mean and variance (count, D) of the population at the steps from `start` on."""
        places_T = self._places(start, count)
        return self.mean_SD[places_T], self.variance_SD[places_T]

    def begin_estimate(self) -> None:
        """From here on, the statistics of batches are added up."""
        self._estimate = _Estimate(self.mean_SD)

    def observe(self, start: int, mean_TD: Tensor, variance_TD: Tensor, count_T: Tensor) -> None:
        """A batch's statistics at the steps from `start` on, of so many rows, for the estimate if it has begun."""
        if self._estimate is not None:
            self._estimate.add(self._places(start, len(mean_TD)), mean_TD, variance_TD, count_T)

    def end_estimate(self) -> None:
        """The averages since the beginning are the population's statistics."""
        assert self._estimate is not None
        self._estimate.write(self.mean_SD, self.variance_SD)
        self._estimate = None

    def _places(self, start: int, count: int) -> Tensor:
        """(count,): where the statistics of the steps from `start` on are."""
        steps_T, n_steps = torch.arange(start, start + count, device=self.mean_SD.device), len(self.mean_SD)
        return steps_T % n_steps if self.cyclic else steps_T.clamp_max(n_steps - 1)


def estimate_population(model: nn.Module, passes: Iterable[None]) -> None:
    """Estimate the population's statistics of the norms in `model`, if there are such, in passes over batches."""
    norms = [module for module in model.modules() if isinstance(module, OfBatch)]
    if not norms:
        return
    for norm in norms:
        norm.begin_estimate()
    for _ in itertools.islice(passes, norms[0].n_batches):
        pass
    for norm in norms:
        norm.end_estimate()


def moments(x_TBD: Tensor, valid_TB: Tensor | None, peers: Peers) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance (T, D) over the valid rows of all processes, differentiable, and the rows' number (T,).
    In two passes, which keep the digits of a small variance. A process may have no rows."""
    ones_TB1 = x_TBD.new_ones(*x_TBD.shape[:2], 1)
    weight_TB1 = ones_TB1 if valid_TB is None else ones_TB1 * valid_TB[..., None]
    total = peers.sum(torch.cat([x_TBD * weight_TB1, weight_TB1], 2).sum(1))
    count_T1 = total[:, -1:]
    mean_TD = total[:, :-1] / count_T1.clamp_min(1)
    squares_TD = ((x_TBD - mean_TD[:, None]).square() * weight_TB1).sum(1)
    return mean_TD, peers.sum(squares_TD) / count_T1.clamp_min(1), count_T1[:, 0]


class _Estimate:
    """Sums of batches' statistics, in float64."""

    def __init__(self, like_SD: Tensor):
        self.mean_SD = torch.zeros_like(like_SD, dtype=torch.float64)
        self.variance_SD = torch.zeros_like(self.mean_SD)
        self.count_S = self.mean_SD.new_zeros(len(like_SD))

    def add(self, places_T: Tensor, mean_TD: Tensor, variance_TD: Tensor, count_T: Tensor) -> None:
        """One batch, which counts at the steps that a row of it reaches."""
        reached_T = (count_T > 0).double()
        self.mean_SD.index_add_(0, places_T, mean_TD * reached_T[:, None])
        self.variance_SD.index_add_(0, places_T, variance_TD * reached_T[:, None])
        self.count_S.index_add_(0, places_T, reached_T)

    def write(self, mean_SD: Tensor, variance_SD: Tensor) -> None:
        """The averages; at steps after the last that was reached, the last one's."""
        n_reached = int((self.count_S > 0).sum())
        if n_reached == 0:
            return
        for average_SD, total_SD in ((mean_SD, self.mean_SD), (variance_SD, self.variance_SD)):
            average_SD[:n_reached] = total_SD[:n_reached] / self.count_S[:n_reached, None]
            average_SD[n_reached:] = average_SD[n_reached - 1]
