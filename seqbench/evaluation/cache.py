"""Neural cache: words seen recently become more likely (Grave, Joulin, Usunier 2017, arXiv 1612.04426).

A word counts by how close the features were that it came after.

    p(w) = (1 - weight) p_model(w) + weight sum_i softmax_i(sharpness h_t . h_i) [w = x_{i+1}]    over the last `size` i

Shapes: B rows, T steps, M places of the cache, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Between, Count
from seqbench.contracts.task import Task
from seqbench.evaluation.protocols import Stream, require
from seqbench.learners.network import Network

_STEPS = 256  # scored at once, or as many as are remembered


class Cache(Evaluation):
    """`size` words are remembered; `weight` is the paper's lambda and `sharpness` its theta. Both are tuned on valid.
    `weight` 0 is plain evaluation."""

    category = "cache"
    context = "all that the model carries from the start"

    def __init__(self, size: Count, weight: Annotated[float, Between(0, 1, without_high=True)], sharpness: float):
        if size < 1 or not 0 <= weight < 1:
            raise ValueError("size is at least 1, and weight at least 0 and below 1")
        self.size, self.weight, self.sharpness = size, weight, sharpness
        self.memory = f"the last {size:,} features and their words"

    @torch.no_grad()
    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        require(task, Stream, self.category, "language modelling")
        assert isinstance(learner, Network)
        network = learner
        total, count, state, keys_BMD, words_BM = 0.0, 0, None, None, None
        for batch in batches:
            h_BTD, state = network.features(batch.inputs, None if batch.reset else state)
            losses = network.head_losses(h_BTD.flatten(0, 1), batch.targets.flatten())
            log_p_BT = -losses.view(batch.targets.shape).float()
            h_BTD = h_BTD.float()
            if keys_BMD is None or words_BM is None or batch.reset:
                keys_BMD, words_BM = h_BTD[:, :0], batch.targets[:, :0]
            # a window's scores would be as many as its steps squared
            pieces = [whole.split(max(self.size, _STEPS), 1) for whole in (log_p_BT, h_BTD, batch.targets)]
            for log_p_BT, h_BTD, word_BT in zip(*pieces, strict=True):
                keys_BMD, words_BM = torch.cat([keys_BMD, h_BTD], 1), torch.cat([words_BM, word_BT], 1)
                with torch.autocast(h_BTD.device.type, enabled=False):  # sharp scores need float32
                    log_p_BT = self._mixed(log_p_BT, h_BTD, keys_BMD, words_BM)
                total -= log_p_BT.double().sum()
                keys_BMD, words_BM = keys_BMD[:, -self.size :], words_BM[:, -self.size :]
            count += batch.count()
        return Findings({"nll": (float(total), count)})

    def _mixed(self, log_p_BT: Tensor, h_BTD: Tensor, keys_BMD: Tensor, words_BM: Tensor) -> Tensor:
        """Log-probabilities of a piece's words, which are the last T of `words_BM`, with the cache's share."""
        n_steps, n_places = h_BTD.shape[1], keys_BMD.shape[1]
        now_T = torch.arange(n_places - n_steps, n_places, device=h_BTD.device)[:, None]
        place_M = torch.arange(n_places, device=h_BTD.device)
        seen_TM = (place_M < now_T) & (place_M >= now_T - self.size)
        score_BTM = (self.sharpness * h_BTD @ keys_BMD.transpose(1, 2)).masked_fill(~seen_TM, -torch.inf)
        same_BTM = words_BM[:, None] == words_BM[:, -n_steps:, None]
        hit_BT = score_BTM.masked_fill(~same_BTM, -torch.inf).logsumexp(-1) - score_BTM.logsumexp(-1)
        mixed_BT = torch.logaddexp(log_p_BT + math.log1p(-self.weight), hit_BT + _log(self.weight))
        return mixed_BT.where(seen_TM.any(1), log_p_BT)  # nothing is cached before the first word


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf
