"""Loss modelling: how the loss grows as weights are pruned by models of that growth (Laurent et al. 2020).

Laurent, Ballas, George, Ballas, Vincent 2020, arXiv 2006.12279. Removing weight k changes it by -theta_k. With the
gradient g and the diagonal d of the generalised Gauss-Newton matrix, the weights of least saliency are removed:

    magnitude   1/2 theta^2
    linear      |g theta| + 1/2 penalty theta^2
    obd         |1/2 d theta^2| + 1/2 penalty theta^2            (optimal brain damage)
    quadratic   |-g theta + 1/2 d theta^2| + 1/2 penalty theta^2

The models hold near the weights at which g and d are computed. Pruning in stages computes them again after each stage,
on the pruned network and without training in between; each stage leaves the same share of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from seqbench.analysis.curvature import curvature, gradient, loss, sample
from seqbench.contracts.analysis import Analysis, Figure, Outcome, Subject
from seqbench.contracts.batch import Batch
from seqbench.contracts.ranges import Count, NotNegative, Share
from seqbench.errors import UserError
from seqbench.learners.network import Network

CRITERIA = ("magnitude", "linear", "obd", "quadratic")
NEEDS_CURVATURE = ("obd", "quadratic")


class LossModelling(Analysis):
    """Prunes all weight matrices and kernels together, but neither an input embedding's nor biases.

    - criteria: of `CRITERIA`.
    - sparsity: share of the weights that is pruned in the end.
    - n_points: sparsities at which the loss is measured, the last one among them. In one shot, each is reached from the
      trained network; in stages, they are the stages.
    - penalty: of large steps, in the saliency.
    - n_rows: of the training split, for g, d and the loss.
    - n_draws: of targets, to estimate d; None: all classes, which is exact for one output a sequence.
    """

    def __init__(
        self,
        criteria: Sequence[str] = CRITERIA,
        sparsity: Share = 0.98,
        n_points: Count = 14,
        penalty: NotNegative = 0.0,
        n_rows: Count = 1000,
        n_draws: Count | None = 1,
    ):
        unknown = [name for name in criteria if name not in CRITERIA]
        if unknown or not criteria:
            raise ValueError(f"criteria are some of {', '.join(CRITERIA)}, not {list(criteria)}")
        if not 0 < sparsity < 1:
            raise ValueError(f"sparsity is above 0 and below 1, not {sparsity}")
        self.criteria, self.sparsity, self.n_points = criteria, sparsity, n_points
        self.penalty, self.n_rows, self.n_draws = penalty, n_rows, n_draws

    def __call__(self, subject: Subject) -> Outcome:
        network = _network(subject)
        if self.n_draws is None and subject.task.outputs.per != "sequence":
            raise UserError("analysis.n_draws=null is for one output a sequence; this task has one at each step.")
        train = sample(subject.task, self.n_rows)
        valid = [subject.task.batch("valid", index) for index in range(subject.task.n_batches("valid"))]
        weights = _prunable(network)
        trained = [weight.detach().clone() for weight in weights]
        before = {"train": loss(network, train), "valid": loss(network, valid)}
        lines: dict[str, dict[str, list[tuple[float, float]]]] = {"train": {}, "valid": {}}
        numbers = {f"{split}.trained": value for split, value in before.items()}
        numbers["n_weights"] = float(sum(weight.numel() for weight in weights))
        for name in self.criteria:
            for label, staged in [(name, False)] if name == "magnitude" else [(name, False), (f"{name}_staged", True)]:
                for split in lines:
                    lines[split][label] = [(0.0, before[split])]
                for sparsity in self._pruned(network, train, weights, trained, name, staged, subject.seed):
                    for split, batches in (("train", train), ("valid", valid)):
                        lines[split][label].append((sparsity, loss(network, batches)))
                for split in lines:
                    numbers[f"{split}.{label}"] = lines[split][label][-1][1]
                _restore(weights, trained)
        figures = {
            split: Figure("share of the weights pruned", f"loss on {split}", lines[split], log=("y",))
            for split in lines
        }
        return Outcome(numbers, figures)

    def _pruned(
        self,
        network: Network,
        train: list[Batch],
        weights: list[Tensor],
        trained: list[Tensor],
        criterion: str,
        staged: bool,
        seed: int,
    ) -> Iterator[float]:
        """Prunes the network further and further, and gives the sparsity that has been reached."""
        remaining = [torch.ones_like(weight, dtype=torch.bool) for weight in weights]
        saliency = self._saliency(network, train, weights, criterion, seed)
        total = sum(weight.numel() for weight in weights)
        for point in range(1, self.n_points + 1):
            if staged and point > 1:
                saliency = self._saliency(network, train, weights, criterion, seed + point)
            share_left = (1 - self.sparsity) ** (point / self.n_points)
            n_left = round(total * share_left)
            remaining = _largest(saliency, remaining, n_left)
            with torch.no_grad():
                for weight, value, mask in zip(weights, trained, remaining, strict=True):
                    weight.copy_(value * mask)
            yield 1 - n_left / total

    def _saliency(
        self, network: Network, train: list[Batch], weights: list[Tensor], criterion: str, seed: int
    ) -> list[Tensor]:
        penalties = [0.5 * self.penalty * weight.detach().square() for weight in weights]
        values = [weight.detach() for weight in weights]
        if criterion == "magnitude":
            return [0.5 * value.square() for value in values]
        slopes = [torch.zeros_like(value) for value in values]
        if criterion != "obd":
            slopes = [g * value for g, value in zip(gradient(network, train, weights), values, strict=True)]
        bends = [torch.zeros_like(value) for value in values]
        if criterion in NEEDS_CURVATURE:
            diagonal = curvature(network, train, weights, self.n_draws, seed)
            bends = [0.5 * d * value.square() for d, value in zip(diagonal, values, strict=True)]
        return [(bend - slope).abs() + penalty for bend, slope, penalty in zip(bends, slopes, penalties, strict=True)]


def _network(subject: Subject) -> Network:
    learner = subject.learner
    if not isinstance(learner, Network) or subject.task.outputs.kind != "classes":
        raise UserError(
            "analysis=loss_modelling is for a network with a distribution over classes, not for the task "
            f"{subject.task.version['name']}."
        )
    return learner


def _prunable(network: Network) -> list[Tensor]:
    """Matrices and kernels. An embedding's rows are looked up, not multiplied, and stay."""
    embedding = {id(parameter) for parameter in network.embedding.parameters()}
    head = {id(parameter) for parameter in network.head.parameters()}
    return [
        parameter
        for parameter in network.parameters()
        if parameter.dim() > 1 and (id(parameter) not in embedding or id(parameter) in head)
    ]


def _largest(saliency: list[Tensor], remaining: list[Tensor], n_left: int) -> list[Tensor]:
    """The `n_left` weights of largest saliency among those that remain: what has been pruned stays so."""
    flat = torch.cat(
        [torch.where(mask, value, -torch.inf).flatten() for value, mask in zip(saliency, remaining, strict=True)]
    )
    kept = torch.zeros_like(flat, dtype=torch.bool)
    kept[flat.topk(n_left).indices] = True
    parts = kept.split([mask.numel() for mask in remaining])
    return [part.view_as(mask) for part, mask in zip(parts, remaining, strict=True)]


def _restore(weights: list[Tensor], values: list[Tensor]) -> None:
    with torch.no_grad():
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)
