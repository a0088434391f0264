"""What every layer of the house shares: a batch, the backbone's contract, state helpers.

Shape suffixes used throughout: B batch, T time, S source positions, D features, H hidden size, C classes, N targets
(flattened B and T).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Gather = Callable[[Tensor], Tensor]  # a tensor of this process's rows -> those of all processes, one below the other
State = Any  # None, a tensor whose first axis is the batch, or a tuple or dict of states


@dataclass(frozen=True)
class Batch:
    """One step's data: `inputs` is (B, T) token ids or (B, T, D) features; `targets` is (B, T), or (B, T, D) reals.

    `valid_BT` marks the targets that are scored (None: all of them). `reset` is true where the carried state must be
    dropped, because this batch does not continue the one before it. `lr_scale` multiplies the learning rate of the step
    that begins with this batch: a task whose batches differ in length may make up for it there.

    For translation `source` is (B, S) ids, `source_valid_BS` marks those that are no padding, `inputs` are the targets
    one step later, <s> first, and `rows_B` are the pairs' numbers, unique over the splits.
    """

    inputs: Tensor
    targets: Tensor
    valid_BT: Tensor | None = None
    reset: bool = True
    lr_scale: float = 1.0
    source: Tensor | None = None
    source_valid_BS: Tensor | None = None
    rows_B: Tensor | None = None

    @property
    def size(self) -> int:
        return self.inputs.shape[0]

    def count(self) -> int:
        """Number of scored targets."""
        if self.valid_BT is not None:
            return int(self.valid_BT.sum())
        return self.targets.shape[0] * self.targets.shape[1]

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        def optional(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else function(tensor)

        return Batch(
            function(self.inputs),
            function(self.targets),
            optional(self.valid_BT),
            self.reset,
            self.lr_scale,
            optional(self.source),
            optional(self.source_valid_BS),
            optional(self.rows_B),
        )


@dataclass(frozen=True)
class TaskIO:
    """What a task tells the network about its data; never written in a config.

    `n_tokens` is the input vocabulary (None: real-valued inputs of `n_features`), `n_outputs` the classes or, where
    `real_outputs` says so, real numbers, `one_hot` whether the task's protocol feeds tokens one-hot rather than
    embedded, `selection` the metric on the valid split that picks the best checkpoint (lower is better). Translation
    reads `n_source_tokens` (None: the task has no source), which are the same tokens where the `shared_vocabulary` says
    so, and knows the ids of <pad>, <s> and </s>.
    """

    n_outputs: int
    n_tokens: int | None = None
    n_features: int | None = None
    one_hot: bool = False
    real_outputs: bool = False
    selection: str = "nll"
    n_source_tokens: int | None = None
    shared_vocabulary: bool = False
    pad: int = 0
    bos: int = 1
    eos: int = 2


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


class EncoderDecoder(nn.Module):
    """A model that reads a source and says a target. `encode(x, valid)` maps (B, S, d_input) features and what of them
    is no padding to (memory, aux). `decode(x, memory, state)` maps (B, T, d_input) features of the target so far to
    (y_BTD, state, aux), causally, and goes on from `state` (None: the start). Memory and state are batch-first pytrees,
    padding of the source changes nothing (with an equilibrium, no more than its solver's tolerance), D is `d_output`,
    and aux is as a backbone's: a backbone knows no padding, so what it means over positions counts padded ones, too.

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


class Head(nn.Module):
    """What turns features into a loss and a distribution: `readout` first, where there is one, applied by the network
    to what a position's features are; then the methods, which take what it gives (z), or the features themselves.

    A constructor that takes `embedding`, the network's or None, shares its weights (network.tied).
    """

    of_reals: bool = False  # whether targets are real numbers, not classes

    @property
    def readout(self) -> nn.Linear | None:
        return None

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) losses of the scored targets in the task's unit."""
        raise NotImplementedError

    def log_probs(self, z_NC: Tensor) -> Tensor:
        """(N, C) log-probabilities of classes; a head for real targets has none."""
        raise NotImplementedError

    def after_step(self, gather: Gather) -> None:
        """Called once after every optimizer step, for projections and counters."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that an optimizer may treat apart; their learning rate is `lr_scale` times the optimizer's."""

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0


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
