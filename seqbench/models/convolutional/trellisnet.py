"""TrellisNet: one gated convolution at every level, the input injected into each (Bai et al. 2019, arXiv 1810.06682).

Bai, Kolter, Koltun, ICLR 2019; the level is cells/equilibrium/trellis_block.py.

    z_0 = 0,   z_{i+1} = f(z_i)

Shapes: B batch, T time, S remembered positions, N layers, C = 2 * hidden_size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.equilibrium.trellis_block import TrellisBlock, checked_width


class TrellisNet(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, d_model): the last `d_model` of h's `hidden_size` channels (null:
    all). State: the last S = `dilation` positions: "past" their injection (B, S, 4 hidden_size), "z" what each layer
    read there, (B, S, N, 2 hidden_size).

    `n_layers` is how often the block is applied; the other arguments are the block's.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_layers: Count,
        d_model: Count | None = None,
        dilation: Count = 1,
        dropout: Dropout = 0.0,
        weight_dropout: Dropout = 0.0,
        weight_norm: bool = True,
        init_std: NotNegative = 0.01,
    ):
        super().__init__()
        self.d_output = checked_width(d_model, hidden_size)
        self.n_layers = n_layers
        self.block = TrellisBlock(d_input, hidden_size, dilation, dropout, weight_dropout, weight_norm, init_std)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        step = self.block.bind(x, None if state is None else state["past"])
        (B, T), width = x.shape[:2], 2 * self.block.hidden_size
        z = self.block.inject.weight.new_zeros(B, T, width)
        memory_BSNC = z.new_zeros(B, self.block.dilation, self.n_layers, width) if state is None else state["z"]
        read = []
        for memory_BSC in memory_BSNC.unbind(2):
            read.append(step.remembered(z, memory_BSC))
            z = step(z, memory_BSC)
        return z[..., -self.d_output :], {"past": step.past_BSG, "z": torch.stack(read, 2)}, None
