"""The network that translates: embeddings, encoder and decoder, head.

Trained as any learner is, and beside that asked one token at a time: `start` reads the source, `step` takes each next
token.

Shapes: B batch, S source positions, T target positions, D features, N scored targets, V tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.batch import Batch
from seqbench.contracts.embedding import Embedding
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.head import Head
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.pytree import State
from seqbench.learners.assembled import Assembled, require_fit, select, shared_table


@dataclass(frozen=True, kw_only=True)
class PairBatch(Batch):
    """Pairs of a source and a target: `source` is (B, S) ids, `source_valid_BS` marks those that are no padding,
    `inputs` are the targets one step later, <s> first, and `rows_B` are the pairs' numbers, unique over the splits."""

    source: Tensor
    source_valid_BS: Tensor
    rows_B: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class PairInputs(Inputs):
    """The target's tokens, as of any task, and the source's, which are the same where the `shared_vocabulary` says so;
    ids of <pad>, <s> and </s>."""

    n_source_tokens: int
    shared_vocabulary: bool = False
    pad: int = 0
    bos: int = 1
    eos: int = 2


class Seq2Seq(Assembled):
    """`forward(batch, state)` gives (loss_sum, None, aux): no state, since each sentence stands alone."""

    def __init__(
        self,
        source_embedding: Embedding,
        target_embedding: Embedding,
        backbone: EncoderDecoder,
        head: Head,
        inputs: PairInputs,
        dropout_words: float = 0.0,
        dropout_input: float = 0.0,
        dropout_output: float = 0.0,
    ):
        super().__init__(backbone, head, dropout_words, dropout_input, dropout_output)
        self.source_embedding = source_embedding
        self.target_embedding = target_embedding
        self.backbone: EncoderDecoder
        self.inputs = inputs

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        assert isinstance(batch, PairBatch)
        y_BTD, aux = self.features(batch)
        y_ND, target_N = select(y_BTD, batch)
        return self.head_losses(y_ND, target_N).sum(), None, aux

    def parts(self) -> Sequence[Backbone]:
        return self.backbone.parts()

    def features(self, batch: PairBatch) -> tuple[Tensor, Tensor | None]:
        """The decoder's output at every target position, before any readout, and the auxiliary loss."""
        x_BSD = self._embed(self.source_embedding, batch.source)
        memory, source_aux = self.backbone.encode(x_BSD, batch.source_valid_BS)
        y_BTD, _, target_aux = self.backbone.decode(self._embed(self.target_embedding, batch.inputs), memory)
        if source_aux is None or target_aux is None:
            return y_BTD, target_aux if source_aux is None else source_aux
        return y_BTD, source_aux + target_aux

    def start(self, source_BS: Tensor, source_valid_BS: Tensor) -> State:
        """The state before the first token. "source" is the sentence's own, "target" goes with what is said of it."""
        memory, _ = self.backbone.encode(self._embed(self.source_embedding, source_BS), source_valid_BS)
        return {"source": memory, "target": None}

    def step(self, token_B: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (B, V) of what follows `token_B`, and the state after it. <s> is the first token."""
        x_B1D = self._embed(self.target_embedding, token_B.unsqueeze(1))
        y_B1D, target, _ = self.backbone.decode(x_B1D, state["source"], state["target"])
        log_p_BV = self.head.log_probs(self._read_out(y_B1D.squeeze(1)))
        return log_p_BV, {"source": state["source"], "target": target}


def build_seq2seq(
    inputs: PairInputs,
    outputs: Outputs,
    make_embedding: Callable[..., Embedding],
    make_backbone: Callable[..., EncoderDecoder],
    make_head: Callable[..., Head],
    tied: bool = False,
    shared_embedding: bool = False,
    dropout_words: float = 0.0,
    dropout_input: float = 0.0,
    dropout_output: float = 0.0,
) -> Seq2Seq:
    """One embedding for source and target where `shared_embedding`; `tied` gives the target's to the head, which
    shares its weights. Raises `ValueError` for parts that do not go together."""
    if shared_embedding and not inputs.shared_vocabulary:
        raise ValueError("network.shared_embedding=true needs one vocabulary for source and target")
    target = make_embedding(n_tokens=inputs.n_tokens, n_features=None)
    if not target.dense:
        raise ValueError(f"translation reads embedded tokens, and {type(target).__name__} embeds none")
    source = target if shared_embedding else make_embedding(n_tokens=inputs.n_source_tokens, n_features=None)
    backbone = make_backbone(d_input=target.d_output)
    table = shared_table(target, tied)
    head = make_head(d_input=backbone.d_output, n_outputs=outputs.size, embedding=table)
    require_fit(head, outputs)
    return Seq2Seq(source, target, backbone, head, inputs, dropout_words, dropout_input, dropout_output)
