"""The contract of a norm as checks. Each takes a norm of 6 features in float64 and raises `AssertionError`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqbench.checks.closeness import require_close
from seqbench.contracts.norm import Norm, Steps

D = 6


def check_shape(norm: Norm, x_BTD: Tensor) -> None:
    """Whatever stands before the features stays as it is."""
    in_order = norm.couples_rows or norm.reads != "step"
    for x in [x_BTD] if in_order else [x_BTD, x_BTD[0], x_BTD[0, 0]]:
        assert norm(x).shape == x.shape, f"{tuple(x.shape)} becomes {tuple(norm(x).shape)}"


def check_positions(norm: Norm, x_BTD: Tensor) -> None:
    """No position depends on another one; nor on another row. What the class says of itself it may depend on."""
    if norm.reads in ("sequence", "public"):
        return
    if norm.reads == "past" or norm.couples_rows:
        _check_steps(norm, x_BTD)
        return
    y_BTD = norm(x_BTD)
    for row, step in ((0, 0), (1, 3), (2, 6)):
        alone_D = norm(x_BTD[row : row + 1, step : step + 1])[0, 0]
        require_close(alone_D, y_BTD[row, step], "a position depends on others, or on another row")


def _check_steps(norm: Norm, x_TBD: Tensor) -> None:
    """Read step by step, a sequence gives what it gives as a whole. Rows are independent unless they are coupled."""
    memory, y_TBD = None, norm(x_TBD)
    for t, y_BD in enumerate(y_TBD):
        y_1BD, memory = norm.over_time(x_TBD[t : t + 1], Steps(t), memory)
        require_close(y_1BD[0], y_BD, "a position depends on others than the memory speaks for")
    if not norm.couples_rows:
        require_close(norm(x_TBD[:, 1:2]), y_TBD[:, 1:2], "a row depends on another one")


def checks(make: Callable[..., Norm]) -> dict[str, Callable[[], None]]:
    """All of the contract by name. `make` takes `d_input`."""
    x_BTD = torch.randn(3, 7, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {
        "shape": lambda: check_shape(make(d_input=D).double(), x_BTD),
        "independent positions": lambda: check_positions(make(d_input=D).double(), x_BTD),
    }
