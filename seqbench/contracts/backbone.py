"""The contract of a sequence model, and the parameters that it lets an optimizer treat apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that an optimizer may treat apart. Their learning rate is `lr_scale` times the optimizer's, and their
    weight decay is `weight_decay` (None: the optimizer's). `recurrent` says that they are hidden-to-hidden maps, which
    a record counts apart."""

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    weight_decay: float | None = None
    recurrent: bool = False


class Model(nn.Module):
    """What every architecture says of itself, by class attributes, which checks, engine and evaluations read."""

    causal: bool = True  # an output depends on no later input
    streams: bool = True  # the state that comes out goes on with the sequence
    couples_rows: bool = False  # the rows of a batch influence each other, as by statistics of the batch
    touches_all: bool = True  # each forward pass uses all parameters
    carries_norms: bool = False  # norms within it may read other steps (contracts/norm.py)
    reads_valid: bool = False  # forward takes, as a third argument, which positions are no padding (None: all)
    machine_settings: tuple[str, ...] = ()  # arguments that do not change results, such as a choice of kernel


class Backbone(Model):
    """A sequence model. `forward(x, state)` maps (B, T, d_input) features, or (B, T) ids below `d_input` that stand for
    one-hot vectors, to (y_BTD, state, aux): D is `d_output`, `state` continues the sequence, and `aux` is a loss of its
    own to be added, a mean over the rows, or None. Padding stands behind a sequence, so a causal model need not know of
    it; one that `reads_valid` is called as `forward(x, state, valid_BT)`.
    """

    d_output: int

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        """Named groups the config can address (`optimizer.groups.<name>`); parameters in none are in the main one."""
        return {}

    def after_step(self, peers: Peers) -> None:
        """Called once after every optimizer step, for projections and counters."""

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        """Called before a split is evaluated, in training mode and without gradients, for statistics that are taken of
        the training set. Each item of `passes` that is read is a pass of one of an epoch's batches through the model,
        made at that moment."""

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """Diagnostics, name -> (sum, count), reset by each call: always the same names, so that processes can add them
        up."""
        return {}


@runtime_checkable
class EndsElsewhere(Protocol):
    """A backbone whose features of a sequence as a whole are others than those at its last valid position."""

    def last(self, y_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
        """(B, D): what the head reads with network.pool=last."""
        ...


@runtime_checkable
class ReadsOut(Protocol):
    """What a backbone may offer besides: a linear layer on each y, applied on the way, so that y's gradient is never
    kept."""

    def read(
        self, x: Tensor, state: State, weight_CD: Tensor, bias_C: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor | None] | None:
        """`forward` with (B, T, C) in y's place; None: not here, so `forward` is to be called."""
        ...


@runtime_checkable
class KnowsReadout(Protocol):
    """A backbone whose own loss depends on the linear layer that reads its features, too."""

    def read_by(self, readout: nn.Linear) -> None:
        """Called once, as the network is built; the layer stays the head's."""
        ...


@runtime_checkable
class Compactable(Protocol):
    """A backbone whose inputs and units can be closed, and that equals a smaller one without those."""

    def fixed_gates(self) -> list[Tensor]:
        """Of the inputs (D,) and of each layer's units (H,), as they are in evaluation: 0 is closed."""
        ...

    def unit_norms(self) -> list[Tensor]:
        """(H,) of each layer: the norm of the weights of each unit."""
        ...

    def compacted(self, kept: Sequence[Tensor]) -> dict[str, Tensor]:
        """The state dict of a plain LSTM of the inputs and units of these indices, the gates folded into its weights;
        what reads its features has to be multiplied by the last gates."""
        ...


def at_last_valid(y_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    """(B, D): the features at each row's last valid position; `valid_BT` None: all are."""
    if valid_BT is None:
        return y_BTD[:, -1]
    position_T = torch.arange(valid_BT.shape[1], device=y_BTD.device)
    last_B = torch.where(valid_BT, position_T, 0).amax(1)
    return y_BTD[torch.arange(len(y_BTD), device=y_BTD.device), last_B]
