"""Sums over the batches of a split: every target scored once, with the state carried from batch to batch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Sums
from seqbench.learners.assembled import select
from seqbench.learners.network import Network

_OVERFLOW = math.log(sys.float_info.max)


@torch.no_grad()
def score(learner: Learner, batches: Iterable[Batch], name: str) -> Sums:
    """The learner's loss summed over all batches, under `name`. Sums in float64."""
    total, count, state = 0.0, 0, None
    for batch in batches:
        loss_sum, state, _ = learner(batch, None if batch.reset else state)
        total += loss_sum.double()
        count += batch.count()
    return {name: (float(total), count)}


@torch.no_grad()
def score_classes(learner: Learner, batches: Iterable[Batch], counted: int) -> Sums:
    """`nll` over all scored targets, and `accuracy` over the last `counted` targets of each sequence."""
    assert isinstance(learner, Network)
    nll, n_targets, correct, n_symbols = 0.0, 0, 0, 0
    for batch in batches:
        z_BTC, _, _ = learner.outputs(batch)
        z_NC, target_N = select(z_BTC, batch)
        nll += learner.head.losses(z_NC, target_N).sum().double()
        n_targets += len(target_N)
        guess_BK = z_BTC[:, -counted:].flatten(0, 1).argmax(-1)
        symbol_BK = batch.targets[:, -counted:].flatten()
        correct += _matches(guess_BK, symbol_BK)
        n_symbols += len(symbol_BK)
    return {"nll": (float(nll), n_targets), "accuracy": (float(correct), n_symbols)}


@torch.no_grad()
def score_labels(learner: Learner, batches: Iterable[Batch]) -> Sums:
    """`nll` and `error`, the number of wrong guesses, of the one class that each sequence has."""
    assert isinstance(learner, Network)
    nll, wrong, n_sequences = 0.0, 0, 0
    for batch in batches:
        z_BC, _, _ = learner.outputs(batch)
        nll += learner.head.losses(z_BC, batch.targets).sum().double()
        wrong += batch.size - _matches(learner.head.log_probs(z_BC).argmax(-1), batch.targets)
        n_sequences += batch.size
    return {"nll": (float(nll), n_sequences), "error": (float(wrong), n_sequences)}


@torch.no_grad()
def score_by_label(learner: Learner, batches: Iterable[Batch], n_labels: int) -> Sums:
    """`nll`, and for each label c `error_of_<c>`, the number of wrong guesses of the sequences that have it."""
    assert isinstance(learner, Network)
    nll, n_sequences = 0.0, 0
    wrong, counts = torch.zeros(n_labels, dtype=torch.long), torch.zeros(n_labels, dtype=torch.long)
    for batch in batches:
        z_BC, _, _ = learner.outputs(batch)
        nll += learner.head.losses(z_BC, batch.targets).sum().double()
        missed_B = learner.head.log_probs(z_BC).argmax(-1) != batch.targets
        wrong += batch.targets[missed_B].bincount(minlength=n_labels).cpu()
        counts += batch.targets.bincount(minlength=n_labels).cpu()
        n_sequences += batch.size
    errors = {f"error_of_{c}": (float(wrong[c]), int(counts[c])) for c in range(n_labels)}
    return {"nll": (float(nll), n_sequences), **errors}


@torch.no_grad()
def score_sequences(learner: Learner, batches: Iterable[Batch]) -> Sums:
    """`nll` over all scored steps, and `nll_per_sequence`, over sequences, of each one's mean over its steps."""
    assert isinstance(learner, Network)
    nll, n_steps, means, n_sequences = 0.0, 0, 0.0, 0
    for batch in batches:
        assert batch.valid_BT is not None
        z_BTC, _, _ = learner.outputs(batch)
        losses_N = learner.head.losses(*select(z_BTC, batch)).double()
        losses_BT = torch.zeros_like(batch.valid_BT, dtype=torch.float64).masked_scatter(batch.valid_BT, losses_N)
        nll += losses_N.sum()
        n_steps += len(losses_N)
        means += (losses_BT.sum(1) / batch.valid_BT.sum(1)).sum()
        n_sequences += batch.size
    return {"nll": (float(nll), n_steps), "nll_per_sequence": (float(means), n_sequences)}


def perplexity(nll: float) -> float:
    """exp(nll); infinity where that overflows."""
    return math.exp(nll) if nll < _OVERFLOW else math.inf


def _matches(guess_N: Tensor, target_N: Tensor) -> int:
    return int((guess_N == target_N).sum())
