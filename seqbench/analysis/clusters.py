"""k-means: points in clusters around their means (Lloyd 1982), begun by k-means++ (Arthur and Vassilvitskii 2007).

Shapes: N points, K clusters, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def k_means(points_ND: Tensor, n_clusters: int, seed: int, most_steps: int = 100) -> tuple[Tensor, Tensor]:
    """The cluster of each point (N,) and the means (K, D). K is smaller than `n_clusters` where there are fewer
    different points. The same points and seed give the same clusters."""
    centres_KD = _spread(points_ND, n_clusters, torch.Generator().manual_seed(seed))
    cluster_N = torch.cdist(points_ND, centres_KD).argmin(1)
    for _ in range(most_steps):
        n_points_K = cluster_N.bincount(minlength=len(centres_KD))
        sums_KD = torch.zeros_like(centres_KD).index_add_(0, cluster_N, points_ND)
        means_KD = sums_KD / n_points_K.clamp_min(1).unsqueeze(1)
        centres_KD = torch.where((n_points_K > 0).unsqueeze(1), means_KD, centres_KD)  # an empty cluster stays
        nearest_N = torch.cdist(points_ND, centres_KD).argmin(1)
        if torch.equal(nearest_N, cluster_N):
            break
        cluster_N = nearest_N
    return cluster_N, centres_KD


def _spread(points_ND: Tensor, n_clusters: int, generator: torch.Generator) -> Tensor:
    """Points of which each further one is drawn with a probability that grows with the squared distance to those
    before it."""
    first = int(torch.randint(len(points_ND), (), generator=generator))
    centres = [points_ND[first]]
    squared_N = (points_ND - centres[0]).square().sum(1)
    while len(centres) < n_clusters and float(squared_N.max()) > 0:
        chosen = int(torch.multinomial(squared_N.cpu(), 1, generator=generator))
        centres.append(points_ND[chosen])
        squared_N = torch.minimum(squared_N, (points_ND - centres[-1]).square().sum(1))
    return torch.stack(centres)
