"""Packed sizes, counted by hand."""

import pytest
import torch

from seqbench.analysis.packed_size import PackedSize
from seqbench.config.compose import composed
from seqbench.contracts.analysis import Subject
from seqbench.engine.assemble import assemble_learner, assemble_task

MIB = 8 * 2**20
SMALL = ["task=copy", "task.delay=5", "task.train_size=40", "task.valid_size=20", "task.test_size=20"]


def numbers(*settings):
    config = composed([*SMALL, *settings])
    task = assemble_task(config)
    learner = assemble_learner(config, task).eval()
    before = [parameter.clone() for parameter in learner.parameters()]
    outcome = PackedSize()(Subject(task, learner, seed=0, trajectory=lambda: iter(())))
    assert all(map(torch.equal, learner.parameters(), before))
    return outcome.numbers, sum(parameter.numel() for parameter in learner.parameters())


@pytest.mark.parametrize(("scale", "n_scales"), [("one", 0), ("tensor", 4), ("row", 2 * 32 + 2 * 32)])
@pytest.mark.parametrize("bits", [1, 4])
def test_a_quantised_lstm(scale, n_scales, bits):
    settings = ["model=quantized_lstm", "model.hidden_size=8", "model.n_layers=2"]
    found, n_all = numbers(*settings, f"model.weights.bits={bits}", f"model.weights.scale={scale}")
    n_weights = 4 * 8 * (10 + 8) + 4 * 8 * (8 + 8)
    weights = n_weights * bits + 32 * n_scales
    assert found["packed_weights_mib"] * MIB == weights and found["plain_weights_mib"] * MIB == 32 * n_weights
    assert found["packed_mib"] * MIB == 32 * (n_all - n_weights) + weights and found["plain_mib"] * MIB == 32 * n_all
    assert found["ratio"] == pytest.approx(32 * n_all / (32 * (n_all - n_weights) + weights))
    assert found["weights_ratio"] == pytest.approx(32 * n_weights / weights)


def test_what_is_not_quantised_is_as_it_is():
    for settings in (["model=lstm"], ["model=quantized_lstm", "quantizer@model.weights=real"]):
        found, n_all = numbers(*settings)
        assert found["packed_mib"] == found["plain_mib"] == 32 * n_all / MIB
        assert found["ratio"] == found["weights_ratio"] == 1
