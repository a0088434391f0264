"""The GPU's kernels against the definition: on a GPU, or through Triton's interpreter where there is none."""

import pytest
import torch

from seqbench.models.cells.maps.kronecker import Kronecker
from seqbench.models.cells.time_loop.recurrence import NONLINEARITIES, Dense, reference

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize("shape", [(4, 3, 10), (3, 18, 70), (1, 1, 64)], ids=str)
@pytest.mark.parametrize("kind", NONLINEARITIES)
def test_kernels_equal_the_reference(kind, shape):
    pytest.importorskip("triton")
    from seqbench.models.cells.time_loop.gpu import OnGpu

    steps, rows, n = shape
    torch.manual_seed(0)
    width = 2 * n if kind == "complex_modrelu" else n
    weight = torch.linalg.qr(torch.randn(width, width))[0].to(DEVICE).requires_grad_()
    bias = (torch.randn(n) * 0.1).to(DEVICE).requires_grad_()
    before = torch.randn(rows, width).to(DEVICE).requires_grad_()
    x = torch.randn(steps, rows, width).to(DEVICE).requires_grad_()
    mix, leaves = torch.randn(steps, rows, width).to(DEVICE), [x, weight, bias, before]
    found = OnGpu.apply(NONLINEARITIES.index(kind), x, weight, bias, before)
    expected = reference(x, torch.eye(width, device=DEVICE), bias, Dense(weight), kind, before)
    ours = torch.autograd.grad((found * mix).square().sum(), leaves)
    theirs = torch.autograd.grad((expected * mix).square().sum(), leaves)
    assert distance(found, expected) < 1e-5
    assert max(map(distance, ours, theirs)) < 1e-4


@pytest.mark.parametrize("complex", [False, True])
def test_a_kronecker_map_as_a_dense_one(complex):
    torch.manual_seed(0)
    factors = [torch.randn(size, size, dtype=torch.complex64 if complex else torch.float32) for size in (2, 3, 2)]
    map = Kronecker(factors)
    h = torch.randn(5, map.width)
    torch.testing.assert_close(h @ map.dense(), map.apply(h), rtol=1e-4, atol=1e-4)
