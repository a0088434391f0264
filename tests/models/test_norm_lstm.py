"""LSTMs with norms at chosen places: against torch's norms and an LSTM's algebra, and the compiled loop."""

import functools
import json

import pytest
import torch
import torch.nn.functional as F
from said import rows
from small_run import SMALL

from seqbench.checks.models import features
from seqbench.compiled import BackendError
from seqbench.models.cells.norm.assorted_time_norm import AssortedTimeNorm
from seqbench.models.cells.norm.batch_layer_norm import BatchLayerNorm
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.time_loop import normalised
from seqbench.models.recurrent.norm_lstm import NormLSTM
from seqbench.optim.plain import unfused

D, N, B, T = 3, 7, 5, 11
ALL, OF_ATN = ("input", "hidden", "cell"), ("input", "hidden")
NORMS = {
    "batch_norm": functools.partial(BatchNorm, n_steps=T),
    "layer_norm": LayerNorm,
    "layer_norm-plain": functools.partial(LayerNorm, affine=False),
    "window-1": functools.partial(AssortedTimeNorm, k=1),
    "window-3": functools.partial(AssortedTimeNorm, k=3),
    "window-20": functools.partial(AssortedTimeNorm, k=20),
    "batch_layer_norm": functools.partial(BatchLayerNorm, batch_size=B, n_steps=T),
    "none": NoNorm,
}
native = pytest.param("native", marks=pytest.mark.skipif(normalised.library() is None, reason="no C++ compiler"))
BACKENDS = pytest.mark.parametrize("backend", ["reference", native])


def model(norm, norms=ALL, biases=("sum", "cell"), d_input=D, **settings):
    """One whose every parameter and every statistic is drawn."""
    torch.manual_seed(0)
    made = NormLSTM(d_input, N, norm, norms, biases, **{"forget_bias": None, **settings}).double()
    with torch.no_grad():
        for tensor in (*made.parameters(), *made.buffers()):
            tensor.add_(0.3 * torch.rand_like(tensor))
    return made


def in_pieces(backbone, x, *sizes):
    """Outputs and the last state of pieces of a sequence, the state handed on."""
    state, outputs = None, []
    for piece in x.split(sizes, 1):
        y_BTD, state, _ = backbone(piece, state)
        outputs.append(y_BTD)
    return torch.cat(outputs, 1), state


def tensors_of(state):
    """Of the layers: cells and memories."""
    layers, _ = state
    return [tensor for _, c_BH, memory in layers for tensor in (c_BH, *memory.values()) if tensor is not None]


def gradients(outputs, wanted):
    generator = torch.Generator().manual_seed(1)
    loss = sum((out * torch.randn(out.shape, generator=generator).to(out)).sum() for out in outputs)
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return {name: torch.zeros(()) if one is None else one for name, one in zip(wanted, found, strict=True)}


@pytest.mark.skipif(normalised.library() is None, reason="no C++ compiler")
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize(
    ("norms", "biases", "of_ids"),
    [(ALL, ("sum", "cell"), True), (ALL, OF_ATN, False), (("input",), ("sum",), False), (("hidden", "cell"), (), True)],
)
def test_native_equals_reference(name, trains, norms, biases, of_ids):
    """Two layers, in two pieces: gradients go through what the first remembers."""
    x = torch.randint(D, (B, T)) if of_ids else features(D, B, T).requires_grad_()
    found = []
    for backend in ("native", "reference"):
        backbone = model(NORMS[name], norms, biases, n_layers=2, backend=backend).train(trains)
        y_BTD, state = in_pieces(backbone, x, 4, T - 4)
        outputs = [y_BTD, *tensors_of(state)]
        # statistics of the batch take off the first h, which is the same in all rows: its gradient is but rounding
        wanted = {key: one for key, one in backbone.named_parameters() if not key.endswith("first_h") or not trains}
        found.append((outputs, gradients(outputs, wanted if of_ids else {**wanted, "x": x})))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


def by_torch(backbone, x_BTD, norm):
    """Outputs by torch's functions: `norm(place, z)`."""
    outputs, layer = [], backbone.layers[0]
    bias = {place: layer.biases.get(place, 0.0) for place in layer.norms}
    h, c = (start.expand(len(x_BTD), -1) for start in (layer.first_h, layer.first_c))
    for x in x_BTD.unbind(1):
        a = norm("hidden", h @ layer.weight_hidden + bias["hidden"])
        i, f, g, o = (a + norm("input", x @ layer.weight_input + bias["input"]) + bias["sum"]).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * (norm("cell", c) + bias["cell"]).tanh()
        outputs.append(h)
    return torch.stack(outputs, 1)


@BACKENDS
@pytest.mark.parametrize("name", ["layer_norm", "window-1"])
@pytest.mark.parametrize("biases", [("sum",), OF_ATN])
def test_equals_torchs_layer_norm_and_an_lstms_algebra(name, biases, backend):
    backbone, x_BTD = model(NORMS[name], ALL, biases, backend=backend), features(D, B, T)

    def norm(place, z):
        one = backbone.layers[0].norm(place)
        return F.layer_norm(z, z.shape[1:], one.weight, one.bias)

    found, expected = backbone(x_BTD)[0], by_torch(backbone, x_BTD, norm)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    wanted = dict(backbone.named_parameters())
    torch.testing.assert_close(gradients([found], wanted), gradients([expected], wanted), rtol=1e-9, atol=1e-11)


@BACKENDS
@pytest.mark.parametrize("name", ["layer_norm", "window-3", "window-20", "batch_layer_norm"])
@pytest.mark.parametrize("size", [1, 7, T])
def test_evaluation_in_pieces_goes_on_with_window_and_time(name, size, backend):
    backbone, x_BTD = model(NORMS[name], n_layers=2, backend=backend).eval(), features(D, B, 3 * T)
    sizes = [size] * (3 * T // size) + [3 * T % size] * (3 * T % size > 0)
    y_BTD, state = in_pieces(backbone, x_BTD, *sizes)
    whole_BTD, end, _ = backbone(x_BTD)
    torch.testing.assert_close((y_BTD, tensors_of(state)), (whole_BTD, tensors_of(end)), rtol=1e-11, atol=1e-12)


@BACKENDS
def test_the_window_ends_with_its_sequence(backend):
    backbone, (first_BTD, second_BTD) = model(NORMS["window-20"], backend=backend), features(D, B, 2 * T).chunk(2, 1)
    _, state, _ = backbone(first_BTD)
    assert not torch.allclose(backbone(second_BTD, state)[0], backbone(second_BTD)[0])
    torch.testing.assert_close(backbone(second_BTD)[0], model(NORMS["window-20"], backend=backend)(second_BTD)[0])


@pytest.mark.parametrize("name", ["layer_norm", "window-3", "batch_layer_norm"])
def test_gradients_are_those_of_finite_differences(name):
    # which go back through one graph several times, as a compiled loop cannot
    torch.manual_seed(0)
    biases = ("input", "hidden")
    backbone = NormLSTM(2, 2, NORMS[name], ALL, biases, forget_bias=None, backend="reference").double()
    names, weights = zip(*backbone.named_parameters(), strict=True)
    weights = [(weight + torch.rand_like(weight)).detach().requires_grad_() for weight in weights]
    x_BTD = features(2, 3, 4).requires_grad_()

    def outputs(x_BTD, *weights):
        y_BTD, state, _ = torch.func.functional_call(backbone, dict(zip(names, weights, strict=True)), (x_BTD,))
        return y_BTD, state[0][0][1]

    assert torch.autograd.gradcheck(outputs, (x_BTD, *weights))


@BACKENDS
@pytest.mark.parametrize("make", [LayerNorm, functools.partial(AssortedTimeNorm, k=4)], ids=["layer", "window"])
def test_the_scale_of_weights_does_not_matter(make, backend):
    backbone = model(functools.partial(make, eps=1e-14), biases=("sum",), backend=backend)
    layer, y_BTD = backbone.layers[0], backbone(features(D, B, T))[0].detach()
    with torch.no_grad():
        layer.weight_hidden *= 3
        layer.weight_input *= 0.2
    torch.testing.assert_close(backbone(features(D, B, T))[0], y_BTD, rtol=1e-6, atol=1e-8)


def test_the_norm_of_the_sum():
    backbone, x_BTD = model(LayerNorm, ("sum",), backend="auto"), features(D, B, T)
    layer = backbone.layers[0]
    h_BH, c_BH = (start.expand(B, -1) for start in (layer.first_h, layer.first_c))
    s_BK = layer.norm("sum")(h_BH @ layer.weight_hidden + x_BTD[:, 0] @ layer.weight_input) + layer.biases["sum"]
    i, f, g, o = s_BK.chunk(4, 1)
    cell_BH = f.sigmoid() * c_BH + i.sigmoid() * g.tanh() + layer.biases["cell"]
    expected_BH = o.sigmoid() * (cell_BH).tanh()
    torch.testing.assert_close(backbone(x_BTD)[0][:, 0], expected_BH, rtol=1e-12, atol=1e-13)


def test_padding_does_not_touch_statistics_of_layers_above():
    backbone, x_BTD = model(NORMS["batch_layer_norm"], n_layers=2), features(D, B, T)
    valid_BT = torch.arange(T) < torch.tensor([T, 4, T, 2, T])[:, None]
    changed_BTD = torch.where(valid_BT[..., None], x_BTD, 7.0)
    y_BTD, other_BTD = (backbone(x, None, valid_BT)[0] for x in (x_BTD, changed_BTD))
    torch.testing.assert_close(other_BTD[valid_BT], y_BTD[valid_BT], rtol=1e-11, atol=1e-12)


def test_dropout_acts_between_layers():
    backbone, x_BTD = model(LayerNorm, n_layers=2, dropout=0.5), features(D, B, T)
    assert not torch.equal(backbone(x_BTD)[0], backbone(x_BTD)[0])
    assert torch.equal(backbone.eval()(x_BTD)[0], model(LayerNorm, n_layers=2).eval()(x_BTD)[0])


def test_first_weights_and_states():
    (layer,) = NormLSTM(D, N, LayerNorm, biases=OF_ATN, init="identities", forget_bias=None, trained_start=False).layers
    assert torch.equal(layer.weight_hidden, torch.eye(N).repeat(1, 4))
    assert {name.partition(".")[0] for name, _ in layer.named_parameters()} == {
        "weight_input",
        "weight_hidden",
        "biases",
        "norms",
    }
    (layer,) = NormLSTM(D, N, LayerNorm, init="uniform", init_range=0.1, forget_bias=None).layers
    assert 0.05 < layer.weight_hidden.abs().max() <= 0.1 >= layer.biases["sum"].abs().max() > 0.05
    assert torch.equal(layer.norm("cell").weight, torch.ones(N))


def test_native_says_where_it_is_not():
    for norms, context in ((("sum",), False), (ALL, True)):
        backbone = model(LayerNorm, norms, backend="native")
        with pytest.raises(BackendError, match="for the norms of conf/norm at input, hidden and cell"):
            if context:
                with unfused():
                    backbone(features(D))
            else:
                backbone(features(D))


CYCLIC = ["model.norm.cyclic=true", "model.norm.n_steps=5"]


def small(norm, *more):
    settings = [setting for setting in SMALL if "model" not in setting]
    settings += ["model=norm_lstm", f"norm@model.norm={norm}", "model.hidden_size=8", "model.norm.n_batches=2"]
    settings += ["train.max_steps=3", "train.eval_every=3", "log.every=1", "task.batch_size=10", "task.delay=1"]
    return [*settings, "task.valid_size=10", "task.test_size=10", *more]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        small("batch_layer_norm", "model.norm.batch_size=10"),
        small("pooled_batch_norm", "model.norms=[input]"),
        small(
            "batch_norm", "model.n_layers=2", "model.norms=[input]", "model.norm.cyclic=true", "model.norm.n_steps=5"
        ),
    ],
    ids=["batch_layer_norm", "pooled", "cyclic"],
)
def test_two_processes_equal_one_and_eval_the_run(settings, seqbench_in, tmp_path):
    curves = []
    for n_processes in (1, 2):
        place = tmp_path / str(n_processes)
        place.mkdir()
        code, _, errors = seqbench_in(place, "train", *settings, f"train.nproc={n_processes}")
        assert code == 0, errors
        curves.append([row.get("loss") or row["valid"]["nll"] for row in rows(place / "outputs")])
    assert len(curves[0]) == 4
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    (record,) = (tmp_path / "1" / "results" / "runs").iterdir()
    code, said, errors = seqbench_in(tmp_path / "1", "eval", f"run={record.stem}")
    assert code == 0, errors
    in_run = json.loads(record.read_text())["metrics"]["test"]["nll"]
    assert json.loads(said)["metrics"]["nll"] == pytest.approx(in_run, rel=1e-6)
