"""The other processes of a run, as models, heads and optimizers see them: no rank, no backend."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Peers(Protocol):
    """All processes of the run, this one included. Each of them calls the same methods in the same order."""

    def sum(self, tensor: Tensor) -> Tensor:
        """The elementwise sum over the processes. Differentiable: the gradient is summed, too."""
        ...

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, one process's below the other's; their numbers may differ."""
        ...


class Alone:
    """The peers of a run of one process."""

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def gather(self, rows: Tensor) -> Tensor:
        return rows
