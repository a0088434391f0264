"""The weights of each unit of stacked LSTM layers as one group: intrinsic sparse structures (Wen W. et al. 2018).

arXiv 1709.05027. What leads into unit k are its rows of W, U and the biases, one a gate; what leads out of it are its
columns of U and of the next layer's W, or of the readout. A weight of U from the unit to itself is in both, and counts
twice, as in the authors' code. There the biases are in no group; here they are, so that a unit whose group is zero puts
out zero and can be taken away.

Shapes: H units, C rows of the readout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Layers = Sequence[Sequence[Tensor]]  # W (4H, D), U (4H, H) and two biases (4H,) of each layer
SMALL = 1e-8  # under the root, so that a group of zeros has a gradient


def squared_norms(layers: Layers, readout_CH: Tensor | None) -> list[Tensor]:
    """(H,) of each layer: the sum of squares of each unit's group. `readout_CH` None: there is none."""
    return [into_H + out_H for into_H, out_H in _sums(torch.square, layers, readout_CH)]


def group_lasso(layers: Layers, readout_CH: Tensor | None) -> Tensor:
    """The sum over all units of sqrt(squared norm + 1e-8)."""
    return torch.cat(squared_norms(layers, readout_CH)).add(SMALL).sqrt().sum()


def open_units(layers: Layers, readout_CH: Tensor | None) -> list[Tensor]:
    """(H,) of each layer, 1 or 0: whether anything leads into the unit, and anything out of it. Without a readout, what
    reads the last layer is not known, and reads all of it."""
    sums = _sums(lambda weight: (weight != 0).to(weight.dtype), layers, readout_CH)
    read_by_others = [False] * (len(layers) - 1) + [readout_CH is None]
    return [
        ((into_H > 0) & ((out_H > 0) | is_read)).to(into_H.dtype)
        for (into_H, out_H), is_read in zip(sums, read_by_others, strict=True)
    ]


def _sums(
    measure: Callable[[Tensor], Tensor], layers: Layers, readout_CH: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """Of each layer's units, the sums of `measure` over the weights that lead into them, and out of them."""
    above = [*(layer[0] for layer in layers[1:]), readout_CH]
    sums = []
    for (input_weight, weight, *biases), next_weight in zip(layers, above, strict=True):
        rows = measure(input_weight).sum(1) + measure(weight).sum(1) + sum(map(measure, biases))
        out_H = measure(weight).sum(0)
        if next_weight is not None:
            out_H = out_H + measure(next_weight).sum(0)
        sums.append((rows.view(4, -1).sum(0), out_H))
    return sums
