"""The contract of an optimizer as checks. Each takes a function that makes one of parameters, and raises
`AssertionError`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.contracts.optimizer import Averaging, Informed, StepFacts

Make = Callable[[Iterable[Any]], torch.optim.Optimizer]


def _parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 5), (5,), (3, 4, 2)]
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def _step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], step: int) -> None:
    """One step on the sum of squares, whose gradients are those of a function of the weights alone."""
    if isinstance(optimizer, Informed):
        optimizer.begin(StepFacts(step, [], count=1, loss_scale=1.0, seed=step))
    optimizer.zero_grad()
    sum(parameter.square().sum() for parameter in parameters).backward()  # type: ignore[union-attr]
    optimizer.step()


def _values(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def check_it_descends(make: Make, steps: int = 50) -> None:
    """The sum of squares falls."""
    parameters = _parameters()
    optimizer = make(parameters)
    before = sum(float(parameter.detach().square().sum()) for parameter in parameters)
    for step in range(steps):
        _step(optimizer, parameters, step)
    after = sum(float(parameter.detach().square().sum()) for parameter in parameters)
    assert after < before, f"the sum of squares went from {before:.6g} to {after:.6g}"


def check_it_resumes(make: Make) -> None:
    """Three steps, saved and loaded into a new one, and two more are five steps, bit for bit."""
    parameters = _parameters()
    optimizer = make(parameters)
    for step in range(3):
        _step(optimizer, parameters, step)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    copies = [nn.Parameter(value) for value in _values(parameters)]
    other = make(copies)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    for step in range(3, 5):
        _step(optimizer, parameters, step)
        _step(other, copies, step)
    for parameter, again in zip(parameters, copies, strict=True):
        assert torch.equal(parameter, again), "a resumed optimizer goes on otherwise"


def check_its_groups(make: Make) -> None:
    """Parameters in two groups of the same settings are updated as in one."""
    together, apart = _parameters(), _parameters()
    one, two = make(together), make([{"params": apart[:1]}, {"params": apart[1:]}])
    for step in range(3):
        _step(one, together, step)
        _step(two, apart, step)
    for parameter, other in zip(together, apart, strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-12, atol=1e-12)


def check_it_leaves_out_what_has_no_gradient(make: Make) -> None:
    """A parameter without a gradient stays as it is."""
    parameters = _parameters()
    idle = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make([*parameters, idle])
    _step(optimizer, parameters, 0)
    assert torch.equal(idle, torch.ones_like(idle)), "a parameter without a gradient was changed"


def check_its_averages(make: Make) -> None:
    """The evaluated weights are there within `averaged()` alone."""
    parameters = _parameters()
    optimizer = make(parameters)
    if not isinstance(optimizer, Averaging):
        return
    for step in range(3):
        _step(optimizer, parameters, step)
    trained = _values(parameters)
    with optimizer.averaged() as differ:
        same = all(torch.equal(*pair) for pair in zip(parameters, trained, strict=True))
        assert not (same and differ), "averaged() says that the weights differ, and they do not"
    for parameter, value in zip(parameters, trained, strict=True):
        assert torch.equal(parameter, value), "averaged() does not give the trained weights back"


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
