"""torch's LSTM in half precision, which an x86 CPU without AVX-512 does not have."""

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
