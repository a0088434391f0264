"""Deep equilibrium Transformer: the fixed point of one layer (Bai, Kolter, Koltun 2019, arXiv 1909.01377).

The layer has the input injected (cells/transformer_block.py); Jacobian regularisation: 2021, arXiv 2106.14342.

    z* = f(z*; x, memory),   the memory: z* of the positions before the segment

Shapes: B batch, T time, M remembered positions, D width.
"""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.models.cells.attention.transformer_block import TransformerBlock
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.solvers import Solver


class DEQTransformer(Backbone):
    """x (B, T, d_input) or ids (B, T) -> z* (B, T, d_model). State: the last M <= `span` positions: "past" their
    injected keys and values (B, M, 2 d_model), "z" their z* (B, M, d_model).

    `forward_solver` and `backward_solver`: plain | anderson | broyden, each with its bound on evaluations (`_steps`)
    and its `_tolerance`, of the relative residual or, without `relative_tolerance`, of its norm. The rest is said in
    cells/equilibrium.py and cells/transformer_block.py.
    """

    def __init__(
        self,
        d_input: int,
        d_model: int,
        n_heads: int,
        d_inner: int,
        span: int,
        dropout: float = 0.0,
        dropout_attention: float = 0.0,
        pre_norm: bool = False,
        weight_norm: bool = True,
        init_std: float = 0.05,
        forward_solver: str = "anderson",
        forward_steps: int = 30,
        forward_tolerance: float = 1e-3,
        backward_solver: str = "anderson",
        backward_steps: int = 30,
        backward_tolerance: float = 1e-3,
        relative_tolerance: bool = True,
        solver_memory: int = 6,
        backward_memory: int | None = None,
        gradient: str = "implicit",
        phantom_steps: int = 5,
        damping: float = 0.8,
        jacobian_weight: float = 0.0,
        jacobian_probability: float = 1.0,
        jacobian_growth_steps: int | None = None,
        pretrain_steps: int = 0,
        pretrain_layers: int = 2,
        on_failure: str = "continue",
    ):
        super().__init__()
        self.block = TransformerBlock(
            d_input, d_model, n_heads, d_inner, span, dropout, dropout_attention, pre_norm, weight_norm, init_std
        )
        self.equilibrium = Equilibrium(
            Solver(forward_solver, forward_steps, forward_tolerance, relative_tolerance, solver_memory),
            Solver(
                backward_solver,
                backward_steps,
                backward_tolerance,
                relative_tolerance,
                solver_memory if backward_memory is None else backward_memory,
            ),
            gradient,
            phantom_steps,
            damping,
            jacobian_weight,
            jacobian_probability,
            jacobian_growth_steps,
            pretrain_steps,
            pretrain_layers,
            on_failure,
        )
        self.d_output = d_model

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        step = self.block.bind(x, None if state is None else state["past"])
        memory_BMD = None if state is None else state["z"]
        keys_values_BM2D = step.keys_values(memory_BMD)
        start = self.block.inject.weight.new_zeros(*x.shape[:2], self.d_output)
        z_BTD, aux = self.equilibrium(lambda z: step(z, keys_values_BM2D), start)
        return z_BTD, {"past": step.past_BM2D, "z": step.kept(z_BTD, memory_BMD)}, aux

    def after_step(self, peers: Peers) -> None:
        self.equilibrium.after_step()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        return self.equilibrium.diagnostics()
