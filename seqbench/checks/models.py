"""The contract of a backbone as checks: batch-first state, chunked equals full, causality, independent rows, gradients,
ids as one-hot vectors, saving and loading.

Each check takes a backbone in float64 and features (B, T, d_input) for it, and raises `AssertionError`. What a class
says of itself decides what applies: one that is not causal is not asked for causality, one that does not stream for no
chunks. A constructor must draw from torch's global generator alone.

Shapes: B batch, T time, D features.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import tree_map, tree_zip

BATCH, TIME = 3, 7


def features(d_input: int, batch: int = BATCH, time: int = TIME) -> Tensor:
    """Inputs for the checks, the same each time: (B, T, d_input), normal, float64."""
    return torch.randn(batch, time, d_input, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> None:
    """Equal but for a few hundred operations' rounding in float64."""
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def check_shapes(model: Backbone, x_BTD: Tensor) -> None:
    """The output has `d_output` features at each position, and every tensor of the state is batch-first."""
    y_BTD, state, _ = model(x_BTD)
    assert y_BTD.shape == (*x_BTD.shape[:2], model.d_output), f"the output's shape is {tuple(y_BTD.shape)}"
    sizes: list[int] = []
    tree_map(lambda tensor: sizes.append(tensor.shape[0]) or tensor, state)
    assert set(sizes) <= {len(x_BTD)}, f"the state's first axes are {sizes}, not the batch of {len(x_BTD)}"
    assert sizes or not model.streams, "a model that streams has a state"


def check_chunked_equals_full(model: Backbone, x_BTD: Tensor) -> None:
    """Two calls with the state handed on give what one call gives, wherever the sequence is cut; one step at a time,
    too."""
    if not model.streams:
        return
    whole_BTD, end, _ = model(x_BTD)
    for k in (1, 3, x_BTD.shape[1] - 1):
        first_BTD, state, _ = model(x_BTD[:, :k])
        second_BTD, chunked_end, _ = model(x_BTD[:, k:], state)
        close(torch.cat([first_BTD, second_BTD], 1), whole_BTD)
        tree_zip(lambda pair: close(*pair) or pair[0], [chunked_end, end])
    state, outputs = None, []
    for t in range(x_BTD.shape[1]):
        y_BTD, state, _ = model(x_BTD[:, t : t + 1], state)
        outputs.append(y_BTD)
    close(torch.cat(outputs, 1), whole_BTD)


def check_causal(model: Backbone, x_BTD: Tensor) -> None:
    """No output depends on a later input, and those from there on do depend on it."""
    changed_BTD = x_BTD.clone()
    changed_BTD[:, 4:] = changed_BTD[:, 4:].square() + 1  # which no normalisation takes off
    before_BTD, after_BTD = model(x_BTD)[0], model(changed_BTD)[0]
    if model.causal:
        close(before_BTD[:, :4], after_BTD[:, :4])
    else:
        assert not torch.allclose(before_BTD[:, :4], after_BTD[:, :4]), "the class says it is not causal, and it is"
    assert not torch.allclose(before_BTD[:, 4:], after_BTD[:, 4:]), "the outputs do not depend on the inputs"


def check_rows(model: Backbone, x_BTD: Tensor) -> None:
    """Rows do not influence each other, unless the class says so, and go with their state in any order."""
    if not model.couples_rows:
        close(model(x_BTD)[0][1:2], model(x_BTD[1:2])[0])
    _, state, _ = model(x_BTD)
    order_B = torch.tensor([*range(1, len(x_BTD)), 0])
    y_BTD, _, _ = model(x_BTD, state)
    reordered_BTD, _, _ = model(x_BTD[order_B], tree_map(lambda tensor: tensor[order_B], state))
    close(reordered_BTD, y_BTD[order_B])


def check_gradients(model: Backbone, x_BTD: Tensor) -> None:
    """Every parameter has a gradient that is not zero."""
    if model.couples_rows:
        model.eval()  # statistics of the batch take off what all rows share, which has no gradient then
    y_BTD, state, aux = model(x_BTD)
    _, state, _ = model(x_BTD, state)
    loss = model(x_BTD, state)[0].square().sum() + y_BTD.sum() + (0 if aux is None else aux)
    loss.backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.abs().max() > 0, f"the gradient of {name} is zero"


def check_ids(model: Backbone, d_input: int) -> None:
    """Ids give what the one-hot vectors that they stand for give."""
    ids_BT = torch.randint(0, d_input, (2, 5), generator=torch.Generator().manual_seed(2))
    close(model(ids_BT)[0], model(F.one_hot(ids_BT, d_input).double())[0])


def check_saving(make: Callable[[], Backbone], x_BTD: Tensor) -> None:
    """A second model that loads the first one's weights computes the same, bit for bit."""
    model, buffer = make(), io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other = make()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(x_BTD)[0], model(x_BTD)[0]), "the loaded model computes something else"


def check_groups(model: Backbone) -> None:
    """Parameter groups are disjoint and hold the model's own parameters."""
    parameters = {id(parameter) for parameter in model.parameters()}
    grouped = [id(parameter) for group in model.parameter_groups().values() for parameter in group.parameters]
    assert len(grouped) == len(set(grouped)), "a parameter is in two groups"
    assert set(grouped) <= parameters, "a group has a parameter that is none of the model's"


def check_diagnostics(model: Backbone, x_BTD: Tensor) -> None:
    """The same names each time, of finite sums, and reset by being read."""
    model(x_BTD)
    first, second = model.diagnostics(), model.diagnostics()
    assert first.keys() == second.keys(), f"the names change: {sorted(first)} and {sorted(second)}"
    assert all(count == 0 for _, count in second.values()), "reading the diagnostics does not reset them"


def checks(make: Callable[[], Backbone], d_input: int) -> dict[str, Callable[[], None]]:
    """All of the contract by name, for a function that makes a backbone of `d_input` features. One that is random in
    training, as by dropout, is looked at in evaluation mode."""
    x_BTD = features(d_input)

    def model() -> Backbone:
        torch.manual_seed(0)
        made = make().double()
        return made.eval() if _is_random(made, x_BTD) else made

    return {
        "shapes": lambda: check_shapes(model(), x_BTD),
        "chunked equals full": lambda: check_chunked_equals_full(model(), x_BTD),
        "causality": lambda: check_causal(model(), x_BTD),
        "rows": lambda: check_rows(model(), x_BTD),
        "gradients": lambda: check_gradients(model(), x_BTD),
        "diagnostics": lambda: check_diagnostics(model(), x_BTD),
        "ids are one-hot vectors": lambda: check_ids(model(), d_input),
        "saving and loading": lambda: check_saving(model, x_BTD),
        "parameter groups": lambda: check_groups(model()),
    }


def _is_random(model: Backbone, x_BTD: Tensor) -> bool:
    with torch.no_grad():
        return not torch.equal(model(x_BTD)[0], model(x_BTD)[0])


def check_backbone(make: Callable[[], Backbone], d_input: int) -> None:
    """All of the contract."""
    for check in checks(make, d_input).values():
        check()
