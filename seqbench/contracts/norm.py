"""The contract of a normalisation of features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor, nn

from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.pytree import State


@dataclass(frozen=True)
class Steps:
    """Which steps of their sequences the positions (T, B) are: those from number `start` on. `valid_TB` marks the
    positions that are no padding (None: all), and `peers` have the other rows of the batch."""

    start: int = 0
    valid_TB: Tensor | None = None
    peers: Peers = field(default_factory=Alone)

    def only(self, t: int) -> Steps:
        """The t-th of them alone."""
        valid_TB = None if self.valid_TB is None else self.valid_TB[t : t + 1]
        return replace(self, start=self.start + t, valid_TB=valid_TB)


class Norm(nn.Module):
    """Normalises the `d_input` features of each position: (..., d_input) -> (..., d_input). No position's output
    depends on another position or row. The model passes `d_input` to the constructor.

    A class may say that it is of another sort. Then it maps (T, B, d_input), by `over_time`:

    - `couples_rows`: a row depends on the others of its step. Only a model that couples rows, too, takes it.
    - `reads` says which other steps a step depends on: none (step), earlier ones, which the memory speaks for (past),
      or all that it is given (sequence), which only what is known of a whole sequence at once can have.
      Only a model that `carries_norms` takes a norm that reads other steps. One that reads data beside the batch
      (public) is for a model that sends these through its layers, too, and then says what else it reads.
    """

    couples_rows: bool = False
    reads: Literal["step", "past", "sequence", "public"] = "step"

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        """Positions (T, B, D) normalised, and the memory, batch-first, that goes on with their sequences. It is None at
        a sequence's beginning, and always where no step depends on an earlier one."""
        return self(x_TBD), memory
