"""The contract that every model keeps. A new model is one more row of made_models.py."""

import copy

import pytest
import torch
from made_models import MODELS, D
from torch import nn

from seqbench.checks.closeness import require_same_state
from seqbench.checks.models import (
    check_causal,
    check_chunked_equals_full,
    check_diagnostics,
    check_gradients,
    check_groups,
    check_ids,
    check_rows,
    check_saving,
    check_shapes,
    features,
)
from seqbench.config.nodes import options
from seqbench.contracts.backbone import Backbone


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]().double()


X_BTD = features(D)


def test_shapes_and_state_is_batch_first(model):
    check_shapes(model, X_BTD)


def test_chunked_equals_full_and_one_step_at_a_time(model):
    check_chunked_equals_full(model, X_BTD)


def test_causal(model):
    check_causal(model, X_BTD)


def test_rows_are_independent(model):
    check_rows(model, X_BTD)


def test_every_parameter_has_a_gradient(model):
    check_gradients(model, X_BTD)


def test_ids_stand_for_one_hot(model):
    check_ids(model, D)


def test_parameter_groups_are_disjoint(model):
    check_groups(model)


def test_reading_the_diagnostics_resets_them(model):
    check_diagnostics(model, X_BTD)


@pytest.mark.parametrize("name", MODELS)
def test_save_and_load(name):
    def make():
        torch.manual_seed(0)
        return MODELS[name]().double()

    check_saving(make, X_BTD)


def test_every_model_has_a_row():
    translate = {"convs2s", "gnmt", "rnn_attention", "translation_transformer"}  # test_seq2seq.py
    learners = {"spectral_rnn"}  # models/test_spectral_rnn.py
    assert {name.partition("-")[0] for name in MODELS} | translate | learners == set(options("model"))


class Broken(Backbone):
    """A moving sum of the inputs, wrong in one way."""

    def __init__(self, fault):
        super().__init__()
        self.fault, self.d_output = fault, D
        self.gain = nn.Parameter(torch.ones(D))
        self.idle = nn.Parameter(torch.ones(D)) if fault == "gradient" else None

    def forward(self, x, state=None):
        if not x.is_floating_point():
            x = nn.functional.one_hot(x, D).to(self.gain.dtype) * (2.0 if self.fault == "ids" else 1.0)
        before = x.new_zeros(len(x), D) if state is None or self.fault == "state" else state
        y = (x * self.gain).cumsum(1) + before[:, None]
        if self.fault == "future":
            y = y + x.mean(1, keepdim=True)
        if self.fault == "rows":
            y = y + x[:, :1].mean(0, keepdim=True)
        return y, y[:, -1], None


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("state", check_chunked_equals_full),
        ("future", check_causal),
        ("rows", check_rows),
        ("gradient", check_gradients),
        ("ids", lambda model, _: check_ids(model, D)),
    ],
)
def test_a_check_notices_its_fault(fault, check):
    check(Broken(None).double(), X_BTD)
    with pytest.raises(AssertionError):
        check(Broken(fault).double(), X_BTD)


def test_a_count_of_steps_that_is_not_saved_is_noticed():
    class Counting(Broken):
        def __init__(self, persistent):
            super().__init__(None)
            self.register_buffer("n_steps", torch.tensor(0), persistent=persistent)

        def after_step(self, peers):
            self.n_steps += 1
            if self.n_steps % 2 == 0:
                self.gain.data *= 2

    check_saving(lambda: Counting(True).double(), X_BTD)
    with pytest.raises(AssertionError, match="not all is saved"):
        check_saving(lambda: Counting(False).double(), X_BTD)


QUANTIZED = [name for name in MODELS if name.startswith("quantized")]


@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantised_model_computes_in_float32_under_autocast(name):
    """Rounded otherwise, a number may be at another level: autocast changes nothing."""
    torch.manual_seed(0)
    model, x = MODELS[name](), X_BTD.float()
    expected, expected_state, _ = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state, _ = model(x)
    assert torch.equal(y, expected)
    require_same_state(state, expected_state, "autocast changes the state")
    y.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", [name for name in MODELS if name not in QUANTIZED])
def test_autocast(name):
    """What autocast costs is measured by what rounding the weights and the input to bfloat16, once, changes in float64.

    That depends on no processor. Autocast does the same roundings, those of each product's result, and those of
    products without weights: some four for one, in random directions, so twice the change; at a fixed point the solver
    stops at another such error, so three times. Six times, 1.2 to 3 % of y, is beyond that.
    """
    torch.manual_seed(0)
    model = MODELS[name]()
    x = X_BTD
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
