"""Cayley steps against their formula in float64, in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.learner import Learner
from seqbench.optim.stiefel import Stiefel, nearest_unitary


def unitary(n: int, columns: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(n, columns, dtype=torch.complex128))[0]


@pytest.mark.parametrize(("n", "columns"), [(5, 5), (6, 2)])
@pytest.mark.parametrize("is_complex", [True, False])
def test_a_step_is_the_papers(n, columns, is_complex):
    torch.manual_seed(0)
    w, g = unitary(n, columns), torch.randn(n, columns, dtype=torch.complex128)
    w, g = (w, g) if is_complex else (torch.linalg.qr(w.real)[0], g.real)
    parameter = nn.Parameter(torch.view_as_real(w).clone() if is_complex else w.clone())
    parameter.grad = torch.view_as_real(g).clone() if is_complex else g.clone()
    Stiefel([parameter], Learner(), lr=0.3).step()
    w, g, identity = w.numpy(), g.numpy(), np.eye(n)
    a = g @ w.conj().T - w @ g.conj().T
    expected = np.linalg.inv(identity + 0.15 * a) @ (identity - 0.15 * a) @ w
    found = torch.view_as_complex(parameter.detach()) if is_complex else parameter.detach()
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected.conj().T @ expected, np.eye(columns), rtol=0, atol=1e-12)


def test_the_loss_falls_as_the_tangent_says():
    """By lr |A|^2 / 2 to first order; A as in the paper."""
    torch.manual_seed(0)
    w, target, lr = unitary(4, 4), torch.randn(4, 4, dtype=torch.complex128), 1e-7
    parameter = nn.Parameter(torch.view_as_real(w).clone())

    def loss():
        return (torch.view_as_complex(parameter) - target).abs().square().sum()

    before = loss()
    before.backward()
    g = torch.view_as_complex(parameter.grad)
    a = g @ w.mH - w @ g.mH
    Stiefel([parameter], Learner(), lr=lr).step()
    assert (before - loss()).item() / lr == pytest.approx(a.abs().square().sum().item() / 2, rel=1e-5)


def test_the_gradient_may_be_normalised():
    torch.manual_seed(0)
    w = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    one, other, mean_square = nn.Parameter(w.clone()), nn.Parameter(w.clone()), torch.zeros(3, 3)
    normalised = Stiefel([one], Learner(), lr=0.1, rms_decay=0.9, eps=1e-6)
    plain = Stiefel([other], Learner(), lr=0.1)
    for _ in range(3):
        g = torch.randn(3, 3, dtype=torch.float64)
        mean_square = 0.9 * mean_square + 0.1 * g**2
        one.grad, other.grad = g, g / (mean_square + 1e-6).sqrt()
        normalised.step()
        plain.step()
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_it_may_return_to_the_unitary_matrices():
    torch.manual_seed(0)
    w = unitary(4, 4)
    torch.testing.assert_close(nearest_unitary(3 * w), w, rtol=0, atol=1e-12)
    parameter = nn.Parameter(torch.view_as_real(1.1 * w).clone())
    optimizer = Stiefel([parameter], Learner(), lr=0.0, unitary_every=2)
    sizes = []
    for _ in range(3):
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        sizes.append(parameter.square().sum().item())
    assert sizes == pytest.approx([4 * 1.21, 4, 4])


def test_what_cannot_be_is_one_sentence():
    with pytest.raises(ValueError, match=r"Stiefel takes matrices \(N, P\), or \(N, P, 2\) .*, not \(3, 4, 5\)"):
        Stiefel([nn.Parameter(torch.zeros(3, 4, 5))], Learner())
    with pytest.raises(ValueError, match=r"needs float32 or float64 weights, not torch\.bfloat16"):
        Stiefel([nn.Parameter(torch.zeros(3, 3, dtype=torch.bfloat16))], Learner())

    class Named(Learner):
        def __init__(self):
            super().__init__()
            self.recurrent, self.readout = (nn.Parameter(torch.eye(3)) for _ in range(2))

        def parameter_groups(self):
            return {"recurrent": ParameterGroup([self.recurrent], recurrent=True)}

    network = Named()
    Stiefel([network.recurrent], network)
    with pytest.raises(ValueError, match="Stiefel is for unitary matrices alone; choose another optimizer"):
        Stiefel(network.parameters(), network)
