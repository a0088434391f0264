"""ConvARMA: an ARMA cell of convolutions, for series of images (Schiele, Berninger, Rügamer 2022, arXiv 2208.14919).

    v_t = f(sum_{i=1..p} a_i * (y_{t-i} conv K_i + c_i) + sum_{j=1..q} m_j * (v_{t-j} conv R_j + d_j) + b)

a_i and m_j are one number a unit. Layers lie one above the other, each with lags of its own, and a last convolution
turns the units of the top one into a frame. Convolutions keep the size of a frame; before the sequence y and v are
zero.

Spatial differences: what each pixel differs by from the one s pixels before and after it in its column, and in its
row, are channels beside a frame's; where there is no such pixel they are zero. In the authors' code two of the four,
those with a pixel that comes after, are zero everywhere but in the first s rows or columns.

Shapes: B batch, T time, C channels, H, W a frame, U units, p, q lags, D = H W C numbers of a frame in that order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, OneOf

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "linear": lambda a: a}
SHIFTS = ((1, 2), (-1, 2), (1, 3), (-1, 3))  # sign, and the axis of (M, C, H, W)


class ConvARMA(Backbone):
    """x (B, T, d_input), a frame a step, or ids (B, T) -> y (B, T, d_input), of which a head makes the next frame.
    State: per layer the last frames that it read (B, p - 1, C, H, W) and gave (B, q, U, H, W).

    - `frame`: height, width and channels; their product is d_input.
    - `layers`: units, p and q of each.
    - `kernel`: side of all convolutions, odd.
    - `differences`: shift s of the spatial differences; null: none.
    - `released_differences`: as the authors' code has them.

    Weights start by Glorot's uniform as Keras has it for these shapes, biases at zero. The R are the parameter group
    "recurrent".
    """

    def __init__(
        self,
        d_input: int,
        frame: Sequence[Count],
        layers: Sequence[Sequence[Count]],
        kernel: Count = 3,
        activation: Annotated[str, OneOf(*ACTIVATIONS)] = "relu",
        differences: Count | None = None,
        released_differences: bool = False,
    ):
        super().__init__()
        if len(frame) != 3 or math.prod(frame) != d_input:
            raise ValueError(f"a frame of {' x '.join(map(str, frame))} numbers is not the {d_input} inputs of a step")
        if not layers or any(len(layer) != 3 for layer in layers):
            raise ValueError("layers are [units, p, q] each, and one at least")
        if kernel % 2 == 0:
            raise ValueError(f"kernel is odd, so that a frame keeps its size, not {kernel}")
        self.height, self.width, n_channels = frame
        if released_differences and differences is None:
            raise ValueError("released_differences=true has no effect without differences")
        if differences is not None and differences >= min(self.height, self.width):
            raise ValueError(f"differences={differences} moves a frame of {self.height} x {self.width} out of itself")
        self.differences, self.released = differences, released_differences
        widths = [n_channels * (1 if differences is None else 5), *(n_units for n_units, _, _ in layers)]
        self.layers = nn.ModuleList(
            ConvARMALayer(below, n_units, p, q, kernel, activation)
            for below, (n_units, p, q) in zip(widths, layers, strict=False)
        )
        self.readout = nn.Conv2d(widths[-1], n_channels, kernel, padding=kernel // 2)
        nn.init.xavier_uniform_(self.readout.weight)
        assert self.readout.bias is not None
        nn.init.zeros_(self.readout.bias)
        self.d_input = self.d_output = d_input

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        if not x.is_floating_point():
            x = F.one_hot(x, self.d_input).to(self.readout.weight.dtype)
        n_rows, n_steps = x.shape[:2]
        x_MCHW = x.reshape(n_rows * n_steps, self.height, self.width, -1).movedim(-1, 1)
        if self.differences is not None:
            x_MCHW = spatial_differences(x_MCHW, self.differences, self.released)
        y_BTCHW, ends = x_MCHW.unflatten(0, (n_rows, n_steps)), []
        for index, layer in enumerate(self.layers):
            y_BTCHW, end = layer(y_BTCHW, None if state is None else state[index])
            ends.append(end)
        frames_MCHW = self.readout(y_BTCHW.flatten(0, 1))
        return frames_MCHW.movedim(1, -1).reshape(n_rows, n_steps, self.d_output), tuple(ends), None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        recurrent = [layer.R for layer in self.layers if isinstance(layer, ConvARMALayer)]
        return {"recurrent": ParameterGroup(recurrent, recurrent=True)}


class ConvARMALayer(nn.Module):
    """x (B, T, C, H, W) -> v (B, T, U, H, W), with the state of one layer. Parameters: K (U, p, C, k, k), R
    (U, q, U, k, k), a and c (U, p), m and d (U, q), and b (U,)."""

    def __init__(self, n_channels: int, n_units: int, p: int, q: int, kernel: int, activation: str):
        super().__init__()
        self.activation, self.padding = ACTIVATIONS[activation], kernel // 2
        self.K = nn.Parameter(torch.empty(n_units, p, n_channels, kernel, kernel))
        self.R = nn.Parameter(torch.empty(n_units, q, n_units, kernel, kernel))
        self.a, self.m = nn.Parameter(torch.empty(n_units, p)), nn.Parameter(torch.empty(n_units, q))
        self.c, self.d = nn.Parameter(torch.zeros(n_units, p)), nn.Parameter(torch.zeros(n_units, q))
        self.b = nn.Parameter(torch.zeros(n_units))
        for weight, scale in ((self.K, self.a), (self.R, self.m)):
            # Keras takes the last two axes of (k, k, channels, lags, units) for inputs and outputs
            lags_and_units = weight.shape[0] + weight.shape[1]
            bound = math.sqrt(6 / (kernel * kernel * weight.shape[2] * lags_and_units))
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(scale, -math.sqrt(6 / lags_and_units), math.sqrt(6 / lags_and_units))

    def forward(self, x_BTCHW: Tensor, state: State) -> tuple[Tensor, State]:
        (n_rows, n_steps), (n_units, p, q) = x_BTCHW.shape[:2], (len(self.K), self.K.shape[1], self.R.shape[1])
        if state is None:
            before_BNCHW = x_BTCHW.new_zeros(n_rows, p - 1, *x_BTCHW.shape[2:])
            v_BqUHW = x_BTCHW.new_zeros(n_rows, q, n_units, *x_BTCHW.shape[3:])
        else:
            before_BNCHW, v_BqUHW = state
        # a_i (y conv K_i + c_i) = y conv (a_i K_i) + a_i c_i: one convolution of all lags as channels
        K = (self.a[..., None, None, None] * self.K).flatten(1, 2)
        R = (self.m[..., None, None, None] * self.R).flatten(1, 2)
        bias_U = (self.a * self.c).sum(1) + (self.m * self.d).sum(1) + self.b
        x_BNCHW = torch.cat([before_BNCHW, x_BTCHW], 1)
        lagged = torch.cat([x_BNCHW[:, p - 1 - lag :][:, :n_steps] for lag in range(p)], 2)
        fixed = F.conv2d(lagged.flatten(0, 1), K, bias_U, padding=self.padding).unflatten(0, (n_rows, n_steps))
        history, outputs = [*v_BqUHW.unbind(1)], []  # the newest first
        for fixed_BUHW in fixed.unbind(1):
            v_BUHW = self.activation(fixed_BUHW + F.conv2d(torch.cat(history, 1), R, padding=self.padding))
            history = [v_BUHW, *history[:-1]]
            outputs.append(v_BUHW)
        return torch.stack(outputs, 1), (x_BNCHW[:, n_steps:], torch.stack(history, 1))


def spatial_differences(x_MCHW: Tensor, shift: int, as_released: bool = False) -> Tensor:
    """(M, 5 C, H, W): the frames, and what each pixel differs by from the one `shift` before and after it in its
    column, and in its row; zero where there is none."""
    parts = [x_MCHW]
    for sign, axis in SHIFTS:
        difference = x_MCHW - x_MCHW.roll(sign * shift, axis)
        size = x_MCHW.shape[axis]
        position = torch.arange(size, device=x_MCHW.device)
        if sign > 0:
            inside = position >= shift
        else:
            inside = position < (shift if as_released else size - shift)
        parts.append(torch.where(inside.view(-1, *[1] * (3 - axis)), difference, 0.0))
    return torch.cat(parts, 1)
