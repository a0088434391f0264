"""States: batch-first trees of tensors, and what is done to each tensor of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = Any  # None, a tensor whose first axis is the batch, or a tuple or dict of states


def tree_map(function: Callable[[Tensor], Tensor], state: State) -> State:
    """`function` applied to each tensor of a state."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return function(state)
    if isinstance(state, dict):
        return {key: tree_map(function, value) for key, value in state.items()}
    if isinstance(state, (tuple, list)):
        return tuple(tree_map(function, value) for value in state)
    raise TypeError(f"a state holds tensors, tuples and dicts, not {type(state).__name__}")


def tree_zip(function: Callable[[list[Tensor]], Tensor], states: list[State]) -> State:
    """`function` applied to the list of corresponding tensors of several states of one structure."""
    first = states[0]
    if first is None:
        return None
    if isinstance(first, torch.Tensor):
        return function(states)
    if isinstance(first, dict):
        return {key: tree_zip(function, [state[key] for state in states]) for key in first}
    return tuple(tree_zip(function, list(parts)) for parts in zip(*states, strict=True))


def detach(state: State) -> State:
    """The state without its history: the cut of truncated back-propagation through time."""
    return tree_map(lambda tensor: tensor.detach(), state)
