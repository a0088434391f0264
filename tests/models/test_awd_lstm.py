"""AWD-LSTM against an LSTM written out by hand, with the same masks; its size; what it does without a mask."""

import pytest
import torch
import torch.nn.functional as F

from seqbench.models.cells.time_loop.stack import weights
from seqbench.models.recurrent.awd_lstm import AWDLSTM
from seqbench.models.recurrent.lstm import LSTM

D = 5
DROPOUTS = {"dropout_input": 0.3, "dropout_hidden": 0.2, "dropout_output": 0.4, "dropout_recurrent": 0.5}


def made(**settings) -> AWDLSTM:
    torch.manual_seed(0)
    return AWDLSTM(D, hidden_size=7, n_layers=3, d_last=4, **{**DROPOUTS, **settings}).double()


def x_of(time=6, seed=1):
    return torch.randn(3, time, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lock(x, p):
    return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), p)


def by_hand(model: AWDLSTM, x, state=None):
    """The equations, gate by gate and step by step: (y, state, aux, dropped recurrent matrices)."""
    x, after, matrices = lock(x, 0.3), [], []
    for index, layer in enumerate(model.layers):
        x = lock(x, 0.2) if index else x
        w, u, b, c = weights(layer)
        matrices.append(F.dropout(u, 0.5))
        zero = x.new_zeros(len(x), u.shape[1])
        hidden, cell = (zero, zero) if state is None else state[index]
        outputs = []
        for x_t in x.unbind(1):
            i, f, g, o = (x_t @ w.T + b + hidden @ matrices[-1].T + c).chunk(4, 1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            outputs.append(hidden)
        x = torch.stack(outputs, 1)
        after.append((hidden, cell))
    y = lock(x, 0.4)
    changes = sum(((x[:, t + 1] - x[:, t]) ** 2).sum() for t in range(x.shape[1] - 1))
    aux = 2.0 * (y**2).sum() / y.numel() + 1.0 * changes / (x.numel() - x[:, 0].numel())
    return y, after, aux, matrices


def test_equals_the_equations_with_the_same_masks():
    """Over three steps of training, the state carried: a stale weight of an earlier step would show."""
    model, state = made(), None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(3):
        torch.manual_seed(step)
        expected_y, expected_state, expected_aux, matrices = by_hand(model, x_of(seed=step), state)
        names, parameters = zip(*model.named_parameters(), strict=True)
        expected = torch.autograd.grad(expected_y.pow(3).sum() + expected_aux, parameters)
        torch.manual_seed(step)
        y, after, aux = model(x_of(seed=step), state)
        optimizer.zero_grad()
        (y.pow(3).sum() + aux).backward()
        torch.testing.assert_close(y, expected_y, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(aux, expected_aux, rtol=1e-12, atol=1e-12)
        for found, wanted in zip(after, expected_state, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
        for name, parameter, wanted in zip(names, parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
        for layer, matrix in zip(model.layers, matrices, strict=True):
            raw = weights(layer)[1]
            assert 0.2 < (matrix == 0).double().mean() < 0.8
            assert torch.equal(raw.grad == 0, matrix == 0)  # the raw matrix learns, where it was not dropped
        optimizer.step()
        state = [(h.detach(), c.detach()) for h, c in after]


def test_evaluation_drops_nothing_and_sees_the_trained_weights():
    model = made()
    plain = LSTM(D, hidden_size=7, n_layers=3)
    plain.layers[2] = torch.nn.LSTM(7, 4, batch_first=True)
    for _ in range(2):
        model.train()
        y, _, aux = model(x_of())
        torch.autograd.backward(y.sum() + aux)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
        model.eval()
        plain.double().load_state_dict(model.state_dict())
        y, _, aux = model(x_of())
        assert aux is None
        torch.testing.assert_close(y, plain(x_of())[0], rtol=1e-12, atol=1e-12)


def test_masks_are_drawn_once_a_forward_pass():
    model = made(dropout_recurrent=0.0, dropout_input=0.0)
    first, state, _ = model(x_of())
    second, _, _ = model(x_of(), state)
    dropped = first == 0
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))  # locked over time
    assert not torch.equal(dropped[0], dropped[1])  # but not over rows
    assert not torch.equal(dropped, second == 0)  # nor from one forward pass to the next


def test_one_step_has_no_change_to_penalise():
    model = made(activation_weight=0.0)
    assert model(x_of(time=1))[2] is None
    assert made()(x_of(time=1))[2].isfinite()
    assert made(activation_weight=0.0, temporal_weight=0.0)(x_of())[2] is None


def test_the_published_size():
    """24.2 M counts the tied embedding once, the readout's bias and, as the authors' code does, both of torch's bias
    vectors; with one bias a gate it would be 10,800 fewer, which three digits do not show."""
    with torch.device("meta"):
        model = AWDLSTM(400, hidden_size=1150, n_layers=3, d_last=400)
    total = sum(parameter.numel() for parameter in model.parameters()) + 10_000 * 400 + 10_000
    assert total == 24_221_600
    recurrent = model.parameter_groups()["recurrent"].parameters
    assert sum(parameter.numel() for parameter in recurrent) == 4 * (1150**2 + 1150**2 + 400**2)


def test_dropout_between_layers_needs_two():
    with pytest.raises(ValueError, match=r"^dropout_hidden=0\.25 applies between layers and there is only one; "):
        AWDLSTM(D, hidden_size=7, n_layers=1)
