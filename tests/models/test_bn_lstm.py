"""BN-LSTM against torch's batch norm and LSTM, and what its statistics are of."""

import functools
import json

import pytest
import torch
import torch.nn.functional as F
from said import one_sentence, rows
from small_run import SMALL
from torch import nn

from seqbench.checks.models import features
from seqbench.contracts.batch import Batch
from seqbench.contracts.peers import Alone
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.time_loop import normalised
from seqbench.models.recurrent.norm_lstm import NormLSTM

D, N, B, T = 3, 7, 5, 9
EPS = 1e-5
native = pytest.param("native", marks=pytest.mark.skipif(normalised.library() is None, reason="no C++ compiler"))
BACKENDS = pytest.mark.parametrize("backend", ["reference", native])
statistics_of = functools.partial(BatchNorm, eps=EPS)


def model(norm=None, units=N, d_input=D, dtype=torch.float64, **settings):
    """One whose every parameter and every statistic is drawn."""
    torch.manual_seed(0)
    made = NormLSTM(d_input, units, norm or functools.partial(statistics_of, n_steps=T), **settings).to(dtype)
    with torch.no_grad():
        for tensor in (*made.parameters(), *made.buffers()):
            tensor.add_(0.3 * torch.rand_like(tensor))
    return made


def parts(backbone):
    """The one layer, and the norms of hidden, input and cell."""
    (layer,) = backbone.layers
    return layer, [layer.norm(place) for place in ("hidden", "input", "cell")]


def network(backbone, d_input=D, n_outputs=2):
    return Network(OneHot(None, d_input), backbone, Softmax(backbone.d_output, n_outputs)).double()


def estimate(backbone, batches):
    network(backbone).prepare_evaluation(iter(batches), Alone())


def batches_of(*inputs, reset=True):
    return [
        Batch(x_BTD, torch.zeros(x_BTD.shape[:2], dtype=torch.long), reset=reset or not i)
        for i, x_BTD in enumerate(inputs)
    ]


def by_torch(backbone, x_BTD):
    """Outputs and the last cell: F.batch_norm thrice a step, and an LSTM's algebra."""
    outputs, H, (layer, norms) = [], backbone.d_output, parts(backbone)
    h, c = layer.first_h.expand(len(x_BTD), H), layer.first_c.expand(len(x_BTD), H)
    gains, bias, bias_cell = [norm.gain for norm in norms], layer.biases["sum"], layer.biases["cell"]
    for x in x_BTD.unbind(1):
        a = F.batch_norm(h @ layer.weight_hidden, None, None, gains[0], bias, True, 0.0, EPS)
        b = F.batch_norm(x @ layer.weight_input, None, None, gains[1], None, True, 0.0, EPS)
        i, f, g, o = (a + b).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * F.batch_norm(c, None, None, gains[2], bias_cell, True, 0.0, EPS).tanh()
        outputs.append(h)
    return torch.stack(outputs, 1), c


def gradients(backbone, outputs, x):
    generator = torch.Generator().manual_seed(1)
    loss = sum((out * torch.randn(out.shape, generator=generator).to(out)).sum() for out in outputs)
    wanted = {**dict(backbone.named_parameters()), "x": x}
    return dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))


@BACKENDS
@pytest.mark.parametrize("shape", [(B, T, D, N), (20, 30, 1, 33), (3, 4, 40, 16)], ids=str)
def test_equals_torchs_batch_norm_and_an_lstms_algebra(backend, shape):
    rows, steps, d_input, units = shape
    backbone = model(units=units, d_input=d_input, backend=backend)
    x_BTD = features(d_input, rows, steps).requires_grad_()
    y_BTD, (((_, c_BH, _),), t_B), _ = backbone(x_BTD)
    torch.testing.assert_close((y_BTD, c_BH), by_torch(backbone, x_BTD), rtol=1e-11, atol=1e-12)
    assert t_B.tolist() == [steps] * rows
    ours, oracle = gradients(backbone, (y_BTD, c_BH), x_BTD), gradients(backbone, by_torch(backbone, x_BTD), x_BTD)
    # the first h is the same in all rows, so the first step's mean takes it off: its gradient is but rounding
    assert ours.pop("layers.0.first_h").abs().max() < 1e-10 > oracle.pop("layers.0.first_h").abs().max()
    torch.testing.assert_close(ours, oracle, rtol=1e-9, atol=1e-11)


@BACKENDS
def test_without_norm_it_is_torchs_lstm(backend):
    backbone, oracle = model(NoNorm, backend=backend), nn.LSTM(D, N, batch_first=True).double()
    assert not backbone.couples_rows
    layer, _ = parts(backbone)
    with torch.no_grad():
        for parameter in (layer.biases["cell"], layer.first_h, layer.first_c, oracle.bias_hh_l0):
            parameter.zero_()
        oracle.weight_ih_l0.copy_(layer.weight_input.T)
        oracle.weight_hh_l0.copy_(layer.weight_hidden.T)
        oracle.bias_ih_l0.copy_(layer.biases["sum"])
    x_BTD = features(D, B, T)
    y_BTD, (((h_BH, c_BH, _),), _), _ = backbone(x_BTD)
    torch.testing.assert_close((y_BTD, (h_BH[None], c_BH[None])), oracle(x_BTD), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("trains", [True, False])
def test_gradients_are_those_of_finite_differences(trains):
    # which go back through one graph several times, as a compiled loop cannot
    backbone = model(units=2, backend="reference").train(trains)
    names, weights = zip(*backbone.named_parameters(), strict=True)
    x_BTD = features(D, 3, 3).requires_grad_()

    def outputs(x_BTD, *weights):
        y_BTD, state, _ = torch.func.functional_call(backbone, dict(zip(names, weights, strict=True)), (x_BTD,))
        return y_BTD, state[0][0][1]

    assert torch.autograd.gradcheck(outputs, (x_BTD, *weights))


@BACKENDS
def test_populations_statistics_of_one_batch_are_the_batchs(backend):
    backbone, x_BTD = model(backend=backend), features(D, B, T)
    y_BTD, _, _ = backbone(x_BTD)
    estimate(backbone, batches_of(x_BTD))
    torch.testing.assert_close(backbone.eval()(x_BTD)[0], y_BTD, rtol=1e-12, atol=1e-13)


@BACKENDS
def test_statistics_are_plain_averages_of_the_batches_means_and_biased_variances(backend):
    backbone = model(functools.partial(statistics_of, n_steps=T, n_batches=3), backend=backend)
    inputs = [features(D, rows, T) * rows for rows in (5, 6, 4, 2)]  # the last one is not read
    estimate(backbone, batches_of(*inputs))
    layer, (_, norm_input, norm_cell) = parts(backbone)
    moments = [torch.var_mean(x_BTD @ layer.weight_input, 0, correction=0) for x_BTD in inputs[:3]]
    variance_TK, mean_TK = (sum(parts) / 3 for parts in zip(*moments, strict=True))
    torch.testing.assert_close(norm_input.mean_SD, mean_TK)
    torch.testing.assert_close(norm_input.variance_SD, variance_TK)
    cells = [[by_torch(backbone, x_BTD[:, : t + 1])[1] for t in range(T)] for x_BTD in inputs[:3]]
    variances_T = [sum(c[t].var(0, correction=0) for c in cells) / 3 for t in range(T)]
    torch.testing.assert_close(norm_cell.variance_SD, torch.stack(variances_T))


@BACKENDS
@pytest.mark.parametrize("n_steps", [4, 2 * T])
def test_a_step_beyond_the_last_statistics_takes_those(backend, n_steps):
    backbone = model(functools.partial(statistics_of, n_steps=n_steps), backend=backend)
    estimate(backbone, batches_of(features(D, B, T)))
    last = min(n_steps, T) - 1
    for norm in parts(backbone)[1]:
        mean_TD, variance_TD = norm.population(0, 3 * T)
        assert torch.equal(mean_TD[last:], norm.mean_SD[last].expand_as(mean_TD[last:]))
        assert torch.equal(variance_TD[last:], norm.variance_SD[last].expand_as(variance_TD[last:]))
    assert backbone.eval()(features(D, B, 3 * T))[0].abs().max() <= 1


@BACKENDS
@pytest.mark.parametrize("size", [1, 7, 3 * T])
def test_evaluation_in_pieces_goes_on_with_the_time(backend, size):
    backbone, x_BTD = model(backend=backend).eval(), features(D, B, 3 * T)
    state, outputs = None, []
    for start in range(0, 3 * T, size):
        y_BTD, state, _ = backbone(x_BTD[:, start : start + size], state)
        outputs.append(y_BTD)
    torch.testing.assert_close(torch.cat(outputs, 1), backbone(x_BTD)[0], rtol=1e-12, atol=1e-13)


def test_a_stream_that_training_batches_go_on_with_is_counted_from_its_beginning():
    backbone, (first_BTD, second_BTD) = model(), features(D, B, T).split([4, 5], 1)
    estimate(backbone, batches_of(first_BTD, second_BTD, reset=False))
    in_pieces = backbone.state_dict()
    whole = model()
    estimate(whole, batches_of(torch.cat([first_BTD, second_BTD], 1)))
    torch.testing.assert_close(whole.state_dict(), in_pieces, rtol=1e-12, atol=1e-13)


def test_padding_changes_nothing():
    backbone, x_BTD = model(backend="auto"), features(D, B, T)
    valid_BT = torch.ones(B, T, dtype=torch.bool)
    valid_BT[1, 4:] = valid_BT[3, 2:] = False
    changed_BTD = torch.where(valid_BT[..., None], x_BTD, 7.0)
    y_BTD, other_BTD = (backbone(x, None, valid_BT)[0] for x in (x_BTD, changed_BTD))
    torch.testing.assert_close(other_BTD[valid_BT], y_BTD[valid_BT], rtol=1e-12, atol=1e-13)
    three_BTD = backbone(x_BTD[[0, 2, 4]])[0]  # the only rows of the last steps, but not of the first ones
    assert not torch.allclose(three_BTD[:, 0], y_BTD[[0, 2, 4], 0])
    estimate(backbone, [batch.replace(inputs_valid_BT=valid_BT) for batch in batches_of(x_BTD)])
    layer, (_, norm_input, _) = parts(backbone)
    variance_K = (x_BTD[[0, 2, 4], -1] @ layer.weight_input).var(0, correction=0)
    torch.testing.assert_close(norm_input.variance_SD[-1], variance_K)


def test_the_scale_of_weights_does_not_matter():
    backbone = model(functools.partial(BatchNorm, n_steps=T, eps=1e-14))
    y_BTD = backbone(features(D, B, T))[0].detach()
    with torch.no_grad():
        parts(backbone)[0].weight_hidden *= 3
        parts(backbone)[0].weight_input *= 0.2
    torch.testing.assert_close(backbone(features(D, B, T))[0], y_BTD, rtol=1e-6, atol=1e-8)


def test_first_weights():
    layer, _ = parts(NormLSTM(1, 8, NoNorm, init="identity"))
    i_HH, f_HH, g_HH, o_HH = layer.weight_hidden.chunk(4, 1)
    others_HK = torch.cat([i_HH, f_HH, o_HH], 1)
    assert torch.equal(g_HH, torch.eye(8))
    torch.testing.assert_close(others_HK @ others_HK.T, torch.eye(8))
    torch.testing.assert_close(layer.weight_input.norm(), torch.tensor(1.0))
    assert layer.biases["sum"].tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


def test_noise_is_new_in_training_and_the_same_in_each_evaluation():
    backbone, x_BTD = model(state_noise=0.1), features(D)
    assert not torch.equal(backbone(x_BTD)[0], backbone(x_BTD)[0])
    backbone.eval()
    y_BTD = backbone(x_BTD)[0]
    assert torch.equal(backbone(x_BTD)[0], y_BTD)
    parts(backbone)[0].state_noise = 0.0
    assert not torch.allclose(backbone(x_BTD)[0], y_BTD)


TINY = [setting for setting in SMALL if "model" not in setting]
TINY += ["model=bn_lstm", "model.hidden_size=8", "model.norm.n_batches=2", "train.max_steps=3", "train.eval_every=3"]
TINY += ["log.every=1", "task.batch_size=10", "task.delay=1", "task.valid_size=10", "task.test_size=10"]


@pytest.mark.slow
def test_two_processes_equal_one_and_eval_the_run(seqbench_in, tmp_path):
    curves = []
    for n_processes in (1, 2):
        place = tmp_path / str(n_processes)
        place.mkdir()
        code, _, errors = seqbench_in(place, "train", *TINY, f"train.nproc={n_processes}")
        assert code == 0, errors
        curves.append([row.get("loss") or row["valid"]["nll"] for row in rows(place / "outputs")])
    assert len(curves[0]) == 4
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    (record,) = (tmp_path / "1" / "results" / "runs").iterdir()
    code, said, errors = seqbench_in(tmp_path / "1", "eval", f"run={record.stem}")
    assert code == 0, errors
    in_run = json.loads(record.read_text())["metrics"]["test"]["nll"]
    assert json.loads(said)["metrics"]["nll"] == pytest.approx(in_run, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["train.accumulate=2"], "train.accumulate=2 would not equal a larger batch: in NormLSTM the rows of a batch"),
        (["model.norm.n_steps=0"], "model.norm.n_steps is at least 1, not 0"),
        (
            ["model=transformer", "norm@model.norm=batch_norm"],
            "Transformer cannot take BatchNorm, which mixes the rows",
        ),
    ],
)
def test_mistakes(seqbench, tmp_path, settings, sentence):
    base = TINY if "model=transformer" not in settings else [one for one in TINY if "model" not in one]
    code, _, said = seqbench("train", *base, *settings)
    assert code == 2
    assert sentence in one_sentence(said)
    assert not list(tmp_path.iterdir())
