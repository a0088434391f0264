"""Plain evaluation: every target of a split scored once, with the state carried from batch to batch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.errors import UserError
from seqbench.learners.network import Network, select

_OVERFLOW = math.log(sys.float_info.max)


@torch.no_grad()
def score(network: Network, batches: Iterable[Batch], name: str) -> Sums:
    """The network's loss summed over all batches, under `name`. Sums in float64."""
    total, count, state = 0.0, 0, None
    for batch in batches:
        loss_sum, state, _ = network(batch, None if batch.reset else state)
        total += loss_sum.double()
        count += batch.count()
    return {name: (float(total), count)}


@torch.no_grad()
def score_classes(network: Network, batches: Iterable[Batch], counted: int) -> Sums:
    """`nll` over all scored targets, and `accuracy` over the last `counted` targets of each sequence."""
    nll, n_targets, correct, n_symbols = 0.0, 0, 0, 0
    for batch in batches:
        z_BTC, _, _ = network.outputs(batch.inputs)
        z_NC, target_N = select(z_BTC, batch)
        nll += network.head.losses(z_NC, target_N).sum().double()
        n_targets += len(target_N)
        guess_BK = z_BTC[:, -counted:].flatten(0, 1).argmax(-1)
        symbol_BK = batch.targets[:, -counted:].flatten()
        correct += _matches(guess_BK, symbol_BK)
        n_symbols += len(symbol_BK)
    return {"nll": (float(nll), n_targets), "accuracy": (float(correct), n_symbols)}


def perplexity(nll: float) -> float:
    """exp(nll); infinity where that overflows."""
    return math.exp(nll) if nll < _OVERFLOW else math.inf


def require_stream(task, category: str) -> None:
    """Raises `UserError` unless the task is one continuous text, which is what can be adapted to."""
    if not task.continuous:
        raise UserError(f"evaluation={category} is for language modelling, not for the task {task.version['name']}.")


def _matches(guess_N: Tensor, target_N: Tensor) -> int:
    return int((guess_N == target_N).sum())
