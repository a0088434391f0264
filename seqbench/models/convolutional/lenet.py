"""LeNet-5: two convolutions with pooling, then linear layers (LeCun, Bottou, Bengio, Haffner 1998).

With the first convolution padded, as images of 28 x 28 pixels need it, and with rectifiers and max-pooling where the
paper has tanh and averages; the paper's partial connections and its radial output units are left out, as in most code.
Its layers may be normalised, before the nonlinearity.

Shapes: B batch, T time, D pixels or features, M = B T images of C channels, H x W pixels, which are S positions,
P public images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.norm import Norm
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count
from seqbench.models.cells.norm.feed_forward import FeedForwardNorms
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.norm.of_batch import estimate_population


class LeNet(Backbone):
    """x (B, T, d_input), an image a step, or ids (B, T) -> y (B, T, the last of `sizes`). There is no state.

    - `channels` of the two convolutions, with kernels of `kernel` x `kernel`.
    - `sizes` of the linear layers before the head.
    - `image`: height and width; null: the pixels are a square.
    - `norm` of each layer, of a convolution's channels at each pixel: h = f(N(W h) + b). Batch and group normalisation
      take their statistics over all pixels.
    - `public` (P, T, d_input): images that a norm may take its statistics from.
    """

    streams = False
    carries_norms = True

    def __init__(
        self,
        d_input: int,
        channels: Sequence[Count] = (6, 16),
        kernel: Count = 5,
        sizes: Sequence[Count] = (120, 84),
        image: Sequence[Count] | None = None,
        norm: Callable[..., Norm] = NoNorm,
        peers: Peers | None = None,
        public: Tensor | None = None,
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
        self.norms = FeedForwardNorms(norm, [*channels, *sizes], public is not None, peers)
        self.couples_rows = self.norms.couples_rows
        has_bias = self.norms.is_none
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(1, first, kernel, padding=kernel // 2, bias=has_bias),
                nn.Conv2d(first, second, kernel, bias=has_bias),
            ]
        )
        places = [math.ceil((math.ceil(size / 2) - kernel + 1) / 2) for size in self.image]
        if min(places) < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is odd and fits into half an image, not {kernel}")
        self.layers = nn.ModuleList(
            nn.Linear(*widths, bias=has_bias) for widths in pairwise([second * math.prod(places), *sizes])
        )
        self.d_output = sizes[-1]
        self.public_P1HW: Tensor | None
        images = None if public is None else public.reshape(-1, 1, *self.image)
        self.register_buffer("public_P1HW", images, persistent=False)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        x_BTD = x if x.is_floating_point() else F.one_hot(x, math.prod(self.image)).to(next(self.parameters()).dtype)
        flows = [x_BTD.reshape(-1, 1, *self.image)]
        if self.norms.is_public and self.public_P1HW is not None:
            flows.append(self.public_P1HW.to(x_BTD.dtype))
        for index, convolution in enumerate(self.convolutions):
            products = self._normalised(index, [convolution(h_MCHW) for h_MCHW in flows])
            flows = [F.max_pool2d(F.relu(z_MCHW), 2, ceil_mode=True) for z_MCHW in products]
        flows = [h_MCHW.flatten(1)[None] for h_MCHW in flows]
        for index, layer in enumerate(self.layers, len(self.convolutions)):
            flows = [F.relu(z_1MD) for z_1MD in self.norms(index, [layer(h_1MD) for h_1MD in flows])]
        return flows[0].view(*x_BTD.shape[:2], self.d_output), None, None

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        estimate_population(self, passes)

    def _normalised(self, index: int, flows: list[Tensor]) -> list[Tensor]:
        """The products of a convolution (M, C, H, W), normalised as (S, M, C)."""
        if self.norms.is_none:
            return flows
        height, width = flows[0].shape[2:]
        products = self.norms(index, [z_MCHW.flatten(2).permute(2, 0, 1) for z_MCHW in flows])
        return [z_SMC.permute(1, 2, 0).unflatten(2, (height, width)) for z_SMC in products]
