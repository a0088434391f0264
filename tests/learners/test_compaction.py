"""A network without its closed units equals the one with them, to the last digits, over chunks of a text, too."""

import functools

import pytest
import torch

from seqbench.contracts.batch import Batch
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.softmax import Softmax
from seqbench.learners.compaction import (
    compacted,
    largest,
    largest_difference,
    open_indices,
    require_compactable,
    sizes_of,
    widths,
)
from seqbench.learners.network import Network
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.recurrent.pruned_lstm import PrunedLSTM

N_WORDS, D, H = 11, 7, 9


def network_of(backbone, d_output, embedded=D, dtype=torch.float64):
    embedding = OneHot(N_WORDS, None) if embedded is None else LearnedEmbedding(N_WORDS, embedded, None)
    return Network(embedding, backbone, Softmax(d_output, N_WORDS)).to(dtype).eval()


def half_closed(selection="l0", embedded=D, dtype=torch.float64):
    """Every third unit or input is closed; the gates of the others are not all 1."""
    torch.manual_seed(0)
    model = PrunedLSTM(N_WORDS if embedded is None else embedded, H, n_layers=2, selection=selection, init_range=0.8)
    network = network_of(model, H, embedded, dtype)
    with torch.no_grad():
        for gate in model.gates:
            gate.log_alpha.uniform_(-2, 3)
            gate.log_alpha[::3] = -5
        if selection == "group_lasso":
            for layer in model.layers:
                for value in layer.parameters():
                    value.view(4, H, -1)[:, ::3] = 0
    return network


def text(n_batches=4, rows=3, steps=6):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, N_WORDS, (rows, n_batches * steps + 1), generator=generator)
    cuts = range(0, n_batches * steps, steps)
    return [Batch(ids[:, t : t + steps], ids[:, t + 1 : t + steps + 1], reset=t == 0) for t in cuts]


def outputs(network, batches):
    state, found = None, []
    for batch in batches:
        z, state, _ = network.outputs(batch, None if batch.reset else state)
        found.append(z.detach())
    return torch.cat(found, 1)


def smaller(network, kept, embedded=D, dtype=torch.float64):
    d_input, *units = [len(indices) for indices in kept]
    small = network_of(LSTM(d_input, units, 2), units[-1], None if embedded is None else d_input, dtype)
    small.load_state_dict(compacted(network, kept))
    return small


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("selection", ["l0", "group_lasso"])
def test_without_closed_units_outputs_are_the_same(selection, dtype, tolerance):
    network = half_closed(selection, dtype=dtype)
    kept = open_indices(network)
    n_inputs = 4 if selection == "l0" else D
    assert [len(indices) for indices in kept] == [n_inputs, 6, 6] and widths(network) == [D, H, H]
    small = smaller(network, kept, dtype=dtype)
    assert sizes_of(small) == [n_inputs, 6, 6]
    batches = text()
    expected = outputs(network, batches)
    # logits are below 4, and products of some ten terms in float32 are known to some 1e-7
    torch.testing.assert_close(outputs(small, batches), expected, rtol=0, atol=tolerance)
    whole = [Batch(*(torch.cat(parts, 1) for parts in zip(*((b.inputs, b.targets) for b in batches), strict=True)))]
    torch.testing.assert_close(outputs(small, whole), expected, rtol=0, atol=tolerance)
    assert largest_difference(network, small, kept, batches) < 1e-13
    assert all(value.dtype == dtype for value in network.state_dict().values())


def test_a_wrong_fold_is_noticed():
    network = half_closed()
    kept = open_indices(network)
    small = smaller(network, kept)
    kept[1] = kept[1].flip(0)
    kept[2] = torch.cat([kept[2][1:], torch.tensor([0])])
    assert largest_difference(network, small, kept, text()) > 0.01


def test_what_is_no_table_keeps_its_features():
    network = half_closed(embedded=None)
    kept = open_indices(network)
    assert [len(indices) for indices in kept] == [N_WORDS, 6, 6]
    assert largest_difference(network, smaller(network, kept, embedded=None), kept, text()) < 1e-13


def test_the_units_of_the_largest_norms_stay():
    network = half_closed()
    opened, norms = open_indices(network), network.backbone.unit_norms()
    kept = largest(network, [4, 3, 6])
    assert torch.equal(kept[0], opened[0]) and torch.equal(kept[2], opened[2])
    assert len(kept[1]) == 3 and set(kept[1].tolist()) <= set(opened[1].tolist())
    gone = [unit for unit in opened[1].tolist() if unit not in kept[1].tolist()]
    assert norms[0][kept[1]].min() > norms[0][gone].max()
    for sizes, said in [([4, 7, 6], "layers of 7, 6 units"), ([5, 6, 6], "5 inputs"), ([4, 6], "4 inputs")]:
        with pytest.raises(ValueError, match=f"^has 4 inputs and layers of 6, 6 units open, and this model .*{said}"):
            largest(network, sizes)


def test_norms_are_those_under_the_gates():
    network = half_closed()
    before = network.backbone.unit_norms()
    with torch.no_grad():
        network.head.linear.weight.mul_(100)
        network.head.linear.weight[:, 1::3] /= 100
    after = network.backbone.unit_norms()
    assert torch.equal(before[0], after[0])
    assert [unit for unit in range(H) if before[1][unit] != after[1][unit]] == [2, 5, 8]  # 0, 3 and 6 are closed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("gru", "has a model without gates"),
        ("tied", "has tied weights"),
        ("chunked", "has a head without one linear layer"),
        ("closed", "has no open unit in layer 2"),
        ("inputs", "has no open input"),
    ],
)
def test_what_cannot_be_made_smaller(change, said):
    network = half_closed()
    if change == "gru":
        network = network_of(GRU(D, H), H)
    if change == "tied":
        model = PrunedLSTM(D, D)
        embedding = LearnedEmbedding(N_WORDS, D, None)
        network = Network(embedding, model, Softmax(D, N_WORDS, embedding=embedding))
    if change == "chunked":
        network = Network(LearnedEmbedding(N_WORDS, D, None), PrunedLSTM(D, H), Softmax(H, N_WORDS, vocab_chunk=3))
    if change in ("closed", "inputs"):
        network.backbone.gates[2 if change == "closed" else 0].log_alpha.data.fill_(-5)
    with pytest.raises(ValueError, match=f"^{said}"):
        open_indices(require_compactable(network))


def test_a_gated_network_is_not_taken_for_a_plain_one():
    assert sizes_of(half_closed()) is None
    assert sizes_of(functools.partial(LSTM, 2)(3)) is None
