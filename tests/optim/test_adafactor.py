"""Adafactor's numbers: the paper's equations in float64, transformers' implementation, Adam as a special case."""

import itertools

import numpy as np
import pytest
import torch

from seqbench.optim import adafactor, blocks, native
from seqbench.optim.adafactor import Adafactor

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no compiler here")
torch.set_num_threads(1)

STEPS = 50
SHAPES = [(), (1,), (7,), (5, 3), (5, 3), (3, 40), (40, 3), (1, 9), (9, 1), (4, 2, 3), (2, 3, 3, 3), (1, 1)]


@pytest.fixture(params=["reference", "blocks", pytest.param("native", marks=needs_compiler)])
def backend(request, monkeypatch):
    if request.param != "blocks":
        return request.param
    monkeypatch.setattr(adafactor, "BATCH_ELEMENTS", 1)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 7)  # a matrix of more is cut up: of (5, 3), two rows at a time
    return "reference"


def rms(x):
    return np.sqrt(np.mean(x**2))


def oracle(
    x,
    grads,
    lr=None,
    eps1=1e-30,
    eps2=1e-3,
    clip_threshold=1.0,
    decay_rate=0.8,
    beta2=None,
    beta1=None,
    weight_decay=0.0,
    scale_parameter=True,
    relative_step=True,
    warmup_init=False,
    factored=True,
    min_dim_factored=1,
    lr_factor=1.0,
):
    """The weights after each step: the paper's Algorithms 4 and 5, with its sums, one matrix at a time, in float64."""
    x = x.astype(np.float64)
    m, v = np.zeros(x.shape), np.zeros(x.shape)
    matrices = factored and x.ndim >= 2 and min(x.shape[-2:]) >= min_dim_factored
    if matrices:
        r, c = np.zeros((*x.shape[:-1], 1)), np.zeros((*x.shape[:-2], 1, x.shape[-1]))
    path = []
    for t, g in enumerate(grads, start=1):
        g = g.astype(np.float64)
        if beta2 is None:
            b = 1 - t ** (-decay_rate)
        else:
            b = beta2 * (1 - beta2 ** (t - 1)) / (1 - beta2**t)
        square = g**2 + eps1
        if matrices:
            for i in np.ndindex(x.shape[:-2]):
                r[i] = b * r[i] + (1 - b) * square[i].sum(axis=1, keepdims=True)
                c[i] = b * c[i] + (1 - b) * square[i].sum(axis=0, keepdims=True)
                v[i] = r[i] @ c[i] / r[i].sum()
        else:
            v = b * v + (1 - b) * square
        u = g / np.sqrt(v)
        if clip_threshold is not None:
            u = u / max(1.0, rms(u) / clip_threshold)
        rho = lr
        if relative_step:
            rho = lr_factor * min(1e-6 * t if warmup_init else 1e-2, 1 / np.sqrt(t))
        alpha = rho * max(eps2, rms(x)) if scale_parameter else rho
        update = alpha * u
        if beta1 is not None:
            m = beta1 * m + (1 - beta1) * update
            update = m
        x = x - weight_decay * alpha * x - update
        path.append(x)
    return path


def make_grads(shape, kind, seed):
    """(50, *shape) gradients of one kind; float32 values, so that every precision sees the same ones."""
    generator = np.random.default_rng(seed)
    grads = generator.standard_normal((STEPS, *shape))
    if kind == "zero":
        grads[:] = 0.0
    elif kind == "zero rows" and shape:
        grads[:, 0] = 0.0
        grads[5:20] = 0.0
    elif kind == "zero columns" and shape:
        grads[..., 0] = 0.0
    elif kind == "late":
        grads[:25] = 0.0
    elif kind == "zero rows and columns, huge" and shape:
        grads *= 1e15
        grads[:, 0] = 0.0
        grads[..., 0] = 0.0
    elif kind == "growing":
        grads *= 10.0 ** np.linspace(-12, 6, STEPS).reshape(-1, *[1] * len(shape))
    else:
        grads *= {"tiny": 1e-20, "huge": 1e15}.get(kind, 1.0)
    return grads.astype(np.float32)


KINDS = ["usual", "zero", "zero rows", "zero columns", "late", "zero rows and columns, huge", "growing", "tiny", "huge"]
OPTIONS = [
    {},
    {"warmup_init": True},
    {"scale_parameter": False},
    {"relative_step": False, "lr": 0.05},
    {"relative_step": False, "lr": 0.01, "scale_parameter": False},
    {"beta1": 0.9},
    {"weight_decay": 0.1},
    {"clip_threshold": None},
    {"clip_threshold": 2.0},
    {"clip_threshold": 0.3},
    {"decay_rate": 0.5},
    {"decay_rate": 1.0},
    {"beta2": 0.999},
    {"beta2": 0.9, "clip_threshold": None},
    {"factored": False},
    {"min_dim_factored": 3},
    {"eps1": 1e-3, "eps2": 0.5},
    {"beta1": 0.5, "beta2": 0.99, "weight_decay": 0.01, "relative_step": False, "lr": 0.1, "clip_threshold": 2.0},
]


def run(optimizer, weights, grads):
    """Yield after each step; `grads` holds (steps, *shape) for each weight."""
    for step in range(len(grads[0])):
        for weight, g in zip(weights, grads, strict=True):
            weight.grad = torch.tensor(g[step]).to(weight.dtype)
        optimizer.step()
        yield step


def make_weights(dtype, shapes=SHAPES):
    # the first is all zeros (a fresh bias), the others are of scale 0.1
    generator = np.random.default_rng(0)
    starts = [0.1 * generator.standard_normal(shape).astype(np.float32) for shape in shapes]
    starts[0] = starts[0] * 0
    return [torch.nn.Parameter(torch.tensor(x).to(dtype)) for x in starts]


def as_numpy(weight):
    return weight.detach().double().numpy().copy()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_oracle_float64(options, backend):
    for number, kind in enumerate(KINDS):
        if number % 3 and options:
            continue  # every kind with the defaults, a third of them with each option
        weights = make_weights(torch.float64)
        grads = [make_grads(shape, kind, seed) for seed, shape in enumerate(SHAPES)]
        expected = [oracle(as_numpy(weight), g, **options) for weight, g in zip(weights, grads, strict=True)]
        for step in run(Adafactor(weights, **options, backend=backend), weights, grads):
            for weight, path in zip(weights, expected, strict=True):
                # one float64 formula in another order: some 1e-16 of the update a step, and rounding of the weight
                np.testing.assert_allclose(as_numpy(weight), path[step], rtol=1e-12, atol=1e-14, err_msg=kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"factored": False}, {"beta1": 0.9, "beta2": 0.999}], ids=str)
def test_oracle_float32(options, kind, backend):
    """The numerics: nothing underflows, overflows or becomes NaN on the way."""
    weights = make_weights(torch.float32)
    grads = [make_grads(shape, kind, seed) for seed, shape in enumerate(SHAPES)]
    expected = [oracle(as_numpy(weight), g, **options) for weight, g in zip(weights, grads, strict=True)]
    starts = [as_numpy(weight) for weight in weights]
    for step in run(Adafactor(weights, **options, backend=backend), weights, grads):
        for weight, path, start in zip(weights, expected, starts, strict=True):
            # A step rounds the weight (6e-8 of it) and computes the update to some 1e-6; rounding is random, so 50
            # steps are within 50 such errors. Updates are at most 1e-2 of the weights' size: moved is their sum's bound.  # noqa: E501
            largest = max(np.abs(start).max(), np.abs(path[step]).max())
            moved = np.abs(np.diff([start, *path[: step + 1]], axis=0)).sum(axis=0).max()
            atol = (step + 1) * 6e-8 * largest + 2e-6 * moved
            np.testing.assert_allclose(as_numpy(weight), path[step], rtol=0, atol=atol)


HF_OPTIONS = [
    {
        **step,
        "scale_parameter": scale,
        "beta1": beta1,
        "weight_decay": decay,
        "decay_rate": rate,
        "clip_threshold": clip,
    }
    for step, scale, beta1, decay, rate, clip in itertools.product(
        [{}, {"warmup_init": True}, {"relative_step": False, "lr": 0.02}],
        [True, False],
        [None, 0.9],
        [0.0, 0.1],
        [0.8, 0.5],
        [1.0, 0.5],
    )
]
HF_SHAPES = [(7,), (5, 3), (1, 9), (9, 1), (2, 3, 3, 3)]


def compare_with_transformers(options, dtype, backend, kind="usual", n_steps=STEPS):
    """The largest difference over the steps, in units of the largest weight."""
    peer = pytest.importorskip("transformers.optimization")
    ours, theirs = make_weights(dtype, HF_SHAPES), make_weights(dtype, HF_SHAPES)
    grads = [make_grads(shape, kind, seed)[:n_steps] for seed, shape in enumerate(HF_SHAPES)]
    reference = peer.Adafactor(theirs, **{**options, "decay_rate": -options["decay_rate"]})
    worst = []
    own = Adafactor(ours, **options, backend=backend)
    for _ in zip(run(own, ours, grads), run(reference, theirs, grads), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            worst.append(((one - other).abs().max() / other.abs().max()).item())
    return np.max(worst)  # unlike max(), NaN if any is NaN


def test_transformers_every_combination(backend):
    # both compute in float64: rounding in another order only
    assert len(HF_OPTIONS) == 96
    assert max(compare_with_transformers(options, torch.float64, backend, n_steps=15) for options in HF_OPTIONS) < 1e-12


@pytest.mark.parametrize("options", HF_OPTIONS[::19], ids=str)
@pytest.mark.parametrize("kind", ["usual", "zero rows", "tiny"])
def test_transformers_float32(options, kind, backend):
    # 50 roundings of 6e-8 each on both sides, and updates good to 1e-6
    assert compare_with_transformers(options, torch.float32, backend, kind) < 1e-5


def test_adam_without_momentum_is_a_special_case(backend):
    options = {"beta2": 0.999, "factored": False, "clip_threshold": None, "scale_parameter": False}
    ours, theirs = make_weights(torch.float64), make_weights(torch.float64)
    grads = [make_grads(shape, "usual", seed) for seed, shape in enumerate(SHAPES)]
    adam = torch.optim.Adam(theirs, lr=0.01, betas=(0.0, 0.999), eps=0.0)
    adafactor_ = Adafactor(ours, relative_step=False, lr=0.01, backend=backend, **options)
    for _ in zip(run(adafactor_, ours, grads), run(adam, theirs, grads), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            # 1 - beta2^t loses four of float64's digits at t = 1, differently in the two forms
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(2**23,), (2**13, 2**10)], ids=str)
def test_size_does_not_spoil_the_scale(shape, backend):
    """Equal weights and gradients move by 1e-2 of themselves, however many there are (a float32 norm is 1 % off)."""
    weight = torch.nn.Parameter(torch.full(shape, 0.1))
    weight.grad = torch.full_like(weight, 3.0)
    Adafactor([weight], backend=backend).step()
    # the weight's own rounding is 6e-8 / 1e-2 of the movement
    torch.testing.assert_close(
        (0.1 - weight.detach().flatten()[:5].double()) / 0.001, torch.ones(5).double(), rtol=3e-5, atol=0
    )
