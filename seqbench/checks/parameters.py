"""What everything with parameters keeps, for the checks of its kinds: gradients, groups, diagnostics, saving."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import ParameterGroup

Module = TypeVar("Module", bound=nn.Module)
Diagnostics = dict[str, tuple[float, float]]


def check_gradients_of(module: nn.Module, may_vanish: Callable[[str], bool] = lambda name: False) -> None:
    """After `backward`: every parameter that trains has a gradient that is not zero."""
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.abs().max() > 0 or may_vanish(name), f"the gradient of {name} is zero"


def check_groups_of(module: nn.Module, groups: Iterable[ParameterGroup]) -> None:
    """Parameter groups are disjoint and hold the module's own parameters."""
    parameters = {id(parameter) for parameter in module.parameters()}
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    assert len(grouped) == len(set(grouped)), "a parameter is in two groups"
    assert set(grouped) <= parameters, "a group has a parameter that is none of the model's"


def check_diagnostics_of(read: Callable[[], Diagnostics]) -> None:
    """The same names each time, and reset by being read."""
    first, second = read(), read()
    assert first.keys() == second.keys(), f"the names change: {sorted(first)} and {sorted(second)}"
    assert all(count == 0 for _, count in second.values()), "reading the diagnostics does not reset them"


def check_saving_of(module: Module, other: Module, compute: Callable[[Module], Tensor]) -> None:
    """`other`, made as `module` was, computes the same, bit for bit, once it has loaded what `module` saves."""
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(compute(other), compute(module)), "the loaded model computes something else"
