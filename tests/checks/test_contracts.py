"""Batches, pooling, peers and learners: what the contracts promise of themselves."""

from dataclasses import dataclass

import pytest
import torch

from seqbench.contracts.backbone import Backbone, at_last_valid
from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.peers import Alone
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import build_network, mean_of_valid
from seqbench.models.recurrent.gru import GRU


@dataclass(frozen=True, kw_only=True)
class StoryBatch(Batch):
    story_BS: torch.Tensor


def story(rows=3, steps=4):
    ids_BT = torch.arange(rows * steps).view(rows, steps)
    return StoryBatch(ids_BT, ids_BT + 1, ids_BT > 2, story_BS=torch.arange(rows * 2).view(rows, 2))


def test_a_subclass_survives_all_that_is_done_to_a_batch():
    batch = story()
    for other in (batch.map(lambda tensor: tensor[1:]), batch.replace(reset=False), batch.steps(1, 3)):
        assert type(other) is StoryBatch
    halved = batch.map(lambda tensor: tensor[1:])
    assert halved.size == 2 and halved.story_BS.tolist() == [[2, 3], [4, 5]]
    assert batch.steps(1, 3).inputs.tolist() == [[1, 2], [5, 6], [9, 10]]
    assert torch.equal(batch.steps(1, 3).story_BS, batch.story_BS)  # does not run over time
    joined = batch.steps(0, 1).followed_by([batch.steps(1, 2), batch.steps(2)])
    assert all(torch.equal(tensor, batch.tensors()[name]) for name, tensor in joined.tensors().items())
    assert batch.n_positions() == 12 and batch.count() == 9


def test_a_tensor_that_is_not_batch_first_is_refused():
    with pytest.raises(ValueError, match=r"story_BS of a batch has the shape \(2, 3\), whose first axis is not"):
        StoryBatch(torch.zeros(3, 4), torch.zeros(3, 4), story_BS=torch.zeros(2, 3))


def test_inputs_are_tokens_or_numbers():
    for wrong in ({}, {"n_tokens": 3, "n_features": 2}):
        with pytest.raises(ValueError, match="exactly one of n_tokens and n_features"):
            Inputs(**wrong)


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_padding_changes_nothing_for_one_output_a_sequence(pool):
    torch.manual_seed(0)
    network = build_network(
        Inputs(n_tokens=7),
        Outputs("classes", 3, per="sequence"),
        lambda n_tokens, n_features: LearnedEmbedding(n_tokens, 5, None),
        lambda d_input: GRU(d_input, 6),
        Softmax,
        pool=pool,
    ).double()
    ids_BT = torch.randint(0, 7, (2, 8))
    valid_BT = torch.arange(8) < torch.tensor([[5], [8]])
    whole, _, _ = network(Batch(ids_BT, torch.tensor([1, 2]), inputs_valid_BT=valid_BT))
    first, _, _ = network(Batch(ids_BT[:1, :5], torch.tensor([1])))
    second, _, _ = network(Batch(ids_BT[1:], torch.tensor([2])))
    torch.testing.assert_close(whole, first + second)


def test_pooling_by_hand():
    y_BTD = torch.arange(12.0).view(2, 3, 2)
    valid_BT = torch.tensor([[True, True, False], [True, False, True]])
    assert at_last_valid(y_BTD, valid_BT).tolist() == [[2, 3], [10, 11]]
    assert mean_of_valid(y_BTD, valid_BT).tolist() == [[1, 2], [8, 9]]
    assert at_last_valid(y_BTD, None).tolist() == [[4, 5], [10, 11]]


def test_a_pool_and_the_tasks_outputs_must_agree():
    def build(per, pool):
        return build_network(
            Inputs(n_features=2),
            Outputs("classes", 3, per=per),
            lambda n_tokens, n_features: LearnedEmbedding(4, 5, None),
            lambda d_input: GRU(d_input, 6),
            Softmax,
            pool=pool,
        )

    with pytest.raises(ValueError, match=r"network\.pool=none, and this task asks for one output a sequence"):
        build("sequence", "none")
    with pytest.raises(ValueError, match=r"network\.pool=mean, and this task asks for an output at each step"):
        build("step", "mean")


def test_alone_a_process_is_all_there_are():
    rows = torch.randn(3, 2)
    assert torch.equal(Alone().sum(rows), rows) and torch.equal(Alone().gather(rows), rows)


def test_a_backbone_has_at_most_four_methods():
    methods = [name for name, value in vars(Backbone).items() if callable(value) and not name.startswith("_")]
    assert len(methods) <= 4
