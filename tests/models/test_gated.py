"""The compiled loops of LSTM and GRU against torch's own layers, which are their definition."""

import pytest
import torch
from torch import nn

from seqbench.contracts.pytree import tree_map
from seqbench.models.cells.time_loop import gated

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU}
SHAPES = [(3, 7, 5, 6), (20, 30, 4, 33), (1, 1, 2, 3), (17, 5, 3, 16)]  # rows, steps, features, units

needs_compiler = pytest.mark.skipif(gated.library() is None, reason="no C++ compiler")


def problem(kind, rows, steps, features, units, dtype=torch.float64):
    torch.manual_seed(0)
    layer = LAYERS[kind](features, units, batch_first=True).to(dtype)
    x = torch.randn(rows, steps, features, dtype=dtype, requires_grad=True)
    state = tuple(torch.randn(rows, units, dtype=dtype, requires_grad=True) for _ in range(2 if kind == "lstm" else 1))
    return layer, x, state if kind == "lstm" else state[0]


def by_torch(layer, x, state):
    y, after = layer(x, tree_map(lambda tensor: tensor[None], state))
    return y, tree_map(lambda tensor: tensor[0], after)


def leaves(tree):
    return list(tree) if isinstance(tree, tuple) else [tree]


def gradients(run, layer, x, state):
    y, after = run(layer, x, state)
    generator = torch.Generator().manual_seed(1)
    loss = sum((out * torch.randn(out.shape, generator=generator).to(out)).sum() for out in (y, *leaves(after)))
    wanted = [x, *leaves(state), *layer.parameters()]
    return [y, *leaves(after)], torch.autograd.grad(loss, wanted)


@needs_compiler
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_equals_torchs_layer(kind, shape, threads):
    given = problem(kind, *shape)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = gradients(lambda layer, x, state: gated.layer(layer, x, state, "native"), *given)
    finally:
        torch.set_num_threads(before)
    # float64, 30 steps of sums of 40 terms: some thousands of roundings of 1.1e-16, in random directions
    torch.testing.assert_close(ours, gradients(by_torch, *given), rtol=1e-12, atol=1e-13)


@needs_compiler
@pytest.mark.parametrize("kind", LAYERS)
def test_over_a_thousand_steps_float32_is_no_worse_than_torchs(kind):
    exact = gradients(by_torch, *problem(kind, 4, 1000, 3, 24))[1]
    given = problem(kind, 4, 1000, 3, 24)
    low = (
        given[0].float(),
        given[1].detach().float().requires_grad_(),
        tree_map(lambda t: t.detach().float().requires_grad_(), given[2]),
    )
    errors = []
    for run in (lambda layer, x, state: gated.layer(layer, x, state, "native"), by_torch):
        found = gradients(run, *low)[1]
        errors.append(
            [float((one.double() - other).norm() / other.norm()) for one, other in zip(found, exact, strict=True)]
        )
    ours, torchs = (max(one) for one in errors)  # which sum loses most is another one on each processor
    # A gradient is a sum over 4 rows and 1,000 steps. 4,000 roundings in random directions come to sqrt(4,000) of one,
    # 3.8e-6, where torch happens to do better; in one direction, as of a sum that is cut off, they would to 2.4e-4.
    assert ours < max(2 * torchs, 4_000**0.5 * 2**-24)


@needs_compiler
def test_going_back_twice_is_refused():
    layer, x, state = problem("gru", 2, 4, 2, 3)
    y, _ = gated.layer(layer, x, state, "native")
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="goes back once"):
        y.sum().backward()


@needs_compiler
@pytest.mark.parametrize("kind", LAYERS)
def test_without_gradients_nothing_is_kept_and_ids_are_one_hot(kind):
    layer, _, _ = problem(kind, 1, 1, 5, 6)
    ids = torch.randint(0, 5, (3, 9), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        y, after = gated.layer(layer, ids, None, "native")
    expected, last = layer(torch.nn.functional.one_hot(ids, 5).double())
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(leaves(after), [one[0] for one in leaves(last)])


@needs_compiler
def test_extreme_inputs_saturate():
    for kind in LAYERS:
        layer, x, _ = problem(kind, 2, 3, 2, 4, torch.float32)
        big = (x.detach() * 1e6).requires_grad_()
        y, _ = gated.layer(layer, big, None, "native")
        torch.testing.assert_close(y, layer(big)[0], atol=1e-6, rtol=1e-6)
        y.sum().backward()
        assert big.grad.isfinite().all()


def test_who_computes():
    layer, x, state = problem("gru", 2, 3, 2, 4)
    assert gated.layer(layer, x, state, "reference") is None
    assert gated.layer(layer, x[:, :0], state, "auto") is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gated.layer(layer, x, state, "auto") is None
    assert gated.layer(layer, x, state, "auto") is None  # three steps: not worth packing the weights
    assert (gated.layer(layer, torch.cat([x, x], 1), state, "auto") is None) == (gated.library() is None)
    with pytest.raises(RuntimeError, match="there is no compiled layer"):
        gated.layer(layer.to(torch.bfloat16), x.to(torch.bfloat16), None, "native")
