"""The full-capacity uRNN against its equations in float64, and trained on the Stiefel manifold."""

import math

import torch
from torch import nn

from seqbench.contracts.learner import Learner
from seqbench.models.unitary.full_urnn import FullURNN
from seqbench.optim.stiefel import Stiefel


def test_the_recurrence_is_the_papers():
    torch.manual_seed(0)
    model = FullURNN(3, hidden_size=6).double()
    model.bias.data.uniform_(-0.5, 0.1)
    w = torch.view_as_complex(model.weight.detach())
    v = torch.complex(*model.weight_input.detach().chunk(2, -1))
    x, h = torch.randn(2, 9, 3, dtype=torch.float64), torch.complex(*model.start.detach().chunk(2, -1)).expand(2, 6)
    y, state, _ = model(x)
    for t in range(9):
        z = torch.einsum("ij,bj->bi", w, h) + x[:, t].to(v.dtype) @ v
        h = z / z.abs() * torch.relu(z.abs() + model.bias.detach())
        torch.testing.assert_close(torch.complex(*y[:, t].chunk(2, -1)), h, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(torch.complex(*state.chunk(2, -1)), h, rtol=1e-10, atol=1e-10)


def test_gradcheck():
    torch.manual_seed(0)
    model, x = FullURNN(3, hidden_size=4).double(), torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    names, values = zip(*model.named_parameters(), strict=True)

    def run(x, *values):
        return torch.func.functional_call(model, (dict(zip(names, values, strict=True)),), (x,))[:2]

    assert torch.autograd.gradcheck(run, (x, *values))


def test_a_thousand_cayley_steps_keep_w_unitary():
    """In float32, and the loss falls: each step rounds W by 6e-8, in random directions."""
    torch.manual_seed(0)
    model, x = FullURNN(3, hidden_size=8), torch.randn(4, 5, 3)
    first = model.weight.detach().clone()
    optimizer, losses = Stiefel([model.weight], Learner(), lr=1e-3), []
    for _ in range(1000):
        model.zero_grad()
        loss = (model(x)[0] - 1).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    w = torch.view_as_complex(model.weight.detach())
    assert (w.mH @ w - torch.eye(8)).abs().max() < 1e-5
    assert (model.weight - first).abs().max() > 0.1 and losses[-1] < 0.8 * losses[0]


def test_parameter_count():
    """W has n^2 free numbers of its 2 n^2; with n^2 it is 16,366 for 116 units on MNIST (a comment of the authors)."""
    model, head = FullURNN(1, hidden_size=116), nn.Linear(232, 10)
    total = sum(parameter.numel() for parameter in [*model.parameters(), *head.parameters()])
    assert total - 116**2 == 16_366


def test_the_start_is_unitary():
    torch.manual_seed(0)
    model = FullURNN(10, hidden_size=64)
    w = torch.view_as_complex(model.weight.detach())
    torch.testing.assert_close(w.mH @ w, torch.eye(64, dtype=w.dtype), rtol=0, atol=1e-5)
    assert model.start.abs().max() <= math.sqrt(3 / 128) and model.bias.abs().max() <= 0.01


def test_the_diagnostic_says_whether_w_is_still_unitary():
    torch.manual_seed(0)
    model = FullURNN(d_input=2, hidden_size=5)
    assert model.diagnostics()["orthogonality"] == (0.0, 0.0)
    model.eval()
    model(torch.randn(1, 2, 2))
    defect, count = model.diagnostics()["orthogonality"]
    assert count == 1 and defect < 1e-6
    with torch.no_grad():
        model.weight[0, 0] += 0.5
    model(torch.randn(1, 2, 2))
    assert model.diagnostics()["orthogonality"][0] > 0.1
