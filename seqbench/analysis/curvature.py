"""Gradient and curvature of a network's loss on a sample of the training set.

L is the loss, a mean over the sample's scored targets. Its generalised Gauss-Newton matrix is, for the cross-entropy of
a softmax, the Fisher matrix sum_j p_j (d log p_j / d theta)(d log p_j / d theta)^T, a mean over the targets as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.task import Task
from seqbench.learners.assembled import select
from seqbench.learners.network import Network


def sample(task: Task, n_rows: int) -> list[Batch]:
    """The first `n_rows` rows of the training split, or all of it where it is smaller."""
    batches, missing = [], n_rows
    for index in range(task.n_batches("train")):
        batch = task.batch("train", index)
        batches.append(batch.map(lambda tensor, n=missing: tensor[:n]))
        missing -= batch.size
        if missing <= 0:
            break
    return batches


def loss(network: Network, batches: Iterable[Batch]) -> float:
    """L in the task's unit."""
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            total += float(network(batch)[0])
            count += batch.count()
    return total / count


def gradient(network: Network, batches: Iterable[Batch], parameters: list[Tensor]) -> list[Tensor]:
    """dL / d theta of each parameter."""
    sums, count = [torch.zeros_like(parameter) for parameter in parameters], 0
    for batch in batches:
        for total, part in zip(sums, torch.autograd.grad(network(batch)[0], parameters), strict=True):
            total += part
        count += batch.count()
    return [total / count for total in sums]


def curvature(
    network: Network, batches: Iterable[Batch], parameters: list[Tensor], n_draws: int | None, seed: int
) -> list[Tensor]:
    """The diagonal of L's generalised Gauss-Newton matrix, of each parameter.

    Each row is differentiated by itself. With `n_draws`, targets are drawn from the network's own distribution, which
    gives an unbiased estimate; None sums over the classes, which is exact for one output a sequence.
    """
    generator = torch.Generator(parameters[0].device).manual_seed(seed)
    sums, count = [torch.zeros_like(parameter) for parameter in parameters], 0
    for row in _rows(batches):
        z, *_ = network.outputs(row)
        z_NC, _ = (z, None) if z.dim() == 2 else select(z, row)
        log_p_NC = network.head.log_probs(z_NC)
        scores = list(_all_classes(log_p_NC) if n_draws is None else _drawn(log_p_NC, n_draws, generator))
        for index, score in enumerate(scores):
            parts = torch.autograd.grad(score, parameters, retain_graph=index < len(scores) - 1)
            for total, part in zip(sums, parts, strict=True):
                total += part.square()
        count += row.count()
    return [total / count for total in sums]


def _rows(batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        for index in range(batch.size):
            yield batch.map(lambda tensor, index=index: tensor[index : index + 1])


def _all_classes(log_p_NC: Tensor) -> Iterator[Tensor]:
    """sqrt(p_j) log p_j of each class, p_j a constant: their squared gradients add up to the diagonal."""
    weights_NC = log_p_NC.detach().exp().sqrt()
    yield from (weights_NC * log_p_NC).sum(0)


def _drawn(log_p_NC: Tensor, n_draws: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The log-probability of targets that are drawn at every position: since draws are independent, the products of
    different positions' gradients vanish in the mean."""
    p_NC = log_p_NC.detach().exp()
    for _ in range(n_draws):
        drawn_N1 = torch.multinomial(p_NC, 1, generator=generator)
        yield log_p_NC.gather(1, drawn_N1).sum() / n_draws**0.5
