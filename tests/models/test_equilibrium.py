"""The equilibrium layer: its gradients are those of a deep network."""

import functools
import gc
import weakref

import pytest
import torch

from seqbench.contracts.peers import Alone
from seqbench.models.attention.weight_tied_transformer import WeightTiedTransformer
from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.plain import Plain
from seqbench.models.convolutional.trellisnet import TrellisNet
from seqbench.models.equilibrium.deq_transformer import DEQTransformer
from seqbench.models.equilibrium.deq_trellisnet import DEQTrellisNet

D = 6
TRANSFORMER = {"d_model": 16, "n_heads": 2, "d_inner": 12, "span": 4, "init_std": 0.1}
TRELLIS = {"hidden_size": 8, "d_model": 5, "dilation": 2, "init_std": 0.3}
BLOCKS = {
    "transformer": (DEQTransformer, WeightTiedTransformer, TRANSFORMER),
    "pre-norm": (DEQTransformer, WeightTiedTransformer, {**TRANSFORMER, "pre_norm": True, "weight_norm": False}),
    "trellisnet": (DEQTrellisNet, TrellisNet, TRELLIS),
}


def exactly(method=Anderson, tolerance=1e-10, **settings):
    """An equilibrium whose two solvers go on until so small a relative residual."""
    solver = functools.partial(method, max_steps=200, tolerance=tolerance)
    return {"equilibrium": functools.partial(Equilibrium, forward=solver, backward=solver, **settings)}


def loosely(forward=Anderson, backward=Anderson, **settings):
    """An equilibrium at its defaults but for these settings."""
    return {"equilibrium": functools.partial(Equilibrium, forward=forward, backward=backward, **settings)}


def built(kind, d_input=D, seed=0, **settings):
    """A model whose input outweighs z: a contraction, whose fixed point deep unrolling finds too."""
    torch.manual_seed(seed)
    model = kind(d_input, **settings).double()
    with torch.no_grad():
        model.block.inject.weight *= 12 if isinstance(model, (DEQTransformer, WeightTiedTransformer)) else 1
    return model


def x_of(seed=1, batch=3, time=7):
    return torch.randn(batch, time, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(model, x):
    y = model(x)[0]
    mix = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)
    model.zero_grad()
    (y * mix).sum().backward()
    return y.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def distance(ours, theirs):
    return max(float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in theirs)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("method", [Plain, Anderson, Broyden])
@pytest.mark.parametrize("block", BLOCKS)
def test_gradients_are_those_of_200_layers(block, method, seed):
    equilibrium, explicit, settings = BLOCKS[block]
    model = built(equilibrium, **settings, **exactly(method))
    deep = built(explicit, **settings, n_layers=200)
    deep.block.load_state_dict(model.block.state_dict())
    (y, ours), (expected, theirs) = gradients(model, x_of(seed)), gradients(deep, x_of(seed))
    torch.testing.assert_close(y, expected, rtol=1e-7, atol=1e-7)
    assert distance(ours, theirs) < 1e-4


@pytest.mark.parametrize("block", BLOCKS)
def test_gradcheck(block):
    equilibrium, _, settings = BLOCKS[block]
    model = built(equilibrium, **settings, **exactly(Anderson, 1e-13))
    names, values = zip(*[(name, parameter.detach()) for name, parameter in model.named_parameters()], strict=True)
    chosen = [index for index, name in enumerate(names) if "recur" in name or "out." in name or "bias" in name]

    def function(x, *tensors):
        parameters = dict(zip(names, values, strict=True)) | dict(
            zip([names[index] for index in chosen], tensors, strict=True)
        )
        return torch.func.functional_call(model, parameters, (x,))[0]

    inputs = [x_of(batch=1, time=3), *[values[index].clone() for index in chosen]]
    assert torch.autograd.gradcheck(function, [tensor.requires_grad_() for tensor in inputs], fast_mode=True)


def test_a_state_carries_gradients_until_it_is_cut():
    model = built(DEQTransformer, **TRANSFORMER, **exactly())
    x = x_of()
    _, whole = gradients(model, x)
    model.zero_grad()
    mix = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    first, state, _ = model(x[:, :3])
    second, _, _ = model(x[:, 3:], state)
    (torch.cat([first, second], 1) * mix).sum().backward()
    assert distance({name: p.grad for name, p in model.named_parameters()}, whole) < 1e-6


def test_phantom_gradients_approach_the_implicit_ones():
    errors = []
    _, exact = gradients(built(DEQTrellisNet, **TRELLIS, **exactly()), x_of())
    for steps in (1, 4, 30):
        model = built(DEQTrellisNet, **TRELLIS, **exactly(gradient="phantom", phantom_steps=steps, damping=0.9))
        errors.append(distance(gradients(model, x_of())[1], exact))
    assert errors[0] > 0.05 and errors[1] < errors[0] / 3 and errors[2] < 1e-6
    whole, half = (
        gradients(built(DEQTrellisNet, **TRELLIS, **exactly(gradient="phantom", phantom_steps=1, damping=part)), x_of())
        for part in (1.0, 0.5)
    )
    assert distance({name: 2 * tensor for name, tensor in half[1].items()}, whole[1]) < 1e-8


def test_the_jacobians_loss():
    """|v^T J|^2 / numel over many v is |J|_F^2 / numel: against the whole Jacobian, and its gradient by differences."""
    model = built(DEQTrellisNet, **TRELLIS, **exactly(tolerance=1e-13, jacobian_weight=2.0))
    x = x_of(batch=1, time=3)
    step = model.block.bind(x, None)
    memory = x.new_zeros(1, 2, 16)
    z = x.new_zeros(1, 3, 16)
    for _ in range(300):
        z = step(z, memory).detach()
    jacobian = torch.autograd.functional.jacobian(lambda z: step(z, memory), z).reshape(48, 48)
    torch.manual_seed(0)
    losses = [float(model(x)[2].detach()) for _ in range(300)]
    expected = 2 * float(jacobian.square().sum()) / 48
    assert sum(losses) / len(losses) == pytest.approx(expected, rel=0.1)  # 300 draws of about 40 % each
    torch.manual_seed(0)
    model(x)[2].backward()
    assert model.block.recur.weight.grad.abs().max() > 0 and model.block.inject.weight.grad.abs().max() > 0


def test_the_jacobians_loss_in_a_share_of_the_steps_and_growing():
    growing = {"jacobian_weight": 1.0, "jacobian_growth_steps": 10}
    model = built(DEQTrellisNet, **TRELLIS, **loosely(**growing, jacobian_probability=0.25))
    torch.manual_seed(0)
    assert 60 < sum(model(x_of())[2] is not None for _ in range(400)) < 140
    model = built(DEQTrellisNet, **TRELLIS, **loosely(**growing))
    torch.manual_seed(0)
    before = model(x_of())[2].detach()
    for _ in range(20):
        model.after_step(Alone())
    torch.manual_seed(0)
    assert float(model(x_of())[2].detach()) == pytest.approx(1.2 * float(before))
    assert model.eval()(x_of())[2] is None


def test_pretraining_is_a_shallow_network_and_its_count_is_saved():
    model = built(DEQTransformer, **TRANSFORMER, **exactly(pretrain_steps=2, pretrain_layers=3))
    shallow = built(WeightTiedTransformer, **TRANSFORMER, n_layers=3)
    shallow.block.load_state_dict(model.block.state_dict())
    torch.testing.assert_close(model(x_of())[0], shallow(x_of())[0])
    assert model.diagnostics()["forward_evaluations"] == (0.0, 0.0)
    model.after_step(Alone())
    resumed = built(DEQTransformer, seed=1, **TRANSFORMER, **exactly(pretrain_steps=2, pretrain_layers=3))
    resumed.load_state_dict(model.state_dict())
    for each in (model, resumed):
        each.after_step(Alone())
        each(x_of())
        assert each.diagnostics()["forward_evaluations"][1] == 3  # two steps are over: a solver took its place


@pytest.mark.parametrize(("setting", "rate"), [("dropout", 0.4), ("dropout_attention", 0.1), ("weight_dropout", 0.4)])
def test_one_mask_for_a_whole_pass(setting, rate):
    """A mask drawn anew at each application would leave no fixed point."""
    kind, _, settings = BLOCKS["trellisnet" if setting == "weight_dropout" else "transformer"]
    model = built(kind, **settings, **exactly(), **{setting: rate})
    torch.manual_seed(0)
    first = model(x_of())[0]
    assert all(model.diagnostics()[name][0] == 0 for name in ("forward_unconverged", "forward_failed"))
    torch.manual_seed(0)
    torch.testing.assert_close(model(x_of())[0], first)
    assert (model(x_of())[0] - first).abs().max() > 1e-2
    torch.testing.assert_close(model.eval()(x_of())[0], model(x_of())[0])


def test_what_is_told():
    model = built(DEQTransformer, **TRANSFORMER, **exactly(tolerance=1e-6))
    model(x_of())[0].sum().backward()
    model(x_of())
    told = model.diagnostics()
    assert told["forward_evaluations"][1] == 6 and told["backward_evaluations"][1] == 3
    assert 3 < told["forward_evaluations"][0] / 6 < 60
    assert 0 < told["forward_residual"][0] / 6 < 1e-6
    assert told["forward_unconverged"][0] == told["forward_failed"][0] == 0
    assert set(model.diagnostics().values()) == {(0.0, 0.0)}


def repelled(**settings):
    """A block whose Jacobian is far above 1 at any fixed point."""
    model = built(DEQTrellisNet, **TRELLIS, **settings)
    with torch.no_grad():
        model.block.recur.gain *= 60
    return model


def test_divergence_stops():
    model = repelled(**loosely(Plain, on_failure="stop"))
    with pytest.raises(FloatingPointError, match=r"^The forward solver failed on \d of 3 sequences \(residual "):
        model(x_of())
    model = repelled(**loosely(functools.partial(Plain, max_steps=2), Plain, on_failure="stop"))
    model.equilibrium.on_failure = "continue"
    y = model(x_of())[0]
    model.equilibrium.on_failure = "stop"
    with pytest.raises(FloatingPointError, match=r"^The backward solver failed"):
        y.square().sum().backward()


def test_a_gradient_that_is_not_finite_is_no_failure():
    """float16's loss scaling sees it and skips the step."""
    model = built(DEQTrellisNet, **TRELLIS, **loosely(on_failure="stop"))
    (model(x_of())[0].sum() * torch.inf).backward()
    assert not model.block.recur.weight.grad.isfinite().all()
    assert model.diagnostics()["backward_failed"] == (0.0, 0.0)


def test_a_pass_is_forgotten_after_its_backward():
    """Without waiting for the garbage collector, which a reference cycle would need."""
    model = built(DEQTrellisNet, **TRELLIS)
    gc.disable()
    try:
        y = model(x_of())[0]
        kept = weakref.ref(y.grad_fn.next_functions[0][0].adjoint)
        y.sum().backward()
        assert kept() is not None
        del y
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("method", [Plain, Anderson, Broyden])
def test_divergence_continues_and_counts(method):
    model = repelled(**loosely(method, method))
    y = model(x_of())[0]
    y.square().sum().backward()
    told = model.diagnostics()
    assert told["forward_unconverged"][0] == 3 and told["backward_unconverged"][1] == 3
    assert y.isfinite().all() and all(parameter.grad.isfinite().all() for parameter in model.parameters())
