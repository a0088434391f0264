"""What the learners that are assembled of parts have in common: embeddings before a model, a head after it.

Shapes: B batch, T time, D features, N scored targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.batch import Batch
from seqbench.contracts.embedding import Embedding
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.head import Head
from seqbench.contracts.inputs_outputs import Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.peers import Peers


class Assembled(Learner):
    """A learner around `backbone`, which says for both what they are: causal, streaming ... `dropout_words` drops whole
    words, `dropout_input` features of an embedding, `dropout_output` those that the head reads."""

    def __init__(
        self,
        backbone: Backbone | EncoderDecoder,
        head: Head,
        dropout_words: float = 0.0,
        dropout_input: float = 0.0,
        dropout_output: float = 0.0,
    ):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.dropout_words = dropout_words
        self.dropout_input = dropout_input
        self.dropout_output = dropout_output
        self.causal, self.streams = backbone.causal, backbone.streams
        self.couples_rows, self.touches_all = backbone.couples_rows, backbone.touches_all

    def parts(self) -> Sequence[Backbone]:
        """The backbones that are told of steps and asked for diagnostics."""
        raise NotImplementedError

    def head_losses(self, y_ND: Tensor, target_N: Tensor) -> Tensor:
        """(N,) losses of targets, given features."""
        return self.head.losses(self._read_out(y_ND), target_N)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return self.backbone.parameter_groups()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """Those of all parts; those of one name are added."""
        sums: dict[str, tuple[float, float]] = {}
        for part in self.parts():
            for name, (total, count) in part.diagnostics().items():
                before = sums.get(name, (0.0, 0.0))
                sums[name] = (before[0] + total, before[1] + count)
        return sums

    def after_step(self, peers: Peers) -> None:
        for part in self.parts():
            part.after_step(peers)
        self.head.after_step(peers)

    def _embed(self, table: Embedding, inputs_BT: Tensor) -> Tensor:
        """The features of the inputs, with dropout of words and of features where they are embedded."""
        x_BTD = table(inputs_BT)
        if not x_BTD.is_floating_point():
            return x_BTD
        if self.dropout_words and self.training and table.dense:
            x_BTD = x_BTD * word_mask(inputs_BT, self.dropout_words, x_BTD.dtype)
        return F.dropout(x_BTD, self.dropout_input, self.training) if self.dropout_input else x_BTD

    def _read_out(self, y: Tensor) -> Tensor:
        y = F.dropout(y, self.dropout_output, self.training)
        return y if self.head.readout is None else self.head.readout(y)


def word_mask(ids_BT: Tensor, probability: float, dtype: torch.dtype) -> Tensor:
    """(B, T, 1) factors that drop whole words: every occurrence of one in the batch, or none (Gal and Ghahramani 2016,
    arXiv 1512.05287)."""
    words, index_BT = ids_BT.unique(return_inverse=True)
    stays = torch.rand(len(words), device=ids_BT.device) >= probability
    return (stays.to(dtype) / (1 - probability))[index_BT].unsqueeze(-1)


def select(y_BTD: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Features and targets of the scored positions, both flattened: (N, D) and (N, ...), in either order of axes."""
    if batch.valid_BT is not None:
        return y_BTD[batch.valid_BT], batch.targets[batch.valid_BT]
    if y_BTD.stride(0) < y_BTD.stride(1):  # time comes first in memory: flattened that way, y need not be copied
        return y_BTD.transpose(0, 1).flatten(0, 1), batch.targets.transpose(0, 1).flatten(0, 1)
    return y_BTD.flatten(0, 1), batch.targets.flatten(0, 1)


def require_fit(head: Head, outputs: Outputs) -> None:
    """Raise `ValueError` for a head that does not take the task's kind of outputs."""
    words = {"classes": "classes", "reals": "real numbers", "densities": "densities", "bits": "bits", "none": "nothing"}
    if outputs.kind not in head.kinds:
        raise ValueError(
            f"{type(head).__name__} is a head for {' or '.join(words[kind] for kind in head.kinds)}, and this task's "
            f"outputs are {words[outputs.kind]}"
        )


def shared_table(embedding: Embedding, tied: bool) -> nn.Module | None:
    """The embedding that a head shares where `tied`. Raises `ValueError` if there is none to share."""
    if tied and not embedding.dense:
        raise ValueError("network.tied=true needs an embedding to share, and this task's inputs have none")
    return embedding if tied else None
