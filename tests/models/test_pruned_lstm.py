"""The pruned LSTM: its gates against draws, its penalties against loops, and torch's LSTM of fewer units."""

import itertools
import math

import pytest
import torch
from torch import nn

from seqbench.contracts.peers import Alone
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.cells.structure.hard_concrete import HardConcrete, expected_weights
from seqbench.models.cells.structure.unit_groups import group_lasso, open_units
from seqbench.models.cells.time_loop.stack import weights
from seqbench.models.recurrent.pruned_lstm import PrunedLSTM

D, H, C = 5, 4, 7


def made(**settings) -> PrunedLSTM:
    torch.manual_seed(0)
    return PrunedLSTM(D, H, n_layers=2, **settings).double()


def read_by_softmax(**settings) -> tuple[PrunedLSTM, nn.Linear]:
    model, head = made(**settings), Softmax(H, C).double()
    network = Network(LearnedEmbedding(C, D, None).double(), model, head)
    assert not any("readout" in name for name in network.state_dict())
    return model, head.linear


def x_of(steps=9):
    return torch.randn(3, steps, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def by_torch(layers, x):
    """torch's own modules of these weights, one above the other."""
    for input_weight, weight, *biases in layers:
        layer = nn.LSTM(input_weight.shape[1], weight.shape[1], batch_first=True).double()
        for own, value in zip(weights(layer), (input_weight, weight, *biases), strict=True):
            own.data.copy_(value)
        x, _ = layer(x)
    return x


def set_log_alpha(model, value):
    with torch.no_grad():
        for gate in model.gates:
            gate.log_alpha.fill_(value)


@pytest.mark.parametrize("log_alpha", [-3.0, -1.0, 0.0, 1.0, 2.5])
def test_the_formulas_of_a_gate_are_those_of_a_million_draws(log_alpha):
    torch.manual_seed(0)
    gates = HardConcrete(1_000_000).double()
    gates.log_alpha.data.fill_(log_alpha)
    drawn = gates().detach()
    for found, p in [
        ((drawn > 0).double().mean(), gates.open_probability()[0]),
        ((drawn == 1).double().mean(), torch.sigmoid(torch.tensor(log_alpha - 2 / 3 * math.log(1.1 / 0.1)))),
    ]:
        assert found.item() == pytest.approx(p.item(), abs=4 * math.sqrt(0.25 / len(drawn)))
    assert ((drawn >= 0) & (drawn <= 1)).all()
    # between the two: the share v of a gate in (0, 1) has the logistic distribution's quantiles
    v = (drawn[(drawn > 0) & (drawn < 1)] + 0.1) / 1.2
    below = torch.sigmoid(2 / 3 * torch.logit(torch.tensor([1 / 12, 0.5, 11 / 12])) - log_alpha)
    share = ((below[1] - below[0]) / (below[2] - below[0])).item()
    assert (v < 0.5).double().mean().item() == pytest.approx(share, abs=4 * math.sqrt(0.25 / len(v)))


def test_a_gate_at_the_start_and_where_it_closes():
    gates = HardConcrete(20_000).double()
    assert abs(gates.log_alpha.mean().item() - 1) < 0.005 and abs(gates.log_alpha.std().item() - 0.1) < 0.005
    gates.log_alpha.data.fill_(1.0)
    assert gates.open_probability()[0].item() == pytest.approx(0.9308, abs=1e-4)
    assert gates.eval()()[0].item() == gates.fixed()[0].item() == pytest.approx(0.7773, abs=1e-4)
    for log_alpha, closed in [(-2.399, True), (-2.397, False)]:
        gates.log_alpha.data.fill_(log_alpha)
        assert (gates.fixed()[0].item() == 0) == closed


def test_the_expected_number_of_weights_is_that_of_draws():
    model, readout = read_by_softmax()
    with torch.no_grad():
        for gate in model.gates:
            gate.log_alpha.uniform_(-3, 2)
    torch.manual_seed(1)
    counts = []
    for _ in range(10_000):
        gates = [gate().detach() for gate in model.gates]
        masked = [matrix for layer in model._masked(gates) for matrix in layer[:2]]
        counts.append(sum(int(matrix.count_nonzero()) for matrix in (*masked, readout.weight * gates[-1])))
    counts = torch.tensor(counts).double()
    p = [gate.open_probability() for gate in model.gates]
    assert expected_weights(p, C).item() == pytest.approx(counts.mean().item(), abs=4 * counts.std().item() / 100)
    whole = 4 * H * (D + H) + 4 * H * 2 * H + C * H
    assert expected_weights([torch.ones(n) for n in (D, H, H)], C) == whole
    model.penalty = 0.3
    _, _, aux = model(x_of())
    assert aux.item() == pytest.approx(0.3 * expected_weights(p, C).item() / whole)
    assert model.eval()(x_of())[2] is None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_with_all_gates_open_it_is_torchs(training, backend):
    model = made(penalty=0.0, backend=backend).train(training)
    set_log_alpha(model, 100.0)
    y, _, aux = model(x_of())
    assert aux is None
    torch.testing.assert_close(y, by_torch([weights(layer) for layer in model.layers], x_of()), rtol=0, atol=1e-14)


@pytest.mark.parametrize("selection", ["group_lasso", "l1"])
def test_without_gates_it_is_torchs(selection):
    model = made(selection=selection)
    y, _, _ = model(x_of())
    torch.testing.assert_close(y, by_torch([weights(layer) for layer in model.layers], x_of()), rtol=0, atol=1e-14)


@pytest.mark.parametrize("training", [True, False])
def test_a_closed_unit_is_as_if_it_were_not_there(training):
    """Unit 2 of the first layer, unit 0 of the second and input 3; biases are large, so that h itself is not zero."""
    model = made().train(training)
    set_log_alpha(model, 100.0)
    with torch.no_grad():
        for (_, _, *biases), place, index in zip(
            [weights(model.layers[0]), weights(model.layers[0]), weights(model.layers[1])],
            model.gates,
            (3, 2, 0),
            strict=True,
        ):
            place.log_alpha[index] = -100.0
            for bias in biases:
                bias.uniform_(0.5, 1.0)
    y, state, _ = model(x_of())
    kept = [torch.tensor([i for i in range(n) if i != gone]) for n, gone in ((D, 3), (H, 2), (H, 0))]
    layers = []
    for layer, (inputs, units) in zip(model.layers, itertools.pairwise(kept), strict=True):
        rows = torch.cat([gate * H + units for gate in range(4)])
        w, u, b, c = weights(layer)
        layers.append((w[rows][:, inputs], u[rows][:, units], b[rows], c[rows]))
    expected = by_torch(layers, x_of()[:, :, kept[0]])
    torch.testing.assert_close(y[:, :, kept[2]], expected, rtol=0, atol=1e-14)
    assert (y[:, :, 0] == 0).all() and (state[1][0][:, 0].abs() > 0.1).all()


def test_one_draw_holds_for_a_batch():
    """All rows and all steps, and another one for the next."""
    model = made().train()
    torch.manual_seed(3)
    drawn = [gate().detach() for gate in model.gates]
    torch.manual_seed(3)
    y, _, _ = model(x_of())
    expected = by_torch(model._masked(drawn), x_of()) * drawn[-1]
    torch.testing.assert_close(y, expected.detach(), rtol=0, atol=1e-14)
    assert not torch.equal(model(x_of())[0], y)


def test_the_norms_of_groups_are_those_of_a_loop():
    model, readout = read_by_softmax(selection="group_lasso", penalty=0.7)
    layers = [[value.detach() for value in weights(layer)] for layer in model.layers]
    total = 0.0
    for index, (w, u, b, c) in enumerate(layers):
        above = layers[1][0] if index == 0 else readout.weight.detach()
        for unit in range(H):
            squares = 0.0
            for gate in range(4):
                row = gate * H + unit
                squares += sum(float(value) ** 2 for value in (*w[row], *u[row], b[row], c[row]))
            for row in range(4 * H):
                squares += float(u[row, unit]) ** 2
            for row in range(len(above)):
                squares += float(above[row, unit]) ** 2
            total += math.sqrt(squares + 1e-8)
    assert group_lasso(layers, readout.weight).item() == pytest.approx(total, rel=1e-13)
    assert model(x_of())[2].item() == pytest.approx(0.7 * total, rel=1e-13)


def test_l1_is_the_sum_of_the_weights():
    model, readout = read_by_softmax(selection="l1", penalty=0.7)
    matrices = [matrix for layer in model.layers for matrix in weights(layer)[:2]]
    total = sum(float(matrix.detach().abs().sum()) for matrix in (*matrices, readout.weight))
    assert model(x_of())[2].item() == pytest.approx(0.7 * total, rel=1e-13)


@pytest.mark.parametrize("way", ["into", "out of"])
def test_a_unit_is_closed_without_weights_into_it_or_out_of_it(way):
    model, readout = read_by_softmax(selection="group_lasso", zero_below=1e-4)
    rows = [gate * H + 1 for gate in range(4)]
    w, u, *biases = weights(model.layers[1])
    with torch.no_grad():
        parts = (w[rows], u[rows], *(b[rows] for b in biases)) if way == "into" else (u[:, 1], readout.weight[:, 1])
        assert all((part != 0).any() for part in parts)
        for value in (w, u, *biases) if way == "into" else ():
            value[rows] = 9e-5
        if way == "out of":
            u[:, 1], readout.weight[:, 1] = -9e-5, 9e-5
    assert [int(gates.sum()) for gates in model.fixed_gates()] == [D, H, H]
    model.after_step(Alone())
    assert [gates.tolist() for gates in model.fixed_gates()] == [[1.0] * D, [1.0] * H, [1.0, 0.0, 1.0, 1.0]]
    if way == "into":
        assert (model(x_of())[0][:, :, 1] == 0).all()
    model(x_of())
    counts = model.diagnostics()
    assert (counts["open_2"], counts["open_1"], counts["open_inputs"]) == ((3.0, 1.0), (4.0, 1.0), (5.0, 1.0))
    gone = 4 * (H + H) + 4 * H - 4 if way == "into" else 4 * H + C
    gone -= 4 * H - 4 if way == "into" else 0  # its column of U stays
    whole = 4 * H * (D + H) + 4 * H * 2 * H + C * H
    assert counts["weights_left"][0] == pytest.approx(1 - gone / whole)


def test_without_a_penalty_no_weight_is_set_to_zero():
    model, _ = read_by_softmax(selection="l1", penalty=0.0, zero_below=1.0)
    before = [value.clone() for value in model.parameters()]
    model.after_step(Alone())
    assert all(map(torch.equal, before, model.parameters()))


def test_a_readout_counts_and_belongs_to_the_last_layers_groups():
    model, readout = read_by_softmax(selection="group_lasso")
    with torch.no_grad():
        readout.weight.zero_()
        weights(model.layers[1])[1].zero_()
    assert [int(gates.sum()) for gates in model.fixed_gates()] == [D, H, 0]
    assert [int(gates.sum()) for gates in open_units(model._masked([]), None)] == [H, H]
    assert model.unit_norms()[1].min() > 0
