"""The contract that every model keeps. A new model is one more row of MODELS."""

import copy
import functools
import io

import pytest
import torch

from seqbench.contracts.pytree import tree_map, tree_zip
from seqbench.models.attention.transformer import Transformer
from seqbench.models.attention.weight_tied_transformer import WeightTiedTransformer
from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.plain import Plain
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.convolutional.gated_cnn import GatedCNN
from seqbench.models.convolutional.tcn import TCN
from seqbench.models.convolutional.trellisnet import TrellisNet
from seqbench.models.equilibrium.deq_transformer import DEQTransformer
from seqbench.models.equilibrium.deq_trellisnet import DEQTrellisNet
from seqbench.models.recurrent.awd_lstm import AWDLSTM
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.unitary.kru import KRU
from seqbench.models.unitary.kru_lstm import KRULSTM
from seqbench.models.unitary.scornn import SCORNN

D = 6
NO_DROPOUT = {f"dropout_{place}": 0.0 for place in ("input", "hidden", "output", "recurrent")}
# a fixed point is known to the solver's tolerance, in float64
EXACT = {"max_steps": 200, "tolerance": 1e-13}
TRANSFORMER = {"d_model": 16, "n_heads": 2, "d_inner": 12, "span": 4, "init_std": 0.1}
TRELLIS = {"hidden_size": 8, "d_model": 5, "init_std": 0.3}


def exactly(forward=Anderson, backward=Anderson, **settings):
    ways = {"forward": forward, "backward": backward}
    return functools.partial(
        Equilibrium, **{way: functools.partial(cls, **EXACT, **settings) for way, cls in ways.items()}
    )


def led_by_input(model):
    """An input that outweighs what a layer does to z: then there is one fixed point."""
    with torch.no_grad():
        model.block.inject.weight *= 12
    return model


MODELS = {
    "lstm": lambda: LSTM(D, hidden_size=8, n_layers=2, dropout=0.0, forget_bias=1.0),
    "lstm-orthogonal": lambda: LSTM(D, hidden_size=8, init="orthogonal"),
    "gated-cnn": lambda: GatedCNN(D, [[8, 4], [6, 3]]),
    "gated-cnn-bottleneck": lambda: GatedCNN(D, [[8, 3], [4, 1, 0], [4, 5, 0], [8, 1, 3]], residual_scale=0.7),
    "lstm-reference": lambda: LSTM(D, hidden_size=8, n_layers=2, backend="reference"),
    "gru": lambda: GRU(D, hidden_size=8, n_layers=2),
    "gru-reference": lambda: GRU(D, hidden_size=8, n_layers=2, backend="reference"),
    "awd-lstm": lambda: AWDLSTM(D, 8, 2, d_last=5, **NO_DROPOUT),
    "kru": lambda: KRU(D, hidden_size=8, input_init_range=0.5, unitary_weight=0.1),
    "kru-real-tanh": lambda: KRU(D, 12, [2, 3, 2], complex=False, nonlinearity="tanh", input_init_range=0.5),
    "kru-reference": lambda: KRU(D, hidden_size=8, input_init_range=0.5, backend="reference"),
    "kru-lstm": lambda: KRULSTM(D, 12, [2, 3, 2]),
    "scornn": lambda: SCORNN(D, hidden_size=9, n_negative=4, input_init_range=0.5),
    "scornn-reference": lambda: SCORNN(D, 9, n_negative=4, input_init_range=0.5, backend="reference"),
    "tcn": lambda: TCN(D, [8, 8, 5], kernel=3),
    "transformer-post": lambda: Transformer(D, D, 2, n_heads=3, d_inner=9, span=4, dropout=0.0, init_std=0.3),
    "transformer-pre": lambda: Transformer(D, 8, 2, 2, d_inner=9, span=3, pre_norm=True, dropout=0.0, init_std=0.3),
    "transformer-no-norm": lambda: Transformer(D, D, 2, 3, d_inner=9, span=4, norm=NoNorm, dropout=0.0, init_std=0.3),
    "weight-tied-transformer": lambda: led_by_input(WeightTiedTransformer(D, n_layers=3, **TRANSFORMER)),
    "trellisnet": lambda: TrellisNet(D, n_layers=3, dilation=2, **TRELLIS),
    "deq-transformer": lambda: led_by_input(DEQTransformer(D, **TRANSFORMER, equilibrium=exactly())),
    "deq-transformer-pre-norm": lambda: led_by_input(
        DEQTransformer(D, **TRANSFORMER, equilibrium=exactly(Plain), pre_norm=True, weight_norm=False)
    ),
    "deq-trellisnet": lambda: DEQTrellisNet(D, **TRELLIS, equilibrium=exactly(), dilation=2),
    "deq-trellisnet-broyden": lambda: DEQTrellisNet(D, **TRELLIS, equilibrium=exactly(Broyden, Broyden, memory=30)),
}


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]().double()


def x_of(batch=3, time=7):
    return torch.randn(batch, time, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)  # float64, a few hundred operations


def test_shapes_and_state_is_batch_first(model):
    y, state, _ = model(x_of())
    assert y.shape == (3, 7, model.d_output)
    sizes = []
    tree_map(lambda tensor: sizes.append(tensor.shape[0]), state)
    assert sizes and set(sizes) == {3}


def test_chunked_equals_full(model):
    x = x_of()
    whole, end, _ = model(x)
    for k in (1, 3, 6):
        first, state, _ = model(x[:, :k])
        second, chunked_end, _ = model(x[:, k:], state)
        close(torch.cat([first, second], 1), whole)
        tree_zip(lambda pair: close(*pair), [chunked_end, end])


def test_causal(model):
    x, changed = x_of(), x_of()
    changed[:, 4:] += 1
    before, after = model(x)[0], model(changed)[0]
    close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_rows_are_independent(model):
    x = x_of()
    close(model(x)[0][1:2], model(x[1:2])[0])
    _, state, _ = model(x)
    order = torch.tensor([2, 0, 1])
    y, _, _ = model(x, state)
    reordered, _, _ = model(x[order], tree_map(lambda tensor: tensor[order], state))
    close(reordered, y[order])


def test_every_parameter_has_a_gradient(model):
    y, state, aux = model(x_of())
    _, state, _ = model(x_of(), state)
    loss = model(x_of(), state)[0].square().sum() + y.sum() + (0 if aux is None else aux)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_ids_stand_for_one_hot(model):
    ids = torch.randint(0, D, (2, 5), generator=torch.Generator().manual_seed(2))
    close(model(ids)[0], model(torch.nn.functional.one_hot(ids, D).double())[0])


def test_save_and_load(model, request):
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other = MODELS[request.node.callspec.params["model"]]().double()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(x_of())[0], model(x_of())[0])


def test_one_step_at_a_time(model):
    x, state, outputs = x_of(), None, []
    for t in range(x.shape[1]):
        y, state, _ = model(x[:, t : t + 1], state)
        outputs.append(y)
    close(torch.cat(outputs, 1), model(x)[0])


@pytest.mark.parametrize("name", MODELS)
def test_autocast(name):
    """What autocast costs is measured by what rounding the weights and the input to bfloat16, once, changes in float64.

    That depends on no processor. Autocast does the same roundings, those of each product's result, and those of
    products without weights: some four for one, in random directions, so twice the change; at a fixed point the solver
    stops at another such error, so three times. Six times, 1.2 to 3 % of y, is beyond that.
    """
    torch.manual_seed(0)
    model = MODELS[name]()
    x = x_of()
    exact, rounded = copy.deepcopy(model).double(), copy.deepcopy(model).bfloat16().double()
    with torch.no_grad():
        expected = exact(x)[0]
        noise = (rounded(x.bfloat16().double())[0] - expected).norm()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state, _ = model(x.float())
        y2, _, _ = model(x.float(), state)
    assert torch.isfinite(y2.float()).all()
    assert noise < 0.01 * expected.norm()
    assert (y.detach().double() - expected).norm() < 6 * noise
    y.float().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
