"""Batch normalisation with statistics for each time step (Cooijmans et al. 2016, arXiv 1603.09025).

    y_t = g * (x_t - mean_t) / sqrt(var_t + eps),   mean and biased variance over the rows of the batch, at step t alone

There is no shift: the model that asks for the norm has one. In evaluation mode the statistics are those of the
population: at each step the plain average, over training batches, of the batches' means and biased variances. They are
estimated with the weights as they are, before each evaluation, and are part of the state dict.

Shapes: T time, B batch, D features, S steps that have statistics.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.ranges import Count, Positive


class BatchNorm(Norm):
    """(T, B, d_input), of T steps from `start` on -> the same.

    - `n_steps`: so many steps have statistics of their own; a later one takes those of the last, and so does a step
      that no training batch reached.
    - `n_batches` of the training set are what the population's statistics are averaged over (null: all of an epoch).
    - `gain` is the trained gain's value at the start. The paper has 0.1, for a tanh that is not saturated.
    """

    couples_rows = True

    def __init__(
        self, d_input: int, n_steps: Count, n_batches: Count | None = None, gain: float = 0.1, eps: Positive = 1e-5
    ):
        super().__init__()
        self.gain = nn.Parameter(torch.full((d_input,), gain))
        self.eps, self.n_batches = eps, n_batches
        self.mean_SD: Tensor
        self.variance_SD: Tensor
        self.register_buffer("mean_SD", torch.zeros(n_steps, d_input))
        self.register_buffer("variance_SD", torch.ones(n_steps, d_input))
        self._estimate: _Estimate | None = None

    def forward(self, x: Tensor, start: int = 0, valid_TB: Tensor | None = None, peers: Peers | None = None) -> Tensor:
        """`valid_TB` marks the rows of a step that are no padding, which its statistics are of (None: all)."""
        if self.training:
            mean_TD, variance_TD, count_T = self.moments(x, valid_TB, peers or Alone())
            self.observe(start, mean_TD, variance_TD, count_T)
        else:
            mean_TD, variance_TD = self.population(start, len(x))
        return self.normalise(x, mean_TD, variance_TD)

    def moments(self, x_TBD: Tensor, valid_TB: Tensor | None, peers: Peers) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (T, D) of a batch, differentiable, and the number of its rows (T,)."""
        return moments(x_TBD, valid_TB, peers)

    def normalise(self, x_TBD: Tensor, mean_TD: Tensor, variance_TD: Tensor) -> Tensor:
        return (x_TBD - mean_TD[:, None]) * ((variance_TD + self.eps).rsqrt() * self.gain)[:, None]

    def population(self, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Mean and variance (count, D) of the population at the steps from `start` on."""
        steps_T = torch.arange(start, start + count, device=self.mean_SD.device).clamp_max(len(self.mean_SD) - 1)
        return self.mean_SD[steps_T], self.variance_SD[steps_T]

    def begin_estimate(self) -> None:
        """From here on, the statistics of batches are added up."""
        self._estimate = _Estimate(self.mean_SD)

    def observe(self, start: int, mean_TD: Tensor, variance_TD: Tensor, count_T: Tensor) -> None:
        """A batch's statistics at the steps from `start` on, of so many rows, for the estimate if it has begun."""
        if self._estimate is not None:
            self._estimate.add(start, mean_TD, variance_TD, count_T)

    def end_estimate(self) -> None:
        """The averages since the beginning are the population's statistics."""
        assert self._estimate is not None
        self._estimate.write(self.mean_SD, self.variance_SD)
        self._estimate = None


def estimate_population(norms: Sequence[BatchNorm], passes: Iterable[None]) -> None:
    """The population's statistics, in passes over training batches: so many as the first norm asks for."""
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

    def add(self, start: int, mean_TD: Tensor, variance_TD: Tensor, count_T: Tensor) -> None:
        """One batch, which counts at the steps that a row of it reaches."""
        steps_T = torch.arange(start, start + len(mean_TD), device=mean_TD.device).clamp_max(len(self.count_S) - 1)
        reached_T = (count_T > 0).double()
        self.mean_SD.index_add_(0, steps_T, mean_TD * reached_T[:, None])
        self.variance_SD.index_add_(0, steps_T, variance_TD * reached_T[:, None])
        self.count_S.index_add_(0, steps_T, reached_T)

    def write(self, mean_SD: Tensor, variance_SD: Tensor) -> None:
        """The averages; at steps after the last that was reached, the last one's."""
        n_reached = int((self.count_S > 0).sum())
        if n_reached == 0:
            return
        for average_SD, total_SD in ((mean_SD, self.mean_SD), (variance_SD, self.variance_SD)):
            average_SD[:n_reached] = total_SD[:n_reached] / self.count_S[:n_reached, None]
            average_SD[n_reached:] = average_SD[n_reached - 1]
