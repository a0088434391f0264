"""Embedding, backbone and head together: every head below every kind of backbone, tied or not, trains."""

import pytest
import torch
from torch import nn

from seqbench.contracts.batch import Batch
from seqbench.contracts.task_io import TaskIO
from seqbench.heads.adaptive import Adaptive
from seqbench.heads.hebbian import Hebbian
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network, build_network, kept_words
from seqbench.models.convolutional.gated_cnn import GatedCNN
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.unitary.kru import KRU
from seqbench.models.unitary.scornn import SCORNN

V, D = 40, 8
BACKBONES = {
    "lstm": lambda d: LSTM(d, D),
    "gru": lambda d: GRU(d, D),
    "scornn": lambda d: SCORNN(d, D, n_negative=4, input_init_range=0.5),
    "kru": lambda d: KRU(d, D, complex=False, input_init_range=0.5),
    "gated_cnn": lambda d: GatedCNN(d, [[D, 3], [D, 3]]),
}
HEADS = {
    "softmax": lambda d, c, e: Softmax(d, c, embedding=e),
    "words in chunks": lambda d, c, e: Softmax(d, c, vocab_chunk=7, embedding=e),
    "targets in chunks": lambda d, c, e: Softmax(d, c, target_chunk=7, embedding=e),
    "hebbian": lambda d, c, e: Hebbian(d, c, until=3, embedding=e),
    "adaptive": lambda d, c, e: Adaptive(d, c, [10, 20], 2.0, embedding=e),
}
PLAIN = {"cutoffs": [10, 20], "div_value": 2.0, "dropout_words": 0.0, "dropout_input": 0.0, "dropout_output": 0.0}


def network(backbone, head, tied=False, **changed) -> Network:
    torch.manual_seed(0)
    embedding = "adaptive" if head == "adaptive" and tied else "learned"
    settings = {**PLAIN, "embedding": embedding, "d_embed": D, "tied": tied, "init_range": 0.1, **changed}
    return build_network(TaskIO(n_outputs=V, n_tokens=V), BACKBONES[backbone], HEADS[head], **settings)


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
        net.after_step(lambda rows: rows)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3
    log_p = net.head.log_probs(net.outputs(batch().inputs)[0].flatten(0, 1))
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
    own, tied = (network("lstm", "softmax", tied).count_parameters()["total"] for tied in (False, True))
    assert own - tied == V * D


def test_whole_words_are_dropped_while_training_alone():
    ids_BT = torch.tensor([[1, 2, 1, 3], [3, 3, 2, 1]])
    torch.manual_seed(0)
    kept = [kept_words(ids_BT, 0.5, torch.float32).squeeze(-1) for _ in range(50)]
    assert {float(value) for one in kept for value in one.flatten()} == {0.0, 2.0}
    for one in kept:
        for word in (1, 2, 3):
            assert len(one[ids_BT == word].unique()) == 1
    assert abs(torch.stack(kept).mean() - 1) < 0.2
    net = network("lstm", "softmax", dropout_words=0.9)
    embedded = nn.functional.embedding(batch().inputs, net.embedding.weight)
    assert torch.equal(net.eval().embedded(batch().inputs), embedded)
    assert not torch.equal(net.train().embedded(batch().inputs), embedded)
