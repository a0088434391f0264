"""Deep equilibrium TrellisNet: the fixed point of one level (Bai, Kolter, Koltun 2019, arXiv 1909.01377).

The level is a gated convolution with the input injected (cells/equilibrium/trellis_block.py).

    z* = f(z*; x, memory),   the memory: z* of the positions before the segment

Shapes: B batch, T time, S remembered positions, C = 2 * hidden_size.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.fixed_point import FixedPoint
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.trellis_block import TrellisBlock, checked_width


class DEQTrellisNet(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, d_model): the last `d_model` of h*'s `hidden_size` channels (null:
    all). State: the last S = `dilation` positions: "past" their injection (B, S, 4 hidden_size), "z" their z*
    (B, S, 2 hidden_size).

    `equilibrium` makes the layer that finds the fixed point (cells/equilibrium/implicit.py); the other arguments are
    those of the block (cells/equilibrium/trellis_block.py).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        d_model: Count | None = None,
        dilation: Count = 1,
        dropout: Dropout = 0.0,
        weight_dropout: Dropout = 0.0,
        weight_norm: bool = True,
        init_std: NotNegative = 0.01,
        equilibrium: Callable[..., FixedPoint] = Equilibrium,
    ):
        super().__init__()
        self.d_output = checked_width(d_model, hidden_size)
        self.block = TrellisBlock(d_input, hidden_size, dilation, dropout, weight_dropout, weight_norm, init_std)
        self.equilibrium = equilibrium()

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        step = self.block.bind(x, None if state is None else state["past"])
        start = self.block.inject.weight.new_zeros(*x.shape[:2], 2 * self.block.hidden_size)
        memory_BSC = start.new_zeros(len(x), self.block.dilation, start.shape[2]) if state is None else state["z"]
        z_BTC, aux = self.equilibrium(lambda z: step(z, memory_BSC), start)
        return z_BTC[..., -self.d_output :], {"past": step.past_BSG, "z": step.remembered(z_BTC, memory_BSC)}, aux

    def after_step(self, peers: Peers) -> None:
        self.equilibrium.after_step()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        return self.equilibrium.diagnostics()
