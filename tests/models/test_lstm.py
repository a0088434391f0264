"""torch's LSTM in half precision, which an x86 CPU without AVX-512 does not have, and how gates start."""

import pytest
import torch

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
