"""The network around a sequence model: embedding, backbone, head.

Shapes: B batch, T time, D features, C what the head's methods take, N scored targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, EndsElsewhere, KnowsReadout, ReadsOut, at_last_valid
from seqbench.contracts.batch import Batch
from seqbench.contracts.embedding import Embedding
from seqbench.contracts.head import Head
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.learners.assembled import Assembled, require_fit, select, shared_table

Pool = Literal["none", "last", "mean"]


class Network(Assembled):
    """`forward(batch, state)` gives (loss_sum, state, aux). With `pool` the head reads one vector a sequence: what the
    backbone says of its last position, or the mean of its features over the positions that are no padding."""

    def __init__(
        self,
        embedding: Embedding,
        backbone: Backbone,
        head: Head,
        dropout_words: float = 0.0,
        dropout_input: float = 0.0,
        dropout_output: float = 0.0,
        pool: Pool = "none",
    ):
        super().__init__(backbone, head, dropout_words, dropout_input, dropout_output)
        self.embedding = embedding
        self.backbone: Backbone
        self.pool = pool
        if head.readout is not None and isinstance(backbone, KnowsReadout):
            backbone.read_by(head.readout)

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        x = self.embedded(batch.inputs)
        if self.pool != "none":
            y_BTD, state, aux = self._read(x, state, batch)
            return self.head_losses(self._pooled(y_BTD, batch), batch.targets).sum(), state, aux
        read = self._read_on_the_way(x, state)
        if read is not None:
            z_BTC, state, aux = read
            return self.head.losses(*select(z_BTC, batch)).sum(), state, aux
        y_BTD, state, aux = self._read(x, state, batch)
        y_ND, targets = select(y_BTD, batch)  # before the readout: a task may score few positions
        return self.head_losses(y_ND, targets).sum(), state, aux

    def prepare_evaluation(self, batches: Iterable[Batch], peers: Peers) -> None:
        self.train()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of masks of dropout: an evaluation draws the same each time
            self.backbone.prepare_evaluation(self._passes(batches), peers)

    def _passes(self, batches: Iterable[Batch]) -> Iterator[None]:
        state = None
        for batch in batches:
            _, state, _ = self._read(self.embedded(batch.inputs), None if batch.reset else state, batch)
            yield

    def parts(self) -> Sequence[Backbone]:
        return [self.backbone]

    def features(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """The backbone's output at every position, before any readout: (y_BTD, state)."""
        y_BTD, state, _ = self.backbone(self.embedded(inputs), state)
        return y_BTD, state

    def outputs(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        """What the head's methods take, at every position (z_BTC), or of every sequence (z_BC), with state and aux."""
        x = self.embedded(batch.inputs)
        read = self._read_on_the_way(x, state) if self.pool == "none" else None
        if read is not None:
            return read
        y_BTD, state, aux = self._read(x, state, batch)
        y = y_BTD if self.pool == "none" else self._pooled(y_BTD, batch)
        return self._read_out(y), state, aux

    def embedded(self, inputs: Tensor) -> Tensor:
        """What the backbone reads."""
        return self._embed(self.embedding, inputs)

    def _read(self, x: Tensor, state: State, batch: Batch) -> tuple[Tensor, State, Tensor | None]:
        if self.backbone.reads_valid:
            return self.backbone(x, state, batch.inputs_valid_BT)
        return self.backbone(x, state)

    def _pooled(self, y_BTD: Tensor, batch: Batch) -> Tensor:
        """(B, D): what the head reads of each sequence."""
        valid_BT = batch.inputs_valid_BT
        if self.pool == "mean":
            return mean_of_valid(y_BTD, valid_BT)
        backbone = self.backbone
        return backbone.last(y_BTD, valid_BT) if isinstance(backbone, EndsElsewhere) else at_last_valid(y_BTD, valid_BT)

    def _read_on_the_way(self, x: Tensor, state: State) -> tuple[Tensor, State, Tensor | None] | None:
        """The readout computed by the backbone, where it can."""
        readout = self.head.readout
        if readout is None or (self.training and self.dropout_output) or not isinstance(self.backbone, ReadsOut):
            return None
        return self.backbone.read(x, state, readout.weight, readout.bias)


def mean_of_valid(y_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    """(B, D): the mean of each sequence's features over its valid positions; `valid_BT` None: all are."""
    if valid_BT is None:
        return y_BTD.mean(1)
    weight_BT1 = valid_BT.unsqueeze(-1).to(y_BTD.dtype)
    return (y_BTD * weight_BT1).sum(1) / weight_BT1.sum(1).clamp_min(1)


def build_network(
    inputs: Inputs,
    outputs: Outputs,
    make_embedding: Callable[..., Embedding],
    make_backbone: Callable[..., Backbone],
    make_head: Callable[..., Head],
    tied: bool = False,
    shared_embedding: bool = False,
    dropout_words: float = 0.0,
    dropout_input: float = 0.0,
    dropout_output: float = 0.0,
    pool: Pool = "none",
) -> Network:
    """The network for a task's inputs and outputs. `tied` gives the embedding to the head, which shares its weights;
    `shared_embedding` is for translation. Raises `ValueError` for parts that do not go together."""
    if shared_embedding:
        raise ValueError("network.shared_embedding=true is for translation, which has a source and a target")
    if (outputs.per == "sequence") != (pool != "none"):
        one = "one output a sequence" if outputs.per == "sequence" else "an output at each step"
        raise ValueError(f"network.pool={pool}, and this task asks for {one}")
    embedding = make_embedding(n_tokens=inputs.n_tokens, n_features=inputs.n_features)
    table: nn.Module | None = shared_table(embedding, tied)
    backbone = make_backbone(d_input=embedding.d_output)
    acts = dropout_words or (dropout_input and inputs.n_tokens is not None)
    if acts and not embedding.dense:
        raise ValueError(
            "network.dropout_words and dropout_input act on an embedding, and this task's inputs have none"
        )
    head = make_head(d_input=backbone.d_output, n_outputs=outputs.size, embedding=table)
    require_fit(head, outputs)
    return Network(embedding, backbone, head, dropout_words, dropout_input, dropout_output, pool)
