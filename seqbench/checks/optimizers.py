"""The contract of an optimizer as checks. Each takes a function that makes one of parameters and the learner that has
them, and raises `AssertionError`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.checks.closeness import require_close
from seqbench.contracts.batch import Batch
from seqbench.contracts.learner import Learner
from seqbench.contracts.optimizer import Averaging, Informed, Perturbing, StepFacts
from seqbench.contracts.pytree import State
from seqbench.contracts.task import Sampling

Make = Callable[[Iterable[Any], Learner], torch.optim.Optimizer]
SAMPLING = Sampling(n_rows=50, rows_per_step=5)  # of the batches here, for an optimizer that asks


class Bowl(Learner):
    """A linear map, with a bias, of each row and a tensor of three axes: the loss is the sum of their squares."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = [(6, 5), (6,), (3, 4, 2)]
        draws = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
        self.weight, self.bias, self.other = (nn.Parameter(draw) for draw in draws)

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        y_B6 = F.linear(batch.inputs, self.weight, self.bias)
        return y_B6.square().sum() + batch.size * self.other.square().sum(), None, None


def _batch() -> Batch:
    rows_BD = torch.eye(5, dtype=torch.float64) + 0.1
    return Batch(rows_BD, torch.zeros(5))


def _step(optimizer: torch.optim.Optimizer, learner: Learner, step: int) -> None:
    """One step, whose gradients are those of a function of the weights alone."""
    batch = _batch()
    if isinstance(optimizer, Informed):
        optimizer.begin(StepFacts(step, [], count=batch.size, loss_scale=1 / batch.size, seed=step))
    optimizer.zero_grad()
    (learner(batch)[0] / batch.size).backward()
    if isinstance(optimizer, Perturbing):
        optimizer.restore()
    optimizer.step()


def _values(learner: Learner) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in learner.parameters()]


def check_it_descends(make: Make, steps: int = 50) -> None:
    """The loss falls."""
    learner = Bowl()
    optimizer = make(learner.parameters(), learner)
    before = float(learner(_batch())[0].detach())
    for step in range(steps):
        _step(optimizer, learner, step)
    after = float(learner(_batch())[0].detach())
    assert after < before, f"the loss went from {before:.6g} to {after:.6g}"


def check_it_resumes(make: Make) -> None:
    """Three steps, saved and loaded into a new one, and two more are five steps, bit for bit."""
    learner = Bowl()
    optimizer = make(learner.parameters(), learner)
    for step in range(3):
        _step(optimizer, learner, step)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    copy = Bowl()
    copy.load_state_dict(learner.state_dict())
    other = make(copy.parameters(), copy)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    for step in range(3, 5):
        _step(optimizer, learner, step)
        _step(other, copy, step)
    for value, again in zip(_values(learner), _values(copy), strict=True):
        assert torch.equal(value, again), "a resumed optimizer goes on otherwise"


def check_its_groups(make: Make) -> None:
    """Parameters in two groups of the same settings are updated as in one."""
    together, apart = Bowl(), Bowl()
    parameters = list(apart.parameters())
    one = make(together.parameters(), together)
    two = make([{"params": parameters[:1]}, {"params": parameters[1:]}], apart)
    for step in range(3):
        _step(one, together, step)
        _step(two, apart, step)
    for value, other in zip(_values(together), _values(apart), strict=True):
        require_close(
            value, other, "in two groups of the same settings, parameters are updated otherwise", 1e-12, 1e-12
        )


def check_it_leaves_out_what_has_no_gradient(make: Make) -> None:
    """A parameter without a gradient stays as it is."""
    learner = Bowl()
    learner.idle = nn.Parameter(torch.ones(3, dtype=torch.float64))
    _step(make(learner.parameters(), learner), learner, 0)
    assert torch.equal(learner.idle, torch.ones_like(learner.idle)), "a parameter without a gradient was changed"


def check_its_averages(make: Make) -> None:
    """The evaluated weights are there within `averaged()` alone."""
    learner = Bowl()
    optimizer = make(learner.parameters(), learner)
    if not isinstance(optimizer, Averaging):
        return
    for step in range(3):
        _step(optimizer, learner, step)
    trained = _values(learner)
    with optimizer.averaged() as differ:
        same = all(torch.equal(*pair) for pair in zip(_values(learner), trained, strict=True))
        assert not (same and differ), "averaged() says that the weights differ, and they do not"
    for value, before in zip(_values(learner), trained, strict=True):
        assert torch.equal(value, before), "averaged() does not give the trained weights back"


def checks(make: Make) -> dict[str, Callable[[], None]]:
    """All of the contract by name."""
    return {
        "descent": lambda: check_it_descends(make),
        "resuming": lambda: check_it_resumes(make),
        "parameter groups": lambda: check_its_groups(make),
        "parameters without a gradient": lambda: check_it_leaves_out_what_has_no_gradient(make),
        "averages": lambda: check_its_averages(make),
    }


def check_optimizer(make: Make) -> None:
    """All of the contract."""
    for check in checks(make).values():
        check()
