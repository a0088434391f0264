"""KRU against dense Kronecker products, and the paper's parameter counts."""

import functools

import pytest
import torch
from torch import nn

from seqbench.models.cells.maps.kronecker import Kronecker, random_unitary, unitary_penalty
from seqbench.models.unitary.kru import KRU
from seqbench.models.unitary.kru_lstm import KRULSTM


def counts(model: KRU, n_outputs: int) -> tuple[int, int]:
    recurrent = sum(parameter.numel() for parameter in model.parameter_groups()["recurrent"].parameters)
    head = nn.Linear(model.d_output, n_outputs)
    return recurrent, sum(p.numel() for p in [*model.parameters(), *head.parameters()])


def test_the_papers_parameter_counts():
    """2 n m + 2 n o + o + n + 8 log2 n for n units, m inputs, o outputs and 2x2 complex factors."""
    assert counts(KRU(10, hidden_size=128), 9) == (56, 5_057)
    assert counts(KRU(2, hidden_size=512), 1) == (72, 3_657)
    assert counts(KRU(10, hidden_size=128, trainable_recurrence=False), 9) == (56, 5_057)


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("sizes", [[2, 2, 2], [3], [2, 5, 3], [4, 4, 4, 4], [1, 6]])
def test_the_map_is_the_dense_kronecker_product(sizes, complex):
    torch.manual_seed(0)
    dtype = torch.complex64 if complex else torch.float32
    factors = [torch.randn(size, size, dtype=dtype, requires_grad=True) for size in sizes]
    w = functools.reduce(torch.kron, factors)
    h = torch.randn(5, len(w) * (2 if complex else 1), requires_grad=True)
    if complex:
        n = len(w)
        wh = (torch.complex(h[:, :n], h[:, n:])) @ w.T
        expected = torch.cat([wh.real, wh.imag], -1)
    else:
        expected = h @ w.T
    # float32: a sum of at most 512 terms errs by sqrt(512) 2^-24 = 1.4e-6 of its size, on either side
    found = Kronecker(factors).apply(h)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    ours = torch.autograd.grad(found.square().sum(), [h, *factors], retain_graph=True)
    theirs = torch.autograd.grad(expected.square().sum(), [h, *factors])
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5 * other.abs().max().item())


@pytest.mark.parametrize("complex", [False, True])
def test_initial_factors_are_unitary(complex):
    torch.manual_seed(0)
    for size in (1, 2, 5):
        factor = random_unitary(size, complex)
        torch.testing.assert_close(factor.mH @ factor, torch.eye(size, dtype=factor.dtype), rtol=0, atol=1e-5)
    assert float(unitary_penalty([random_unitary(3, complex), random_unitary(2, complex)])) < 1e-10


def test_the_penalty_is_on_the_factors_and_added_to_the_loss():
    torch.manual_seed(0)
    model = KRU(3, hidden_size=4, unitary_weight=0.5)
    for factor in model.factors:
        factor.data *= 2  # W^H W = 4 I: || 3 I ||^2 = 18 for each of the two
    _, _, aux = model(torch.randn(1, 2, 3))
    assert aux.item() == pytest.approx(0.5 * 2 * 18, rel=1e-5)
    aux.backward()
    assert all(factor.grad is not None for factor in model.factors)
    assert KRU(3, hidden_size=4)(torch.randn(1, 2, 3))[2] is None
    assert KRU(3, hidden_size=4, unitary_weight=1.0, trainable_recurrence=False)(torch.randn(1, 2, 3))[2] is None


def test_a_fixed_recurrence_gets_no_gradient():
    model = KRU(3, hidden_size=4, trainable_recurrence=False)
    model(torch.randn(2, 5, 3))[0].square().sum().backward()
    assert all(factor.grad is None for factor in model.factors)
    assert model.weight_input.grad is not None


def test_a_unitary_w_keeps_the_length_of_the_state():
    torch.manual_seed(0)
    model = KRU(
        3, hidden_size=64, input_init_range=0.0
    ).double()  # no input, and modReLU with zero bias is the identity
    state = torch.randn(2, 128, dtype=torch.float64)
    y, _, _ = model(torch.zeros(2, 50, 3, dtype=torch.float64), state)
    # six factors, unitary to float32's rounding of some 1e-7, applied 50 times: 3e-5 if all err in one direction
    torch.testing.assert_close(y[:, -1].norm(dim=1), state.norm(dim=1), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"hidden_size": 12}, "the product of factor_sizes, 2 x 2 x 2 x 2, is not hidden_size=12"),
        ({"hidden_size": 12, "factor_sizes": [2, 3]}, "the product of factor_sizes, 2 x 3, is not hidden_size=12"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        KRU(3, **arguments)


def test_kru_lstm_is_an_lstm_with_kronecker_matrices():
    torch.manual_seed(0)
    model = KRULSTM(3, hidden_size=12, factor_sizes=[2, 3, 2]).double()
    model.bias.data.uniform_(-1, 1)
    lstm = nn.LSTM(3, 12, batch_first=True).double()
    order = [0, 1, 3, 2]  # torch has input, forget, candidate, output
    dense = [functools.reduce(torch.kron, [factor[gate] for factor in model.factors]) for gate in order]
    lstm.weight_hh_l0.data = torch.cat(dense)
    lstm.weight_ih_l0.data = model.weight_input.T.reshape(4, 12, 3)[order].reshape(48, 3)
    lstm.bias_ih_l0.data, lstm.bias_hh_l0.data = model.bias.reshape(4, 12)[order].reshape(48), torch.zeros(48).double()
    x, state = torch.randn(2, 7, 3, dtype=torch.float64), tuple(torch.randn(2, 2, 12, dtype=torch.float64))
    y, after, _ = model(x, state)
    expected, (h, c) = lstm(x, tuple(part[None] for part in state))
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.stack(after), torch.stack([h[0], c[0]]), rtol=1e-9, atol=1e-9)
