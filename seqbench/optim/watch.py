"""What passes through each weight of a learner while it is trained: inputs, and gradients of outputs.

A weight is seen where it multiplies by `F.linear`, `F.conv1d`, `F.conv2d` or `F.embedding`, in a module or not; torch's
LSTM and GRU are unfused for it (plain.py).

Shapes: N samples, P positions of a sample, A inputs (with a constant 1 for the bias), O outputs of a map.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seqbench.contracts.batch import Batch
from seqbench.optim.plain import unfused


@dataclass(frozen=True)
class Use:
    """One use of `weight` in a pass: its `inputs` (N, P, A), or an embedding's ids (N, P), and the gradients of its
    outputs, of the scaled loss.

    A sample is a row of the batch where the input's first axis is the batch: its positions are a sequence's steps or an
    image's places, over which the row's gradient is a sum. Where rows and steps are flattened together before the map,
    as a head gets them, each position is a sample of its own. Uses in one pass of as many samples are of the same ones.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    inputs: Tensor
    grads_NPO: Tensor
    n_pass: int

    @property
    def is_table(self) -> bool:
        return not self.inputs.is_floating_point()


class Watch:
    """Notes the uses of `weights` in every training pass of `learner`, until they are taken."""

    def __init__(self, learner: nn.Module, weights: Iterable[nn.Parameter]):
        self._weights = {id(weight) for weight in weights}
        self._uses: list[Use] = []
        self._n_passes = 0
        self._open = contextlib.ExitStack()
        learner.register_forward_pre_hook(self._enter)
        learner.register_forward_hook(self._leave, prepend=True, always_call=True)  # nested as they were entered

    def take(self) -> list[Use]:
        """The uses since the last call, of those that a gradient has reached."""
        uses, self._uses = self._uses, []
        return uses

    def _enter(self, learner: nn.Module, args: tuple[Batch, Any]) -> None:
        if learner.training and torch.is_grad_enabled():
            self._n_passes += 1
            self._open.enter_context(_Seeing(self._weights, self._note, args[0].size))
            self._open.enter_context(unfused())

    def _leave(self, learner: nn.Module, args: Any, output: Any) -> None:
        self._open.close()

    def _note(self, weight: nn.Parameter, bias: nn.Parameter | None, inputs: Tensor) -> Callable[[Tensor], None]:
        """What is to be called with the gradients."""
        n_pass = self._n_passes
        return lambda grads_NPO: self._uses.append(Use(weight, bias, inputs, grads_NPO, n_pass))


class _Seeing(TorchFunctionMode):
    def __init__(self, weights: set[int], note: Callable[..., Callable[[Tensor], None]], n_rows: int):
        super().__init__()
        self.weights, self.note, self.n_rows = weights, note, n_rows

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in (F.linear, F.conv1d, F.conv2d, F.embedding) and output.requires_grad and id(args[1]) in self.weights:
            self._note(func, output, *args, **(kwargs or {}))
        return output

    def _note(self, func: Any, output: Tensor, x: Tensor, weight: nn.Parameter, bias: Any = None, *rest: Any, **more):
        x = x.detach()
        if func is F.embedding:
            keep = self.note(weight, None, self._positions(x.unsqueeze(-1)).squeeze(-1))
            output.register_hook(lambda grad: keep(self._positions(grad)))
            return
        bias = bias if id(bias) in self.weights else None
        if func is F.linear:
            keep = self.note(weight, bias, _with_one(self._positions(x), bias))
            output.register_hook(lambda grad: keep(self._positions(grad)))
            return
        patches_NPA = _patches(x, weight, *rest, **more)
        if patches_NPA is not None:
            keep = self.note(weight, bias, _with_one(patches_NPA, bias))
            output.register_hook(lambda grad: keep(grad.flatten(2).transpose(1, 2)))

    def _positions(self, x: Tensor) -> Tensor:
        if x.dim() > 2 and len(x) == self.n_rows:
            return x.flatten(1, -2)
        return x.unsqueeze(1) if x.dim() == 2 else x.flatten(0, -2).unsqueeze(1)


def _patches(x: Tensor, weight: Tensor, stride=1, padding=0, dilation=1, groups=1) -> Tensor | None:
    """(N, P, A): what the kernel sees at each place; None for a convolution in groups."""
    if groups != 1 or isinstance(padding, str):
        return None
    if weight.dim() == 3:  # a convolution over time is one over images of one line
        stride, padding, dilation = (_line(size, other) for size, other in ((stride, 1), (padding, 0), (dilation, 1)))
        x, weight = x.unsqueeze(2), weight.unsqueeze(2)
    return F.unfold(x, weight.shape[2:], dilation, padding, stride).transpose(1, 2)


def _line(size: Any, other: int) -> tuple[int, int]:
    return other, size if isinstance(size, int) else size[0]


def _with_one(x_NPA: Tensor, bias: Tensor | None) -> Tensor:
    return x_NPA if bias is None else F.pad(x_NPA, (0, 1), value=1.0)
