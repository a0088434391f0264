"""The cross entropy of a linear layer without all its logits.

In chunks of the vocabulary: read once to sum the exponentials and once more to make the gradient. The least memory, for
one matrix product more. In chunks of targets: each chunk's gradient is made at once, while its logits exist. No more
products than the plain way, but a chunk of logits is as wide as the vocabulary.

Shapes: N targets, D features, V classes, K classes of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def losses_by_words(h_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_N: Tensor, chunk: int) -> Tensor:
    """(N,) cross entropies -log softmax(h V^T + b)[target] in nats, `chunk` classes at a time."""
    return _ByWords.apply(h_ND, weight_VD, bias_V, target_N, chunk, _product_dtype(weight_VD))


def losses_by_targets(h_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_N: Tensor, chunk: int) -> Tensor:
    """As `losses_by_words`, `chunk` targets at a time."""
    graph = torch.is_grad_enabled()  # which a Function's forward does not see
    return _ByTargets.apply(h_ND, weight_VD, bias_V, target_N, chunk, _product_dtype(weight_VD), graph)


def _product_dtype(weight: Tensor) -> torch.dtype:
    """What a linear layer would multiply in here: autocast's type, or the weight's own."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


class _ByWords(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_N: Tensor, chunk: int, dtype):
        ctx.chunk, ctx.dtype = chunk, dtype
        low_ND = h_ND.to(dtype)
        wide = torch.promote_types(weight_VD.dtype, torch.float32)
        total_N = h_ND.new_full((len(h_ND),), -torch.inf, dtype=wide)  # log of the exponentials' sum so far
        own_N = torch.empty_like(total_N)  # the target's logit
        for start in range(0, len(weight_VD), chunk):
            z_NK = _logits(low_ND, weight_VD, bias_V, slice(start, start + chunk))
            row_n, column_n = _within(target_N, start, chunk)
            own_N[row_n] = z_NK[row_n, column_n]
            highest_N = z_NK.amax(1)
            part_N = z_NK.sub_(highest_N[:, None]).exp_().sum(1).log_().add_(highest_N)
            total_N = torch.logaddexp(total_N, part_N)
            del z_NK  # or it would live on while the next chunk's is made
        ctx.save_for_backward(h_ND, weight_VD, bias_V, target_N, total_N)
        return total_N - own_N

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_N: Tensor):
        h_ND, weight_VD, bias_V, target_N, total_N = ctx.saved_tensors
        sums = _Gradients(h_ND.to(ctx.dtype), weight_VD, bias_V)
        for start in range(0, len(weight_VD), ctx.chunk):
            words = slice(start, start + ctx.chunk)
            z_NK = _logits(sums.h_ND, weight_VD, bias_V, words)
            delta_NK = z_NK.sub_(total_N[:, None]).exp_()
            row_n, column_n = _within(target_N, start, ctx.chunk)
            delta_NK[row_n, column_n] -= 1
            sums.add(delta_NK.mul_(grad_N[:, None]), slice(None), words)
            del z_NK, delta_NK
        return *sums.totals(h_ND), None, None, None


class _ByTargets(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, h_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_N: Tensor, chunk: int, dtype, graph
    ):
        ctx.chunk, ctx.dtype = chunk, dtype
        needed = graph and any(ctx.needs_input_grad)
        losses_N, ctx.grads = _by_targets(h_ND, weight_VD, bias_V, target_N, chunk, dtype, None, needed)
        ctx.save_for_backward(h_ND, weight_VD, bias_V, target_N)
        return losses_N

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_N: Tensor):
        grads, ctx.grads = ctx.grads, None  # scaled in place, so they serve once
        if grads is not None and bool((grad_N == grad_N[:1]).all()):
            scaled = [None if grad is None else grad.mul_(grad_N[0] if len(grad_N) else 1.0) for grad in grads]
            return *scaled, None, None, None, None
        h_ND, weight_VD, bias_V, target_N = ctx.saved_tensors  # targets weighed apart: made anew
        _, grads = _by_targets(h_ND, weight_VD, bias_V, target_N, ctx.chunk, ctx.dtype, grad_N, True)
        assert grads is not None
        return *grads, None, None, None, None


def _by_targets(h_ND, weight_VD, bias_V, target_N, chunk: int, dtype, grad_N: Tensor | None, needed: bool):
    """Losses, and gradients of h, the weight and the bias where they are needed; `grad_N` None: of the losses' sum."""
    low_ND = h_ND.to(dtype)
    sums = _Gradients(low_ND, weight_VD, bias_V) if needed else None
    parts = [low_ND.new_empty(0, dtype=torch.promote_types(weight_VD.dtype, torch.float32))]
    for start in range(0, len(h_ND), chunk):
        rows = slice(start, start + chunk)
        z_nV = _logits(low_ND[rows], weight_VD, bias_V, slice(None))
        total_n = z_nV.logsumexp(1)
        index_n = torch.arange(len(z_nV), device=z_nV.device)
        parts.append(total_n - z_nV[index_n, target_N[rows]])
        if sums is not None:
            delta_nV = z_nV.sub_(total_n[:, None]).exp_()
            delta_nV[index_n, target_N[rows]] -= 1
            if grad_N is not None:
                delta_nV.mul_(grad_N[rows, None])
            sums.add(delta_nV, rows, slice(None))
            del delta_nV
        del z_nV  # or it would live on while the next chunk's is made
    return torch.cat(parts), None if sums is None else sums.totals(h_ND)


class _Gradients:
    """Sums of the gradients that blocks of delta = d loss / d logits contribute: block (rows, words)."""

    def __init__(self, h_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None):
        self.h_ND, self.weight_VD = h_ND, weight_VD
        wide = torch.promote_types(weight_VD.dtype, torch.float32)
        self.h_grad_ND = torch.zeros_like(h_ND, dtype=wide)
        self.weight_grad_VD = torch.zeros_like(weight_VD)
        self.bias_grad_V = None if bias_V is None else torch.zeros_like(bias_V)

    def add(self, delta_NK: Tensor, rows: slice, words: slice) -> None:
        if self.bias_grad_V is not None:
            self.bias_grad_V[words] += delta_NK.sum(0)
        low_NK = delta_NK.to(self.h_ND.dtype)
        _add_product(self.h_grad_ND[rows], low_NK, self.weight_VD[words].to(low_NK.dtype))
        _add_product(self.weight_grad_VD[words], low_NK.T, self.h_ND[rows])

    def totals(self, h_ND: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return self.h_grad_ND.to(h_ND.dtype), self.weight_grad_VD, self.bias_grad_V


def _add_product(to: Tensor, a: Tensor, b: Tensor) -> None:
    """to += a b, the sum in the type of `to`."""
    if a.dtype == to.dtype:
        to.addmm_(a, b)
    else:
        to += a @ b


def _logits(h_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, words: slice) -> Tensor:
    weight_KD = weight_VD[words].to(h_ND.dtype)
    if bias_V is not None and h_ND.dtype == bias_V.dtype:
        return torch.addmm(bias_V[words], h_ND, weight_KD.T)
    z_NK = (h_ND @ weight_KD.T).to(torch.promote_types(weight_VD.dtype, torch.float32))
    return z_NK if bias_V is None else z_NK.add_(bias_V[words])


def _within(target_N: Tensor, start: int, chunk: int) -> tuple[Tensor, Tensor]:
    """The targets among the classes of a chunk: their rows, and their columns in it."""
    row_n = ((target_N >= start) & (target_N < start + chunk)).nonzero().squeeze(1)
    return row_n, target_N[row_n] - start
