"""The network that translates: embeddings, encoder and decoder, head. Trained as `Network` is, and beside that asked
one token at a time: `start` reads the source, `step` takes each next token.

Shapes: B batch, S source positions, T target positions, D features, N scored targets, V tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.batch import Batch
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.head import Gather, Head
from seqbench.contracts.pytree import State
from seqbench.contracts.task_io import TaskIO
from seqbench.learners.network import count_parameters, kept_words, learned_embedding, require_fit, select


class Seq2Seq(nn.Module):
    """`forward(batch, state)` gives (loss_sum, None, aux): the loss summed over the batch's scored targets, no state,
    since each sentence stands alone, and the model's auxiliary loss or None."""

    def __init__(
        self,
        source_embedding: nn.Embedding,
        target_embedding: nn.Embedding,
        backbone: EncoderDecoder,
        head: Head,
        io: TaskIO,
        dropout_words: float = 0.0,
        dropout_input: float = 0.0,
        dropout_output: float = 0.0,
    ):
        super().__init__()
        self.source_embedding = source_embedding
        self.target_embedding = target_embedding
        self.backbone = backbone
        self.head = head
        self.io = io
        self.dropout_words = dropout_words
        self.dropout_input = dropout_input
        self.dropout_output = dropout_output

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        y_BTD, aux = self.features(batch)
        y_ND, target_N = select(y_BTD, batch)
        return self.head.losses(self._readout(y_ND), target_N).sum(), None, aux

    def features(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the decoder says at every target position, before any readout, and the auxiliary loss."""
        assert batch.source is not None and batch.source_valid_BS is not None
        x_BSD = self._embedded(self.source_embedding, batch.source)
        memory, aux = self.backbone.encode(x_BSD, batch.source_valid_BS)
        y_BTD, _, own = self.backbone.decode(self._embedded(self.target_embedding, batch.inputs), memory)
        return y_BTD, own if aux is None else aux if own is None else aux + own

    def start(self, source_BS: Tensor, source_valid_BS: Tensor) -> State:
        """The state before the first token. "source" is the sentence's own, "target" goes with what is said of it."""
        memory, _ = self.backbone.encode(self._embedded(self.source_embedding, source_BS), source_valid_BS)
        return {"source": memory, "target": None}

    def step(self, token_B: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (B, V) of what follows `token_B`, and the state after it. <s> is the first token."""
        x_B1D = self._embedded(self.target_embedding, token_B.unsqueeze(1))
        y_B1D, target, _ = self.backbone.decode(x_B1D, state["source"], state["target"])
        return self.head.log_probs(self._readout(y_B1D.squeeze(1))), {"source": state["source"], "target": target}

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return self.backbone.parameter_groups()

    def count_parameters(self) -> dict[str, int]:
        return count_parameters(self, self.parameter_groups())

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """Of encoder and decoder together where both tell the same."""
        found: dict[str, tuple[float, float]] = {}
        for part in self.backbone.parts():
            for name, (total, count) in part.diagnostics().items():
                before = found.get(name, (0.0, 0.0))
                found[name] = (before[0] + total, before[1] + count)
        return found

    def after_step(self, gather: Gather) -> None:
        for part in self.backbone.parts():
            part.after_step()
        self.head.after_step(gather)

    def _embedded(self, table: nn.Embedding, ids_BT: Tensor) -> Tensor:
        x_BTD = table(ids_BT)
        if self.dropout_words and self.training:
            x_BTD = x_BTD * kept_words(ids_BT, self.dropout_words, x_BTD.dtype)
        return F.dropout(x_BTD, self.dropout_input, self.training)

    def _readout(self, y: Tensor) -> Tensor:
        y = F.dropout(y, self.dropout_output, self.training)
        return y if self.head.readout is None else self.head.readout(y)


def build_seq2seq(
    io: TaskIO,
    make_backbone: Callable[[int], EncoderDecoder],
    make_head: Callable[[int, int, nn.Module | None], Head],
    embedding: str,
    d_embed: int,
    shared_embedding: bool,
    tied: bool,
    dropout_words: float,
    dropout_input: float,
    dropout_output: float,
    init_range: float | None,
) -> Seq2Seq:
    """Embeddings of width `d_embed`, U(-r, r) with r = `init_range`, or N(0, 1) where null; one for source and target
    where `shared_embedding`; `tied` hands the target's to the head, which shares its weights."""
    assert io.n_source_tokens is not None and io.n_tokens is not None
    if embedding not in ("learned", "auto"):
        raise ValueError(f"translation reads a learned embedding, not network.embedding={embedding}")
    if shared_embedding and not io.shared_vocabulary:
        raise ValueError("network.shared_embedding=true needs one vocabulary for source and target")
    target = learned_embedding(io.n_tokens, d_embed, init_range)
    source = target if shared_embedding else learned_embedding(io.n_source_tokens, d_embed, init_range)
    backbone = make_backbone(d_embed)
    if not isinstance(backbone, EncoderDecoder):
        raise ValueError(
            f"{type(backbone).__name__} has no decoder: this task is a translation, so choose a model of both, such as "
            "model=rnn_attention"
        )
    head = make_head(backbone.d_output, io.n_outputs, target if tied else None)
    require_fit(head, io)
    return Seq2Seq(source, target, backbone, head, io, dropout_words, dropout_input, dropout_output)
