"""Transformer whose layers share one set of weights, with the input injected into each (Bai et al. 2019).

Its limit is the deep equilibrium Transformer (Bai, Kolter, Koltun 2019, arXiv 1909.01377); the layer is
cells/attention/transformer_block.py.

    z_0 = 0,   z_{i+1} = f(z_i)

Shapes: B batch, T time, M remembered positions, N layers, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.attention.transformer_block import TransformerBlock


class WeightTiedTransformer(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, d_model). State: the last M <= `span` positions: "past" their
    injected keys and values (B, M, 2 d_model), "z" what each layer read there, (B, M, N, d_model).

    `n_layers` is how often the block is applied; the other arguments are the block's.
    """

    def __init__(
        self,
        d_input: int,
        d_model: Count,
        n_layers: Count,
        n_heads: Count,
        d_inner: Count,
        span: Count,
        dropout: Dropout = 0.0,
        dropout_attention: Dropout = 0.0,
        pre_norm: bool = False,
        weight_norm: bool = True,
        init_std: NotNegative = 0.05,
    ):
        super().__init__()
        self.block = TransformerBlock(
            d_input, d_model, n_heads, d_inner, span, dropout, dropout_attention, pre_norm, weight_norm, init_std
        )
        self.d_output, self.n_layers = d_model, n_layers

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        step = self.block.bind(x, None if state is None else state["past"])
        memories = [None] * self.n_layers if state is None else state["z"].unbind(2)
        z, read = self.block.inject.weight.new_zeros(*x.shape[:2], self.d_output), []
        for memory_BMD in memories:
            read.append(step.remembered(z, memory_BMD))
            z = step(z, step.keys_values(memory_BMD)).to(z.dtype)
        return z, {"past": step.past_BM2D, "z": torch.stack(read, 2)}, None
