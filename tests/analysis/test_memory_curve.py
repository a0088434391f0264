"""The memory curve against networks whose memory is known."""

import pytest
import torch

from seqbench.analysis.memory_curve import MemoryCurve, recall
from seqbench.checks.analyses import check_analysis
from seqbench.config.compose import composed
from seqbench.contracts.analysis import Subject
from seqbench.engine.assemble import assemble_learner, assemble_task
from seqbench.errors import UserError

N_UNITS, N_STEPS, N_DISTANCES = 5, 60, 12


def subject(*settings: str) -> Subject:
    config = composed([*settings])
    task = assemble_task(config)
    torch.manual_seed(0)
    return Subject(task, assemble_learner(config, task).eval(), seed=0, trajectory=lambda: iter(()))


def linear_network(recurrent_HH, input_H, n_rows=40_000):
    """Features after the last step of h_t = W h_{t-1} + w x_t, and the inputs, newest first."""
    x_BT = torch.rand(n_rows, N_STEPS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    h_BH = torch.zeros(n_rows, N_UNITS, dtype=torch.float64)
    for x_B in x_BT.unbind(1):
        h_BH = h_BH @ recurrent_HH.T + x_B[:, None] * input_H
    return h_BH, x_BT.flip(1)[:, :N_DISTANCES, None]


def test_a_shift_register_recalls_as_many_steps_as_it_has_units():
    shift_HH = torch.diag(torch.ones(N_UNITS - 1, dtype=torch.float64), -1)
    recall_P, _ = recall(*linear_network(shift_HH, torch.eye(N_UNITS, dtype=torch.float64)[0]))
    torch.testing.assert_close(recall_P[:N_UNITS], torch.ones(N_UNITS, dtype=torch.float64))
    assert recall_P[N_UNITS:].abs().max() < 5e-3


def test_a_linear_network_has_the_curve_of_its_covariance():
    """Jaeger 2001: with S = sum_j W^j w w' W'^j, recall(k) = (W^k w)' S^-1 (W^k w), and their sum is the number of
    units."""
    draw = torch.Generator().manual_seed(2)
    recurrent_HH = torch.randn(N_UNITS, N_UNITS, dtype=torch.float64, generator=draw)
    recurrent_HH *= 0.8 / torch.linalg.eigvals(recurrent_HH).abs().max()
    input_H = torch.randn(N_UNITS, dtype=torch.float64, generator=draw)
    responses_TH = torch.stack([torch.linalg.matrix_power(recurrent_HH, k) @ input_H for k in range(N_STEPS)])
    expected_T = (responses_TH @ torch.linalg.inv(responses_TH.T @ responses_TH) * responses_TH).sum(1)
    assert float(expected_T.sum()) == pytest.approx(N_UNITS)
    recall_P, _ = recall(*linear_network(recurrent_HH, input_H))
    torch.testing.assert_close(recall_P, expected_T[:N_DISTANCES], atol=1.5e-2, rtol=0)


def test_features_that_hold_nothing_recall_nothing():
    draw = torch.Generator().manual_seed(3)
    x_BP1 = torch.rand(4000, 3, 1, dtype=torch.float64, generator=draw)
    for feature_BN in (torch.zeros(4000, 2, dtype=torch.float64), torch.rand(4000, 2, generator=draw).double()):
        assert recall(feature_BN, x_BP1)[0].abs().max() < 2e-2


@pytest.mark.parametrize("task", ["memorization", "memorization_of_symbols", "adding"])
def test_the_contract_and_the_bound(task):
    analysis, trained = (
        MemoryCurve(n_distances=9, length=12, n_rows=2000),
        subject(f"task={task}", "model=gru", "model.hidden_size=6"),
    )
    check_analysis(analysis, trained)
    numbers = analysis(trained).numbers
    assert numbers["n_units"] == 6
    assert 0.5 < numbers["capacity"] < 6.2  # untrained, it holds the last inputs


def test_symbols_are_named_above_chance_where_they_are_recalled():
    outcome = MemoryCurve(n_distances=9, length=12, n_rows=2000, n_symbols=4)(
        subject("task=copy", "model=gru", "model.hidden_size=6")
    )
    lines = outcome.figures["recall"].lines
    assert outcome.numbers["chance"] == lines["chance"][0][1] == 0.25
    assert lines["accuracy"][0][1] > 0.5


def test_what_it_is_not_for():
    bidirectional = subject("task=memorization", "model=bidirectional")
    with pytest.raises(UserError, match="causal network"):
        MemoryCurve()(bidirectional)
    with pytest.raises(UserError, match="at least 24"):
        MemoryCurve(n_rows=20)(subject("task=memorization", "model=gru", "model.hidden_size=6"))
    with pytest.raises(ValueError, match="below the 20 distances"):
        MemoryCurve(length=10)
