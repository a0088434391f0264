"""Adaptive softmax: a distribution, equal to torch's own and to a full softmax where it must be."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqbench.embeddings.adaptive import AdaptiveEmbedding
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.adaptive import Adaptive

N, D, C = 9, 16, 50
CUTOFFS = [10, 30]


def given(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(N, D, generator=generator, dtype=dtype).requires_grad_()
    return y, torch.tensor([0, 9, 10, 29, 30, 49, 3, 12, 49])


def heads():
    torch.manual_seed(0)
    embedding = AdaptiveEmbedding(C, D, CUTOFFS, 2.0)
    return {
        "own": Adaptive(D, C, CUTOFFS, 2.0),
        "bias": Adaptive(D, C, CUTOFFS, 2.0, bias=True),
        "tied": Adaptive(D, C, CUTOFFS, 2.0, bias=True, embedding=embedding),
        "tied projections": Adaptive(D, C, CUTOFFS, 2.0, tied_projections=True, embedding=embedding),
        "tied, one width": Adaptive(D, C, CUTOFFS, 1.0, embedding=AdaptiveEmbedding(C, D, CUTOFFS, 1.0)),
        "no cutoffs": Adaptive(D, C, [], bias=True),
    }


@pytest.mark.parametrize("name", heads())
def test_probabilities_sum_to_one_and_give_the_losses(name):
    head = heads()[name].double()
    y, target = given()
    log_p = head.log_probs(y)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(N, dtype=torch.float64))
    torch.testing.assert_close(head.losses(y, target), -log_p[torch.arange(N), target])


@pytest.mark.parametrize("name", heads())
def test_every_parameter_has_a_gradient_even_if_no_target_is_in_its_band(name):
    head = heads()[name].double()
    head.losses(given()[0], torch.zeros(N, dtype=torch.long)).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_equals_torchs_own():
    torch.manual_seed(0)
    peer = nn.AdaptiveLogSoftmaxWithLoss(D, C, CUTOFFS, div_value=4.0, head_bias=False).double()
    ours = Adaptive(D, C, CUTOFFS, 4.0).double()
    with torch.no_grad():
        ours.tables[0].copy_(peer.head.weight[:10])
        ours.band_table.copy_(peer.head.weight[10:])
        for band, (down, words) in enumerate(peer.tail):
            ours.projections[band].copy_(down.weight.T)
            ours.tables[band + 1].copy_(words.weight)
    y, target = given()
    torch.testing.assert_close(ours.losses(y, target), -peer(y, target).output)
    torch.testing.assert_close(ours.log_probs(y), peer.log_prob(y))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in peer.parameters())


def test_without_cutoffs_it_is_the_full_softmax():
    head = Adaptive(D, C, [], bias=True).double()
    y, target = given()
    expected = F.cross_entropy(F.linear(y, head.tables[0], head.biases[0]), target, reduction="none")
    torch.testing.assert_close(head.losses(y, target), expected)


def test_adaptive_embedding_looks_words_up_band_by_band():
    torch.manual_seed(0)
    embedding = AdaptiveEmbedding(C, D, CUTOFFS, 2.0)
    ids = torch.tensor([[0, 49, 10], [30, 29, 9]])
    out = embedding(ids)
    for word, row in zip(ids.flatten(), out.flatten(0, 1), strict=True):
        band = int(word >= 10) + int(word >= 30)
        table, projection = embedding.tables[band], embedding.projections[band]
        torch.testing.assert_close(row, projection @ table[word - embedding.edges[band]])


def test_tying_shares_what_it_says():
    embedding = AdaptiveEmbedding(C, D, CUTOFFS, 2.0)
    head = Adaptive(D, C, CUTOFFS, 2.0, tied_projections=True, embedding=embedding)
    assert all(a is b for a, b in zip(head.tables, embedding.tables, strict=True))
    assert [a is b for a, b in zip(head.projections, embedding.projections, strict=True)] == [False, True, True]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Adaptive(D, C, [10, 50]), "below the number of words, 50"),
        (lambda: Adaptive(D, C, [20, 10]), "must rise"),
        (lambda: Adaptive(D, C, CUTOFFS, 100.0), "no column of 16"),
        (lambda: Adaptive(D, C, CUTOFFS, embedding=LearnedEmbedding(C, D, None)), "embedding=adaptive"),
        (lambda: Adaptive(D, C, CUTOFFS, 2.0, embedding=AdaptiveEmbedding(C, D, [10], 2.0)), "those of the head"),
        (
            lambda: Adaptive(8, C, CUTOFFS, 2.0, embedding=AdaptiveEmbedding(C, D, CUTOFFS, 2.0)),
            "d_embed, 16",
        ),
    ],
)
def test_mistakes_are_said(make, says):
    with pytest.raises(ValueError, match=says):
        make()
