"""A density of real numbers: a mixture of Gaussians with diagonal covariances (Bishop 1994).

As networks of sequences have it since Graves 2013, arXiv 1308.0850:

    p(x | y) = sum_k pi_k prod_r N(x_r; mu_kr, sigma_kr^2)      pi = softmax(a), sigma = softplus(s) + min_deviation

with a (K), mu and s (K, R) each a linear function of the features y.

Shapes: N targets, D features, R numbers of a target, K components, C = K (1 + 2 R).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.ranges import Count, Positive
from seqbench.heads.linear import LinearHead

DEVIATION = 0.6  # of every component at first, as in the code of Chung et al. 2015 (arXiv 1506.02216)


class Mixture(LinearHead):
    """`n_components` Gaussians, whose means lie apart at first so that they can specialise.

    `min_deviation` bounds the density from above: without it, numbers that occur again and again have an infinite one.
    """

    kinds = ("densities",)

    def __init__(self, d_input: int, n_outputs: int, n_components: Count = 20, min_deviation: Positive = 1e-4):
        super().__init__(d_input, n_components * (1 + 2 * n_outputs))
        self.n_components, self.min_deviation = n_components, min_deviation
        _, means_KR, spreads_KR = (part[0] for part in self._parts(self.linear.bias.detach()[None]))
        nn.init.normal_(means_KR)
        nn.init.constant_(spreads_KR, math.log(math.expm1(DEVIATION)))

    def losses(self, z_NC: Tensor, target_NR: Tensor) -> Tensor:
        """(N,) negative log-densities in nats, each summed over a target's R numbers."""
        z_NC = z_NC.double() if z_NC.element_size() == 8 else z_NC.float()
        logit_NK, mean_NKR, spread_NKR = self._parts(z_NC)
        deviation_NKR = F.softplus(spread_NKR) + self.min_deviation
        scaled_NKR = (target_NR[:, None].to(z_NC.dtype) - mean_NKR) / deviation_NKR
        log_density_NK = -(0.5 * (scaled_NKR.square() + math.log(2 * math.pi)) + deviation_NKR.log()).sum(-1)
        return -torch.logsumexp(logit_NK.log_softmax(-1) + log_density_NK, -1)

    def _parts(self, z_NC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, K), means and what makes deviations (N, K, R): views."""
        logit_NK, rest = z_NC.tensor_split([self.n_components], -1)
        mean_NKR, spread_NKR = rest.unflatten(-1, (2, self.n_components, -1)).unbind(1)
        return logit_NK, mean_NKR, spread_NKR
