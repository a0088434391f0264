"""The contract of a sequence model, and the parameters that it lets an optimizer treat apart."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from seqbench.contracts.pytree import State


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that an optimizer may treat apart; their learning rate is `lr_scale` times the optimizer's."""

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0


class Backbone(nn.Module):
    """A causal sequence model. `forward(x, state)` maps (B, T, d_input) features, or (B, T) ids below `d_input` that
    stand for one-hot vectors, to (y_BTD, state, aux): D is `d_output`, `state` continues the sequence, and `aux` is a
    loss of its own to be added, a mean over the rows, or None.
    """

    d_output: int

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        """Named groups the config can address (`optimizer.groups.<name>`); parameters in none are in the main one."""
        return {}

    def read(
        self, x: Tensor, state: State, weight_CD: Tensor, bias_C: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor | None] | None:
        """`forward` with a linear layer on each y: (B, T, C) in its place. A backbone that can do this on the way and
        never keep y's gradient does; None: it cannot, or not here."""
        return None

    def after_step(self) -> None:
        """Called once after every optimizer step, for projections and counters."""

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """What the model tells of itself, name -> (sum, count) since it was last asked: always the same names, so that
        processes can add them up."""
        return {}
