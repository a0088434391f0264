"""Embedding, backbone and head together: every head below every kind of backbone, tied or not, trains."""

import functools

import pytest
import torch
from torch import nn

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import count_parameters
from seqbench.contracts.peers import Alone
from seqbench.embeddings.adaptive import AdaptiveEmbedding
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.adaptive import Adaptive
from seqbench.heads.hebbian import Hebbian
from seqbench.heads.softmax import Softmax
from seqbench.learners.assembled import word_mask
from seqbench.learners.network import Network, build_network
from seqbench.models.convolutional.gated_cnn import GatedCNN
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.unitary.kru import KRU
from seqbench.models.unitary.scornn import SCORNN

V, D = 40, 8
BACKBONES = {
    "lstm": lambda d_input: LSTM(d_input, D),
    "gru": lambda d_input: GRU(d_input, D),
    "scornn": lambda d_input: SCORNN(d_input, D, n_negative=4, input_init_range=0.5),
    "kru": lambda d_input: KRU(d_input, D, complex=False, input_init_range=0.5),
    "gated_cnn": lambda d_input: GatedCNN(d_input, [[D, 3], [D, 3]]),
}
HEADS = {
    "softmax": Softmax,
    "words in chunks": functools.partial(Softmax, vocab_chunk=7),
    "targets in chunks": functools.partial(Softmax, target_chunk=7),
    "hebbian": functools.partial(Hebbian, until=3),
    "adaptive": functools.partial(Adaptive, cutoffs=[10, 20], div_value=2.0),
}


def network(backbone, head, tied=False, **changed) -> Network:
    torch.manual_seed(0)

    def embedding(n_tokens, n_features):
        if head == "adaptive" and tied:
            return AdaptiveEmbedding(n_tokens, D, [10, 20], 2.0)
        return LearnedEmbedding(n_tokens, D, 0.1)

    inputs, outputs = Inputs(n_tokens=V), Outputs("classes", V)
    return build_network(inputs, outputs, embedding, BACKBONES[backbone], HEADS[head], tied=tied, **changed)


def batch(rows=4, steps=6):
    ids_BT = torch.randint(0, V, (rows, steps + 1), generator=torch.Generator().manual_seed(1))
    return Batch(ids_BT[:, :-1], ids_BT[:, 1:])


@pytest.mark.parametrize("tied", [False, True], ids=["own", "tied"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_head_learns_below_every_backbone(backbone, head, tied):
    net = network(backbone, head, tied)
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=0.01), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = net(batch())[0] / 24
        loss.backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        optimizer.step()
        net.after_step(Alone())
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3
    log_p = net.head.log_probs(net.outputs(batch())[0].flatten(0, 1))
    assert torch.allclose(log_p.exp().sum(1), torch.ones(24), atol=1e-5)


def test_the_chunked_heads_train_as_the_plain_one():
    grads = {}
    for head in ("softmax", "words in chunks", "targets in chunks"):
        net = network("lstm", head)
        (net(batch())[0] / 24).backward()
        grads[head] = [parameter.grad for parameter in net.parameters()]
    for head in ("words in chunks", "targets in chunks"):
        for one, other in zip(grads["softmax"], grads[head], strict=True):
            torch.testing.assert_close(one, other)


def test_tied_weights_are_counted_once():
    own, tied = (count_parameters(network("lstm", "softmax", tied))["total"] for tied in (False, True))
    assert own - tied == V * D


def test_whole_words_are_dropped_while_training_alone():
    ids_BT = torch.tensor([[1, 2, 1, 3], [3, 3, 2, 1]])
    torch.manual_seed(0)
    kept = [word_mask(ids_BT, 0.5, torch.float32).squeeze(-1) for _ in range(50)]
    assert {float(value) for one in kept for value in one.flatten()} == {0.0, 2.0}
    for one in kept:
        for word in (1, 2, 3):
            assert len(one[ids_BT == word].unique()) == 1
    assert abs(torch.stack(kept).mean() - 1) < 0.2
    net = network("lstm", "softmax", dropout_words=0.9)
    embedded = nn.functional.embedding(batch().inputs, net.embedding.weight)
    assert torch.equal(net.eval().embedded(batch().inputs), embedded)
    assert not torch.equal(net.train().embedded(batch().inputs), embedded)
