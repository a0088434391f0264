"""The contract of what turns features into a loss and a distribution."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Gather = Callable[[Tensor], Tensor]  # a tensor of this process's rows -> those of all processes, one below the other


class Head(nn.Module):
    """What turns features into a loss and a distribution: `readout` first, where there is one, applied by the network
    to what a position's features are; then the methods, which take what it gives (z), or the features themselves.

    A constructor that takes `embedding`, the network's or None, shares its weights (network.tied).
    """

    of_reals: bool = False  # whether targets are real numbers, not classes

    @property
    def readout(self) -> nn.Linear | None:
        return None

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) losses of the scored targets in the task's unit."""
        raise NotImplementedError

    def log_probs(self, z_NC: Tensor) -> Tensor:
        """(N, C) log-probabilities of classes; a head for real targets has none."""
        raise NotImplementedError

    def after_step(self, gather: Gather) -> None:
        """Called once after every optimizer step, for projections and counters."""
