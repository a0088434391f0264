"""Relative attention and the Transformer against loops over queries and keys, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from seqbench.models.attention.transformer import Transformer
from seqbench.models.cells.attention.relative import attend, sinusoids

D, HEADS = 6, 2
E = D // HEADS
INVALID = [
    ({"d_model": 7}, "d_model is even and a multiple of n_heads=2, not 7"),
]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def encoding(distance: int):
    angles = [distance / 10000 ** (2 * i / D) for i in range(D // 2)]
    return torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=torch.float64)


def one_query(q, i, keys, values, project, u, w, span):
    """What the query of position i finds among keys and values of all positions: one row's features (D,)."""
    found, reach = [], range(max(0, i - span), i + 1)
    for head in range(HEADS):
        part = slice(head * E, (head + 1) * E)
        scores = []
        for j in reach:
            position = project(encoding(i - j))[part]
            content = torch.dot(q[part] + u[head], keys[j][part])
            scores.append((content + torch.dot(q[part] + w[head], position)) / math.sqrt(E))
        weights = torch.stack(scores).softmax(0)
        found.append(sum(weight * values[j][part] for weight, j in zip(weights, reach, strict=True)))
    return torch.cat(found)


@pytest.mark.parametrize("span", [1, 2, 5, 40])
@pytest.mark.parametrize("n_before", [0, 3])
def test_attention_is_the_sum_over_keys(span, n_before):
    n_steps, rows = 7, 2
    q, k, v = draw(rows, n_steps, D), draw(rows, n_before + n_steps, D, seed=1), draw(rows, 7 + n_before, D, seed=2)
    matrix, u, w = draw(D, D, seed=3), draw(HEADS, E, seed=4), draw(HEADS, E, seed=5)
    distances = torch.stack([encoding(distance) for distance in range(min(n_before + n_steps, span + 1))])
    torch.testing.assert_close(sinusoids(len(distances), q), distances, rtol=1e-13, atol=1e-13)
    found = attend(q, k, v, distances @ matrix.T, u, w, span, dropout=0.0)
    for row in range(rows):
        for t in range(n_steps):
            expected = one_query(q[row, t], n_before + t, k[row], v[row], lambda r: matrix @ r, u, w, span)
            torch.testing.assert_close(found[row, t], expected, rtol=1e-12, atol=1e-12)


def made(**settings):
    torch.manual_seed(0)
    given = {"d_model": D, "n_layers": 2, "n_heads": HEADS, "d_inner": 5, "span": 3, "init_std": 0.5, **settings}
    model = Transformer(4, **given).double()
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:  # norms and biases that matter
            parameter.data += 0.3 * draw(len(parameter), seed=len(name))
    return model


def by_loops(model: Transformer, x_TD):
    """Layer by layer and position by position: (y, what each layer was given)."""
    states, given, pre = list(x_TD @ model.project.weight.T), [], isinstance(model.norm, torch.nn.LayerNorm)
    for layer in model.layers:
        given.append(torch.stack(states))
        norm, last_norm, same = layer.norm_attention, layer.norm_inner, lambda h: h
        seen = [norm(h) for h in states] if pre else states
        w_k, w_v = layer.key_value.weight.chunk(2)
        keys, values = [w_k @ h for h in seen], [w_v @ h for h in seen]
        after = []
        for i, x in enumerate(states):
            q = layer.query.weight @ seen[i]
            shared = (layer.position, model.content_bias, model.position_bias, model.span)
            h = x + layer.attended.weight @ one_query(q, i, keys, values, *shared)
            h = h if pre else norm(h)
            inner = F.relu(layer.inner.weight @ (last_norm if pre else same)(h) + layer.inner.bias)
            y = h + layer.outer.weight @ inner + layer.outer.bias
            after.append(y if pre else last_norm(y))
        states = after
    return model.norm(torch.stack(states)), given


@pytest.mark.parametrize("pre_norm", [True, False])
def test_the_model_is_its_equations(pre_norm):
    model, x = made(pre_norm=pre_norm, dropout=0.0), draw(2, 8, 4)
    expected, given = by_loops(model, x[1])
    y, state, aux = model(x)
    assert aux is None
    torch.testing.assert_close(y[1], expected, rtol=1e-11, atol=1e-11)
    for found, inputs in zip(state, given, strict=True):
        torch.testing.assert_close(found[1], inputs[-3:], rtol=1e-11, atol=1e-11)
    expected.pow(3).sum().backward()
    wanted = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    first, state, _ = model(x[1:, :5])
    (first.pow(3).sum() + model(x[1:, 5:], state)[0].pow(3).sum()).backward()  # through the state, too
    for (name, parameter), gradient in zip(model.named_parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("pre_norm", [True, False])
def test_calls_of_any_length(pre_norm):
    """Shorter and longer than the span, and of no steps at all, from the start and later."""
    model, x = made(pre_norm=pre_norm).eval(), draw(3, 12, 4)
    whole, end, _ = model(x)
    state, outputs, start = None, [], 0
    for length in (0, 2, 0, 7, 1, 2):
        y, state, _ = model(x[:, start : start + length], state)
        start += length
        assert y.shape == (3, length, D)
        assert [memory.shape for memory in state] == [(3, min(start, 3), D)] * 2
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, end, rtol=1e-12, atol=1e-12)


def test_a_query_sees_the_span_and_no_further():
    model, x = made(n_layers=1).eval(), draw(1, 9, 4).requires_grad_()
    model(x)[0][0, 7].sum().backward()
    assert torch.equal(x.grad[0].abs().sum(-1) > 0, torch.tensor([False] * 4 + [True] * 4 + [False]))


def test_dropout_of_attention_alone():
    model, x = made(dropout=0.0, dropout_attention=0.5), draw(2, 8, 4)
    assert not torch.equal(model(x)[0], model(x)[0])
    model.eval()
    assert torch.equal(model(x)[0], made(dropout=0.0).eval()(x)[0])


@pytest.mark.parametrize(("settings", "sentence"), INVALID)
def test_invalid_settings(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(**settings)
