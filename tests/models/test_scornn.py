"""scoRNN against the paper's equations in float64."""

import math

import pytest
import torch

from seqbench.models.cells.maps.cayley import block_rotations, scaled_cayley, skew_matrix
from seqbench.models.unitary.scornn import SCORNN


@pytest.mark.parametrize("n", [2, 5, 8])
def test_w_is_orthogonal_and_scaled(n):
    entries = torch.randn(n * (n - 1) // 2, dtype=torch.float64)
    sign = torch.tensor([1.0] * (n - 1) + [-1.0])
    w = scaled_cayley(entries, sign)
    identity = torch.eye(n, dtype=torch.float64)
    torch.testing.assert_close(w @ w.T, identity, rtol=0, atol=1e-12)
    a = skew_matrix(entries, n)
    torch.testing.assert_close((identity + a) @ w, (identity - a) * sign, rtol=0, atol=1e-12)
    assert torch.linalg.det(w).item() == pytest.approx(-1)


def test_initial_eigenvalues_lie_on_the_right_quarter_circles():
    torch.manual_seed(0)
    w = scaled_cayley(block_rotations(10).double(), torch.ones(10))
    angles = torch.linalg.eigvals(w).angle().abs()
    assert angles.max() <= math.pi / 2 + 1e-6
    assert angles.std() > 0.1


def test_gradient_of_the_skew_matrix_is_the_papers():
    """Section 1.1: dL/dA = V^T - V with V = (I + A)^{-T} dL/dW (D + W^T), for tied pairs A_ij = -A_ji."""
    n = 5
    entries = torch.randn(n * (n - 1) // 2, dtype=torch.float64, requires_grad=True)
    sign = torch.tensor([1.0, 1, 1, -1, -1], dtype=torch.float64)
    w = scaled_cayley(entries, sign)
    grad_w = torch.randn(n, n, dtype=torch.float64)
    (w * grad_w).sum().backward()
    a, identity = skew_matrix(entries.detach(), n), torch.eye(n, dtype=torch.float64)
    v = torch.linalg.inv(identity + a).T @ grad_w @ (torch.diag(sign) + w.detach().T)
    row, column = torch.triu_indices(n, n, offset=1)
    torch.testing.assert_close(entries.grad, (v.T - v)[row, column], rtol=1e-10, atol=1e-10)


def test_parameter_count_of_the_papers_copy_model():
    model = SCORNN(10, hidden_size=190, n_negative=95)
    assert sum(p.numel() for p in model.parameters()) + 190 * 9 + 9 == 21_764


def test_too_many_negatives_is_refused():
    with pytest.raises(ValueError, match="n_negative is between 0 and hidden_size=4, not 5"):
        SCORNN(3, hidden_size=4, n_negative=5)


def test_the_recurrence_is_the_papers():
    """h_t = modReLU(x_t U + h_{t-1} W), step by step from the model's own parameters."""
    torch.manual_seed(0)
    model = SCORNN(3, hidden_size=6, n_negative=2, input_init_range=1.0).double()
    model.bias.data.uniform_(-0.5, 0.1)
    x, h = torch.randn(2, 9, 3, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    y, state, _ = model(x, h)
    for t in range(9):
        z = x[:, t] @ model.weight_input + h @ model.recurrent_matrix()
        h = torch.sign(z) * torch.relu(z.abs() + model.bias)
        torch.testing.assert_close(y[:, t], h, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, h, rtol=1e-10, atol=1e-10)
