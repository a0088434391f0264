"""The contract of an encoder-decoder as checks: what it says step by step is what it is trained on, padding changes
nothing, sentences do not mix. Each takes a model in float64, in evaluation mode, and `Pairs`, and raises
`AssertionError`. A constructor must draw from torch's global generator alone.

Shapes: B batch, S source positions, T target positions, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seqbench.checks.closeness import require_close, require_same_state, tensors_of
from seqbench.checks.models import hint
from seqbench.checks.parameters import check_diagnostics_of, check_gradients_of, check_groups_of, check_saving_of
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.pytree import State, tree_map

LENGTHS = (5, 3, 4)
T = 6


@dataclass(frozen=True)
class Pairs:
    """Features of sources, which of them are not padding, and features of targets."""

    x_BSD: Tensor
    valid_BS: Tensor
    y_BTD: Tensor


def pairs(d_input: int) -> Pairs:
    """Three pairs, the same each time: normal, float64."""
    draw = torch.Generator().manual_seed(1)
    n_rows, n_source = len(LENGTHS), max(LENGTHS)
    x_BSD = torch.randn(n_rows, n_source, d_input, generator=draw, dtype=torch.float64)
    y_BTD = torch.randn(n_rows, T, d_input, generator=draw, dtype=torch.float64)
    return Pairs(x_BSD, torch.arange(n_source) < torch.tensor(LENGTHS)[:, None], y_BTD)


def _memory(model: EncoderDecoder, data: Pairs) -> State:
    return model.encode(data.x_BSD, data.valid_BS)[0]


def _whole(model: EncoderDecoder, data: Pairs) -> Tensor:
    return model.decode(data.y_BTD, _memory(model, data))[0]


def check_shapes(model: EncoderDecoder, data: Pairs) -> None:
    """The output has `d_output` features at each position of the target; memory and state are batch-first."""
    memory, source_aux = model.encode(data.x_BSD, data.valid_BS)
    z_BTD, state, aux = model.decode(data.y_BTD, memory)
    shape = (*data.y_BTD.shape[:2], model.d_output)
    assert z_BTD.shape == shape, f"the output's shape is {tuple(z_BTD.shape)}, not {shape}"
    for name, tree in (("memory", memory), ("state", state)):
        sizes = [tensor.shape[0] for tensor in tensors_of(tree)]
        assert sizes and set(sizes) == {len(LENGTHS)}, f"the first axes of the {name} are {sizes}, not the batch of 3"
    for loss in (source_aux, aux):
        assert loss is None or loss.dim() == 0, "the auxiliary loss is no single number"


def check_chunked_equals_full(model: EncoderDecoder, data: Pairs) -> None:
    """A target read in parts, the state handed on, gives what one call gives; one step at a time, too."""
    memory, whole_BTD = _memory(model, data), _whole(model, data)
    for cuts in ((1,), (2, 5), tuple(range(1, T))):
        state, outputs = None, []
        for first, end in zip((0, *cuts), (*cuts, T), strict=True):
            z_BTD, state, _ = model.decode(data.y_BTD[:, first:end], memory, state)
            outputs.append(z_BTD)
        where = "read step by step" if len(cuts) == T - 1 else f"cut after {' and '.join(map(str, cuts))}"
        require_close(torch.cat(outputs, 1), whole_BTD, f"{where}, a target gives other outputs{hint(model)}")


def check_causal(model: EncoderDecoder, data: Pairs) -> None:
    """No output depends on a later position of the target, and those from there on do depend on it."""
    later_BTD = data.y_BTD.clone()
    later_BTD[:, 3:] = later_BTD[:, 3:].square() + 1
    before_BTD = _whole(model, data)
    after_BTD = model.decode(later_BTD, _memory(model, data))[0]
    require_close(after_BTD[:, :3], before_BTD[:, :3], f"outputs depend on later positions of the target{hint(model)}")
    assert not torch.allclose(after_BTD[:, 3:], before_BTD[:, 3:]), "the outputs do not depend on the target"


def check_source(model: EncoderDecoder, data: Pairs) -> None:
    """The source matters to every row, and its padding to none."""
    before_BTD = _whole(model, data)
    other_BSD = data.x_BSD.clone()
    other_BSD[:, 0] = other_BSD[:, 0].square() + 1
    gap_B = (_whole(model, Pairs(other_BSD, data.valid_BS, data.y_BTD)) - before_BTD).abs().amax((1, 2))
    assert bool((gap_B > 1e-9).all()), "the outputs do not depend on the source"
    n_more = 3
    padded_BSD = F.pad(data.x_BSD, (0, 0, 0, n_more), value=2.0)
    padded_BSD = padded_BSD.masked_fill(~F.pad(data.valid_BS, (0, n_more))[..., None], 2.0)
    padded = Pairs(padded_BSD, F.pad(data.valid_BS, (0, n_more)), data.y_BTD)
    require_close(_whole(model, padded), before_BTD, f"padding of the source changes the outputs{hint(model)}")


def check_rows(model: EncoderDecoder, data: Pairs) -> None:
    """Rows do not influence each other, and go in any order with their memory and state, as beam search has it."""
    whole_BTD, length = _whole(model, data), LENGTHS[1]
    alone = Pairs(data.x_BSD[1:2, :length], data.valid_BS[1:2, :length], data.y_BTD[1:2])
    require_close(_whole(model, alone), whole_BTD[1:2], f"a row's outputs depend on the rows beside it{hint(model)}")
    order_B = torch.tensor([2, 0, 1])
    memory = _memory(model, data)
    _, state, _ = model.decode(data.y_BTD[:, :3], memory)
    rest_BTD, _, _ = model.decode(data.y_BTD[:, 3:], memory, state)
    moved = [tree_map(lambda tensor: tensor[order_B], tree) for tree in (memory, state)]
    found_BTD, _, _ = model.decode(data.y_BTD[order_B, 3:], *moved)
    require_close(found_BTD, rest_BTD[order_B], "rows in another order, each with its state, give other outputs")


def check_coverage(model: EncoderDecoder, data: Pairs) -> None:
    """The state's "coverage" (B, S) sums the attention so far: one for each position of the target, none on padding."""
    memory = _memory(model, data)
    _, state, _ = model.decode(data.y_BTD[:, :2], memory)
    assert isinstance(state, dict) and "coverage" in state, 'the state is no dict that has "coverage"'
    _, state, _ = model.decode(data.y_BTD[:, 2:], memory, state)
    coverage_BS = state["coverage"]
    shape = tuple(data.valid_BS.shape)
    assert tuple(coverage_BS.shape) == shape, f"the coverage's shape is {tuple(coverage_BS.shape)}, not {shape}"
    assert bool((coverage_BS[~data.valid_BS] == 0).all()), "the coverage of padding is not zero"
    sum_B = coverage_BS.sum(1)
    require_close(sum_B, torch.full_like(sum_B, T), f"the coverage of {T} positions of the target does not sum to {T}")
    _, whole, _ = model.decode(data.y_BTD, memory)
    require_same_state(whole["coverage"], coverage_BS, f"read at once, a target has another coverage{hint(model)}")


def check_gradients(model: EncoderDecoder, data: Pairs) -> None:
    """Every parameter has a gradient; one that softmax takes off, as a key's bias, may be zero."""
    memory, source_aux = model.encode(data.x_BSD, data.valid_BS)
    z_BTD, _, aux = model.decode(data.y_BTD, memory)
    loss = z_BTD.square().sum() + z_BTD.sum()
    for extra in (source_aux, aux):
        loss = loss if extra is None else loss + extra
    loss.backward()
    check_gradients_of(model, may_vanish=lambda name: name.endswith("bias"))


def check_saving(make: Callable[[], EncoderDecoder], data: Pairs) -> None:
    """A second model that loads the first one's weights computes the same, bit for bit."""
    check_saving_of(make(), make(), lambda model: _whole(model, data))


def check_parts(model: EncoderDecoder, data: Pairs) -> None:
    """Groups are disjoint and hold the model's own parameters; `parts` are modules of its own, whose diagnostics are
    reset by being read."""
    check_groups_of(model, model.parameter_groups().values())
    _whole(model, data)
    modules = [*model.modules()]
    for part in model.parts():
        assert any(part is module for module in modules), f"{type(part).__name__} is a part, and no module of the model"
        check_diagnostics_of(part.diagnostics)


def checks(make: Callable[[], EncoderDecoder], d_input: int) -> dict[str, Callable[[], None]]:
    """All of the contract by name, for a function that makes a model of `d_input` features."""
    data = pairs(d_input)

    def model() -> EncoderDecoder:
        torch.manual_seed(0)
        return make().double().eval()

    return {
        "shapes": lambda: check_shapes(model(), data),
        "chunked equals full": lambda: check_chunked_equals_full(model(), data),
        "causality": lambda: check_causal(model(), data),
        "source and padding": lambda: check_source(model(), data),
        "rows": lambda: check_rows(model(), data),
        "coverage": lambda: check_coverage(model(), data),
        "gradients": lambda: check_gradients(model(), data),
        "saving and loading": lambda: check_saving(model, data),
        "groups and parts": lambda: check_parts(model(), data),
    }


def check_encoder_decoder(make: Callable[[], EncoderDecoder], d_input: int) -> None:
    """All of the contract."""
    for check in checks(make, d_input).values():
        check()
