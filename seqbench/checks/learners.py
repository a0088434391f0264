"""The contract of a learner as checks: its loss is a sum over scored targets, rows and parts of a sequence add up, it
learns by its gradient or in `after_step`, and what it saves is all there is. They raise `AssertionError`.

For a model that is a learner itself, on small batches made here, of the first kind of inputs and outputs that it takes.
Everything is in float64. Like a backbone's, a constructor must draw from torch's global generator alone.

Shapes: B rows, T steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqbench.checks.closeness import require_close
from seqbench.checks.parameters import check_diagnostics_of, check_gradients_of, check_groups_of, check_saving_of
from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.peers import Alone
from seqbench.errors import ConfigError, UserError

B, T, K = 4, 6, 8  # K: tokens, features, classes
KINDS = (  # of inputs and outputs, tried in this order
    (Inputs(n_tokens=K), Outputs("classes", K)),
    (Inputs(n_features=K), Outputs("reals", K)),
    (Inputs(n_features=K), Outputs("bits", K)),
    (Inputs(n_features=K), Outputs("classes", K)),
    (Inputs(n_tokens=K), Outputs("classes", K, per="sequence")),
    (Inputs(n_features=K), Outputs("classes", K, per="sequence")),
    (Inputs(n_features=K), Outputs("bits", K, per="sequence")),
    (Inputs(n_features=K), Outputs("reals", K, per="sequence")),
)


def made_batch(inputs: Inputs, outputs: Outputs) -> Batch:
    """Of these kinds, the same each time, all of it scored."""
    draw = torch.Generator().manual_seed(1)
    shape = (B, T) if outputs.per == "step" else (B,)
    reals = torch.randn(*shape, outputs.size, generator=draw, dtype=torch.float64)
    targets = {
        "classes": torch.randint(0, outputs.size, shape, generator=draw),
        "reals": reals,
        "densities": reals,
        "bits": (reals > 0).double(),
    }
    if inputs.n_tokens is not None:
        return Batch(torch.randint(0, inputs.n_tokens, (B, T), generator=draw), targets[outputs.kind])
    return Batch(torch.randn(B, T, K, generator=draw, dtype=torch.float64), targets[outputs.kind])


def _loss(learner: Learner, batch: Batch) -> Tensor:
    return learner(batch)[0]


def check_loss(learner: Learner, batch: Batch) -> None:
    """The loss is one finite number, and so is the auxiliary one if there is one; inputs and targets matter to it."""
    loss, _, aux = learner(batch)
    assert loss.dim() == 0, f"the loss has the shape {tuple(loss.shape)}, and is no sum over the scored targets"
    assert aux is None or aux.dim() == 0, "the auxiliary loss is no single number"
    for name, value in (("loss", loss), ("auxiliary loss", aux)):
        assert value is None or bool(value.isfinite()), f"the {name} is not finite"
    order_B = torch.tensor([*range(1, B), 0])
    other = batch.replace(inputs=batch.inputs.flip(1) if batch.targets.dim() > 1 else batch.inputs[order_B])
    _step(learner, batch)
    learner.eval()
    assert not torch.equal(_loss(learner, other), _loss(learner, batch)), "the loss does not depend on the inputs"


def check_scored(learner: Learner, batch: Batch) -> None:
    """The losses of two sets of targets add up to that of all."""
    if batch.targets.shape[:2] != (B, T):
        return
    valid_BT = torch.rand(B, T, generator=torch.Generator().manual_seed(2)) < 0.6
    some = _loss(learner, batch.replace(valid_BT=valid_BT))
    rest = _loss(learner, batch.replace(valid_BT=~valid_BT))
    require_close(some + rest, _loss(learner, batch), "the losses of two sets of scored targets do not add up")


def check_rows(learner: Learner, batch: Batch) -> None:
    """The losses of single rows add up to that of all, unless the class says that rows influence each other."""
    if learner.couples_rows:
        return
    parts = [_loss(learner, batch.map(lambda tensor, row=row: tensor[row : row + 1])) for row in range(B)]
    require_close(torch.stack(parts).sum(), _loss(learner, batch), "the losses of single rows do not add up")


def check_chunked_equals_full(learner: Learner, batch: Batch) -> None:
    """The losses of two parts of a sequence, the state handed on, add up to that of the whole."""
    if not learner.streams or batch.targets.shape[:2] != (B, T):
        return
    for k in (1, 3, T - 1):
        first, state, _ = learner(batch.steps(0, k))
        second, _, _ = learner(batch.steps(k), state)
        require_close(first + second, _loss(learner, batch), f"cut after step {k}, a sequence has another loss")


def check_evaluating(learner: Learner, batch: Batch) -> None:
    """In evaluation mode a batch changes nothing, and has the same loss again."""
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    first = _loss(learner, batch)
    torch.rand(3)  # which it must not depend on
    again = _loss(learner, batch)
    assert torch.equal(first, again), "in evaluation mode the same batch has another loss the second time"
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name]), f"in evaluation mode a batch changes {name}"


def check_learning(learner: Learner, batch: Batch) -> None:
    """Every parameter that trains has a gradient that is not zero; where the loss has no graph, `after_step` changes
    what the learner computes."""
    learner.train()
    loss, _, aux = learner(batch)
    total = loss if aux is None else loss + aux
    if total.requires_grad:
        total.backward()
        if learner.touches_all:
            check_gradients_of(learner)
        return
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    learner.after_step(Alone())
    changed = any(not torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    assert changed, "the loss has no graph, and after_step changes nothing: it cannot learn"


def check_saving(make: Callable[[], Learner], batch: Batch) -> None:
    """What it has learnt in a step is in its `state_dict`, whose names and shapes do not change."""
    learner = make()
    _step(learner, batch)
    check_saving_of(learner, make(), lambda one: _loss(one.eval(), batch))


def check_groups(learner: Learner) -> None:
    """Parameter groups are disjoint and hold the learner's own parameters."""
    check_groups_of(learner, learner.parameter_groups().values())


def check_diagnostics(learner: Learner, batch: Batch) -> None:
    """The same names each time, and reset by being read."""
    learner(batch)
    check_diagnostics_of(learner.diagnostics)


def _step(learner: Learner, batch: Batch) -> None:
    """One step of plain gradient descent, as a run makes it."""
    learner.train()
    loss, _, aux = learner(batch)
    total = loss / batch.count() if aux is None else loss / batch.count() + aux
    if total.requires_grad:
        total.backward()
        with torch.no_grad():
            for parameter in learner.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad)
    learner.after_step(Alone())


def checks(make: Callable[..., Learner]) -> dict[str, Callable[[], None]]:
    """All of the contract by name. `make` takes `inputs` and `outputs`. Raises `ConfigError` where the class takes none
    of `KINDS`."""
    inputs, outputs = _accepted(make)
    batch = made_batch(inputs, outputs)

    def learner() -> Learner:
        torch.manual_seed(0)
        return make(inputs=inputs, outputs=outputs).double()

    return {
        "loss": lambda: check_loss(learner(), batch),
        "scored targets": lambda: check_scored(learner().eval(), batch),
        "rows": lambda: check_rows(learner().eval(), batch),
        "chunked equals full": lambda: check_chunked_equals_full(learner().eval(), batch),
        "evaluating": lambda: check_evaluating(learner().eval(), batch),
        "learning": lambda: check_learning(learner(), batch),
        "saving and loading": lambda: check_saving(learner, batch),
        "parameter groups": lambda: check_groups(learner()),
        "diagnostics": lambda: check_diagnostics(learner(), batch),
    }


def _accepted(make: Callable[..., Learner]) -> tuple[Inputs, Outputs]:
    """The first kinds that the constructor does not refuse by `ValueError` or `UserError`."""
    refusals: list[str] = []
    for inputs, outputs in KINDS:
        try:
            make(inputs=inputs, outputs=outputs)
        except (ValueError, UserError) as error:
            refusals.append(str(error).rstrip("."))
            continue
        return inputs, outputs
    said = "; or: ".join(dict.fromkeys(refusals))
    raise ConfigError(f"The class takes none of the inputs and outputs that the checks have, {K} of each: {said}.")


def check_learner(make: Callable[..., Learner]) -> None:
    """All of the contract."""
    for check in checks(make).values():
        check()
