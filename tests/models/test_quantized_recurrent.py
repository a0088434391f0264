"""Quantised LSTM and RNN: their definition, float networks, what they begin from; products of packed weights."""

import copy
import functools

import pytest
import torch
from small_run import SMALL
from torch import nn
from torch.utils._pytree import tree_leaves

from seqbench.checks.models import check_chunked_equals_full, check_rows, features
from seqbench.compiled import BackendError
from seqbench.contracts.peers import Alone
from seqbench.models.cells.quantizer.binary import Binary
from seqbench.models.cells.quantizer.linear import Linear
from seqbench.models.cells.quantizer.power_of_two import PowerOfTwo
from seqbench.models.cells.quantizer.real import Real
from seqbench.models.cells.quantizer.uniform import Uniform
from seqbench.models.cells.time_loop import packed
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.recurrent.quantized_lstm import QuantizedLSTM
from seqbench.models.recurrent.quantized_rnn import QuantizedRNN
from seqbench.models.recurrent.rnn import RNN

D, H, B, T = 21, 37, 3, 9
compiles = pytest.mark.skipif(packed.library() is None, reason="no C++ compiler")
of = functools.partial
PAIRS = {  # of weights and activations
    "1/1": (of(Uniform, 1), of(Uniform, 1)),
    "signs": (Binary, Binary),
    "scaled signs": (of(Binary, "row"), of(Binary, "row")),
    "1/4": (Binary, Uniform),
    "2/3": (of(Uniform, 2), of(Uniform, 3)),
    "4/4": (Uniform, Uniform),
    "4/4 of all": (of(Uniform, 4, "tensor"), of(Uniform, 4, "one")),
    "4/8": (of(Uniform, 4), of(Uniform, 8)),
    "linear": (of(Linear, 3), of(Linear, 5)),
}


def model(cls=QuantizedLSTM, pair="4/4", dtype=torch.float64, **settings):
    torch.manual_seed(0)
    return cls(D, H, *PAIRS[pair], Real, **settings).to(dtype)


def x_of(dtype=torch.float64):
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def test_the_definition():
    made, x, quantize = model(), x_of(), Uniform()
    w, u, b, v = made.layers[0].all_weights[0]
    h, c = torch.zeros(B, H, dtype=torch.float64), torch.zeros(B, H, dtype=torch.float64)
    y, (end,), aux = made(x)
    for t in range(T):
        i, f, g, o = (quantize(x[:, t]) @ quantize(w).T + h @ quantize(u).T + b + v).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()  # of real numbers
        h = quantize(o.sigmoid() * c.tanh())
        torch.testing.assert_close(y[:, t], h)
    torch.testing.assert_close(end, (h, c))
    assert aux is None
    plain = model(quantizes_input=False)
    assert not torch.allclose(plain(x)[0], y)


@pytest.mark.parametrize(("cls", "real"), [(QuantizedLSTM, LSTM), (QuantizedRNN, RNN)])
def test_it_is_the_float_network_to_the_precision_of_its_bits(cls, real):
    x = x_of()
    torch.manual_seed(0)
    float_network = real(D, H, n_layers=2).double()
    expected = float_network(x)[0]
    errors = {}
    for bits in (4, 8, 16):
        quantizer = functools.partial(Uniform, bits)
        made = cls(D, H, quantizer, quantizer, Real, n_layers=2).double()
        made.load_state_dict(float_network.state_dict())  # the same names: init=<a float run> quantises it
        errors[bits] = float(((made(x)[0] - expected).abs().max() / expected.abs().max()).detach())
    assert errors[16] < 1e-3 < errors[8] < errors[4]
    made = cls(D, H, Real, Real, Real, n_layers=2).double()
    made.load_state_dict(float_network.state_dict())
    torch.testing.assert_close(made(x)[0], expected)


def test_weights_stay_real_and_are_clipped_after_a_step():
    for clip, largest in ((0.05, 0.05), (None, 0.16)):
        made = model(clip=clip)
        before = {name: value.clone() for name, value in made.named_parameters()}
        made.after_step(Alone())
        for name, value in made.named_parameters():
            if name.startswith("layers.0.weight"):
                assert len(value.unique()) > 500
                assert float(value.detach().abs().max()) == pytest.approx(largest, abs=0.006)
            else:
                assert torch.equal(value, before[name])


def test_gradients_at_the_gates_are_quantised():
    """Those of W are then sums of a gradient of few levels times what W multiplies."""
    x = x_of()[:1, :1]
    torch.manual_seed(0)
    made = QuantizedRNN(D, H, Real, Real, functools.partial(Uniform, 2)).double()
    (made(x)[0] * torch.randn(H, dtype=torch.float64)).sum().backward()
    grad_KD = made.layers[0].all_weights[0][0].grad
    levels = (grad_KD[:, 0] / x[0, 0, 0]).abs().unique()
    largest = levels.max()
    assert all(min(abs(level - largest), abs(level - largest / 3)) < 1e-12 for level in levels)


@compiles
@pytest.mark.parametrize("pair", PAIRS)
def test_products_of_packed_weights_are_exact(pair):
    """For every width around those of whole registers; XNOR: a b = n - 2 popcount(a xor b)."""
    weights, activations = (quantizer() for quantizer in PAIRS[pair])
    for n_rows, n_columns in [(1, 1), (7, 63), (16, 64), (17, 65), (64, 8), (65, 9), (130, 200)]:
        draw = torch.Generator().manual_seed(n_columns)
        w, x = torch.randn(n_rows, n_columns, generator=draw), torch.randn(5, n_columns, generator=draw)
        code_w, code_x = (
            quantizer.levels.factor * quantizer.codes(value)[0].long() - quantizer.levels.zero
            for quantizer, value in ((weights, w), (activations, x))
        )
        whole = packed.whole_numbers(packed.pack(w, weights, activations), x)
        assert torch.equal(whole.long(), code_x @ code_w.T)


@compiles
@pytest.mark.parametrize("cls", [QuantizedLSTM, QuantizedRNN])
@pytest.mark.parametrize("pair", PAIRS)
def test_packed_is_the_reference(pair, cls):
    """In float64 no number falls on the other side of a border between levels, on any processor."""
    x, made = x_of(), model(cls, pair, n_layers=2).eval()
    with torch.no_grad():
        outputs = {}
        for backend in ("reference", "packed", "auto"):
            made.backend = backend
            first, state, _ = made(x[:, :4])
            second, end, _ = made(x[:, 4:], state)  # goes on
            outputs[backend] = [first, second, *tree_leaves(end)]
    torch.testing.assert_close(outputs["packed"], outputs["reference"], rtol=1e-12, atol=1e-12)
    assert all(map(torch.equal, outputs["auto"], outputs["packed"]))
    single = model(cls, pair, torch.float32, backend="packed").eval()
    with torch.no_grad():
        y = single(x.float())[0]
        single.backend = "reference"
        expected = single(x.float())[0]
    close = torch.isclose(y, expected, rtol=1e-4, atol=1e-5).float().mean()
    assert close > 0.9  # a number at a border may fall on either side of it, and then later ones, too


@compiles
@torch.no_grad()
def test_the_contract_holds_for_packed_weights():
    for cls in (QuantizedLSTM, QuantizedRNN):
        made = cls(6, 8, Uniform, Uniform, Real, n_layers=2, backend="packed").double().eval()
        for check in (check_chunked_equals_full, check_rows):
            check(made, features(6))
        ids = torch.tensor([[3, 0, 5]])
        torch.testing.assert_close(made(ids)[0], made(nn.functional.one_hot(ids, 6).double())[0])
        assert made(torch.zeros(2, 0, 6, dtype=torch.float64))[0].shape == (2, 0, 8)
        made.quantizes_input = False
        torch.testing.assert_close(made(features(6))[0], reference_of(made)(features(6))[0])


def reference_of(made):
    copied = copy.deepcopy(made)
    copied.backend = "reference"
    return copied


@compiles
def test_packed_weights_are_those_of_now():
    made, x = model(backend="packed").eval(), x_of()
    with torch.no_grad():
        before = made(x)[0]
        assert torch.equal(made(x)[0], before)
        made.layers[0].weight_hh_l0.mul_(-1)
        assert not torch.allclose(made(x)[0], before)
        torch.testing.assert_close(made(x)[0], reference_of(made)(x)[0])
        made.layers[0].weight_hh_l0.data = -made.layers[0].weight_hh_l0.data
        made.train()
        made.eval()
        torch.testing.assert_close(made(x)[0], before)


@compiles
def test_packed_is_for_reading():
    """Where gradients are asked for, the reference is."""
    made, x = model(backend="packed"), x_of()
    made(x)[0].sum().backward()
    made.eval()
    made(x)[0].sum().backward()
    wide = QuantizedLSTM(D, H, functools.partial(Uniform, 5), Uniform, Real, backend="packed").eval()
    shifts = QuantizedLSTM(D, H, PowerOfTwo, PowerOfTwo, Real, backend="packed").eval()
    with torch.no_grad():
        for refused in (wide, shifts):
            with pytest.raises(BackendError, match="backend=packed, but packed weights are for"):
                refused(x.float())
            refused.backend = "auto"
            refused(x.float())


def test_what_does_not_go_together_is_refused():
    of_all = functools.partial(Uniform, scale="tensor")
    for settings, name in (((Real, of_all, Real), "activations"), ((Real, Real, of_all), "gradients")):
        with pytest.raises(ValueError, match=f"{name}.scale=tensor would make a position depend on others"):
            QuantizedLSTM(D, H, *settings)


def test_a_float_run_is_quantised_by_init(seqbench_in, tmp_path):
    settings = [*(one for one in SMALL if not one.startswith("model.")), "model.hidden_size=4", "train.max_steps=3"]
    code, _, errors = seqbench_in(tmp_path, "train", *settings, "model=lstm")
    assert code == 0, errors
    (folder,) = (tmp_path / "outputs").iterdir()
    quantised = ["model=quantized_lstm", "model.weights.bits=2", f"init={folder.name}"]
    code, printed, errors = seqbench_in(tmp_path, "train", *settings, *quantised)
    assert code == 0, errors
    assert f"The weights are those of run {folder.name}." in printed
