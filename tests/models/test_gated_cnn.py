"""The gated convolutional network against its definition in plain numbers, and the papers' sizes."""

import math

import pytest
import torch
from torch import nn

from seqbench.config.compose import composed
from seqbench.models.convolutional.gated_cnn import GATES, GatedCNN

D = 3
MIXED = [[4, 3], [4, 1, 0], [2, 2, 0], [5, 3, 2], [5, 1], [4, 2, 6]]  # a bottleneck, near and far residuals
OF_GATE = {
    "glu": lambda p, q: p / (1 + math.exp(-q)),
    "gtu": lambda p, q: math.tanh(p) / (1 + math.exp(-q)),
    "bilinear": lambda p, q: p * q,
    "linear": lambda p: p,
    "relu": lambda p: max(p, 0.0),
}


def random_model(layers=MIXED, **settings) -> GatedCNN:
    torch.manual_seed(0)
    model = GatedCNN(D, layers, **settings).double()
    for parameter in model.parameters():
        parameter.data.uniform_(0.2, 1.0).mul_(torch.randint(0, 2, parameter.shape) * 2 - 1)
    return model


def weight_of(state: dict, name: str) -> list:
    """(out, in, k) as lists, g v / ||v|| written out where there is weight norm."""
    if f"{name}.weight" in state:
        return state[f"{name}.weight"].reshape(*state[f"{name}.weight"].shape[:2], -1).tolist()
    gain, direction = (state[f"{name}.parametrizations.weight.original{i}"] for i in (0, 1))
    rows = []
    for g, v in zip(gain.flatten().tolist(), direction.reshape(*direction.shape[:2], -1).tolist(), strict=True):
        norm = math.sqrt(sum(number**2 for row in v for number in row))
        rows.append([[g * number / norm for number in row] for row in v])
    return rows


def convolved(state: dict, name: str, x: list) -> list:
    """Output t of channel c: b_c + the sum over kernel positions j and inputs i of w_cij x_{t - (k - 1) + j, i}."""
    weight, outputs = weight_of(state, name), []
    bias = state[f"{name}.bias"].tolist() if f"{name}.bias" in state else [0.0] * len(weight)
    for t in range(len(x)):
        output = list(bias)
        for channel, row in enumerate(weight):
            for i, taps in enumerate(row):
                for j, tap in enumerate(taps):
                    source = t - (len(taps) - 1) + j
                    output[channel] += tap * x[source][i] if source >= 0 else 0.0
        outputs.append(output)
    return outputs


def plain(state: dict, x: list, layers: list, gate: str, scale: float) -> list:
    inputs = [convolved(state, "input", x)]
    for index, (channels, _, *rest) in enumerate(layers):
        back = rest[0] if rest else 1
        both = convolved(state, f"layers.{index}", inputs[-1])
        gated = [[OF_GATE[gate](*row[c::channels]) for c in range(channels)] for row in both]
        if back:
            added = inputs[-back]
            if len(added[0]) != channels:
                added = convolved(state, f"projections.{index}", added)
            gated = [[scale * (a + b) for a, b in zip(*rows, strict=True)] for rows in zip(gated, added, strict=True)]
        inputs.append(gated)
    return inputs[-1]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("settings", [{}, {"weight_norm": False, "bias": False}, {"residual_scale": 0.7}])
def test_the_network_is_its_definition(gate, settings):
    model = random_model(gate=gate, **settings)
    x_BTD = torch.randn(2, 9, D, dtype=torch.float64)
    expected = [plain(model.state_dict(), x, MIXED, gate, settings.get("residual_scale", 1.0)) for x in x_BTD.tolist()]
    torch.testing.assert_close(model(x_BTD)[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-11, atol=1e-11)


def test_only_widths_that_differ_are_projected():
    projected = [isinstance(module, nn.Conv1d) for module in GatedCNN(D, MIXED).projections]
    assert projected == [False, False, False, True, False, False]  # the last one's residual is the first layer's input
    assert not any(isinstance(module, nn.Conv1d) for module in GatedCNN(D, [[4, 3], [8, 3, 0]]).projections)


def test_without_biases_there_are_none():
    model = random_model(bias=False)
    assert not any("bias" in name for name, _ in model.named_parameters())
    ids = torch.tensor([[2, 0, 1, 1]])
    torch.testing.assert_close(model(ids)[0], model(nn.functional.one_hot(ids, D).double())[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("lengths", [[0, 9], [4, 0, 5], [1] * 9, [2, 7], [8, 1], [9, 0]])
def test_any_chunks_are_the_whole(lengths):
    model, x = random_model(), torch.randn(2, 9, D, dtype=torch.float64)
    whole, end, _ = model(x)
    state, outputs = None, []
    for chunk in x.split(lengths, 1):
        y, state, _ = model(chunk, state)
        assert y.shape == (2, chunk.shape[1], 4)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=1e-11, atol=1e-11)
    for ours, theirs, (_, kernel, *_) in zip(state, end, MIXED, strict=True):
        assert ours.shape[:2] == (2, kernel - 1)
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_the_state_holds_no_more_than_it_needs():
    _, state, _ = random_model()(torch.randn(2, 50, D, dtype=torch.float64))
    assert [part.untyped_storage().nbytes() // 8 for part in state] == [
        2 * 2 * 4,
        0,
        2 * 1 * 4,
        2 * 2 * 2,
        0,
        2 * 1 * 5,
    ]


# adaptive softmax: a head without bias for the first words and one more for each tail; tail i through d / 4^(i + 1)
def adaptive_softmax(d: int, n_words: int, cutoffs: list[int]) -> int:
    bands = [end - start for start, end in zip(cutoffs, [*cutoffs[1:], n_words], strict=True)]
    tails = sum(d // 4 ** (i + 1) * (d + band) for i, band in enumerate(bands))
    return d * (cutoffs[0] + len(cutoffs)) + tails


SIZES = [  # millions, to the last digit given; weight norm's gains are not counted in them
    ("gcnn_14", 280, 267_744, [10_000, 20_000, 200_000], 229.27, 0.01),
    ("gcnn_14b", 128, 793_472, [10_000, 50_000, 200_000], 428.3, 0.05),
    ("gcnn_14b", 128, 793_472, [10_000, 40_000, 200_000], 420.6, 0.05),
    ("gcnn_13", 128, 793_472, [10_000, 40_000, 200_000], 316, 0.5),
    ("gcnn_8", 280, 267_744, [10_000, 20_000, 200_000], 150, 0.5),
]


def preset(name: str) -> dict:
    return {
        key: value
        for key, value in composed([f"experiment=wikitext103/gated_cnn/{name}"]).model.items()
        if key != "_target_"
    }


@pytest.mark.parametrize(("name", "d_embed", "n_words", "cutoffs", "millions", "rounding"), SIZES)
def test_the_papers_parameter_counts(name, d_embed, n_words, cutoffs, millions, rounding):
    with torch.device("meta"):
        models = [GatedCNN(d_embed, **{**preset(name), "weight_norm": norm}) for norm in (False, True)]
    own, normed = (sum(parameter.numel() for parameter in model.parameters()) for model in models)
    total = d_embed * n_words + own + adaptive_softmax(models[0].d_output, n_words, cutoffs)
    assert total / 1e6 == pytest.approx(millions, abs=rounding)
    outputs = [module.weight.shape[0] for module in models[0].modules() if isinstance(module, (nn.Linear, nn.Conv1d))]
    assert normed == own + sum(outputs)


def test_the_formula_of_the_adaptive_softmax_is_torchs():
    head = nn.AdaptiveLogSoftmaxWithLoss(64, 1000, [100, 200, 700], div_value=4.0)
    assert sum(parameter.numel() for parameter in head.parameters()) == adaptive_softmax(64, 1000, [100, 200, 700])


@pytest.mark.parametrize(("name", "tokens"), [("gcnn_14", 47), ("gcnn_14b", 57), ("gcnn_13", 40), ("gcnn_8", 25)])
def test_the_papers_receptive_fields(name, tokens):
    """Of the presets' layers, their widths divided by 64: what the last output depends on."""
    layers = [(math.ceil(channels / 64), *rest) for channels, *rest in preset(name)["layers"]]
    torch.manual_seed(0)
    model = GatedCNN(2, layers).double()
    x = torch.randn(1, tokens + 5, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[0][:, -1].sum(), x)
    assert gradient[0].abs().amax(1).gt(0).tolist() == [False] * 5 + [True] * tokens


@pytest.mark.parametrize(
    ("init", "gate", "of_layer", "of_first", "of_residual"),
    [
        ("kaiming", "glu", 2 / (3 * 200), 2, 2),
        ("convs2s", "glu", 4 * 0.8 / (3 * 200), 0.8, 1),
        ("convs2s", "relu", 4 * 0.8 / (3 * 200), 0.8, 1),
    ],
)
def test_initial_weights(init, gate, of_layer, of_first, of_residual):
    torch.manual_seed(0)
    model = GatedCNN(100, [[200, 3], [300, 1]], gate=gate, init=init, dropout=0.2)
    found = [model.layers[0].weight.var(), model.input.weight.var() * 100, model.projections[1].weight.var() * 200]
    assert [variance.item() for variance in found] == pytest.approx([of_layer, of_first, of_residual], rel=0.05)
    assert all(not parameter.any() for name, parameter in model.named_parameters() if name.endswith("bias"))


def test_dropout_acts_on_the_layer_and_not_on_the_residual():
    model = GatedCNN(D, [[6, 2]], gate="linear", dropout=0.5)
    x = torch.randn(4, 50, D)
    with torch.no_grad():
        model.eval()
        assert torch.equal(model(x)[0], model(x)[0])
        model.train()
        assert not torch.equal(model(x)[0], model(x)[0])
        kept = model(x)[1][0] != 0
        assert 0.2 < kept.float().mean() < 0.8  # the state is of what the layer has seen
        model.layers[0].parametrizations.weight.original0.zero_()
        torch.testing.assert_close(model(x)[0], model.input(x))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layers": []}, r"layers is a list of \[channels, kernel, residual\], not \[\]"),
        ({"layers": 5}, r"layers is a list of \[channels, kernel, residual\], not 5"),
        ({"layers": [4, 3]}, r"each of layers is \[channels, kernel\] or \[channels, kernel, residual\], not 4"),
        ({"layers": [[4, 3.5]]}, r"each of layers is .*, not \[4, 3.5\]"),
        ({"layers": [[4, 3], [4, 0]]}, r"channels and kernel are at least 1, not as in layers\[1\]=\[4, 0\]"),
        ({"layers": [[4, 3], [4, 3, 3]]}, r"the residual of layers\[1\] is between 0 and 2, not 3"),
    ],
)
def test_what_cannot_be_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        GatedCNN(D, **{"layers": [[4, 3]], **settings})
