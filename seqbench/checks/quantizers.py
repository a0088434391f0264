"""The contract of a quantiser as checks. Each takes a quantiser and raises `AssertionError`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqbench.checks.closeness import require_close
from seqbench.contracts.quantizer import Quantizer

SHAPE = (4, 7, 600)


def check_idempotence(quantizer: Quantizer, x_BTD: Tensor) -> None:
    """What is a level stays one."""
    once = quantizer(x_BTD)
    assert once.shape == x_BTD.shape, f"{tuple(x_BTD.shape)} becomes {tuple(once.shape)}"
    require_close(quantizer(once), once, "quantised again, a level becomes another", 1e-12, 1e-12)


def check_levels(quantizer: Quantizer, x_BTD: Tensor) -> None:
    """At most 2^bits of them, in each row or, where the scale is of the tensor, in all."""
    if quantizer.bits is None:
        return
    y_BTD = quantizer(x_BTD)
    for row in y_BTD.flatten(0, -2) if quantizer.scale == "row" else [y_BTD]:
        n_levels = len(row.unique())
        assert n_levels <= 2**quantizer.bits, f"{n_levels} levels are more than {quantizer.bits} bits tell apart"


def check_positions(quantizer: Quantizer, x_BTD: Tensor) -> None:
    """No position or row depends on another one, unless the scale is of the tensor."""
    if quantizer.scale == "tensor":
        return
    y_BTD = quantizer(x_BTD)
    for row, step in ((0, 0), (1, 3), (2, 6)):
        require_close(quantizer(x_BTD[row, step]), y_BTD[row, step], "a position depends on others, or on another row")


def check_evaluation_draws_nothing(quantizer: Quantizer, x_BTD: Tensor) -> None:
    """In evaluation mode, the same numbers give the same levels."""
    before = torch.get_rng_state()
    assert torch.equal(quantizer(x_BTD), quantizer(x_BTD)), "evaluated twice, the same numbers give other levels"
    assert torch.equal(torch.get_rng_state(), before), "an evaluation draws from torch's generator"


def check_gradient(quantizer: Quantizer, x_BTD: Tensor) -> None:
    """It goes straight through: 1, or 0 where the quantiser saturates, and at zero it does not."""
    x_BTD = x_BTD.clone().requires_grad_()
    quantizer(x_BTD).sum().backward()
    grad = x_BTD.grad
    assert grad is not None, "there is no gradient"
    assert set(grad.unique().tolist()) <= {0.0, 1.0}, "a gradient is neither 0 nor 1"
    near = x_BTD.detach().abs() < 0.05
    assert (grad[near] == 1).all(), "small numbers have no gradient"


def checks(make: Callable[..., Quantizer]) -> dict[str, Callable[[], None]]:
    """All of the contract by name."""
    x_BTD = 0.6 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {
        "levels": lambda: check_levels(make().eval(), x_BTD),
        "idempotence": lambda: check_idempotence(make().eval(), x_BTD),
        "independent positions": lambda: check_positions(make().eval(), x_BTD),
        "evaluation draws nothing": lambda: check_evaluation_draws_nothing(make().eval(), x_BTD),
        "gradient": lambda: check_gradient(make(), x_BTD),
    }
