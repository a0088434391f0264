"""A deep equilibrium Transformer's forward and backward pass, compared with torchdeq's and with explicit networks.

Everyone applies the same block with the same weights to B sequences of T features. Fixed points are found to a relative
residual of 1e-3 on every sequence, the backward pass's too. Weights are random, with an input that outweighs what the
block does to z, so that there is a fixed point that plain iteration finds; how many evaluations that takes decides the
ratios, and a trained model's may differ. torchdeq goes on with every sequence until the last one is there, so most of
its own are better than they need be; with 3e-4 for our tolerance the gradients are about as exact as its.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.models.cells.attention.transformer_block import TransformerBlock
from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.plain import Plain

TOLERANCE, STEPS = 1e-3, 60
SOLVERS = {"anderson": Anderson, "broyden": Broyden, "plain": Plain}
Step = Callable[[], None]
Pass = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]  # (f, start) -> the layer's output


class Problem:
    """The block, its input and the gradient that comes back; float64 makes a reference of it."""

    def __init__(self, B: int, N: int, T: int, dtype: torch.dtype = torch.float32):
        torch.manual_seed(0)
        settings = {"dropout": 0.0, "dropout_attention": 0.0, "pre_norm": False, "weight_norm": False}
        self.block = TransformerBlock(N, N, n_heads=4, d_inner=4 * N, span=T, init_std=0.3 / N**0.5, **settings)
        with torch.no_grad():
            self.block.inject.weight.mul_(8)
        self.x_BTN, gradient_BTN = torch.randn(2, B, T, N).to(device(), dtype).unbind(0)
        self.gradient_BTN = gradient_BTN / (B * T)  # as a mean loss has it: absolute ridges are not of its size
        self.block.to(device(), dtype)
        self.start_BTN = torch.zeros_like(self.x_BTN)

    def run(self, layer: Pass) -> Tensor:
        """One forward and backward pass; the output. Gradients are left in the block's parameters."""
        self.block.zero_grad()
        step = self.block.bind(self.x_BTN, None)
        memory = step.keys_values(None)
        y_BTN = layer(lambda z: step(z, memory), self.start_BTN)
        y_BTN.backward(self.gradient_BTN)
        return y_BTN


def layer(method: str, tolerance: float = TOLERANCE) -> Pass:
    solver = functools.partial(SOLVERS[method], STEPS, tolerance)
    equilibrium = Equilibrium(solver, solver)
    return lambda f, start: equilibrium(f, start)[0]


def torchdeq(method: str) -> Pass:
    """Implicit gradients as its documentation has them, on relative residuals."""
    settings = {"f_max_iter": STEPS, "b_max_iter": STEPS, "f_tol": TOLERANCE, "b_tol": TOLERANCE}
    make = importlib.import_module("torchdeq").get_deq
    deq = make(f_solver=method, b_solver=method, f_stop_mode="rel", b_stop_mode="rel", ift=True, **settings)
    return lambda f, start: deq(f, start)[0][-1]


def unrolled(n_layers: int) -> Pass:
    def apply(f: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
        z = start
        for _ in range(n_layers):
            z = f(z)
        return z

    return apply


def contestant(name: str, make: Callable[[], Pass]) -> Contestant:
    def build(B: int, N: int, T: int) -> Step:
        problem, chosen = Problem(B, N, T), make()

        def step() -> None:
            problem.run(chosen)

        return step

    return Contestant(name, build)


PASSES: dict[str, Callable[[], Pass]] = {
    "seqbench, Anderson": lambda: layer("anderson"),
    "seqbench, Anderson to 3e-4": lambda: layer("anderson", 3e-4),
    "seqbench, Broyden": lambda: layer("broyden"),
    "seqbench, plain iteration": lambda: layer("plain"),
}
if importlib.util.find_spec("torchdeq"):
    PASSES |= {
        "torchdeq, fixed_point_iter": lambda: torchdeq("fixed_point_iter"),
        "torchdeq, anderson": lambda: torchdeq("anderson"),
        "torchdeq, broyden": lambda: torchdeq("broyden"),
    }
PASSES |= {
    "12 tied layers": lambda: unrolled(12),
    "24 tied layers": lambda: unrolled(24),
    "48 tied layers": lambda: unrolled(48),
}


def errors(name: str, B: int, N: int, T: int) -> tuple[float, float]:
    """Of what a contestant computes: the largest relative residual of a sequence, and the gradients' distance from
    those of 200 layers in float64, relative, the largest of all parameters."""
    exact, problem = Problem(B, N, T, torch.float64), Problem(B, N, T)
    exact.run(unrolled(200))
    y_BTN = problem.run(PASSES[name]()).detach()
    step = problem.block.bind(problem.x_BTN, None)
    with torch.no_grad():
        f_BTN = step(y_BTN, step.keys_values(None))
    residual_B = (f_BTN - y_BTN).flatten(1).norm(dim=1) / f_BTN.flatten(1).norm(dim=1)
    return float(residual_B.max()), max(
        float((_gradient(ours) - _gradient(theirs)).norm() / _gradient(theirs).norm())
        for ours, theirs in zip(problem.block.parameters(), exact.block.parameters(), strict=True)
    )


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad.double()


SUITE = Suite(
    name="equilibrium",
    title="Deep equilibrium Transformer: forward and backward",
    note="One block of width N, 4 heads, inner width 4 N, on B sequences of T features, float32; every sequence to a "
    "relative residual of 1e-3, forward and backward.",
    ours="seqbench, Anderson",
    contestants=[contestant(name, make) for name, make in PASSES.items()],
    shapes=[{"B": 16, "N": 128, "T": 64}, {"B": 8, "N": 256, "T": 64}],
    n_tokens=lambda B, N, T: B * T,
)
