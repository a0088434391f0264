"""Deep equilibrium Transformer: the fixed point of one layer (Bai, Kolter, Koltun 2019, arXiv 1909.01377).

The layer has the input injected (cells/attention/transformer_block.py). Jacobian regularisation: 2021, arXiv
2106.14342.

    z* = f(z*; x, memory),   the memory: z* of the positions before the segment

Shapes: B batch, T time, M remembered positions, D width.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.fixed_point import FixedPoint
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.attention.transformer_block import TransformerBlock
from seqbench.models.cells.equilibrium.implicit import Equilibrium


class DEQTransformer(Backbone):
    """x (B, T, d_input) or ids (B, T) -> z* (B, T, d_model). State: the last M <= `span` positions: "past" their
    injected keys and values (B, M, 2 d_model), "z" their z* (B, M, d_model).

    `equilibrium` makes the layer that finds the fixed point (cells/equilibrium/implicit.py); the other arguments are
    those of the block (cells/attention/transformer_block.py).
    """

    def __init__(
        self,
        d_input: int,
        d_model: Count,
        n_heads: Count,
        d_inner: Count,
        span: Count,
        dropout: Dropout = 0.0,
        dropout_attention: Dropout = 0.0,
        pre_norm: bool = False,
        weight_norm: bool = True,
        init_std: NotNegative = 0.05,
        equilibrium: Callable[..., FixedPoint] = Equilibrium,
    ):
        super().__init__()
        self.block = TransformerBlock(
            d_input, d_model, n_heads, d_inner, span, dropout, dropout_attention, pre_norm, weight_norm, init_std
        )
        self.equilibrium = equilibrium()
        self.d_output = d_model

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        step = self.block.bind(x, None if state is None else state["past"])
        memory_BMD = None if state is None else state["z"]
        keys_values_BM2D = step.keys_values(memory_BMD)
        start = self.block.inject.weight.new_zeros(*x.shape[:2], self.d_output)
        z_BTD, aux = self.equilibrium(lambda z: step(z, keys_values_BM2D), start)
        return z_BTD, {"past": step.past_BM2D, "z": step.remembered(z_BTD, memory_BMD)}, aux

    def after_step(self, peers: Peers) -> None:
        self.equilibrium.after_step()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        return self.equilibrium.diagnostics()
