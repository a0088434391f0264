"""Copy and adding: the layouts of the papers, and batches as pure functions of their index."""

import functools
import math

import pytest
import torch

from seqbench.tasks.synthetic import counted
from seqbench.tasks.synthetic.adding import Adding
from seqbench.tasks.synthetic.copy import Copy
from seqbench.tasks.synthetic.delayed_xor import DelayedXOR
from seqbench.tasks.synthetic.denoise import Denoise
from seqbench.tasks.synthetic.memorization import Memorization, MemorizationOfSymbols
from seqbench.tasks.synthetic.parenthesis import Parenthesis

K, DELAY = 10, 30
LAYOUT = {  # zeros after the symbols, then the rest of the input
    "urnn": (DELAY - 1, [9] + [0] * K),
    "exprnn": (DELAY, [9] + [0] * (K - 1)),
    "tcn": (DELAY - 1, [9] * (K + 1)),
    "s4": (DELAY, [9] * K),
}


@pytest.mark.parametrize("variant", LAYOUT)
def test_copy_layout(variant):
    batch = Copy(DELAY, variant=variant, batch_size=4).batch("train", 3)
    inputs = batch.inputs.squeeze(-1).long() if variant == "tcn" else batch.inputs
    assert inputs.shape == batch.targets.shape == (4, DELAY + 2 * K)
    symbols = inputs[:, :K]
    assert symbols.min() >= 1
    assert symbols.max() <= 8
    n_zeros, rest = LAYOUT[variant]
    assert inputs[:, K:].tolist() == [[0] * n_zeros + rest] * 4
    assert torch.equal(batch.targets[:, -K:], symbols)
    assert batch.targets[:, :-K].abs().max() == 0
    assert batch.count() == 4 * (K if variant == "s4" else DELAY + 2 * K)


def test_copy_baseline_in_nats():
    assert Copy(1000).baseline["nll"] == pytest.approx(0.020387, abs=1e-6)
    assert Copy(100, variant="s4").baseline["nll"] == pytest.approx(math.log(8))


@pytest.mark.parametrize(("variant", "split_at"), [("urnn", 20), ("scornn", 19), ("tcn", None)])
def test_adding_layout(variant, split_at):
    batch = Adding(40, variant=variant, batch_size=500).batch("train", 0)
    u, flag = batch.inputs.unbind(-1)
    assert flag.sum(1).tolist() == [2.0] * 500
    torch.testing.assert_close(batch.targets[:, -1, 0], (u * flag).sum(1))
    assert batch.valid_BT.sum(1).tolist() == [1] * 500
    assert batch.valid_BT[:, -1].all()
    if split_at is not None:
        assert flag[:, :split_at].sum(1).tolist() == [1.0] * 500
    else:
        assert (flag[:, :20].sum(1) == 2).any()
    assert 0.9 < batch.targets[:, -1].mean() < 1.1  # 500 sums of two uniforms: standard error 0.018
    assert (batch.targets[:, -1] - 1).square().mean() == pytest.approx(1 / 6, rel=0.2)


@pytest.mark.parametrize("task", [Copy(5, train_size=50), Adding(8, train_size=50)], ids=["copy", "adding"])
def test_batches_are_pure_and_finite_sets_repeat(task):
    n = task.n_batches("train")
    for index in (0, 1, n - 1):
        assert torch.equal(task.batch("train", index).inputs, task.batch("train", index).inputs)
        assert torch.equal(task.batch("train", index).inputs, task.batch("train", index + n).inputs)
    assert not torch.equal(task.batch("train", 0).inputs[:10], task.batch("valid", 0).inputs[:10])
    total = sum(task.batch("train", index).size for index in range(n))
    assert total == 50


@pytest.mark.parametrize("make", [Copy, Adding])
def test_fresh_data_do_not_repeat_and_sequences_do_not_depend_on_the_batch_size(make):
    fresh = make(8, fresh=True, train_size=40, batch_size=20)
    assert not torch.equal(fresh.batch("train", 0).inputs, fresh.batch("train", 2).inputs)
    single = make(8, fresh=True, batch_size=1)
    assert torch.equal(fresh.batch("train", 1).inputs[3:4], single.batch("train", 23).inputs)


def test_symbols_are_uniform():
    symbols = Copy(1, train_size=8000, batch_size=8000).batch("train", 0).targets[:, -10:]
    counts = torch.bincount(symbols.flatten(), minlength=9)[1:].double()
    # chi-squared with 7 degrees of freedom: 24.3 has probability 0.001
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 24.3


HUGE = 100_000_000


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(Copy, 10, n_copied=HUGE),
        functools.partial(Copy, HUGE),
        functools.partial(Copy, 10, fresh=True, batch_size=HUGE),
        functools.partial(Copy, 10, eval_batch_size=HUGE, valid_size=HUGE),
        functools.partial(Adding, HUGE),
        functools.partial(DelayedXOR, 5, length=HUGE),
        functools.partial(Denoise, HUGE),
        functools.partial(Parenthesis, HUGE),
    ],
    ids=["n_copied", "delay", "batch_size", "eval_batch_size", "adding", "delayed_xor", "denoise", "parenthesis"],
)
def test_a_batch_that_cannot_fit_is_refused_before_it_is_made(make, monkeypatch):
    monkeypatch.setattr(counted, "memory", lambda: 2**34, raising=False)
    with pytest.raises(MemoryError):
        make()


def test_a_batch_size_beyond_the_split_needs_no_room(monkeypatch):
    monkeypatch.setattr(counted, "memory", lambda: 2**20, raising=False)
    task = Copy(10, batch_size=HUGE, eval_batch_size=HUGE, train_size=50, valid_size=20, test_size=20)
    assert task.batch("train", 0).size == 50


def test_memorization_recalls_the_numbers_before_the_padding():
    batch = Memorization([0, 3], min_length=6, max_length=9, batch_size=300).batch("train", 5)
    length_B = batch.inputs_valid_BT.sum(1)
    assert {*length_B.tolist()} == {6, 7, 8, 9}
    assert batch.inputs[~batch.inputs_valid_BT].abs().max() == 0
    for row in range(batch.size):
        numbers = batch.inputs[row, : length_B[row], 0].tolist()
        assert batch.targets[row].tolist() == [numbers[-1], numbers[-4]]
    assert batch.targets.var() == pytest.approx(1 / 12, rel=0.15)


def test_memorization_of_symbols_recalls_one():
    batch = MemorizationOfSymbols(2, n_symbols=5, min_length=4, max_length=7, batch_size=300).batch("train", 5)
    assert {*batch.inputs[batch.inputs_valid_BT].tolist()} == {0, 1, 2, 3, 4}
    for row in range(batch.size):
        assert batch.targets[row] == batch.inputs[row, batch.inputs_valid_BT[row]][-3]


def test_memorization_without_memory_knows_the_last_input_alone():
    assert Memorization([0, 1, 2]).baseline["mse"] == pytest.approx(2 / 3 / 12)
    assert MemorizationOfSymbols(0).baseline["nll"] == 0
    assert MemorizationOfSymbols(1, n_symbols=5).baseline["nll"] == pytest.approx(math.log(5))


@pytest.mark.parametrize("distances", [[], [1, 1], [-1], [10]])
def test_memorization_refuses_distances_that_are_no_steps_of_a_sequence(distances):
    with pytest.raises(ValueError, match=r"task\.(distances|min_length)"):
        Memorization(distances)
