"""Group normalisation (Wu, He 2018, arXiv 1803.08494).

y = (x - mean) / sqrt(var + eps) * g + b,   mean and variance over a group of features and, in an image, all positions
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.norm import Norm
from seqbench.contracts.ranges import Count, Positive


class GroupNorm(nn.GroupNorm, Norm):
    """(..., d_input) -> (..., d_input): `n_groups` groups of neighbouring features at each position; a convolutional
    network calls `of_images`. `affine`: with the trained gain g, from 1, and bias b, from 0, of each feature."""

    def __init__(self, d_input: int, n_groups: Count = 2, eps: Positive = 1e-5, affine: bool = True):
        if d_input % n_groups:
            raise ValueError(f"n_groups={n_groups} does not divide the {d_input} features")
        super().__init__(n_groups, d_input, eps, affine)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)

    def of_images(self, x_SND: Tensor) -> Tensor:
        """Statistics over the S positions of each of N images."""
        x_NDS = F.group_norm(x_SND.permute(1, 2, 0), self.num_groups, self.weight, self.bias, self.eps)
        return x_NDS.permute(2, 0, 1)
