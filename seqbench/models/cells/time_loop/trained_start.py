"""Recurrences whose first state is trained, as complex ones have it since Arjovsky et al. 2016 (arXiv 1511.06464)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.models.cells.time_loop.recurrence import Map
from seqbench.models.cells.time_loop.recurrent import Recurrent


class TrainedStart(Recurrent):
    """A subclass makes the parameter `start` (H,), with which every sequence begins."""

    touches_all = False  # a carried state takes the place of the first one
    start: nn.Parameter

    def first_state(self, n_rows: int, linear_map: Map) -> Tensor:
        return self.start.expand(n_rows, -1)


def uniform(bound: float, *shape: int) -> nn.Parameter:
    """Drawn from U(-bound, bound)."""
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
