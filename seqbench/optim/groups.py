"""Optimizers by parameter group: one for each group that the config gives a class of its own, one for the rest.

A group's learning rate is `groups.<name>.lr` where the config gives one, else the optimizer's times the group's
`lr_scale` (so one whose class sets its own steps says `lr: null`); the schedule's factor multiplies both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.optimizer import Averaging, Informed, Perturbing, Spending, StepFacts

MAIN = "main"


class GroupedOptimizer:
    """Several optimizers over disjoint named parameter groups, stepped together."""

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]):
        self.optimizers = dict(optimizers)
        if len({_reduces(optimizer) for optimizer in self.all()}) > 1:
            raise ValueError("an optimizer that sums gradients over processes itself takes all groups")
        # relative-step Adafactor has no lr: the schedule then scales the factor of its own step
        self._base = [(group, _rate(group), group[_rate(group)]) for group in self._groups()]

    def all(self) -> list[torch.optim.Optimizer]:
        return list(self.optimizers.values())

    def set_factor(self, factor: float) -> None:
        """Set each group's learning rate to its base times `factor`."""
        for group, rate, base in self._base:
            group[rate] = factor * base

    def lr(self) -> float:
        """The first group's learning rate as it stands (its factor, where it has no rate of its own); 0 where nothing
        is trained by gradients."""
        if not self._base:
            return 0.0
        group, rate, _ = self._base[0]
        return group[rate]

    @property
    def reduces_gradients(self) -> bool:
        """Whether the optimizers sum gradients over processes themselves."""
        return any(_reduces(optimizer) for optimizer in self.all())

    def begin(self, facts: StepFacts) -> None:
        """Tell those that ask what the step is, before its gradients are computed."""
        for optimizer in self.all():
            if isinstance(optimizer, Informed):
                optimizer.begin(facts)

    def restore(self) -> None:
        """Undo what `begin` did to the weights, now that the gradients are there."""
        for optimizer in self.all():
            if isinstance(optimizer, Perturbing):
                optimizer.restore()

    def spent(self) -> dict[str, float]:
        """What the steps so far have cost, by name, of those that say it."""
        spending = [optimizer for optimizer in self.all() if isinstance(optimizer, Spending)]
        return {name: value for optimizer in spending for name, value in optimizer.spent().items()}

    @contextlib.contextmanager
    def averaged(self) -> Iterator[bool]:
        """The weights that are evaluated, for as long as the context lasts; the value is whether any differ from those
        that are trained."""
        with contextlib.ExitStack() as stack:
            differ = [stack.enter_context(optimizer.averaged()) for optimizer in self._averaging()]
            yield any(differ)

    def zero_grad(self) -> None:
        for optimizer in self.all():
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])
        # loading replaces the group dictionaries
        self._base = [(new, rate, base) for new, (_, rate, base) in zip(self._groups(), self._base, strict=True)]

    def _averaging(self) -> list[Averaging]:
        return [optimizer for optimizer in self.all() if isinstance(optimizer, Averaging)]

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.all() for group in optimizer.param_groups]


def _reduces(optimizer: torch.optim.Optimizer) -> bool:
    return getattr(type(optimizer), "reduces_gradients", False)


def _rate(group: Mapping[str, Any]) -> str:
    return "lr" if group["lr"] is not None else "lr_factor"


def build_optimizer(
    network: nn.Module,
    named: Mapping[str, ParameterGroup],
    make: Callable[[str | None, list[dict[str, Any]], Mapping[str, Any]], torch.optim.Optimizer],
    settings: Mapping[str, Any],
) -> GroupedOptimizer:
    """`settings` is the config node without `_target_`, with `groups`; `make(target, params, settings)` constructs one
    optimizer (`target` None: the node's own class). Raises `ValueError` for a group that the network has not got."""
    settings = dict(settings)
    overrides: dict[str, dict[str, Any]] = {
        name: dict(value) for name, value in (settings.pop("groups", None) or {}).items()
    }
    for name in overrides:
        if name not in named:
            known = ", ".join(named) or "none"
            raise ValueError(f"optimizer.groups.{name} names no parameter group of this network; it has: {known}")
    apart = {id(parameter) for group in named.values() for parameter in group.parameters}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    shared: list[dict[str, Any]] = [{"params": [p for p in trained if id(p) not in apart]}]
    optimizers = {}
    for name, group in named.items():
        changes = overrides.get(name, {})
        parameters = [parameter for parameter in group.parameters if parameter.requires_grad]
        if not parameters:
            continue
        target = changes.pop("_target_", None)
        if target is not None:
            if settings["lr"] is None and "lr" not in changes:
                raise ValueError(f"optimizer.groups.{name} needs an lr, for the optimizer around it has none")
            changes.setdefault("lr", settings["lr"] and settings["lr"] * group.lr_scale)
            if group.weight_decay is not None:
                changes.setdefault("weight_decay", group.weight_decay)
            optimizers[name] = make(target, [{"params": parameters}], changes)
            continue
        if group.weight_decay is not None:
            changes.setdefault("weight_decay", group.weight_decay)
        if settings["lr"] is None:
            changes.setdefault("lr_factor", group.lr_scale)
        else:
            changes.setdefault("lr", settings["lr"] * group.lr_scale)
        shared.append({"params": parameters, **changes})
    filled = [group for group in shared if group["params"]]
    return GroupedOptimizer({MAIN: make(None, filled, settings), **optimizers} if filled else optimizers)
