"""Equal but for rounding, or an `AssertionError` with a sentence that says what is not."""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.pytree import State, tree_map

RTOL, ATOL = 1e-9, 1e-10  # a few hundred operations' rounding in float64


def require_close(found: Tensor, expected: Tensor, sentence: str, rtol: float = RTOL, atol: float = ATOL) -> None:
    """`sentence` says what does not hold where the two differ; by how much is added to it."""
    if found.shape != expected.shape:
        raise AssertionError(f"{sentence}: {tuple(found.shape)} in place of {tuple(expected.shape)}")
    if not torch.allclose(found, expected, rtol=rtol, atol=atol):
        gap = float((found.detach().double() - expected.detach().double()).abs().max())
        raise AssertionError(f"{sentence}: they are up to {gap:.2g} apart")


def require_same_state(found: State, expected: State, sentence: str) -> None:
    """Two states of one structure and equal tensors."""
    pair = tensors_of(found), tensors_of(expected)
    if len(pair[0]) != len(pair[1]):
        raise AssertionError(f"{sentence}: {len(pair[0])} tensors in place of {len(pair[1])}")
    for one, other in zip(*pair, strict=True):
        require_close(one, other, sentence)


def tensors_of(state: State) -> list[Tensor]:
    """The tensors of a state, in the order of its structure."""
    tensors: list[Tensor] = []
    tree_map(lambda tensor: tensors.append(tensor) or tensor, state)
    return tensors
