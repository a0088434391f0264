"""DP-SGD: gradients of single rows, clipped, summed and blurred (Abadi et al. 2016, arXiv 1607.00133, algorithm 1).

    g_i = gradient of row i's loss, a mean over its targets      g_i <- g_i min(1, clip / ||g_i||)
    D = (sum of g_i + N(0, (noise clip)^2)) / L                  V = momentum V + D      W = W - lr V

L is the expected number of rows of a step. What is private is one row: each is in a step with probability
L / (number of rows), whatever the others are (contracts/task.py, `Sampling`), and after the run's steps the weights are
(epsilon, delta)-private by Google's dp-accounting, which knows Renyi divergences (the paper's moments accountant, made
exact) and privacy loss distributions, which are tighter. It is what is needed of a library where the gradients are our
own, and pure Python; opacus would bring an engine of its own. A shuffled epoch cut into batches is no Poisson sampling,
though epsilon is often reported as if it were, so a task that shuffles is refused.

What epsilon does not cover: the choice of the best checkpoint on valid, settings tried before, and the losses and
gradient norms that a run logs. And the noise is that of the run's seed, which is written in its record: who knows it
can take the noise away. Results here tell what a private training would reach; they are not for release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from seqbench.contracts.batch import Batch
from seqbench.contracts.learner import Learner
from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.peers import Peers
from seqbench.contracts.ranges import Between, NotNegative, OneOf, Positive
from seqbench.contracts.task import Sampling
from seqbench.optim.accountant import epsilon
from seqbench.optim.plain import unfused

CHUNK = 2**23  # elements of rows' gradients that exist at a time
OWN_STREAM = 4095  # added to a step's seed, which is also that of process 0's dropout; steps' seeds are 4,096 apart


class DPSGD(torch.optim.Optimizer):
    """One step is one batch, whose rows' gradients `torch.func` gives, the model's own operations in the place of
    compiled ones; it is as exact as the batch's, for any model whose rows do not influence each other.

    - `clip` null: none; `noise` in units of it, 0: none. Without either it is SGD, where all batches have L rows and
      all rows as many targets.
    - `delta`, `accountant` (rdp: Renyi divergences; pld: privacy loss distributions): how epsilon is accounted.

    Raises `ValueError` for a model that couples rows and a task without Poisson sampling.
    """

    reduces_gradients = True

    def __init__(
        self,
        params: Iterable[Any],
        network: Learner,
        peers: Peers,
        sampling: Sampling | None,
        lr: NotNegative,
        clip: Positive | None = 1.0,
        noise: NotNegative = 1.1,
        momentum: Annotated[float, Between(0, 1, without_high=True)] = 0.0,
        weight_decay: NotNegative = 0.0,
        delta: Annotated[float, Between(0, 1, without_low=True, without_high=True)] = 1e-5,
        accountant: Annotated[str, OneOf("rdp", "pld")] = "rdp",
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "n_steps": 0})
        if network.couples_rows:
            raise ValueError("rows influence each other in this model, so no row has a gradient that could be clipped")
        if sampling is None:
            raise ValueError(
                "epsilon is accounted for Poisson sampling, by which this task does not draw its rows, and for one "
                "draw a step (train.accumulate=1); task=mnist_poisson does"
            )
        if noise and clip is None:
            raise ValueError(f"noise={noise:g} is in units of clip, which is null")
        self.network, self.peers, self.sampling = network, peers, sampling
        self.clip, self.noise, self.delta, self.accountant = clip, noise, delta, accountant
        epsilon(noise, 1.0, 1, delta, accountant)  # a library that is not there is missed before the run, not after
        self._generator = torch.Generator()
        self._batches: list[Batch] = []
        self._is_stepping, self._vectorizes = False, True
        network.register_forward_pre_hook(self._note)

    def begin(self, facts: StepFacts) -> None:
        self._batches.clear()
        self._generator.manual_seed(facts.seed + OWN_STREAM)

    def spent(self) -> dict[str, float]:
        """`epsilon` and `delta` of the steps so far."""
        rate = self.sampling.rows_per_step / self.sampling.n_rows
        n_steps = self.param_groups[0]["n_steps"]
        return {"epsilon": epsilon(self.noise, rate, n_steps, self.delta, self.accountant), "delta": self.delta}

    def step(self, closure=None) -> None:
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        totals = {names[id(weight)]: torch.zeros_like(weight) for weight in weights}
        batches, self._batches = self._batches, []
        for batch in batches:
            self._add_clipped(batch, totals)
        for weight, total in zip(weights, totals.values(), strict=True):
            total = self.peers.sum(total)
            if self.noise and self.clip is not None:  # drawn on the CPU: the same on every device
                noise = torch.randn(weight.shape, generator=self._generator, dtype=weight.dtype)
                total = total + noise.to(weight.device) * (self.noise * self.clip)
            weight.grad = total / self.sampling.rows_per_step
        for group in self.param_groups:
            group["n_steps"] += 1
            self._descend(group)

    def _note(self, network: nn.Module, args: tuple[Any, ...]) -> None:
        if network.training and not self._is_stepping:
            self._batches.append(args[0])

    def _add_clipped(self, batch: Batch, totals: dict[str, Tensor]) -> None:
        """Add the clipped gradients of a batch's rows to `totals`."""
        weights = {name: dict(self.network.named_parameters())[name].detach() for name in totals}

        def row_loss(weights: dict[str, Tensor], row: dict[str, Tensor]) -> Tensor:
            alone = batch.replace(**{name: tensor.unsqueeze(0) for name, tensor in row.items()})
            loss_sum, _, aux = functional_call(self.network, weights, (alone,))
            loss = loss_sum / max(1, alone.count())
            return loss if aux is None else loss + aux

        n_rows = max(1, CHUNK // sum(weight.numel() for weight in weights.values()))
        self._is_stepping = True
        with unfused():
            for start in range(0, batch.size, n_rows):
                rows = {name: tensor[start : start + n_rows] for name, tensor in batch.tensors().items()}
                _add(self._gradients(grad(row_loss), weights, rows), self.clip, totals)
        self._is_stepping = False

    def _gradients(self, gradient: Callable[..., Any], weights: dict[str, Tensor], rows: dict[str, Tensor]) -> Any:
        """Each row's gradient, stacked."""
        if self._vectorizes:
            try:
                return vmap(gradient, (None, 0), randomness="different")(weights, rows)
            except RuntimeError:  # what depends on values, such as a mask of targets: then one row after the other,
                self._vectorizes = False  # which raises again whatever else it was
        each = [gradient(weights, dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)]
        return {name: torch.stack([gradients[name] for gradients in each]) for name in weights}

    @torch.no_grad()
    def _descend(self, group: dict[str, Any]) -> None:
        for weight in group["params"]:
            if weight.grad is None:
                continue
            step = weight.grad.add(weight, alpha=group["weight_decay"])
            if group["momentum"]:
                if "momentum" not in self.state[weight]:
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
                step = self.state[weight]["momentum"].mul_(group["momentum"]).add_(step)
            weight.sub_(step, alpha=group["lr"])


def _add(gradients: dict[str, Tensor], clip: float | None, totals: dict[str, Tensor]) -> None:
    """The clipped sum of rows' gradients, each (rows, ...); the norm is that of all weights together."""
    norm_N = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients.values()]).norm(dim=0)
    factor_N = torch.ones_like(norm_N) if clip is None else (clip / norm_N.clamp_min(1e-12)).clamp_max(1)
    for name, gradient in gradients.items():
        totals[name] += torch.tensordot(factor_N, gradient, 1)
