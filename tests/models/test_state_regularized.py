"""State regularisation: its limits, the cells it goes around, and what it refuses."""

import functools

import pytest
import torch
import torch.nn.functional as F

from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.recurrent.rnn import RNN
from seqbench.models.wrappers.state_regularized import StateRegularized

D, H, K = 4, 5, 3
CELLS = {"gru": GRU, "lstm": LSTM}


def made(cell, **settings):
    torch.manual_seed(0)
    backbone = functools.partial(CELLS[cell], hidden_size=H)
    return StateRegularized(D, backbone, **{"n_states": K, "init_range": 1.0, **settings}).double()


def features(n_steps=7):
    return torch.randn(2, n_steps, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("reads", ["h", "u"])
@pytest.mark.parametrize("cell", CELLS)
def test_each_step_is_the_cell_then_the_mixture(cell, reads):
    """The oracle steps torch's own layer, and replaces what it carries on."""
    model, x_BTD = made(cell, temperature=0.7, reads=reads), features()
    layer, state, expected = model.backbone.layers[0], None, []
    for x_BD in x_BTD.unbind(1):
        u_B1H, state = layer(x_BD[:, None], state)
        weights_BK = torch.softmax(torch.einsum("bh,kh->bk", u_B1H[:, 0], model.states()) / 0.7, -1)
        h_BH = torch.einsum("bk,kh->bh", weights_BK, model.states())
        state = (h_BH[None], state[1]) if cell == "lstm" else h_BH[None]
        expected.append(h_BH if reads == "h" else u_B1H[:, 0])
    torch.testing.assert_close(model(x_BTD)[0], torch.stack(expected, 1))


@pytest.mark.parametrize("cell", CELLS)
def test_a_high_temperature_leaves_the_mean_of_the_states(cell):
    model = made(cell, temperature=1e12)
    y_BTH, _, _ = model(features())
    torch.testing.assert_close(y_BTH, model.states().mean(0).expand_as(y_BTH))


@pytest.mark.parametrize("cell", CELLS)
def test_a_low_temperature_leaves_one_state(cell):
    model, x_BTD = made(cell, temperature=1e-12), features(60)
    y_BTH, _, _ = model(x_BTD)
    ids_BT = model.state_ids(x_BTD)
    torch.testing.assert_close(y_BTH, model.states()[ids_BT])
    assert len(ids_BT.unique()) > 1


def test_a_single_state_carries_nothing_in_a_gru():
    """The next u depends on the input and S alone; an LSTM's cells go on remembering."""
    for cell, remembers in (("gru", False), ("lstm", True)):
        model, x_BTD = made(cell, n_states=1, reads="u"), features()
        other_BTD = x_BTD.clone()
        other_BTD[:, :-1] += 1
        last, other_last = model(x_BTD)[0][:, -1], model(other_BTD)[0][:, -1]
        assert torch.allclose(last, other_last) != remembers
        torch.testing.assert_close(made(cell, n_states=1)(x_BTD)[0], model.states()[0].expand(2, 7, H))


def test_peepholes():
    """One step by hand, from a state: i and f see the cells before, o those after."""
    model, x_BD = made("lstm", peepholes=True, reads="u"), features()[:, 0]
    h_BH, c_BH = torch.rand(2, 2, H, dtype=torch.float64)
    u_B1H, (_, after_BH), _ = model(x_BD[:, None], (h_BH, c_BH))
    layer, (i_peep, f_peep, o_peep) = model.backbone.layers[0], model.peepholes_3H
    gates = F.linear(x_BD, layer.weight_ih_l0, layer.bias_ih_l0) + F.linear(h_BH, layer.weight_hh_l0, layer.bias_hh_l0)
    i, f, g, o = gates.split(H, 1)
    c = torch.sigmoid(f + f_peep * c_BH) * c_BH + torch.sigmoid(i + i_peep * c_BH) * torch.tanh(g)
    torch.testing.assert_close(after_BH, c)
    torch.testing.assert_close(u_B1H[:, 0], torch.sigmoid(o + o_peep * c) * torch.tanh(c))


def test_states_that_are_not_learned_are_no_parameters():
    fixed, learned = made("gru", learned=False), made("gru")
    assert "states" in learned.parameter_groups() and "states" not in fixed.parameter_groups()
    n_more = sum(p.numel() for p in learned.parameters()) - sum(p.numel() for p in fixed.parameters())
    assert n_more == K * H and "centroids_KH" in fixed.state_dict()


@pytest.mark.parametrize(
    ("cell", "settings", "sentence"),
    [
        (functools.partial(GRU, hidden_size=H), {"peepholes": True}, "peepholes=true is for an LSTM"),
        (functools.partial(GRU, hidden_size=H, n_layers=2), {}, "an LSTM or GRU of one layer"),
        (functools.partial(RNN, hidden_size=H), {}, "an LSTM or GRU of one layer"),
    ],
)
def test_what_it_does_not_go_around(cell, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        StateRegularized(D, cell, **settings)
