"""Adafactor's compiled step against the definition in PyTorch."""

import copy
import io
import itertools

import pytest
import torch

from seqbench.bench.measure import peak_memory
from seqbench.optim import native
from seqbench.optim.adafactor import Adafactor

pytestmark = pytest.mark.skipif(native.library() is None, reason="no compiler here")
torch.set_num_threads(1)

# from 2^17 elements on threads share a tensor; sums are emptied after 64 rows and 1,024 columns
SHAPES = [(), (1,), (7,), (1500,), (5, 3), (1, 9), (9, 1), (67, 33), (130, 1100), (3, 2100), (2, 3, 5, 18), (3, 40, 50)]
LARGE = [(150_001,), (401, 517), (3, 330, 400), (3, 210, 300), (1500, 10, 9)]
OPTIONS = [
    {**step, "scale_parameter": scale, "beta1": beta1, "weight_decay": decay, "clip_threshold": clip, **moment}
    for step, scale, beta1, decay, clip, moment in itertools.product(
        [{}, {"warmup_init": True}, {"relative_step": False, "lr": 0.02}],
        [True, False],
        [None, 0.9, 0.3],
        [0.0, 0.1],
        [1.0, None, 0.3],
        [{}, {"decay_rate": 0.5}, {"beta2": 0.99}, {"factored": False}, {"min_dim_factored": 4}, {"eps1": 1e-3}],
    )
]


def make_weights(shapes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter((0.1 * torch.randn(shape, generator=generator)).to(dtype)) for shape in shapes]


def set_grads(weights, step):
    generator = torch.Generator().manual_seed(step)
    for weight in weights:
        # rows of different sizes, as embeddings have
        sizes = 10.0 ** torch.randint(-3, 2, weight.shape[:-1] + (1,) * min(1, weight.ndim), generator=generator)
        weight.grad = (torch.randn(weight.shape, generator=generator) * sizes).to(weight.dtype)


def snapshot(weights):
    return [weight.detach().clone() for weight in weights]


def assert_a_step_is_the_same(shapes, dtype, options, n_steps=3):
    """From the same weights and states, at each of the first steps."""
    ours, theirs = make_weights(shapes, dtype), make_weights(shapes, dtype)
    one, other = Adafactor(ours, **options, backend="native"), Adafactor(theirs, **options, backend="reference")
    eps = torch.finfo(dtype).eps
    for step in range(n_steps):
        before = snapshot(theirs)
        for weights, optimizer in ((ours, one), (theirs, other)):
            set_grads(weights, step)
            optimizer.step()
        for x, y, start in zip(ours, theirs, before, strict=True):
            # of the update, what some ten operations round; of the weight, its own rounding and that of its decay
            moved = (y - start).abs()
            if options["beta1"] or options["weight_decay"]:
                moved = moved.max()  # a sum of two terms may be far smaller than they are
            bound = 16 * eps * moved + 2 * eps * y.abs().clamp_min(start.abs())
            assert ((x - y).abs() <= bound).all()
            assert one.state[x].keys() == other.state[y].keys() and one.state[x]["step"] == other.state[y]["step"]
            for name, value in one.state[x].items():
                if isinstance(value, torch.Tensor):
                    expected = other.state[y][name]
                    assert value.dtype is dtype and value.shape == expected.shape
                    scale = expected.abs().max().item() if name == "mean" else 0.0  # moving averages of either sign
                    torch.testing.assert_close(value, expected, rtol=16 * eps, atol=4 * eps * scale)
        one.load_state_dict(other.state_dict())
        with torch.no_grad():
            for x, y in zip(ours, theirs, strict=True):
                x.copy_(y)


@pytest.mark.parametrize("part", range(12))
def test_every_combination_of_options(part):
    assert len(OPTIONS) == 648
    for options in OPTIONS[part::12]:
        assert_a_step_is_the_same([(7,), (5, 3), (9, 1), (2, 3, 4, 18)], torch.float32, options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", OPTIONS[::83], ids=str)
def test_sizes_and_types(dtype, options):
    assert_a_step_is_the_same([*SHAPES, *LARGE], dtype, options, n_steps=2)


@pytest.mark.parametrize("n_threads", [2, 5])
@pytest.mark.parametrize("options", [{}, {"beta1": 0.9, "weight_decay": 0.1}, {"factored": False}], ids=str)
def test_threads_change_nothing_but_the_rounding_of_double_sums(n_threads, options):
    def train(count):
        torch.set_num_threads(count)
        try:
            weights = make_weights([*SHAPES, *LARGE])
            optimizer = Adafactor(weights, **options, backend="native")
            for step in range(3):
                set_grads(weights, step)
                optimizer.step()
            return snapshot(weights)
        finally:
            torch.set_num_threads(1)

    # sums in float64 differ by 1e-16, so a float32 weight by one rounding, 1.2e-7 of it, where it was a close call
    for one, other in zip(train(n_threads), train(1), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-7, atol=2e-9)


def test_addresses_and_company_change_nothing():
    """Alone or beside others, at whatever address: bit by bit the same."""

    def train(shapes, offset):
        weights = make_weights([(67, 33), (1500,)])
        if offset:  # four bytes further on
            for weight in weights:
                weight.data = torch.empty(weight.numel() + 1)[1:].view(weight.shape).copy_(weight.data)
        others = make_weights(shapes)
        optimizer = Adafactor([*others, *weights], backend="native")
        for step in range(3):
            set_grads(weights, step)
            set_grads(others, step)
            optimizer.step()
        return weights

    alone = train([], 0)
    for found in (train([], 1), train(LARGE, 0)):
        assert all(map(torch.equal, alone, found))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("shape", [(40,), (6, 40)], ids=str)
def test_what_is_not_finite_stays_so(bad, shape):
    for options in ({}, {"beta1": 0.9}, {"scale_parameter": False, "relative_step": False, "lr": 0.1}):
        found = []
        for backend in ("native", "reference"):
            (weight,) = make_weights([shape])
            set_grads([weight], 0)
            weight.grad.view(-1)[5] = bad
            Adafactor([weight], **options, backend=backend).step()
            found.append(weight.isnan())
        assert found[0].any() and torch.equal(*found)


@pytest.mark.parametrize("path", [("native", "reference"), ("reference", "native")], ids="-".join)
def test_resume_on_the_other_path(path):
    def train(backends):
        weights = make_weights(SHAPES)
        optimizer = Adafactor(weights, beta1=0.9, backend=backends[0])
        for step in range(8):
            if step == 4:
                buffer = io.BytesIO()
                torch.save(optimizer.state_dict(), buffer)
                buffer.seek(0)
                optimizer = Adafactor(weights, beta1=0.9, backend=backends[1])
                optimizer.load_state_dict(torch.load(buffer, weights_only=True))
                assert optimizer.backend == backends[1]
            set_grads(weights, step)
            optimizer.step()
        return snapshot(weights)

    # four steps on the other path: a rounding of the weight in each, 1.2e-7 of it, and 16 of the update, 1e-3 in size
    for one, other in zip(train(path), train(("reference", "reference")), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_autograd_notices_the_step():
    weight = torch.nn.Parameter(torch.randn(3, 4))
    weight.grad = torch.ones_like(weight)
    loss = weight.square().sum()
    Adafactor([weight], backend="native").step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_which_path():
    contiguous, crossed, half = torch.randn(4, 4), torch.randn(4, 3).t(), torch.randn(4, 4, dtype=torch.bfloat16)
    for tensor, native_takes_it in ((contiguous, True), (crossed, False), (half, False)):
        weight = torch.nn.Parameter(tensor)
        weight.grad = torch.ones(weight.shape, dtype=weight.dtype)
        assert native.takes(weight, {}) is native_takes_it
        before = weight.detach().clone()
        Adafactor([weight]).step()
        assert not torch.equal(weight, before)
        if not native_takes_it:
            with pytest.raises(RuntimeError, match="no native step for this device, type and layout"):
                Adafactor([weight], backend="native").step()
    weight = torch.nn.Parameter(contiguous)
    weight.grad = torch.ones(4, 4).t()[:, :1].expand(4, 4)
    assert not native.takes(weight, {})


def test_a_copy_keeps_its_backend_and_a_group_has_none():
    optimizer = Adafactor(make_weights([(3,)]), backend="reference")
    assert copy.deepcopy(optimizer).backend == "reference"
    with pytest.raises(ValueError, match="backend is set for the whole optimizer"):
        optimizer.add_param_group({"params": make_weights([(2,)]), "backend": "native"})


@pytest.mark.slow
def test_temporaries_are_below_a_mebibyte():
    large = {"encoder": 1, "decoder": 1, "lstm": 0, "D": 512, "V": 4000}
    ours, theirs = (peak_memory("optimizer", name, large, 1) for name in ("seqbench Adafactor", "torch Adafactor"))
    assert ours is not None and theirs is not None and ours < 1 < theirs


def test_without_a_compiler_pytorch_steps_and_says_so(tmp_path, seqbench):
    small = ["task.delay=10", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "train.max_steps=2"]
    there = {"TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions"), "CXX": "no-such-compiler"}
    code, _, said = seqbench("train", "model=gru", "model.hidden_size=8", "optimizer=adafactor", *small, **there)
    assert code == 0
    assert said.count("Adafactor's steps run in plain PyTorch, since they cannot be compiled") == 1
