"""Laws of windows of random length: they tile the row in every epoch, in an order of its own, by AWD-LSTM's rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from seqbench.data.text.stream import TokenStream
from seqbench.data.text.windows import VariableWindows


@pytest.mark.parametrize(("n_steps", "bptt"), [(100_000, 70), (3_001, 35), (500, 8), (72, 70), (5, 5), (3, 3)])
def test_every_epoch_tiles_the_row(n_steps, bptt):
    windows = VariableWindows(n_steps, bptt, seed=0)
    orders = []
    for epoch in range(3):
        spans = [windows.span(epoch * windows.n_windows + position) for position in range(windows.n_windows)]
        assert spans[0][0] == 0 and spans[-1][1] == n_steps
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        orders.append([stop - start for start, stop in spans])
    assert all(sorted(order) == sorted(windows.lengths.tolist()) for order in orders)
    assert min(windows.lengths) >= min(5, n_steps)
    if n_steps > 1000:
        assert orders[0] != orders[1] != orders[2] != orders[0]


def test_lengths_are_those_of_the_paper():
    lengths = VariableWindows(20_000_000, bptt=70, seed=3).lengths[:-1]
    long = lengths[lengths > 52]
    # int() takes half a step off on average; standard errors are below 0.02
    assert np.mean(lengths > 52) == pytest.approx(0.95, abs=0.002)
    assert long.mean() == pytest.approx(69.5, abs=0.05) and long.std() == pytest.approx(5, abs=0.05)
    assert lengths[lengths <= 52].mean() == pytest.approx(34.5, abs=0.2)
    assert lengths[lengths <= 52].std() == pytest.approx(5, abs=0.2)
    shortest = VariableWindows(1_000_000, bptt=8, seed=3).lengths
    assert shortest.min() == 5 and np.mean(shortest == 5) > 0.2


def test_a_window_is_a_function_of_the_seed_and_its_index():
    windows = VariableWindows(10_000, 35, seed=1)
    indices = [5, 3 * windows.n_windows + 7, 0, windows.n_windows, 2]
    assert [windows.span(index) for index in indices] == [
        VariableWindows(10_000, 35, seed=1).span(index) for index in indices
    ]
    assert VariableWindows(10_000, 35, seed=2).lengths.tolist() != windows.lengths.tolist()
    # golden: a run must be able to resume with the next version
    assert windows.lengths[:6].tolist() == [36, 34, 34, 34, 35, 35]
    assert [windows.span(0), windows.span(windows.n_windows)] == [(0, 34), (0, 37)]


def test_a_stream_of_random_windows_reads_every_row_once_an_epoch():
    ids = np.arange(2_003, dtype=np.uint16)
    stream = TokenStream(ids, 4, 20, variable_seed=0)
    for epoch in range(2):
        windows = [stream.window(epoch * stream.n_windows + position) for position in range(stream.n_windows)]
        rows_BL = torch.stack([torch.arange(row * 500, row * 500 + 500) for row in range(4)])
        assert torch.equal(torch.cat([inputs_BT for inputs_BT, _, _ in windows], 1), rows_BL)
        assert torch.equal(torch.cat([targets_BT for _, targets_BT, _ in windows], 1), rows_BL + 1)
        assert [reset for _, _, reset in windows] == [True] + [False] * (stream.n_windows - 1)
