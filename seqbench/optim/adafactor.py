"""Adafactor: Adam's adaptive steps with a second moment of sublinear size. Shazeer and Stern 2018, arXiv 1804.04235.

This is the definition, for every device and type; native.py, or else blocks.py for large matrices, computes the same
with less memory traffic on a CPU. All sums run over a batch axis K: small tensors of one shape are stacked along it, so
that many of them cost the kernel launches of one, and a large tensor is its own batch of one, as a view. G gradient, U
update, R and C the mean squared gradient of each row and column; a matrix is the last two axes (N, M) of a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from torch import Tensor

from seqbench.compiled import BackendError
from seqbench.contracts.ranges import AtLeast, Backend, Between, Count, NotNegative, Positive
from seqbench.optim import blocks, native

# Elements in a batch, at most: 1 MiB in float32, so that a stack stays in a CPU's cache (16 MiB was 1.4 times slower).
# Below it launches cost more than the copies that stack; a tensor above half of it is never copied.
BATCH_ELEMENTS = 2**18

# a smaller eps1 would be a float32 subnormal, or zero, and zero rows would divide zero by zero
SMALLEST_EPS1 = torch.finfo(torch.float32).tiny


class Adafactor(torch.optim.Optimizer):
    """Algorithms 4 (matrices) and 5 (vectors) of the paper, and the choices of its Table 2. At a tensor's step t:

        b     = 1 - t^-decay_rate,  or  beta2 (1 - beta2^(t-1)) / (1 - beta2^t)  where beta2 is given
        R     <- b R + (1 - b) mean over columns of (G^2 + eps1),    C likewise over rows
        V     = R C / mean(R),  or, for vectors and unfactored,  V <- b V + (1 - b) (G^2 + eps1)
        U     = G / sqrt(V);    U <- U / max(1, RMS(U) / clip_threshold)
        alpha = rho,  times max(eps2, RMS(X)) if scale_parameter
        X     <- X - alpha weight_decay X - alpha U

    t counts the steps at which the tensor had a gradient.

    - `lr` is rho without `relative_step`.
    - `eps1` and `eps2` bound squared gradients and, with `scale_parameter`, RMS(X) from below.
    - `clip_threshold`: None does not clip.
    - `decay_rate` is that of the second moment without `beta2`.
    - `beta2` is Adam's second moment with its bias correction folded into the decay (section 7.1 of the paper), so the
      first step normalizes by its own gradient either way.
    - `beta1`: alpha U is replaced by its moving average m <- beta1 m + (1 - beta1) alpha U, uncorrected.
    - `relative_step`: rho is min(1e-2, 1/sqrt(t)), with `warmup_init` min(1e-6 t, 1/sqrt(t)), and then times
      `group["lr_factor"]` (1 unless a schedule sets it).
    - `factored`: false keeps a full second moment, as tensors do that have fewer than two axes or one of the last two
      shorter than `min_dim_factored` (the paper factors every matrix: 1).

    State: `step`, an int; `row` (..., N) and `column` (..., M), or `square` (the shape of the weight); `mean` (its
    shape too) with `beta1`. It is float32 (float64 for float64 weights), and so is the arithmetic: half-precision
    weights are widened and rounded once at the end. Rounding loses an update below 1/512 of a bfloat16 weight, which is
    most of them late in training, so keep float32 weights and use autocast where that matters.

    `backend`: reference (PyTorch), native (compiled: contiguous float32 and float64 tensors on the CPU; `RuntimeError`
    for others), or auto: native where it can. They give the same but for rounding, and load each other's state.

    Raises `ValueError` for `lr` together with `relative_step`, for neither, for `warmup_init` without `relative_step`,
    and for complex weights and sparse gradients.
    """

    machine_settings = ("backend",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: NotNegative | None = None,
        eps1: Annotated[float, AtLeast(SMALLEST_EPS1)] = 1e-30,
        eps2: NotNegative = 1e-3,
        clip_threshold: Positive | None = 1.0,
        decay_rate: Positive = 0.8,
        beta2: Annotated[float, Between(0, 1, without_low=True, without_high=True)] | None = None,
        beta1: Annotated[float, Between(0, 1, without_high=True)] | None = None,
        weight_decay: NotNegative = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
        factored: bool = True,
        min_dim_factored: Count = 1,
        backend: Backend = "auto",
    ):
        self.backend = backend
        defaults = {
            "lr": lr,
            "lr_factor": 1.0,
            "eps1": eps1,
            "eps2": eps2,
            "clip_threshold": clip_threshold,
            "decay_rate": decay_rate,
            "beta2": beta2,
            "beta1": beta1,
            "weight_decay": weight_decay,
            "scale_parameter": scale_parameter,
            "relative_step": relative_step,
            "warmup_init": warmup_init,
            "factored": factored,
            "min_dim_factored": min_dim_factored,
        }
        super().__init__(params, defaults)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "backend": self.backend}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its own settings override the constructor's and are checked alike."""
        if "backend" in param_group:
            raise ValueError("Adafactor: backend is set for the whole optimizer, not for a group")
        super().add_param_group(param_group)
        _check(self.param_groups[-1])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict()` gave, bit for bit."""
        super().load_state_dict(state_dict)
        # the base class has cast the state to the weights' dtype: the float32 state of a bfloat16 weight would not
        # survive, so those tensors are taken again from the source
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for weight, index in zip(group["params"], saved["params"], strict=True):
                for name, value in state_dict["state"].get(index, {}).items():
                    if isinstance(value, Tensor):
                        self.state[weight][name] = value.to(weight.device, _wide(weight.dtype), copy=True).contiguous()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every weight that has a gradient; returns the closure's loss, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            compiled, others = self._divide(group)
            for weights in compiled.values():
                self._update_compiled(weights, group)
            for batch in self._batches(others):
                self._update(batch, group)
        return loss

    def _divide(self, group: dict[str, Any]) -> tuple[dict[torch.dtype, list[Tensor]], list[Tensor]]:
        """The group's weights with gradients: those for the compiled step by dtype, and the others."""
        compiled: dict[torch.dtype, list[Tensor]] = {}
        others = []
        for weight in group["params"]:
            if weight.grad is None or weight.numel() == 0:
                continue
            if weight.grad.layout is not torch.strided:
                raise ValueError("Adafactor takes no sparse gradients; build the embedding with sparse=False")
            state = self.state[weight]
            if not state:
                state.update(_initial_state(weight, group))
            if self.backend != "reference" and native.takes(weight, state):
                compiled.setdefault(weight.dtype, []).append(weight)
            elif self.backend == "native":
                raise BackendError("backend=native, but Adafactor has no native step for this device, type and layout.")
            else:
                others.append(weight)
        return compiled, others

    def _update_compiled(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[weight] for weight in weights]
        for state in states:
            state["step"] += 1
        mixes = [1.0 - _decay(group, state["step"]) for state in states]
        rates = [_relative_rate(group, state["step"]) for state in states]
        native.update(weights, states, group, mixes, rates)

    def _batches(self, weights: list[Tensor]) -> list[list[Tensor]]:
        """Lists of weights that share shape, dtype, device and step count."""
        alike: dict[Any, list[Tensor]] = {}
        for weight in weights:
            alike.setdefault((weight.shape, weight.dtype, weight.device, self.state[weight]["step"]), []).append(weight)
        batches = []
        for members in alike.values():
            size = max(1, BATCH_ELEMENTS // members[0].numel())
            batches += [members[start : start + size] for start in range(0, len(members), size)]
        return batches

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[weight] for weight in weights]
        for state in states:
            state["step"] += 1
        step = states[0]["step"]
        mix, rate = 1.0 - _decay(group, step), _relative_rate(group, step)
        if len(weights) == 1 and blocks.takes(weights[0], states[0]):
            blocks.update(weights[0], states[0], group, mix, rate)
            return
        dtype = _wide(weights[0].dtype)
        wide = weights if weights[0].dtype is dtype else list(_stack(weights).to(dtype).unbind(0))

        alpha_K = torch.full((len(weights),), rate, dtype=dtype, device=wide[0].device)
        if group["scale_parameter"]:
            alpha_K = alpha_K * _rms(_stack(wide)).clamp(min=group["eps2"])

        grad = _stack([weight.grad for weight in weights if weight.grad is not None]).to(dtype)
        update = _normalized(grad, states, group, mix)
        scale_K = alpha_K
        if group["clip_threshold"] is not None:
            scale_K = alpha_K / (_rms(update) / group["clip_threshold"]).clamp(min=1.0)
        per_tensor = (-1, *[1] * weights[0].ndim)
        update.mul_(scale_K.view(per_tensor))

        updates = list(update.unbind(0))
        if group["beta1"]:
            means = [state["mean"] for state in states]
            torch._foreach_lerp_(means, updates, 1.0 - group["beta1"])
            updates = means
        if group["weight_decay"] != 0.0:
            decay_K = group["weight_decay"] * alpha_K
            torch._foreach_sub_(wide, list((_stack(wide) * decay_K.view(per_tensor)).unbind(0)))
        torch._foreach_sub_(wide, updates)
        if wide is not weights:
            torch._foreach_copy_(weights, wide)


def _normalized(grad: Tensor, states: list[dict[str, Any]], group: dict[str, Any], mix: float) -> Tensor:
    """G / sqrt(V), stacked (K, ...), after `mix` of the new squares has gone into the moving averages."""
    square = grad.square()
    if "square" in states[0]:
        square_avg = _average([state["square"] for state in states], square.add_(group["eps1"]), mix)
        return grad * square_avg.rsqrt()
    # eps1 is added to the means, not to every square: the same sum with one pass less over the large tensor. It is
    # what keeps the rest finite: the averages are at least eps1, even for zero rows or where tiny squares underflow.
    row = _average([state["row"] for state in states], square.mean(dim=-1).add_(group["eps1"]), mix)
    column = _average([state["column"] for state in states], square.mean(dim=-2).add_(group["eps1"]), mix)
    del square  # before the update is formed: one temporary of this size the fewer
    # The order is for float32's range. mean(R) / R is not formed, since R / mean(R) underflows to zero for a zero row
    # beside rows of 1e8; each factor below is in range, and a zero gradient stays zero until the end.
    row_factor = row.rsqrt() * row.mean(dim=-1, keepdim=True).sqrt()
    return (grad * row_factor.unsqueeze(-1)).mul_(column.rsqrt().unsqueeze(-2))


def _average(averages: list[Tensor], values: Tensor, mix: float) -> Tensor:
    """Move each average towards its value in place; the averages, stacked."""
    torch._foreach_lerp_(averages, list(values.unbind(0)), mix)
    return _stack(averages)


def _stack(tensors: list[Tensor]) -> Tensor:
    """(K, ...); a single tensor is viewed, not copied."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


def _rms(stacked: Tensor) -> Tensor:
    """(K,) root mean squares. A mean, since float32 norms of 1e7 elements are nearly 1 % off on a CPU."""
    return stacked.square().reshape(stacked.shape[0], -1).mean(dim=1).sqrt_()


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _initial_state(weight: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    # zeros are never seen: the first decay is exactly 0
    shape, options = weight.shape, {"dtype": _wide(weight.dtype), "device": weight.device}
    state: dict[str, Any] = {"step": 0}
    if group["factored"] and len(shape) >= 2 and min(shape[-2:]) >= group["min_dim_factored"]:
        state["row"] = torch.zeros(shape[:-1], **options)
        state["column"] = torch.zeros(shape[:-2] + shape[-1:], **options)
    else:
        state["square"] = torch.zeros(shape, **options)
    if group["beta1"]:
        state["mean"] = torch.zeros(shape, **options)
    return state


def _decay(group: dict[str, Any], step: int) -> float:
    beta2 = group["beta2"]
    if beta2 is None:
        return 1.0 - step ** -group["decay_rate"]
    return beta2 * (1.0 - beta2 ** (step - 1)) / (1.0 - beta2**step)


def _relative_rate(group: dict[str, Any], step: int) -> float:
    # a local value each time: written back to the group, parameter scaling would compound over tensors and steps
    if not group["relative_step"]:
        return group["lr"]
    limit = 1e-6 * step if group["warmup_init"] else 1e-2
    return group["lr_factor"] * min(limit, 1.0 / math.sqrt(step))


def _check(group: dict[str, Any]) -> None:
    if group["relative_step"] and group["lr"] is not None:
        raise ValueError("Adafactor: relative_step sets its own rate, so lr must be null; or set relative_step=false")
    if not group["relative_step"] and group["lr"] is None:
        raise ValueError("Adafactor: without relative_step an lr is needed")
    if group["warmup_init"] and not group["relative_step"]:
        raise ValueError("Adafactor: warmup_init warms up the relative step, so it needs relative_step=true")
    if any(weight.is_complex() for weight in group["params"]):
        raise ValueError("Adafactor takes no complex weights; train their real and imaginary parts")
