"""The network that is trained: embedding, backbone, head.

Shapes: B batch, T time, D features, N scored targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.batch import Batch
from seqbench.contracts.head import Gather, Head
from seqbench.contracts.pytree import State
from seqbench.contracts.task_io import TaskIO
from seqbench.heads.adaptive import AdaptiveEmbedding


class Network(nn.Module):
    """`forward(batch, state)` gives (loss_sum, state, aux): the loss summed over the batch's scored targets in the
    task's unit, the state that continues the sequence, and the backbone's auxiliary loss or None."""

    def __init__(
        self,
        embedding: nn.Module | None,
        backbone: Backbone,
        head: Head,
        dropout_words: float = 0.0,
        dropout_input: float = 0.0,
        dropout_output: float = 0.0,
    ):
        super().__init__()
        self.embedding = embedding
        self.backbone = backbone
        self.head = head
        self.dropout_words = dropout_words
        self.dropout_input = dropout_input
        self.dropout_output = dropout_output

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        x = self.embedded(batch.inputs)
        read = self._read(x, state)
        if read is not None:
            z_BTC, state, aux = read
            return self.head.losses(*select(z_BTC, batch)).sum(), state, aux
        y_BTD, state, aux = self.backbone(x, state)
        y_ND, targets = select(y_BTD, batch)  # before the readout: a task may score few positions
        return self.head_losses(y_ND, targets).sum(), state, aux

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """What the backbone says at every position, before any readout: (y_BTD, state)."""
        y_BTD, state, _ = self.backbone(self.embedded(inputs), state)
        return y_BTD, state

    def head_losses(self, y_ND: Tensor, target_N: Tensor) -> Tensor:
        """(N,) losses of targets, given features."""
        return self.head.losses(self._readout(y_ND), target_N)

    def outputs(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        """What the head's methods take, at every position: (z_BTC, state, aux)."""
        x = self.embedded(inputs)
        read = self._read(x, state)
        if read is not None:
            return read
        y_BTD, state, aux = self.backbone(x, state)
        return self._readout(y_BTD), state, aux

    def embedded(self, inputs: Tensor) -> Tensor:
        """What the backbone reads."""
        x = inputs if self.embedding is None else self.embedding(inputs)
        if self.dropout_words and self.training and self.embedding is not None:
            x = x * kept_words(inputs, self.dropout_words, x.dtype)
        if self.dropout_input and x.is_floating_point():
            x = F.dropout(x, self.dropout_input, self.training)
        return x

    def _readout(self, y: Tensor) -> Tensor:
        y = F.dropout(y, self.dropout_output, self.training)
        return y if self.head.readout is None else self.head.readout(y)

    def _read(self, x: Tensor, state: State) -> tuple[Tensor, State, Tensor | None] | None:
        """The readout done by the backbone on the way, where it can."""
        readout = self.head.readout
        if readout is None or (self.training and self.dropout_output):
            return None
        return self.backbone.read(x, state, readout.weight, readout.bias)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return self.backbone.parameter_groups()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        return self.backbone.diagnostics()

    def count_parameters(self) -> dict[str, int]:
        return count_parameters(self, self.parameter_groups())

    def after_step(self, gather: Gather) -> None:
        self.backbone.after_step()
        self.head.after_step(gather)


def kept_words(ids_BT: Tensor, probability: float, dtype: torch.dtype) -> Tensor:
    """(B, T, 1) factors that drop whole words: every occurrence of one in the batch, or none (Gal and Ghahramani 2016,
    arXiv 1512.05287)."""
    words, index_BT = ids_BT.unique(return_inverse=True)
    kept = torch.rand(len(words), device=ids_BT.device) >= probability
    return (kept.to(dtype) / (1 - probability))[index_BT].unsqueeze(-1)


def select(y_BTD: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Features and targets of the scored positions, both flattened: (N, D) and (N, ...), in either order of axes."""
    if batch.valid_BT is not None:
        return y_BTD[batch.valid_BT], batch.targets[batch.valid_BT]
    if y_BTD.stride(0) < y_BTD.stride(1):  # time comes first in memory: flattened that way, y need not be copied
        return y_BTD.transpose(0, 1).flatten(0, 1), batch.targets.transpose(0, 1).flatten(0, 1)
    return y_BTD.flatten(0, 1), batch.targets.flatten(0, 1)


def build_network(
    io: TaskIO,
    make_backbone: Callable[[int], Backbone],
    make_head: Callable[[int, int, nn.Module | None], Head],
    embedding: str,
    d_embed: int,
    cutoffs: Sequence[int],
    div_value: float,
    tied: bool,
    dropout_words: float,
    dropout_input: float,
    dropout_output: float,
    init_range: float | None,
    shared_embedding: bool = False,
) -> Network:
    """`embedding` is "learned" (width `d_embed`, U(-r, r) with r = `init_range`, or N(0, 1) where null), "adaptive" (in
    bands, heads/adaptive.py), "one_hot", or "auto": what the task's protocol says. `tied` hands it to the head, which
    shares its weights; `shared_embedding` is for translation."""
    if shared_embedding:
        raise ValueError("network.shared_embedding=true is for translation, which has a source and a target")
    kind = embedding_kind(io, embedding)
    if io.n_tokens is None:
        table, d_input = None, io.n_features or 1
    elif kind == "one_hot":
        table, d_input = None, io.n_tokens
    elif kind == "adaptive":
        table, d_input = AdaptiveEmbedding(io.n_tokens, d_embed, cutoffs, div_value), d_embed
    else:
        table, d_input = learned_embedding(io.n_tokens, d_embed, init_range), d_embed
    if tied and table is None:
        raise ValueError("network.tied=true needs an embedding to share, and this task's inputs have none")
    backbone = make_backbone(d_input)
    if not isinstance(backbone, Backbone):
        raise ValueError(f"{type(backbone).__name__} is an encoder and a decoder: a model for translation alone")
    if table is None and (dropout_words or (dropout_input and io.n_tokens is not None)):
        raise ValueError(
            "network.dropout_words and dropout_input act on an embedding, and this task's inputs have none"
        )
    head = make_head(backbone.d_output, io.n_outputs, table if tied else None)
    require_fit(head, io)
    return Network(table, backbone, head, dropout_words, dropout_input, dropout_output)


def require_fit(head: Head, io: TaskIO) -> None:
    """Raise `ValueError` for a head of classes where a task's outputs are real numbers, or the other way round."""
    if head.of_reals != io.real_outputs:
        kinds = ("classes", "real numbers")
        raise ValueError(
            f"{type(head).__name__} is a head for {kinds[head.of_reals]}, and this task's outputs are "
            f"{kinds[io.real_outputs]}"
        )


def embedding_kind(io: TaskIO, embedding: str) -> str:
    """How tokens are read: none where the inputs are numbers, else one_hot, adaptive or learned, as in translation."""
    if io.n_tokens is None:
        return "none"
    if io.n_source_tokens is not None:
        return "learned"
    if embedding == "auto":
        return "one_hot" if io.one_hot else "learned"
    return embedding


def learned_embedding(n_tokens: int, d_embed: int, init_range: float | None) -> nn.Embedding:
    """U(-r, r) with r = `init_range`, or N(0, 1) where null."""
    table = nn.Embedding(n_tokens, d_embed)
    if init_range is not None:
        nn.init.uniform_(table.weight, -init_range, init_range)
    return table


def count_parameters(network: nn.Module, groups: Mapping[str, ParameterGroup]) -> dict[str, int]:
    """Reals: those of the hidden-to-hidden maps ("recurrent") and all ("total"), frozen ones too, shared ones once."""
    recurrent = [group for name, group in groups.items() if name in ("recurrent", "decoder_recurrent")]
    return {
        "recurrent": sum(parameter.numel() for group in recurrent for parameter in group.parameters),
        "total": sum(parameter.numel() for parameter in network.parameters()),
    }
