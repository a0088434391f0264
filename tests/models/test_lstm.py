"""torch's LSTM in half precision, which an x86 CPU without AVX-512 does not have, how gates start, and widths."""

import pytest
import torch
from torch import nn

from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.config.identity import run_id
from seqbench.errors import ConfigError
from seqbench.models.cells.time_loop import stack
from seqbench.models.recurrent.lstm import LSTM


def test_without_avx512_an_lstm_stays_in_float32(monkeypatch):
    monkeypatch.setattr(stack, "_has_lstm", lambda dtype: False)
    torch.manual_seed(0)
    model, x_BTD = LSTM(d_input=3, hidden_size=5), torch.randn(2, 7, 3)
    x_BTD = x_BTD.bfloat16().float()
    plain, plain_state, _ = model(x_BTD)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, state, _ = model(x_BTD[:, :4])
        rest, state, _ = model(x_BTD[:, 4:].bfloat16(), state)
    assert first.dtype == rest.dtype == torch.float32
    # the inputs are bfloat16 numbers, so nothing but float32's last bits may differ
    torch.testing.assert_close(torch.cat([first, rest], 1), plain)
    torch.testing.assert_close(state, plain_state)


def test_chrono_gates_start_for_a_range_of_time_scales():
    torch.manual_seed(0)
    model = LSTM(d_input=3, hidden_size=500, chrono_steps=100)
    _, _, input_bias, recurrent_bias = stack.weights(model.layers[0])
    input_H, forget_H, *_ = (input_bias + recurrent_bias).detach().split(500)
    assert torch.equal(input_H, -forget_H)
    steps_H = forget_H.exp()  # uniform
    assert steps_H.min() >= 1 and steps_H.max() <= 99 and 45 < steps_H.mean() < 55
    with pytest.raises(ValueError, match=r"^one of forget_bias and chrono_steps is null$"):
        LSTM(d_input=3, hidden_size=5, forget_bias=1.0, chrono_steps=100)


def test_layers_of_unlike_widths():
    torch.manual_seed(0)
    model, x_BTD = LSTM(3, hidden_size=[5, 2, 4], n_layers=3, forget_bias=1.0).double(), torch.randn(2, 7, 3).double()
    y_BTH, state, _ = model(x_BTD)
    expected_BTH = x_BTD
    for layer, width in zip(model.layers, (5, 2, 4), strict=True):
        plain = nn.LSTM(expected_BTH.shape[2], width, batch_first=True).double()
        plain.load_state_dict(layer.state_dict())
        expected_BTH, _ = plain(expected_BTH)
        _, _, input_bias, recurrent_bias = stack.weights(layer)
        assert (input_bias + recurrent_bias)[width : 2 * width].tolist() == [1.0] * width
    torch.testing.assert_close(y_BTH, expected_BTH)
    assert [h_BH.shape for h_BH, _ in state] == [(2, 5), (2, 2), (2, 4)] and model.d_output == 4
    with pytest.raises(ValueError, match=r"^hidden_size has 2 widths, and there are n_layers=3 layers$"):
        LSTM(3, hidden_size=[5, 2], n_layers=3)


def test_a_width_in_a_config_is_one_or_a_list():
    one, several, wrong = (composed(["model=lstm", f"model.hidden_size={size}"]) for size in ("7", "[7,5]", "[7,0]"))
    check(one)
    check(several)
    assert run_id(one) != run_id(several)
    with pytest.raises(ConfigError, match=r"^model\.hidden_size holds values each of which is at least 1, not 0\.$"):
        check(wrong)
