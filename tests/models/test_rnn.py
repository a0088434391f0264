"""Elman's network against its equation."""

import torch

from seqbench.models.cells.time_loop.stack import weights
from seqbench.models.recurrent.rnn import RNN


def test_a_layer_is_tanh_of_both_products():
    torch.manual_seed(0)
    model, x_BTD = RNN(d_input=3, hidden_size=5).double(), torch.randn(2, 6, 3, dtype=torch.float64)
    input_weight, weight, input_bias, bias = weights(model.layers[0])
    h_BH, expected = torch.zeros(2, 5, dtype=torch.float64), []
    for x_BD in x_BTD.unbind(1):
        h_BH = torch.tanh(x_BD @ input_weight.T + input_bias + h_BH @ weight.T + bias)
        expected.append(h_BH)
    y_BTH, (last_BH,), _ = model(x_BTD)
    torch.testing.assert_close(y_BTH, torch.stack(expected, 1))
    torch.testing.assert_close(last_BH, h_BH)
