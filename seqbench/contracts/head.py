"""The contract of what turns features into a loss and a distribution."""

from __future__ import annotations

from torch import Tensor, nn

from seqbench.contracts.inputs_outputs import Kind
from seqbench.contracts.peers import Peers


class Head(nn.Module):
    """What turns features into a loss and a distribution: `readout` first, where there is one, applied by the network
    to what a position's features are; then the methods, which take what it gives (z), or the features themselves.

    A constructor that takes `embedding`, the network's or None, shares its weights (network.tied).
    """

    kinds: tuple[Kind, ...] = ("classes",)  # of a task's outputs that it takes

    @property
    def readout(self) -> nn.Linear | None:
        return None

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) losses of the scored targets in the task's unit."""
        raise NotImplementedError

    def log_probs(self, z_NC: Tensor) -> Tensor:
        """(N, C) log-probabilities of classes; a head for real targets has none."""
        raise NotImplementedError

    def after_step(self, peers: Peers) -> None:
        """Called once after every optimizer step, for projections and counters."""
