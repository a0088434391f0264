"""The compiled recurrences against their definition in plain PyTorch."""

import functools
import math

import pytest
import torch
from torch import Tensor

from seqbench.models.cells.maps.kronecker import Kronecker
from seqbench.models.cells.time_loop import native
from seqbench.models.cells.time_loop.recurrence import Dense, Spare, recurrence
from seqbench.models.unitary.scornn import SCORNN

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no compiler here")


def dense(n: int, dtype: torch.dtype):
    weight = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0].to(dtype).requires_grad_()
    return [weight], lambda: Dense(weight)


def kronecker(sizes: list[int], complex: bool, dtype: torch.dtype):
    wide = torch.complex128 if complex else torch.float64
    factors = [torch.linalg.qr(torch.randn(size, size, dtype=wide))[0] for size in sizes]
    factors = [factor.to(dtype.to_complex() if complex else dtype).requires_grad_() for factor in factors]
    return factors, lambda: Kronecker(factors)


FACTORS = {"2x2x2x2x2x2x2": [2] * 7, "3x5x2": [3, 5, 2], "16x16": [16, 16], "7": [7], "4x1x32": [4, 1, 32]}
MAPS = {f"dense-{n}": (n, functools.partial(dense, n)) for n in (1, 7, 16, 48, 190)}
MAPS |= {f"real-{name}": (math.prod(f), functools.partial(kronecker, f, False)) for name, f in FACTORS.items()}
MAPS |= {f"complex-{name}": (2 * math.prod(f), functools.partial(kronecker, f, True)) for name, f in FACTORS.items()}
KINDS = {"modrelu": 1, "tanh": 1, "complex_modrelu": 2}  # numbers of a state that share a bias
CASES = [(name, kind) for name in MAPS for kind in KINDS if KINDS[kind] == 1 or name.startswith("complex")]


class Problem:
    """Random inputs, and the outputs, last state and gradients that a backend gives for them."""

    def __init__(self, name: str, kind: str, steps: int, rows: int, one_hot: bool, dtype: torch.dtype):
        torch.manual_seed(1)  # which draws nothing near a kink: see test_compiled_equals_reference
        self.kind, (self.width, make) = kind, MAPS[name]
        n_inputs = 5

        def draw(*shape: int, scale: float = 1.0) -> Tensor:
            return (torch.randn(*shape, dtype=torch.float64) * scale).to(dtype).requires_grad_()

        self.weights, self.map = make(dtype)
        self.x = torch.randint(0, n_inputs, (steps, rows)) if one_hot else draw(steps, rows, n_inputs)
        self.input_weight = draw(n_inputs, self.width)
        self.bias, self.before = draw(self.width // KINDS[kind], scale=0.1), draw(rows, self.width)
        self.readout, self.mix = draw(3, self.width), draw(steps, rows, 3).detach()
        self.readout_bias = draw(3)
        self.leaves = [self.input_weight, self.bias, self.before, self.readout, self.readout_bias, *self.weights]
        self.leaves += [] if one_hot else [self.x]

    def distance_from_a_kink(self) -> float:
        """The smallest | |z| + b |: where modReLU's |z| + b changes sign its slope jumps."""
        given = (self.x, self.input_weight, self.bias, self.map(), self.kind, self.before, Spare(), "reference")
        before = torch.cat([self.before[None], recurrence(*given)[0][:-1]])
        x = self.x @ self.input_weight if self.x.is_floating_point() else self.input_weight[self.x]
        z = x + self.map().apply(before.flatten(0, 1)).view_as(before)
        size = z.abs() if self.kind == "modrelu" else torch.hypot(*z.chunk(2, -1))
        return float((size + self.bias).abs().min().detach())

    def solve(self, backend: str, read: bool) -> list[Tensor]:
        given = (self.x, self.input_weight, self.bias, self.map(), self.kind, self.before, Spare(), backend)
        if read:
            z, last = recurrence(*given, self.readout, self.readout_bias)
        else:
            y, last = recurrence(*given)
            z = y @ self.readout.T + self.readout_bias
        loss = (z * self.mix).square().sum() + last.pow(3).sum()
        return [z, last, *torch.autograd.grad(loss, self.leaves)]


def distance(ours: Tensor, theirs: Tensor) -> float:
    wide = torch.complex128 if theirs.is_complex() else torch.float64
    ours, theirs = ours.detach().to(wide), theirs.detach().to(wide)
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-30))


@needs_compiler
@pytest.mark.parametrize("read", [False, True], ids=["outputs", "readout"])
@pytest.mark.parametrize("one_hot", [False, True], ids=["features", "ids"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_compiled_equals_reference(name, kind, one_hot, read):
    """A sum of n terms errs by sqrt(n) roundings of itself, 2^-24 in float32: up to 3e-6 for the widest map. Six steps,
    their way back and the cube in the loss make some forty of them, on either side. In float64 that is 4e-13."""
    for steps, rows in [(1, 1), (6, 3), (5, 17)]:
        # z errs by some 1e-6 in float32: nearer to a kink the two might stand on different sides of it
        if kind != "tanh":
            assert Problem(name, kind, steps, rows, one_hot, torch.float64).distance_from_a_kink() > 1e-5
        for dtype, tolerance in [(torch.float64, 1e-11), (torch.float32, 2e-4)]:
            problem = Problem(name, kind, steps, rows, one_hot, dtype)
            expected, found = problem.solve("reference", False), problem.solve("native", read)
            assert max(map(distance, found, expected)) < tolerance


@needs_compiler
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing_but_rounding(threads):
    problem = Problem("dense-48", "modrelu", 7, 37, False, torch.float64)
    expected = problem.solve("native", True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert max(map(distance, problem.solve("native", True), expected)) < 1e-12
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("backend", ["reference", pytest.param("native", marks=needs_compiler)])
def test_gradcheck(backend):
    torch.manual_seed(0)
    n = 4
    weight = torch.randn(n, n, dtype=torch.float64, requires_grad=True)
    leaves = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in [(5, 2, 3), (3, n), (n,), (2, n)]
    ]

    def run(x, input_weight, bias, before, weight):
        return recurrence(x, input_weight, bias, Dense(weight), "modrelu", before, Spare(), backend)

    assert torch.autograd.gradcheck(run, (*leaves, weight))


@pytest.mark.parametrize("backend", ["reference", pytest.param("native", marks=needs_compiler)])
def test_no_steps(backend):
    model = SCORNN(3, hidden_size=4, n_negative=2, backend=backend)
    state = torch.randn(2, 4)
    y, after, _ = model(torch.zeros(2, 0, 3), state)
    assert y.shape == (2, 0, 4) and torch.equal(after, state)


@needs_compiler
def test_a_thousand_steps_are_as_exact_as_the_reference():
    """Over 1,000 steps every float32 version is off in the skew matrix's gradient, by 1e-4; the compiled one no more
    than the reference. Equally good ways to round, on whatever processor, differ by chance, but a norm over hundreds
    of errors not by a factor of two; a sum that loses a digit on the way would be ten times as far off."""

    def gradients(dtype: torch.dtype, backend: str) -> list[Tensor]:
        torch.manual_seed(0)
        model = SCORNN(10, hidden_size=64, n_negative=32, backend=backend).to(dtype)
        x = torch.randint(0, 10, (16, 1000), generator=torch.Generator().manual_seed(1))
        mix = torch.randn(16, 1000, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
        (model(x)[0] * mix).sum().backward()
        return [parameter.grad for parameter in model.parameters()]

    exact = gradients(torch.float64, "reference")
    ours, theirs = gradients(torch.float32, "native"), gradients(torch.float32, "reference")
    for own, other, right in zip(ours, theirs, exact, strict=True):
        assert distance(own, right) < max(2 * distance(other, right), 1e-6)


@needs_compiler
def test_a_spare_buffer_is_never_someone_elses():
    """Two steps in flight at once, as in accumulation without a backward pass between: neither sees the other."""
    problem = Problem("dense-16", "modrelu", 6, 3, True, torch.float64)
    spare = Spare()

    def start(x):
        given = (x, problem.input_weight, problem.bias, problem.map(), problem.kind, problem.before, spare, "native")
        return recurrence(*given, problem.readout)[0].square().sum()

    other = problem.x.flip(0)
    expected = [torch.autograd.grad(start(x), problem.weights)[0] for x in (problem.x, other)]
    first, second = start(problem.x), start(other)
    found = [torch.autograd.grad(loss, problem.weights)[0] for loss in (first, second)]
    assert all(map(torch.equal, found, expected))


def test_without_a_compiler_the_reference_runs_and_says_so(tmp_path, seqbench):
    small = ["task.delay=10", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "train.max_steps=2"]
    there = {"TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions"), "CXX": "no-such-compiler"}
    code, _, said = seqbench("train", *small, **there)
    assert code == 0
    assert said.count("recurrences run in plain PyTorch, since they cannot be compiled") == 1


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_bfloat16_module_computes_in_float32(backend):
    torch.manual_seed(0)
    low = SCORNN(3, 12, n_negative=5, backend=backend).to(torch.bfloat16)
    high = SCORNN(3, 12, n_negative=5, backend=backend)
    high.load_state_dict(low.state_dict())  # what bfloat16 has kept of the weights
    x = torch.randn(2, 30, 3, dtype=torch.bfloat16)
    (y, state, _), (expected, end, _) = low(x), high(x.float())
    assert y.dtype == torch.bfloat16 and state.dtype == torch.float32
    torch.testing.assert_close(y, expected.to(torch.bfloat16))
    torch.testing.assert_close(state, end)
    low(x, state)[0].float().square().sum().backward()
    high(x.float(), end)[0].square().sum().backward()
    # three roundings of at most 2^-8: of y, of its gradient and of the parameter's
    for (name, one), (_, other) in zip(low.named_parameters(), high.named_parameters(), strict=True):
        assert one.grad.dtype == torch.bfloat16 and distance(one.grad, other.grad) < 3 * 2**-8, name
