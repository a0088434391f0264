"""Softmax over classes: one linear layer and the cross entropy.

Shapes: N targets, D features, C classes.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.head import Head
from seqbench.contracts.ranges import Between, Count, NotNegative
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.chunked import losses_by_targets, losses_by_words

FEW = 64  # on a CPU torch's softmax along so short a last axis is far slower than along a first axis


class Softmax(Head):
    """p(c | y) = softmax(V y + b).

    - `bias`: whether there is a b.
    - `init_range` r: V and b start in U(-r, r); null: Glorot's uniform and zero.
    - `vocab_chunk`, `target_chunk`: the loss is computed over so many classes, or for so many targets, at a time, and
      the (N, C) logits never exist (heads/chunked.py). At most one of the two is given.
    - `label_smoothing` e: the training loss is the cross entropy with 1 - e of the target and e of the uniform
      distribution over all C classes (Szegedy et al. 2016, arXiv 1512.00567). What is evaluated is the plain one.
    - `embedding`: a learned one of D columns is V itself.
    """

    def __init__(
        self,
        d_input: int,
        n_outputs: int,
        bias: bool = True,
        init_range: NotNegative | None = None,
        vocab_chunk: Count | None = None,
        target_chunk: Count | None = None,
        label_smoothing: Annotated[float, Between(0, 1, without_high=True)] = 0.0,
        embedding: nn.Module | None = None,
    ):
        super().__init__()
        if vocab_chunk is not None and target_chunk is not None:
            raise ValueError("one of vocab_chunk and target_chunk is null")
        self.label_smoothing = label_smoothing
        self.linear = nn.Linear(d_input, n_outputs, bias=bias)
        self.vocab_chunk, self.target_chunk = vocab_chunk, target_chunk
        for parameter in self.linear.parameters():
            if init_range is not None:
                nn.init.uniform_(parameter, -init_range, init_range)
            elif parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        if embedding is not None:
            tie(self.linear, embedding)

    @property
    def readout(self) -> nn.Linear | None:
        return self.linear if self.vocab_chunk is None and self.target_chunk is None else None

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) negative log-likelihoods in nats; smoothed while training."""
        e = self.label_smoothing if self.training else 0.0
        if e and self.readout is None:
            return self._plain(z_NC, target_N) + e * self._lead(z_NC, target_N)
        if e:
            log_p_NC = log_softmax(z_NC)
            return F.nll_loss(log_p_NC, target_N, reduction="none") * (1 - e) - e * log_p_NC.mean(1)
        return self._plain(z_NC, target_N)

    def _plain(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        if self.vocab_chunk is not None:
            return losses_by_words(z_NC, self.linear.weight, self.linear.bias, target_N, self.vocab_chunk)
        if self.target_chunk is not None:
            return losses_by_targets(z_NC, self.linear.weight, self.linear.bias, target_N, self.target_chunk)
        return F.nll_loss(self.log_probs(z_NC), target_N, reduction="none")

    def _lead(self, y_ND: Tensor, target_N: Tensor) -> Tensor:
        """(N,) the target's logit less the mean of all: what smoothing e adds to the loss, e times. It needs no other
        logits, for the mean is the mean row's."""
        with torch.autocast(y_ND.device.type, enabled=False):
            weight_CD, bias_C = self.linear.weight, self.linear.bias
            row_ND = F.embedding(target_N, weight_CD) - weight_CD.mean(0)
            lead_N = (y_ND.to(row_ND.dtype) * row_ND).sum(1)
            return lead_N if bias_C is None else lead_N + bias_C[target_N] - bias_C.mean()

    def log_probs(self, z_NC: Tensor) -> Tensor:
        """(N, C) log-probabilities."""
        return log_softmax(z_NC if self.readout is not None else self.linear(z_NC))


def log_softmax(z_NC: Tensor) -> Tensor:
    """Along the last axis, in float32 at least."""
    z_NC = z_NC.double() if z_NC.element_size() == 8 else z_NC.float()
    if z_NC.shape[-1] < FEW:
        return F.log_softmax(z_NC.T.contiguous(), dim=0).T
    return F.log_softmax(z_NC, dim=-1)


def tie(linear: nn.Linear, embedding: nn.Module) -> None:
    """One matrix for both (Press and Wolf 2017, arXiv 1608.05859; Inan et al. 2017, arXiv 1611.01462)."""
    if not isinstance(embedding, LearnedEmbedding):
        raise ValueError("tied weights need a learned embedding (embedding=learned)")
    if embedding.weight.shape != linear.weight.shape:
        raise ValueError(
            f"tied weights need the model's width, {linear.in_features}, to be embedding.d_embed, {embedding.d_output}"
        )
    linear.weight = embedding.weight
