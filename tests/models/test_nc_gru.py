"""NC-GRU against a GRU by hand, and its three inverses against each other, in float64."""

import functools

import pytest
import torch
from torch import nn

from seqbench.contracts.peers import Alone
from seqbench.models.cells.maps.cayley import scaled_cayley, skew_matrix
from seqbench.models.cells.maps.neumann import NeumannCayley
from seqbench.models.cells.time_loop.modrelu_gru import modrelu_gru
from seqbench.models.unitary.nc_gru import NCGRU

B, T, D, H = 3, 7, 4, 6


def modrelu(z, bias):
    return z.sign() * (z.abs() + bias).clamp_min(0)


def gru_by_hand(x_BTD, weights, w_HH, nonlinear, reset, h_BH):
    """h (B, T, H) of a GRU in the row-vector form of the paper; `weights`: input (D, 3H), gates (H, 2H), bias (2H)."""
    weight_DG, gates_HG, bias_G = weights
    steps = []
    for x_BD in x_BTD.unbind(1):
        r_x, u_x, c_x = (x_BD @ weight_DG).chunk(3, 1)
        r_h, u_h = (h_BH @ gates_HG).chunk(2, 1)
        r, u = torch.sigmoid(r_x + r_h + bias_G[:H]), torch.sigmoid(u_x + u_h + bias_G[H:])
        z = c_x + ((r * h_BH) @ w_HH if reset == "before" else r * (h_BH @ w_HH))
        h_BH = u * h_BH + (1 - u) * nonlinear(z)
        steps.append(h_BH)
    return torch.stack(steps, 1)


def made(**settings):
    torch.manual_seed(0)
    model = NCGRU(D, H, n_negative=2, **settings).double()
    with torch.no_grad():
        model.bias.uniform_(-0.3, 0.3)
        for one in model.modules():
            if isinstance(one, NeumannCayley) and one.method != "exact":
                one.refresh()  # in this type
    return model


def solved(one):
    """W by a solver, from the definition."""
    identity, a = torch.eye(H, dtype=torch.float64), skew_matrix(one.entries.detach(), H)
    return (
        torch.linalg.solve(identity + a, identity - a) @ torch.diag(torch.tensor([1.0] * (H - 2) + [-1.0] * 2)).double()
    )


def test_the_hand_made_gru_is_torchs():
    """Reset after the product, a free W and tanh: nn.GRUCell, whose gates are r, z = u, n, with no bias of n."""
    torch.manual_seed(0)
    cell = nn.GRUCell(D, H).double()
    with torch.no_grad():
        for bias in (cell.bias_ih, cell.bias_hh):
            bias[2 * H :] = 0
    x_BTD, h_BH = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64)
    weights = (cell.weight_ih.T, cell.weight_hh.T[:, : 2 * H], (cell.bias_ih + cell.bias_hh)[: 2 * H])
    y_BTH = gru_by_hand(x_BTD, weights, cell.weight_hh.T[:, 2 * H :], torch.tanh, "after", h_BH)
    for t in range(T):
        h_BH = cell(x_BTD[:, t], h_BH)
        torch.testing.assert_close(y_BTH[:, t], h_BH)


@pytest.mark.parametrize("reset", ["before", "after"])
@pytest.mark.parametrize("orthogonal_reset", [False, True])
@pytest.mark.parametrize("inverse", ["exact", "neumann"])
def test_outputs_and_gradients_are_those_of_the_hand_made_gru(reset, orthogonal_reset, inverse):
    model = made(reset=reset, orthogonal_reset=orthogonal_reset, inverse=inverse)
    x_BTD, h_BH = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64)
    x_BTD.requires_grad_()
    h_BH.requires_grad_()
    weight_y = torch.randn(B, T, H, dtype=torch.float64)
    parameters = [x_BTD, h_BH, *model.parameters()]
    y_BTH, last_BH, _ = model(x_BTD, h_BH)
    maps = [scaled_cayley(one.entries, one.sign) for one in model.modules() if isinstance(one, NeumannCayley)]
    torch.testing.assert_close(maps[0], solved(model.candidate_map))
    gates_HG = torch.cat([maps[1], model.weight_gates], 1) if orthogonal_reset else model.weight_gates
    weights = (model.weight_input, gates_HG, model.bias_gates)
    expected = gru_by_hand(x_BTD, weights, maps[0], functools.partial(modrelu, bias=model.bias), reset, h_BH)
    torch.testing.assert_close(y_BTH, expected)
    torch.testing.assert_close(last_BH, expected[:, -1])
    assert 0 < (modrelu(y_BTH, model.bias) == 0).sum() < y_BTH.numel()
    grads = torch.autograd.grad((y_BTH * weight_y).sum(), parameters)
    for grad, hand_made in zip(grads, torch.autograd.grad((expected * weight_y).sum(), parameters), strict=True):
        torch.testing.assert_close(grad, hand_made)


@pytest.mark.parametrize("reset_first", [True, False])
def test_the_loops_gradient_is_that_of_finite_differences(reset_first):
    torch.manual_seed(0)
    shapes = [(4, 2, 6), (4, 2, 3), (3,), (3, 6), (3, 3), (2, 3)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *tensors: modrelu_gru(*tensors, reset_first), tensors)


def trained(method, order=2, refresh_every=10, n_steps=9, n=20, **settings):
    """A matrix after steps of Adam on a loss of its own, the first of which refreshes the inverse."""
    torch.manual_seed(0)
    one = NeumannCayley(n, 5, method, order, refresh_every, **settings).double()
    goal_NN = torch.randn(n, n, dtype=torch.float64)
    optimizer = torch.optim.Adam(one.parameters(), lr=1e-2)
    for _ in range(n_steps):
        optimizer.zero_grad()
        (one.matrix() * goal_NN).mean().backward()
        optimizer.step()
        one.after_step()
    return one


def test_a_series_of_higher_order_is_nearer_to_the_inverse():
    errors = []
    for order in (1, 2, 3):
        one = trained("neumann", order, n_steps=2)  # refreshed in the first step, continued in the second
        identity = torch.eye(20, dtype=torch.float64)
        a, before = skew_matrix(one.entries.detach(), 20), trained("neumann", n_steps=1)
        x = before.inverse @ (a - skew_matrix(before.entries.detach(), 20))
        terms = [torch.linalg.matrix_power(-x, power) for power in range(order + 1)]
        torch.testing.assert_close(one.inverse, sum(terms) @ before.inverse)
        errors.append(torch.linalg.norm(one.inverse @ (identity + a) - identity).item())
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0


def test_authors_step_is_the_rate_times_the_gradient():
    """The true step under plain gradient descent, and far from it under Adam."""
    true, authors = trained("neumann"), trained("authors", assumed_lr=1e-2)
    assert trained("exact").defect() < 1e-13
    assert true.defect() < 5e-3 < 0.1 < authors.defect()
    for one in (true, authors):
        one.refresh()
        assert one.defect() < 1e-13

    def descended(method, **settings):
        torch.manual_seed(0)
        one = NeumannCayley(8, 2, method, **settings).double()
        for _ in range(3):
            one.zero_grad()
            one.matrix()[0].sum().backward()
            with torch.no_grad():
                one.entries -= 0.1 * one.entries.grad
            one.after_step()
        return one

    torch.testing.assert_close(descended("authors", assumed_lr=0.1).inverse, descended("neumann").inverse)


def test_the_inverse_is_computed_every_so_many_steps():
    defects = [trained("neumann", refresh_every=4, n_steps=n_steps).defect() for n_steps in range(1, 10)]
    assert [defect < 1e-13 for defect in defects] == [True, False, False, False] * 2 + [True]


def test_weights_without_an_inverse_are_solved_for():
    """Averaged weights, for example, are not those of the last step."""
    one = trained("neumann")
    with torch.no_grad():
        one.entries += 0.1
    torch.testing.assert_close(one.matrix(), scaled_cayley(one.entries, one.sign), rtol=0, atol=0)


def test_inverse_and_count_of_steps_are_saved():
    one, other = trained("neumann", n_steps=7), NeumannCayley(20, 5, "neumann", refresh_every=10).double()
    other.load_state_dict(one.state_dict())
    for again in (one, other):
        for _ in range(4):  # past a refresh
            with torch.no_grad():
                again.entries += 1e-3
            again.after_step()
    assert torch.equal(one.matrix(), other.matrix())
    assert int(one.n_steps) == 11


def test_the_defect_is_a_diagnostic_of_evaluations():
    model, x_BTD = made(orthogonal_reset=True), torch.randn(B, T, D, dtype=torch.float64)
    model(x_BTD)
    assert model.diagnostics() == {"orthogonality": (0.0, 0.0)}
    with torch.no_grad():
        model.reset_map.inverse.mul_(1.1)
        for _ in range(2):
            model.eval()(x_BTD)
    assert model.diagnostics()["orthogonality"] == (pytest.approx(0.21), 1.0)


def test_parameters_of_the_papers_models():
    """Gates, input, A and one bias: n (m + n) 2 + 2n, m n, n (n - 1) / 2, n."""
    assert sum(p.numel() for p in NCGRU(10, 118, 50).parameters()) == 118 * 128 * 2 + 236 + 1180 + 6903 + 118
    characters = NCGRU(435, 435, 50, reset="after", init="uniform")
    assert sum(p.numel() for p in characters.parameters()) == 758_640 - 870 + 189_225 + 94_395 + 435


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="n_negative is between 0 and hidden_size=4, not 5"):
        NCGRU(3, 4, n_negative=5)
    with pytest.raises(ValueError, match="authors_lr is given where inverse=authors, and nowhere else"):
        NCGRU(3, 4, 2, inverse="authors")


def test_two_orthogonal_matrices_are_brought_up_to_date():
    model = made(orthogonal_reset=True)
    with torch.no_grad():
        for one in (model.candidate_map, model.reset_map):
            one.entries += 1e-3
    model.after_step(Alone())
    for one in (model.candidate_map, model.reset_map):
        assert torch.equal(one.inverse_of, one.entries)
