"""Laws of streams: targets are inputs shifted by one, windows join to rows, evaluation scores each token once."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from seqbench.data.errors import DataError
from seqbench.data.text.stream import EvaluationStream, TokenStream

CASES = [(101, 1, 10), (101, 4, 5), (100, 4, 5), (97, 3, 32), (9, 2, 2), (2, 1, 1)]  # tokens, rows, steps


@pytest.mark.parametrize("n, batch_size, bptt", CASES)
def test_windows_join_to_rows_and_targets_are_shifted_inputs(n, batch_size, bptt):
    ids = np.arange(n, dtype=np.uint16)
    stream = TokenStream(ids, batch_size, bptt)
    length = (n - 1) // batch_size
    assert stream.n_windows == length // bptt
    windows = [stream.window(index) for index in range(stream.n_windows)]
    inputs_BL = torch.cat([inputs_BT for inputs_BT, _, _ in windows], dim=1)
    targets_BL = torch.cat([targets_BT for _, targets_BT, _ in windows], dim=1)
    kept = stream.n_windows * bptt
    rows_BL = torch.stack([torch.arange(row * length, row * length + kept) for row in range(batch_size)])
    assert torch.equal(inputs_BL, rows_BL)
    assert torch.equal(targets_BL, rows_BL + 1)
    assert inputs_BL.dtype == targets_BL.dtype == torch.int64
    assert [reset for _, _, reset in windows] == [True] + [False] * (stream.n_windows - 1)


def test_epochs_wrap_and_any_window_can_be_asked_for_first():
    stream = TokenStream(np.arange(50, dtype=np.uint32), batch_size=3, bptt=4)
    for index in (0, 1, stream.n_windows - 1):
        late = TokenStream(np.arange(50, dtype=np.uint32), 3, 4).window(index + 7 * stream.n_windows)
        inputs_BT, targets_BT, reset = stream.window(index)
        assert torch.equal(late[0], inputs_BT) and torch.equal(late[1], targets_BT) and late[2] == reset


@pytest.mark.parametrize("n, n_steps", [(1, 1), (1, 5), (20, 5), (23, 5), (23, 100)])
def test_evaluation_scores_every_token_once(n, n_steps):
    ids = np.arange(10, 10 + n, dtype=np.uint16)
    stream = EvaluationStream(ids, n_steps, eos=3)
    windows = [stream.window(index) for index in range(stream.n_windows)]
    inputs_T = torch.cat([inputs_1T[0] for inputs_1T, _, _ in windows])
    targets_T = torch.cat([targets_1T[0] for _, targets_1T, _ in windows])
    assert targets_T.tolist() == ids.tolist()
    assert inputs_T.tolist() == [3, *ids[:-1].tolist()]
    assert inputs_T.dtype == targets_T.dtype == torch.int64
    assert [reset for _, _, reset in windows] == [True] + [False] * (stream.n_windows - 1)
    again = stream.window(stream.n_windows)
    assert torch.equal(again[0], windows[0][0]) and again[2]


def test_a_window_owns_its_memory():
    ids = np.arange(50, dtype=np.uint16)
    ids.flags.writeable = False
    for stream in (TokenStream(ids, 2, 5), EvaluationStream(ids, 5, 0)):
        inputs_BT, targets_BT, _ = stream.window(1)
        before = stream.window(1)[1].clone()
        inputs_BT.zero_()
        assert torch.equal(targets_BT, before)
        targets_BT.zero_()
        assert torch.equal(stream.window(1)[1], before)


def test_too_little_text_is_one_sentence():
    with pytest.raises(DataError, match=r"10 tokens give no window of task.bptt=5 steps in task.batch_size=2 rows"):
        TokenStream(np.arange(10, dtype=np.uint16), 2, 5)
    assert TokenStream(np.arange(11, dtype=np.uint16), 2, 5).n_windows == 1
    with pytest.raises(DataError, match="without tokens"):
        EvaluationStream(np.arange(0, dtype=np.uint16), 5, 0)


def test_reading_costs_little_more_than_the_conversion_to_int64(tmp_path):
    """Token by token it would be fifty times as much. Processor time, on any processor and however busy it is."""
    path = tmp_path / "train.bin"
    (np.arange(1_000_000) % 10_000).astype("<u2").tofile(path)
    ids = np.memmap(path, "<u2", "r")
    stream, plain = TokenStream(ids, batch_size=20, bptt=35), np.asarray(ids)

    def windows():
        for index in range(stream.n_windows):
            stream.window(index)

    def conversions():
        for start in range(0, stream.n_windows * 20 * 35, 20 * 35):
            plain[start : start + 20 * 35].astype(np.int64)
            plain[start + 1 : start + 20 * 35 + 1].astype(np.int64)

    seconds = {read: [] for read in (windows, conversions)}
    for _ in range(10):
        for read, times in seconds.items():
            begun = time.process_time()
            read()
            times.append(time.process_time() - begun)
    assert min(seconds[windows]) < 6 * min(seconds[conversions])
