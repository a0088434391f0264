"""LeNet-5: two convolutions with pooling, then linear layers (LeCun, Bottou, Bengio, Haffner 1998).

With the first convolution padded, as images of 28 x 28 pixels need it, and with rectifiers and max-pooling where the
paper has tanh and averages; the paper's partial connections and its radial output units are left out, as in most code.

Shapes: B batch, T time, D pixels, M = B T images of H x W.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count


class LeNet(Backbone):
    """x (B, T, d_input), an image a step, or ids (B, T) -> y (B, T, the last of `sizes`). There is no state.

    - `channels` of the two convolutions, with kernels of `kernel` x `kernel`.
    - `sizes` of the linear layers before the head.
    - `image`: height and width; null: the pixels are a square.
    """

    streams = False

    def __init__(
        self,
        d_input: int,
        channels: Sequence[Count] = (6, 16),
        kernel: Count = 5,
        sizes: Sequence[Count] = (120, 84),
        image: Sequence[Count] | None = None,
    ):
        super().__init__()
        self.image = list(image or [math.isqrt(d_input)] * 2)
        if len(self.image) != 2 or math.prod(self.image) != d_input:
            raise ValueError(
                f"an image of {' x '.join(map(str, self.image))} pixels is not the {d_input} inputs of a step"
            )
        if len(channels) != 2 or not sizes:
            raise ValueError("LeNet has two convolutions and a linear layer at least")
        first, second = channels
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, first, kernel, padding=kernel // 2), nn.Conv2d(first, second, kernel)]
        )
        places = [math.ceil((math.ceil(size / 2) - kernel + 1) / 2) for size in self.image]
        if min(places) < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is odd and fits into half an image, not {kernel}")
        self.layers = nn.ModuleList(nn.Linear(*widths) for widths in pairwise([second * math.prod(places), *sizes]))
        self.d_output = sizes[-1]

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        x_BTD = x if x.is_floating_point() else F.one_hot(x, math.prod(self.image)).to(next(self.parameters()).dtype)
        h_MCHW = x_BTD.reshape(-1, 1, *self.image)
        for convolution in self.convolutions:
            h_MCHW = F.max_pool2d(F.relu(convolution(h_MCHW)), 2, ceil_mode=True)
        h_MD = h_MCHW.flatten(1)
        for layer in self.layers:
            h_MD = F.relu(layer(h_MD))
        return h_MD.view(*x_BTD.shape[:2], self.d_output), None, None
