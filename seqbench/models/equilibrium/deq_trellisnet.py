"""Deep equilibrium TrellisNet: the fixed point of one level (Bai, Kolter, Koltun 2019, arXiv 1909.01377).

The level is a gated convolution with the input injected (cells/trellis_block.py).

    z* = f(z*; x, memory),   the memory: z* of the positions before the segment

Shapes: B batch, T time, S remembered positions, C = 2 * hidden_size.
"""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.solvers import Solver
from seqbench.models.cells.equilibrium.trellis_block import TrellisBlock, checked_width


class DEQTrellisNet(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, d_model): the last `d_model` of h*'s `hidden_size` channels (null:
    all). State: the last S = `dilation` positions: "past" their injection (B, S, 4 hidden_size), "z" their z*
    (B, S, 2 hidden_size).

    `forward_solver` and `backward_solver`: plain | anderson | broyden, each with its bound on evaluations (`_steps`)
    and its `_tolerance`, of the relative residual or, without `relative_tolerance`, of its norm. The rest is said in
    cells/equilibrium.py and cells/trellis_block.py.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: int,
        d_model: int | None = None,
        dilation: int = 1,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
        weight_norm: bool = True,
        init_std: float = 0.01,
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
        self.d_output = checked_width(d_model, hidden_size)
        self.block = TrellisBlock(d_input, hidden_size, dilation, dropout, weight_dropout, weight_norm, init_std)
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

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        step = self.block.bind(x, None if state is None else state["past"])
        start = self.block.inject.weight.new_zeros(*x.shape[:2], 2 * self.block.hidden_size)
        memory_BSC = start.new_zeros(len(x), self.block.dilation, start.shape[2]) if state is None else state["z"]
        z_BTC, aux = self.equilibrium(lambda z: step(z, memory_BSC), start)
        return z_BTC[..., -self.d_output :], {"past": step.past_BSG, "z": step.kept(z_BTC, memory_BSC)}, aux

    def after_step(self, peers: Peers) -> None:
        self.equilibrium.after_step()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        return self.equilibrium.diagnostics()
