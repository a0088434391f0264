"""The contract of a head as checks. Each takes a head in float64 and raises `AssertionError`.

Shapes: N targets, C what the head's methods take (z), K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from seqbench.checks.closeness import require_close
from seqbench.contracts.head import Head
from seqbench.contracts.peers import Alone


def check_losses(head: Head, y_ND: Tensor, target_N: Tensor) -> None:
    """One finite loss a target, whatever targets stand beside it, and a gradient for every parameter."""
    y_ND = y_ND.clone().requires_grad_()  # a head may have no parameters
    z_NC = y_ND if head.readout is None else head.readout(y_ND)
    losses_N = head.losses(z_NC, target_N)
    assert losses_N.shape == (len(target_N),), f"the losses' shape is {tuple(losses_N.shape)}"
    assert losses_N.isfinite().all(), "a loss is not finite"
    apart_N = torch.cat([head.losses(z_NC[n : n + 1], target_N[n : n + 1]) for n in range(len(target_N))])
    require_close(apart_N, losses_N, "a target's loss depends on the targets beside it")
    losses_N.sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"


def check_distribution(head: Head, y_ND: Tensor, n_classes: int) -> None:
    """Log-probabilities of all classes, which add up to 1, and whose negatives are the losses in evaluation."""
    if "classes" not in head.kinds:
        return
    head.eval()
    z_NC = y_ND if head.readout is None else head.readout(y_ND)
    log_p_NK = head.log_probs(z_NC)
    assert log_p_NK.shape == (len(y_ND), n_classes), f"the distribution's shape is {tuple(log_p_NK.shape)}"
    sum_N = log_p_NK.exp().sum(1)
    require_close(sum_N, torch.ones_like(sum_N), "the probabilities do not add up to 1", rtol=1e-7, atol=1e-7)
    for k in range(n_classes):
        target_N = torch.full((len(y_ND),), k)
        losses_N = head.losses(z_NC, target_N)
        require_close(losses_N, -log_p_NK[:, k], f"the loss of class {k} is not its negative log-probability")


def check_after_step(head: Head) -> None:
    """A head may be told of a step in which it saw nothing."""
    head.after_step(Alone())


def checks(make: Callable[..., Head], n_outputs: int = 12) -> dict[str, Callable[[], None]]:
    """All of the contract by name, for each kind of outputs that the head takes. `make` takes `d_input` and
    `n_outputs`."""
    kinds = make(d_input=8, n_outputs=n_outputs).kinds
    draw = torch.Generator().manual_seed(1)
    y_ND = torch.randn(5, 8, generator=draw, dtype=torch.float64)
    reals_NC = torch.randn(5, n_outputs, generator=draw, dtype=torch.float64)
    targets = {
        "classes": torch.randint(0, n_outputs, (5,), generator=draw),
        "reals": reals_NC,
        "densities": reals_NC,
        "bits": (reals_NC > 0).double(),
    }

    def head() -> Head:
        torch.manual_seed(0)
        return make(d_input=8, n_outputs=n_outputs).double()

    return {
        **{
            f"losses of {kind}": partial(lambda kind: check_losses(head(), y_ND, targets[kind]), kind) for kind in kinds
        },
        "distribution": lambda: check_distribution(head(), y_ND, n_outputs),
        "after a step": lambda: check_after_step(head()),
    }
