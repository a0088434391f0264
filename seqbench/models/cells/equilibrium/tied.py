"""A linear map that is applied many times in one pass: its weight is made once, before the first.

Making it is whatever must not differ between two applications (else there is no fixed point) or would be wasted on
each: weight normalisation, dropped weights, the cast to autocast's type.

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]


class TiedLinear(nn.Module):
    """x -> W x + b with W (O, I), to be applied many times.

    - `init_std`: entries of W start in N(0, init_std^2).
    - `bias`: whether there is a b, which starts at 0.
    - `weight_norm`: W = g v / |v| row by row (Salimans and Kingma 2016), g starting at |v|.
    - `dropout` drops entries of W, in training.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        init_std: float,
        bias: bool = True,
        weight_norm: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        weight_OI = torch.randn(n_outputs, n_inputs) * init_std
        self.dropout = dropout
        self.weight = nn.Parameter(weight_OI)
        self.gain = nn.Parameter(weight_OI.norm(dim=1, keepdim=True)) if weight_norm else None
        self.bias = nn.Parameter(torch.zeros(n_outputs)) if bias else None

    def effective(self) -> Map:
        """The map as it acts in this pass: x (..., I) -> (..., O); of ids (...) below I, which stand for one-hot
        vectors, the columns of W."""
        weight_OI = self.weight
        if self.gain is not None:
            weight_OI = weight_OI * (self.gain / torch.linalg.vector_norm(weight_OI, dim=1, keepdim=True))
        weight_OI = lowered(F.dropout(weight_OI, self.dropout, self.training))
        bias_O = None if self.bias is None else lowered(self.bias)

        def apply(x: Tensor) -> Tensor:
            if x.is_floating_point():
                return F.linear(x, weight_OI, bias_O)
            y = F.embedding(x, weight_OI.T)
            return y if bias_O is None else y + bias_O

        return apply


def lowered(parameter: Tensor) -> Tensor:
    """In autocast's type. Autocast would cast a parameter itself, once for both the solver's applications, which keep
    no graph, and the one that does, and so lose its gradient."""
    kind = parameter.device.type
    if parameter.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return parameter.to(torch.get_autocast_dtype(kind))
    return parameter


def dropout_mask(x: Tensor, shape: tuple[int, ...], p: float, training: bool) -> Tensor | None:
    """Variational dropout (Gal and Ghahramani 2016): a mask to multiply by, one for all applications; None: nothing."""
    return F.dropout(torch.ones(shape, device=x.device), p) if training and p else None
