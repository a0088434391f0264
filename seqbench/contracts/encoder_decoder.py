"""The contract of a model that reads a source and writes a target."""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.backbone import Backbone, Model, ParameterGroup
from seqbench.contracts.pytree import State


class EncoderDecoder(Model):
    """A model that reads a source and writes a target.

    `encode(x, valid)` maps (B, S, d_input) features, and which of them are not padding, to (memory, aux).
    `decode(x, memory, state)` maps (B, T, d_input) features of the target so far to (y_BTD, state, aux), causally, and
    goes on from `state` (None: the start). Memory and state are batch-first pytrees, padding of the source changes
    nothing (with an equilibrium, no more than its solver's tolerance), D is `d_output`, and aux is as a backbone's: a
    backbone knows no padding, so what it means over positions counts padded ones, too.

    The state is a dict whose "coverage" (B, S) sums the attention that each source position has had so far. `parts` are
    the backbones that it is made of, to be told of steps and asked for diagnostics.
    """

    d_output: int

    def parts(self) -> list[Backbone]:
        return []

    def encode(self, x_BSD: Tensor, valid_BS: Tensor) -> tuple[State, Tensor | None]:
        raise NotImplementedError

    def decode(self, x_BTD: Tensor, memory: State, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        raise NotImplementedError

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        """As a backbone's."""
        return {}
