"""Adafactor's mechanics: batches, memory, resuming, precision, rates by group, refusals."""

import io

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seqbench.optim import adafactor
from seqbench.optim.adafactor import Adafactor

torch.set_num_threads(1)

SHAPES = [(), (7,), (5, 3), (5, 3), (1, 9), (2, 3, 3, 3)]


def make_weights(dtype, shapes=SHAPES):
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter((0.1 * torch.randn(shape, generator=generator)).to(dtype)) for shape in shapes]


def set_grads(weights, step):
    """The same float32 gradients for the same step, whatever the weights' dtype."""
    generator = torch.Generator().manual_seed(step)
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator).to(weight.dtype)


@pytest.mark.parametrize("batch_elements", [2**18, 60, 1])
@pytest.mark.parametrize("options", [{}, {"beta1": 0.9, "weight_decay": 0.1}, {"factored": False}], ids=str)
def test_stacked_equals_alone(options, batch_elements, monkeypatch):
    """One optimizer for many tensors, in batches of many, two or one, and one optimizer for each of them."""
    monkeypatch.setattr(adafactor, "BATCH_ELEMENTS", batch_elements)
    shapes = [(5, 6)] * 5 + [(7,)] * 3 + [(2, 3, 4)] * 2 + [()] * 2
    together, alone = make_weights(torch.float32, shapes), make_weights(torch.float32, shapes)
    singles = [Adafactor([weight], **options, backend="reference") for weight in alone]
    joint = Adafactor(together, **options, backend="reference")
    for step in range(20):
        for weights in (together, alone):
            set_grads(weights, step)
            weights[1].grad = None
            if step % 3 == 0:
                weights[2].grad = None  # so that step counts part within one shape
        joint.step()
        for single in singles:
            single.step()
        for one, other in zip(together, alone, strict=True):
            # sums may be taken in another order in a stack: two units in the last place a step
            torch.testing.assert_close(
                one, other, rtol=0, atol=2 * (step + 1) * 1.2e-7 * other.detach().abs().max().item()
            )


class CountOperations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.count += 1
        return function(*arguments, **(keywords or {}))


def test_many_tensors_cost_the_operations_of_one():
    def count(n_tensors):
        weights = [torch.nn.Parameter(torch.randn(8, 8)) for _ in range(n_tensors)]
        optimizer = Adafactor(weights, beta1=0.9, weight_decay=0.1, backend="reference")
        for weight in weights:
            weight.grad = torch.randn(8, 8)
        optimizer.step()  # the state is made here, tensor by tensor
        with CountOperations() as operations:
            optimizer.step()
        return operations.count

    assert count(2) == count(64)


def test_large_tensors_are_not_copied(monkeypatch):
    monkeypatch.setattr(torch, "stack", None)
    weights = [torch.nn.Parameter(torch.randn(1500, 1500)) for _ in range(2)]
    for weight in weights:
        weight.grad = torch.randn(1500, 1500)
    kept = [weight.grad.clone() for weight in weights]
    Adafactor(weights, weight_decay=0.1, backend="reference").step()
    assert all(torch.equal(weight.grad, grad) for weight, grad in zip(weights, kept, strict=True))


def test_memory_is_sublinear():
    layer = [(512, 512)] * 4 + [(512, 2048), (2048, 512)] + [(512,)] * 5 + [(2048,)]
    shapes = [(8000, 512), *layer, *layer]
    weights = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer = Adafactor(weights)
    optimizer.step()
    ours = sum(v.numel() for s in optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor))
    adam = 2 * sum(weight.numel() for weight in weights)
    assert ours < 0.01 * adam
    state = optimizer.state[weights[0]]
    assert {name: tuple(state[name].shape) for name in ("row", "column")} == {"row": (8000,), "column": (512,)}
    assert set(state) == {"step", "row", "column"}
    assert set(optimizer.state[weights[-1]]) == {"step", "square"}


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", [{"beta1": 0.9}, {"relative_step": False, "lr": 0.01, "beta2": 0.99}], ids=str)
def test_resume_is_exact(dtype, options, backend):
    def train(interrupted):
        weights = make_weights(dtype)
        optimizer = Adafactor(weights, **options, backend=backend)
        for step in range(12):
            if interrupted and step == 6:
                buffer = io.BytesIO()
                torch.save(optimizer.state_dict(), buffer)
                buffer.seek(0)
                saved = torch.load(buffer, weights_only=True)
                before = optimizer.state_dict()["state"]
                optimizer = Adafactor(weights, **options, backend=backend)
                optimizer.load_state_dict(saved)
                after = optimizer.state_dict()["state"]
                torch.testing.assert_close(after, before, rtol=0, atol=0)  # dtypes too
            optimizer.param_groups[0]["lr_factor"] = 1.0 if step < 3 else 0.5
            set_grads(weights, step)
            optimizer.step()
        return weights

    for one, other in zip(train(False), train(True), strict=True):
        assert torch.equal(one, other)


def test_loaded_state_is_not_shared():
    weight = torch.nn.Parameter(torch.ones(3, 2, dtype=torch.bfloat16))
    weight.grad = torch.ones_like(weight)
    optimizer, other = Adafactor([weight]), Adafactor([weight])
    optimizer.step()
    saved = optimizer.state_dict()
    other.load_state_dict(saved)
    other.step()
    assert saved["state"][0]["step"] == 1 and other.state[weight]["step"] == 2
    assert other.state[weight]["row"].data_ptr() != saved["state"][0]["row"].data_ptr()


@pytest.mark.parametrize("options", [{}, {"beta1": 0.9, "weight_decay": 0.1}], ids=str)
def test_bfloat16_weights_are_updated_in_float32(options):
    half, full = make_weights(torch.bfloat16), make_weights(torch.float32)
    one, other = Adafactor(half, **options), Adafactor(full, **options, backend="reference")
    for step in range(20):
        set_grads(half, step)
        for narrow, wide in zip(half, full, strict=True):
            wide.data.copy_(narrow.data)
            wide.grad = narrow.grad.float()
        one.step()
        other.step()
        for narrow, wide in zip(half, full, strict=True):
            assert torch.equal(narrow, wide.bfloat16())  # one rounding, at the end
    assert all(v.dtype is torch.float32 for s in one.state.values() for k, v in s.items() if k != "step")


def test_rate_is_never_overwritten():
    """Tensors of different sizes in one group: a rate scaled in place would compound (fairseq's bug)."""
    weights = [torch.nn.Parameter(torch.full((4, 4), scale, dtype=torch.float64)) for scale in (0.1, 1.0, 10.0)]
    optimizer = Adafactor(weights, lr=0.01, relative_step=False)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    for _ in range(3):
        before = [weight.detach().clone() for weight in weights]
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == 0.01 and optimizer.param_groups[0]["lr_factor"] == 1.0
        for weight, old in zip(weights, before, strict=True):
            torch.testing.assert_close(weight.detach(), 0.99 * old, rtol=1e-12, atol=0)


def test_schedule_reaches_both_kinds_of_rate():
    def moved(options, **changes):
        weight = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
        weight.grad = torch.ones_like(weight)
        optimizer = Adafactor([weight], **options)
        optimizer.param_groups[0].update(changes)
        optimizer.step()
        return 1.0 - weight[0, 0].item()

    assert moved({}) == pytest.approx(1e-2, rel=1e-12)
    assert moved({}, lr_factor=0.25) == pytest.approx(0.25e-2, rel=1e-12)
    assert moved({"warmup_init": True}, lr_factor=100.0) == pytest.approx(1e-4, rel=1e-11)
    assert moved({"lr": 0.3, "relative_step": False}, lr=0.2) == pytest.approx(0.2, rel=1e-12)


def test_relative_step_late():
    """1/sqrt(t) takes over from 1e-2 at 10,000 steps, and from the warm-up's 1e-6 t there too."""
    for warmup_init, t, rate in [
        (False, 9_000, 1e-2),
        (False, 40_000, 5e-3),
        (True, 9_000, 9e-3),
        (True, 40_000, 5e-3),
    ]:
        weight = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
        optimizer = Adafactor([weight], warmup_init=warmup_init)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        before = weight[0, 0].item()
        optimizer.state[weight]["step"] = t - 1
        optimizer.step()
        assert 1.0 - weight[0, 0].item() / before == pytest.approx(rate, rel=1e-9)


def test_groups_override():
    weights = [torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2)]
    own = {"params": weights[1:], "relative_step": False, "lr": 0.5, "factored": False}
    optimizer = Adafactor([{"params": weights[:1]}, own])
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    assert optimizer.step(lambda: 3.0) == 3.0
    torch.testing.assert_close([w[0, 0].item() for w in weights], [0.99, 0.5])
    assert "square" in optimizer.state[weights[1]] and "row" in optimizer.state[weights[0]]
    with pytest.raises(ValueError, match="relative_step"):
        Adafactor([{"params": weights, "lr": 0.1}])


def test_empty_and_transposed_weights():
    empty = torch.nn.Parameter(torch.zeros(0, 4))
    crossed = torch.nn.Parameter(torch.randn(3, 5).t())
    straight = torch.nn.Parameter(crossed.detach().contiguous())
    for weight in (empty, crossed, straight):
        weight.grad = torch.ones_like(weight)
    crossed.grad.copy_(torch.randn(5, 3))
    straight.grad.copy_(crossed.grad)
    Adafactor([empty, crossed]).step()
    Adafactor([straight]).step()
    torch.testing.assert_close(crossed, straight, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.1}, "relative_step"),
        ({"relative_step": False}, "lr is needed"),
        ({"lr": 0.1, "relative_step": False, "warmup_init": True}, "warmup_init"),
    ],
    ids=str,
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        Adafactor([torch.nn.Parameter(torch.zeros(1))], **options)


def test_bad_weights():
    with pytest.raises(ValueError, match="complex"):
        Adafactor([torch.nn.Parameter(torch.zeros(1, dtype=torch.complex64))])
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="sparse"):
        Adafactor(table.parameters()).step()
