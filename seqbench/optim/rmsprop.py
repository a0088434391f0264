"""RMSprop as TensorFlow 1 has it (tf.train.RMSPropOptimizer), which the orthogonal RNN papers' runs depend on.

    s_t = d s_{t-1} + (1 - d) g_t^2,  s_0 = 1
    m_t = mu m_{t-1} + lr g_t / sqrt(s_t + eps)
    x_t = x_{t-1} - m_t

Two things differ from `torch.optim.RMSprop`: the mean square starts at one, so small gradients take small steps for the
first hundred or so (a built-in warm-up), and epsilon stands inside the root.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.ranges import Between, NotNegative, Positive


class RMSpropTF(torch.optim.Optimizer):
    """RMSprop as TensorFlow 1 has it: the mean square starts at one, epsilon is inside the root (Hinton 2012).

    The defaults are TensorFlow's.

    - `lr` is the learning rate, `decay` d, `momentum` mu.
    - `eps` stands inside the root.
    - `weight_decay` times the weight is added to the gradient.

    Raises `ValueError` for weights in half precision, in which a mean square near one could not move.
    """

    def __init__(
        self,
        params,
        lr: NotNegative = 1e-3,
        decay: Annotated[float, Between(0, 1, without_high=True)] = 0.9,
        momentum: Annotated[float, Between(0, 1, without_high=True)] = 0.0,
        eps: Positive = 1e-10,
        weight_decay: NotNegative = 0.0,
    ):
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dtype in (torch.float16, torch.bfloat16):
                    raise ValueError(f"RMSpropTF needs float32 or float64 weights, not {parameter.dtype}")

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        grads = [p.grad for p in params]
        if any(grad.is_sparse for grad in grads):
            raise ValueError("RMSpropTF does not take sparse gradients; use a dense embedding")
        if group["weight_decay"]:
            grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])
        squares = [self._slot(p, "square_avg", 1.0) for p in params]
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, grads, grads, value=1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        updates = torch._foreach_div(grads, roots)
        if group["momentum"] == 0:
            torch._foreach_add_(params, updates, alpha=-group["lr"])
            return
        momenta = [self._slot(p, "velocity", 0.0) for p in params]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, updates, alpha=group["lr"])
        torch._foreach_sub_(params, momenta)

    def _slot(self, parameter: Tensor, name: str, start: float) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.full_like(parameter, start)
        return state[name]
