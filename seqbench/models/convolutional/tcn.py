"""Temporal convolutional network (Bai, Kolter, Koltun 2018, arXiv 1803.01271; details as in the authors' code).

    block i:  h = drop(relu(conv(drop(relu(conv(x))))))      y = relu(h + x)      both convolutions causal, dilation 2^i

x passes through a 1 x 1 convolution first where widths differ. Weights are normed (w = g v / ||v|| for each output
channel) and start as torch initialises convolutions: the authors' N(0, 0.01) is written to w, which g and v replace at
once, so no run of theirs had it. The 1 x 1 convolutions are not normed, and there it holds.

Shapes: B batch, T time, C channels, k kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import AtLeast, Count, Dropout


class TCN(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, last of `channels`). One block for each of `channels`; an output sees
    1 + 2 (kernel - 1) (2^blocks - 1) inputs. State: for each convolution its last (k - 1) 2^i inputs."""

    def __init__(
        self,
        d_input: int,
        channels: Sequence[Count],
        kernel: Annotated[int, AtLeast(2)],
        dropout: Dropout = 0.0,
    ):
        super().__init__()
        if not channels:
            raise ValueError("channels lists one width a block and is empty")
        self.d_output, self._d_input = channels[-1], d_input
        widths = [d_input, *channels]
        self.blocks = nn.ModuleList(
            _Block(before, after, kernel, 2**index, dropout)
            for index, (before, after) in enumerate(zip(widths[:-1], channels, strict=True))
        )

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        if not x.is_floating_point():
            x = F.one_hot(x, self._d_input).to(next(self.parameters()).dtype)
        x_BCT, new_state = x.transpose(1, 2), []
        for index, block in enumerate(self.blocks):
            before = (None, None) if state is None else state[2 * index : 2 * index + 2]
            x_BCT, *after = block(x_BCT, *before)
            new_state += after
        return x_BCT.transpose(1, 2), tuple(new_state), None


class _Block(nn.Module):
    def __init__(self, d_input: int, d_output: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.first = nn.Conv1d(d_input, d_output, kernel, dilation=dilation)
        self.second = nn.Conv1d(d_output, d_output, kernel, dilation=dilation)
        for layer in (self.first, self.second):
            parametrizations.weight_norm(layer, dim=0)
        self.project = nn.Identity() if d_input == d_output else nn.Conv1d(d_input, d_output, 1)
        if isinstance(self.project, nn.Conv1d):
            nn.init.normal_(self.project.weight, std=0.01)
        self.reach, self.dropout = (kernel - 1) * dilation, dropout

    def forward(
        self, x_BCT: Tensor, first_BTC: Tensor | None, second_BTC: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        h_BCT, first_BTC = self._convolved(self.first, x_BCT, first_BTC)
        h_BCT, second_BTC = self._convolved(self.second, h_BCT, second_BTC)
        return F.relu(h_BCT + self.project(x_BCT)), first_BTC, second_BTC

    def _convolved(self, layer: nn.Conv1d, x_BCT: Tensor, before_BTC: Tensor | None) -> tuple[Tensor, Tensor]:
        """One causal layer, and its last inputs, (B, reach, C)."""
        if before_BTC is None:
            seen_BCT = F.pad(x_BCT, (self.reach, 0))
        else:
            seen_BCT = torch.cat([before_BTC.transpose(1, 2).to(x_BCT.dtype), x_BCT], 2)
        after_BTC = seen_BCT[:, :, x_BCT.shape[2] :].transpose(1, 2).clone()  # a view would keep all of `seen`
        if x_BCT.shape[2] == 0:
            return x_BCT.new_zeros(len(x_BCT), layer.out_channels, 0), after_BTC
        return F.dropout(F.relu(layer(seen_BCT)), self.dropout, self.training), after_BTC
