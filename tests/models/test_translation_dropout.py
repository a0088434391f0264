"""Each dropout of a translation model acts in training, by itself, and in training alone."""

import pytest
import torch

from seqbench.contracts.inputs_outputs import Outputs
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.softmax import Softmax
from seqbench.learners.seq2seq import PairBatch, PairInputs, build_seq2seq
from seqbench.models.recurrent.gru import GRU
from seqbench.models.translation.convs2s import ConvS2S
from seqbench.models.translation.gnmt import GNMT
from seqbench.models.translation.rnn_attention import RNNAttention
from seqbench.models.translation.translation_transformer import TranslationTransformer

V, D = 11, 8
IO = PairInputs(n_tokens=V, n_source_tokens=V, shared_vocabulary=True)


def composed(**settings):
    return lambda d_input: RNNAttention(
        d_input, lambda d_input: GRU(d_input, 8), lambda d_input: GRU(d_input, 8), d_attention=5, **settings
    )


def transformer(**settings):
    return lambda d_input: TranslationTransformer(
        d_input, d_input, n_heads=2, n_layers=1, d_inner=8, **{"dropout": 0.0, **settings}
    )


def convs2s(**settings):
    return lambda d_input: ConvS2S(d_input, [[8, 3]], [[8, 3]], d_hidden=8, max_positions=6, **settings)


def gnmt(**settings):
    return lambda d_input: GNMT(d_input, 8, n_layers=4, init_range=0.5, **settings)


CASES = {  # how the model is made, and what stands around it
    "composed": (composed(dropout=0.5), {}),
    "transformer": (transformer(dropout=0.5), {}),
    "transformer-attention": (transformer(dropout_attention=0.5), {}),
    "convs2s": (convs2s(dropout=0.5), {}),
    "gnmt": (gnmt(dropout=0.5), {}),
    "words": (composed(), {"dropout_words": 0.5}),
    "input": (composed(), {"dropout_input": 0.5}),
    "output": (composed(), {"dropout_output": 0.5}),
}


@pytest.mark.parametrize("name", CASES)
def test_acts_in_training_alone(name):
    make, around = CASES[name]
    torch.manual_seed(0)
    network = build_seq2seq(
        IO,
        Outputs("classes", V),
        lambda n_tokens, **_: LearnedEmbedding(n_tokens, D, 0.5),
        make,
        Softmax,
        **around,
    ).double()
    source, inputs, targets = torch.randint(4, V, (3, 4, 5))
    valid = torch.ones(4, 5, dtype=torch.bool)
    batch = PairBatch(inputs, targets, valid, source=source, source_valid_BS=valid, rows_B=torch.arange(4))

    def loss(seed):
        torch.manual_seed(seed)
        return network(batch)[0].item()

    assert loss(1) == loss(1) != loss(2)
    network.eval()
    assert loss(1) == loss(2)
