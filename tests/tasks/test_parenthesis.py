"""Parentheses as the authors of NC-GRU generate them: saturating counts, one-hot, and the error of their marginals."""

import pytest
import torch

from seqbench.heads.squared_error import SquaredError
from seqbench.tasks.synthetic.parenthesis import Parenthesis


def test_counts_saturate_and_forget():
    """Read as the authors' generator writes them: an opening one first, then a closing one, kind by kind."""
    batch = Parenthesis(200, max_count=2, batch_size=50).batch("train", 0)
    assert batch.inputs.min() == 0
    assert batch.inputs.max() == 6
    counts_BTK = batch.targets.unflatten(2, (3, 3)).argmax(-1)
    assert torch.equal(batch.targets.unflatten(2, (3, 3)).sum(-1), torch.ones(50, 200, 3))
    n_saturated = n_empty = 0
    for tokens_T, counts_TK in zip(batch.inputs.tolist(), counts_BTK.tolist(), strict=True):
        count = {"()": 0, "[]": 0, "{}": 0}
        for token, expected in zip(tokens_T, counts_TK, strict=True):
            symbol = "()[]{}a"[token]
            for kind, before in count.items():
                n_saturated += symbol == kind[0] and before == 2
                n_empty += symbol == kind[1] and before == 0
                count[kind] = max(0, min(2, before + (symbol == kind[0])) - (symbol == kind[1]))
            assert list(count.values()) == expected
    assert n_saturated > 100
    assert n_empty > 100


def test_tokens_are_uniform():
    tokens = Parenthesis(100, batch_size=1000).batch("train", 0).inputs
    counts_V = torch.bincount(tokens.flatten(), minlength=7).double()
    # chi-squared with 6 degrees of freedom: 22.5 has probability 0.001
    assert ((counts_V - 100_000 / 7) ** 2 / (100_000 / 7)).sum() < 22.5


@pytest.mark.parametrize(("length", "baseline"), [(100, 0.13558), (200, 0.13803)])
def test_baseline_is_the_error_of_the_marginals(length, baseline):
    task = Parenthesis(length, batch_size=2000)
    assert task.baseline["mse"] == pytest.approx(baseline, abs=1e-5)
    targets_NR = task.batch("train", 0).targets.flatten(0, 1)
    assert (targets_NR - targets_NR.mean(0)).square().mean() == pytest.approx(task.baseline["mse"], rel=0.01)


def test_the_metric_is_the_mean_over_all_numbers_of_a_target():
    task = Parenthesis(10, batch_size=4)
    targets_NR = task.batch("train", 0).targets.flatten(0, 1)
    guess_NR = torch.rand(targets_NR.shape, generator=torch.Generator().manual_seed(0))
    losses_N = SquaredError(5, task.outputs.size).losses(guess_NR, targets_NR)
    metrics = task.metrics({"mse": (float(losses_N.sum()), len(losses_N))})
    assert metrics["mse"] == pytest.approx((guess_NR - targets_NR).square().mean().item())
    assert metrics["n_targets"] == 40
