"""Hebbian softmax: rows of rare words learn at once from their features (Rae et al. 2018, arXiv 1803.10049).

Rae, Dyer, Dayan, Lillicrap 2018.

After each optimizer step, for every class y among its targets, with h_y the mean feature over y's positions:

    V[y] <- lambda_y h_y + (1 - lambda_y) V[y]        lambda_y = max(1 / c_y, floor) while c_y < until, then 0

c_y counts the steps that y occurred in, this one included: a class's first features become its row, so what is rare is
learnt from few examples; the gradient takes over with practice.

Shapes: N targets, D features, K distinct classes among them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.peers import Peers
from seqbench.contracts.ranges import Count, NotNegative, NotNegativeInt, Share
from seqbench.heads.softmax import Softmax


class Hebbian(Softmax):
    """`Softmax` whose rows move towards the features of their words.

    - `floor` is the paper's gamma, the smallest share of a feature that is mixed in.
    - `until` is its T; with 0 this is `Softmax`, bit for bit.
    - `rescale` gives h_y the norm of V[y] before it is mixed in.
    - The other arguments are `Softmax`'s.
    """

    def __init__(
        self,
        d_input: int,
        n_outputs: int,
        bias: bool = True,
        init_range: NotNegative | None = None,
        vocab_chunk: Count | None = None,
        target_chunk: Count | None = None,
        floor: Share = 0.01,
        until: NotNegativeInt = 500,
        rescale: bool = False,
        embedding: nn.Module | None = None,
    ):
        super().__init__(d_input, n_outputs, bias, init_range, vocab_chunk, target_chunk, embedding=embedding)
        self.floor, self.until, self.rescale = floor, until, rescale
        self.steps_seen: Tensor
        self.register_buffer("steps_seen", torch.zeros(n_outputs, dtype=torch.long))
        self._seen: list[tuple[Tensor, Tensor]] = []  # features and targets of this step, a pair for each batch

    @property
    def readout(self) -> nn.Linear | None:
        return None  # the features are needed here

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        if self.training and self.until > 0:
            self._seen.append((z_NC.detach(), target_N))
        return super().losses(z_NC, target_N)

    @torch.no_grad()
    def after_step(self, peers: Peers) -> None:
        if not self._seen:
            return
        h_ND = peers.gather(torch.cat([h_ND for h_ND, _ in self._seen]).to(self.linear.weight.dtype))
        target_N = peers.gather(torch.cat([target_N for _, target_N in self._seen]))
        self._seen.clear()
        class_K, index_N, count_K = target_N.unique(return_inverse=True, return_counts=True)
        sum_KD = h_ND.new_zeros(len(class_K), h_ND.shape[1]).index_add_(0, index_N, h_ND)
        mean_KD = sum_KD / count_K[:, None]
        self.steps_seen[class_K] += 1
        row_KD = self.linear.weight[class_K]
        if self.rescale:
            mean_KD *= row_KD.norm(dim=1, keepdim=True) / mean_KD.norm(dim=1, keepdim=True).clamp_min(1e-12)
        seen_K = self.steps_seen[class_K]
        share_K = (1 / seen_K).clamp_min(self.floor).where(seen_K < self.until, 0.0).to(h_ND.dtype)
        self.linear.weight[class_K] = torch.lerp(row_KD, mean_KD, share_K[:, None])
