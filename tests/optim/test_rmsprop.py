"""RMSpropTF against TensorFlow 1's update, written out in float64."""

import io

import numpy as np
import pytest
import torch

from seqbench.optim.rmsprop import RMSpropTF

torch.set_num_threads(1)

SHAPES = [(), (7,), (4, 3), (1, 5), (2, 3, 2, 2)]
STEPS = 50


def oracle(x, grads, lr=1e-3, decay=0.9, momentum=0.0, eps=1e-10, weight_decay=0.0):
    """The weights after each step, float64."""
    x, ms, mom, path = x.astype(np.float64), np.ones(x.shape), np.zeros(x.shape), []
    for g in grads:
        g = g.astype(np.float64) + weight_decay * x
        ms = decay * ms + (1 - decay) * g**2
        mom = momentum * mom + lr * g / np.sqrt(ms + eps)
        x = x - mom
        path.append(x)
    return path


def make_grads(shape, scale, seed):
    generator = np.random.default_rng(seed)
    grads = scale * generator.standard_normal((STEPS, *shape))
    grads[10:20] = 0.0
    return grads


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.1},
        {"decay": 0.99},
        {"momentum": 0.9},
        {"eps": 1e-2},
        {"weight_decay": 0.1},
        {"lr": 0.02, "decay": 0.5, "momentum": 0.5, "eps": 1e-4, "weight_decay": 0.01},
    ],
)
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e-3, 1.0, 1e6])
def test_oracle(options, scale):
    starts = [np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(SHAPES)]
    grads = [make_grads(shape, scale, i) for i, shape in enumerate(SHAPES)]
    expected = [oracle(x, g, **options) for x, g in zip(starts, grads, strict=True)]
    weights = [torch.nn.Parameter(torch.tensor(x)) for x in starts]
    optimizer = RMSpropTF(weights, **options)
    for step in range(STEPS):
        for weight, g in zip(weights, grads, strict=True):
            weight.grad = torch.tensor(g[step])
        optimizer.step()
        for weight, path in zip(weights, expected, strict=True):
            # the same float64 arithmetic in another order: a few units in the last place (2e-16) a step
            np.testing.assert_allclose(weight.detach().numpy(), path[step], rtol=1e-13, atol=1e-13)


def test_float32_stays_near_the_oracle():
    start, grads = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32), make_grads((8, 5), 1.0, 1)
    grads = grads.astype(np.float32)
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = RMSpropTF([weight], momentum=0.9)
    for g in grads:
        weight.grad = torch.tensor(g)
        optimizer.step()
    # half a unit in the last place (6e-8) of weights up to 4, at each of 50 steps
    expected = oracle(start, grads, momentum=0.9)[-1]
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=0, atol=50 * 6e-8 * 4)


def test_small_gradients_warm_up():
    """TensorFlow's known course for a constant gradient of 1e-3: step / lr at four times (to the digits quoted)."""
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = RMSpropTF([weight], lr=1.0)
    steps, before = [], 0.0
    for _ in range(150):
        weight.grad = torch.tensor(1e-3, dtype=torch.float64)
        optimizer.step()
        steps.append(before - weight.item())
        before = weight.item()
    for t, expected, digits in [(1, 0.001, 3), (50, 0.014, 3), (100, 0.19, 2), (150, 0.94, 2)]:
        assert round(steps[t - 1], digits) == expected


def test_resume_is_exact():
    def run(interrupted):
        torch.manual_seed(0)
        weights = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
        optimizer = RMSpropTF(weights, momentum=0.9)
        for step in range(10):
            if interrupted and step == 5:
                buffer = io.BytesIO()
                torch.save(optimizer.state_dict(), buffer)
                buffer.seek(0)
                optimizer = RMSpropTF(weights, momentum=0.9)
                optimizer.load_state_dict(torch.load(buffer, weights_only=True))
            for weight in weights:
                weight.grad = torch.randn(weight.shape)
            optimizer.step()
        return weights

    for one, other in zip(run(False), run(True), strict=True):
        assert torch.equal(one, other)


def test_slots():
    weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2))]
    optimizer = RMSpropTF(weights)
    weights[0].grad = torch.ones(3)
    optimizer.step()
    assert set(optimizer.state[weights[0]]) == {"square_avg"}  # no velocity without momentum
    assert torch.equal(weights[1], torch.zeros(2)) and not optimizer.state[weights[1]]


def test_groups_have_their_own_rate():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = RMSpropTF([{"params": weights[:1]}, {"params": weights[1:], "lr": 1e-4}])
    for weight in weights:
        weight.grad = torch.ones(1)
    loss = optimizer.step(lambda: 3.0)
    assert loss == 3.0
    torch.testing.assert_close(weights[0], 10 * weights[1])


def test_bad_weights():
    with pytest.raises(ValueError, match="float32 or float64"):
        RMSpropTF([torch.nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))])
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="sparse"):
        RMSpropTF(table.parameters()).step()
