"""Both directions: padding changes nothing, each direction ends on its own last position, and what it refuses."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqbench.checks.subjects import Words
from seqbench.config.compose import composed
from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.engine.assemble import assemble_learner
from seqbench.errors import ConfigError
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import build_network
from seqbench.models.convolutional.tcn import TCN
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.wrappers.bidirectional import Bidirectional

D, LENGTHS = 5, (7, 3, 5)
VALID_BT = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
BACKBONES = {
    "gru": functools.partial(GRU, hidden_size=4),
    "lstm": functools.partial(LSTM, hidden_size=4, n_layers=2),
    "tcn": functools.partial(TCN, channels=[4, 4], kernel=2),
}


def model(name):
    torch.manual_seed(0)
    return Bidirectional(D, BACKBONES[name]).double()


def padded(filler):
    x_BTD = torch.randn(3, max(LENGTHS), D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.where(VALID_BT.unsqueeze(-1), x_BTD, filler)


@pytest.mark.parametrize("name", BACKBONES)
def test_padding_changes_nothing(name):
    both, x_BTD = model(name), padded(0.0)
    y_BTD = both(x_BTD, None, VALID_BT)[0]
    other_BTD = both(padded(9.0), None, VALID_BT)[0]
    torch.testing.assert_close(y_BTD[VALID_BT], other_BTD[VALID_BT])
    whole_BD = both.last(y_BTD, VALID_BT)
    for row, length in enumerate(LENGTHS):
        alone_BTD = both(x_BTD[row : row + 1, :length])[0]
        torch.testing.assert_close(y_BTD[row, :length], alone_BTD[0])
        torch.testing.assert_close(whole_BD[row], both.last(alone_BTD, None)[0])


def test_a_gru_of_torch_is_the_same():
    both, x_BTD = model("gru"), padded(0.0)
    oracle = nn.GRU(D, 4, bidirectional=True, batch_first=True).double()
    for part, suffix in ((both.forwards, ""), (both.backwards, "_reverse")):
        for name, weight in part.layers[0].named_parameters():
            getattr(oracle, f"{name}{suffix}").data.copy_(weight)
    packed = nn.utils.rnn.pack_padded_sequence(x_BTD, list(LENGTHS), batch_first=True, enforce_sorted=False)
    outputs, end_2BH = oracle(packed)
    expected_BTD, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    y_BTD = both(x_BTD, None, VALID_BT)[0]
    torch.testing.assert_close(y_BTD[VALID_BT], expected_BTD[VALID_BT])
    torch.testing.assert_close(both.last(y_BTD, VALID_BT), torch.cat(list(end_2BH), 1))


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_a_network_tells_it_of_padding(pool):
    torch.manual_seed(0)
    network = build_network(
        Inputs(n_tokens=9),
        Outputs("classes", 2, per="sequence"),
        lambda n_tokens, n_features: LearnedEmbedding(n_tokens, d_embed=D, init_range=None),
        functools.partial(Bidirectional, backbone=BACKBONES["gru"]),
        lambda d_input, n_outputs, embedding: Softmax(d_input, n_outputs),
        pool=pool,
    ).double()
    ids_BT = torch.randint(1, 9, (3, max(LENGTHS)), generator=torch.Generator().manual_seed(2)) * VALID_BT
    targets_B = torch.tensor([0, 1, 1])
    loss, _, _ = network(Batch(ids_BT, targets_B, inputs_valid_BT=VALID_BT))
    alone = [
        network(Batch(ids_BT[row : row + 1, :length], targets_B[row : row + 1]))[0]
        for row, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(loss, torch.stack(alone).sum())


def test_ids_are_reversed_within_their_length():
    both = model("gru")
    ids_BT = torch.randint(0, D, (3, max(LENGTHS)), generator=torch.Generator().manual_seed(3))
    y_BTD, _, _ = both(ids_BT, None, VALID_BT)
    one_hot_BTD = both(F.one_hot(ids_BT, D).double(), None, VALID_BT)[0]
    torch.testing.assert_close(y_BTD[VALID_BT], one_hot_BTD[VALID_BT])


def test_what_is_not_causal_is_refused():
    with pytest.raises(ValueError, match=r"^Bidirectional is not causal"):
        Bidirectional(D, functools.partial(Bidirectional, backbone=BACKBONES["gru"]))


def test_a_task_whose_batches_go_on_from_each_other_refuses_it():
    sentence = r"^the batches of this task go on from each other, and Bidirectional cannot: it is not causal"
    with pytest.raises(ConfigError, match=sentence):
        assemble_learner(composed(["model=bidirectional"]), Words())


def test_its_groups_hold_both_directions():
    both = model("lstm")
    assert len(both.parameter_groups()["recurrent"].parameters) == 4
