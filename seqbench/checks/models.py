"""The contract of a backbone as checks: batch-first state, chunked equals full, causality, independent rows, gradients,
ids as one-hot vectors, saving and loading.

Each check takes a backbone in float64 and features (B, T, d_input) for it, and raises `AssertionError`. What a class
says of itself decides what applies: one that is not causal is not asked for causality, one that does not stream for no
chunks. A constructor must draw from torch's global generator alone.

Shapes: B batch, T time, D features.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from seqbench.checks.closeness import require_close, require_same_state, tensors_of
from seqbench.checks.parameters import check_diagnostics_of, check_gradients_of, check_groups_of, check_saving_of
from seqbench.contracts.backbone import Backbone
from seqbench.contracts.fixed_point import FixedPoint
from seqbench.contracts.peers import Alone
from seqbench.contracts.pytree import tree_map

BATCH, TIME = 3, 7


def features(d_input: int, batch: int = BATCH, time: int = TIME) -> Tensor:
    """Inputs for the checks, the same each time: (B, T, d_input), normal, float64."""
    return torch.randn(batch, time, d_input, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def hint(model: torch.nn.Module) -> str:
    """Why a law may not hold to the last digits of a model that solves for a fixed point."""
    solves = any(isinstance(module, FixedPoint) for module in model.modules())
    return " (which an equilibrium keeps as far as its solvers converge: lower their tolerance)" if solves else ""


def check_shapes(model: Backbone, x_BTD: Tensor) -> None:
    """The output has `d_output` features at each position, and every tensor of the state is batch-first."""
    y_BTD, state, _ = model(x_BTD)
    assert y_BTD.shape == (*x_BTD.shape[:2], model.d_output), f"the output's shape is {tuple(y_BTD.shape)}"
    sizes = [tensor.shape[0] for tensor in tensors_of(state)]
    assert set(sizes) <= {len(x_BTD)}, f"the state's first axes are {sizes}, not the batch of {len(x_BTD)}"
    assert sizes or not model.streams, "the class says that it streams, and no state comes out"


def check_chunked_equals_full(model: Backbone, x_BTD: Tensor) -> None:
    """Two calls with the state handed on give what one call gives, wherever the sequence is cut; one step at a time,
    too."""
    if not model.streams:
        return
    whole_BTD, end, _ = model(x_BTD)
    for k in (1, 3, x_BTD.shape[1] - 1):
        first_BTD, state, _ = model(x_BTD[:, :k])
        second_BTD, chunked_end, _ = model(x_BTD[:, k:], state)
        parts_BTD = torch.cat([first_BTD, second_BTD], 1)
        require_close(parts_BTD, whole_BTD, f"cut after step {k}, a sequence gives other outputs{hint(model)}")
        require_same_state(chunked_end, end, f"cut after step {k}, a sequence ends in another state{hint(model)}")
    state, outputs = None, []
    for t in range(x_BTD.shape[1]):
        y_BTD, state, _ = model(x_BTD[:, t : t + 1], state)
        outputs.append(y_BTD)
    require_close(torch.cat(outputs, 1), whole_BTD, f"read step by step, a sequence gives other outputs{hint(model)}")


def check_causal(model: Backbone, x_BTD: Tensor) -> None:
    """No output depends on a later input, and those from there on do depend on it."""
    changed_BTD = x_BTD.clone()
    changed_BTD[:, 4:] = changed_BTD[:, 4:].square() + 1  # which no normalisation takes off
    before_BTD, after_BTD = model(x_BTD)[0], model(changed_BTD)[0]
    if model.causal:
        require_close(before_BTD[:, :4], after_BTD[:, :4], f"outputs depend on later inputs{hint(model)}")
    else:
        assert not torch.allclose(before_BTD[:, :4], after_BTD[:, :4]), "the class says it is not causal, and it is"
    assert not torch.allclose(before_BTD[:, 4:], after_BTD[:, 4:]), "the outputs do not depend on the inputs"


def check_rows(model: Backbone, x_BTD: Tensor) -> None:
    """Rows do not influence each other, unless the class says so, and go with their state in any order."""
    if not model.couples_rows:
        alone_BTD = model(x_BTD[1:2])[0]
        require_close(model(x_BTD)[0][1:2], alone_BTD, "a row's outputs depend on the rows beside it")
    _, state, _ = model(x_BTD)
    order_B = torch.tensor([*range(1, len(x_BTD)), 0])
    y_BTD, _, _ = model(x_BTD, state)
    reordered_BTD, _, _ = model(x_BTD[order_B], tree_map(lambda tensor: tensor[order_B], state))
    require_close(reordered_BTD, y_BTD[order_B], "rows in another order, each with its state, give other outputs")


def check_gradients(model: Backbone, x_BTD: Tensor) -> None:
    """Every parameter has a gradient that is not zero."""
    if model.couples_rows:
        model.eval()  # statistics of the batch take off what all rows share, which has no gradient then
    y_BTD, state, aux = model(x_BTD)
    _, state, _ = model(x_BTD, state)
    loss = model(x_BTD, state)[0].square().sum() + y_BTD.sum() + (0 if aux is None else aux)
    loss.backward()
    check_gradients_of(model)


def check_ids(model: Backbone, d_input: int) -> None:
    """Ids give what the one-hot vectors that they stand for give."""
    ids_BT = torch.randint(0, d_input, (2, 5), generator=torch.Generator().manual_seed(2))
    one_hot_BTD = model(F.one_hot(ids_BT, d_input).double())[0]
    require_close(model(ids_BT)[0], one_hot_BTD, "ids do not give what the one-hot vectors that they stand for give")


def check_saving(make: Callable[[], Backbone], x_BTD: Tensor) -> None:
    """A second model that loads what the first one saves after a step computes the same, bit for bit, and so it does
    after the next step."""
    model, other = make(), make()
    _step(model, x_BTD)
    check_saving_of(model, other, lambda one: one(x_BTD)[0])
    for one in (model, other):
        _step(one, x_BTD)
    assert torch.equal(other(x_BTD)[0], model(x_BTD)[0]), "the step after loading is another: not all is saved"


def _step(model: Backbone, x_BTD: Tensor) -> None:
    """One step of plain gradient descent, as a run makes it."""
    model.zero_grad()
    y_BTD, _, aux = model(x_BTD)
    (y_BTD.square().mean() + (0 if aux is None else aux)).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.01 * parameter.grad)
    model.after_step(Alone())


def check_groups(model: Backbone) -> None:
    """Parameter groups are disjoint and hold the model's own parameters."""
    check_groups_of(model, model.parameter_groups().values())


def check_diagnostics(model: Backbone, x_BTD: Tensor) -> None:
    """The same names each time, and reset by being read."""
    model(x_BTD)
    check_diagnostics_of(model.diagnostics)


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
