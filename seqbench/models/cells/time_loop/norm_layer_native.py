"""An LSTM layer with norms on the compiled loop: what the loop (normalised.py) is told of the modules of a `NormLayer`.

Shapes: T time, B batch, H hidden size, K the four gates, S features of the places, M remembered steps; 3 places, 2
moments.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seqbench.compiled import plain_only
from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Alone
from seqbench.models.cells.norm.assorted_time_norm import AssortedTimeNorm
from seqbench.models.cells.norm.batch_layer_norm import BatchLayerNorm
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.norm.of_batch import OfBatch
from seqbench.models.cells.time_loop.norm_layer import Memory, NormLayer
from seqbench.models.cells.time_loop.normalised import How, Weights, library, lstm
from seqbench.models.cells.time_loop.recurrence import Spare

PLACES = ("hidden", "input", "cell")


def how_on(layer: NormLayer, x_TB: Tensor, steps: Steps) -> How | None:
    """How the compiled loop is to normalise; None where it cannot run."""
    weight = layer.weight_hidden
    can = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64) and x_TB.numel() > 0
    can = can and not plain_only() and isinstance(layer.norms["sum"], NoNorm)
    how = how_of([layer.norm(place) for place in PLACES]) if can else None
    if how is None or library() is None:
        return None
    couples = any(layer.norm(place).couples_rows for place in PLACES)
    has_all_rows = steps.valid_TB is None and (not layer.training or isinstance(steps.peers, Alone))
    return how if has_all_rows or not couples else None


def how_of(norms: list[Norm]) -> How | None:
    """None where the loop has no such norm, or not in one pass with the others."""
    hows = [_how_of_one(norm) for norm in norms if not isinstance(norm, NoNorm)]
    normalises = tuple(not isinstance(norm, NoNorm) for norm in norms)
    first = hows[0] if hows else How("columns", (False, False, False))
    if first is None or any(how != first for how in hows):
        return None
    return replace(first, normalises=normalises)


def _how_of_one(norm: Norm) -> How | None:
    alone = (True, True, True)
    if isinstance(norm, BatchNorm):
        return How("columns", alone, norm.eps)
    if isinstance(norm, LayerNorm):
        return How("rows", alone, norm.eps)
    if isinstance(norm, AssortedTimeNorm):
        return How("rows", alone, norm.eps, norm.k)
    if isinstance(norm, BatchLayerNorm):
        return How("both", alone, norm.eps, 1, norm.weight_features, norm.weight_batch)
    return None


def run(
    layer: NormLayer, x_TB: Tensor, h_BH: Tensor, c_BH: Tensor, memory: Memory, steps: Steps, how: How, spare: Spare
) -> tuple[Tensor, Tensor, Memory]:
    """Outputs (T, B, H), the last cell (B, H) and the memory."""
    norms = [layer.norm(place) for place in PLACES]
    of_batch = [norm for norm in norms if isinstance(norm, OfBatch)]
    affine = [_affine(norm, h_BH.new_ones(size)) for norm, size in zip(norms, _sizes(layer), strict=True)]
    gains, shifts = zip(*affine, strict=True)
    biases = [_bias(layer, "sum") + shifts[0] + shifts[1], _bias(layer, "cell") + shifts[2]]
    has_inner = "hidden" in layer.biases or "input" in layer.biases
    inner_2K = torch.cat([_bias(layer, "hidden"), _bias(layer, "input")]) if has_inner else None
    weights = Weights(layer.weight_input, layer.weight_hidden, torch.cat(gains), torch.cat(biases), inner_2K)
    given = None if layer.training or not of_batch else _population(norms, _sizes(layer), steps.start, len(x_TB))
    if how.kind == "columns" and not of_batch:  # no norm at all
        given = (h_BH.new_empty(0, 0), h_BH.new_empty(0, 0))
    known_23MB = _stacked(norms, memory, h_BH) if how.window > 1 else None
    result = lstm(x_TB, weights, h_BH, c_BH, how, given, known_23MB, spare)
    if given is None and of_batch:
        rows_T = h_BH.new_full((len(x_TB),), len(h_BH))
        moments = (result.mean_TS.split(_sizes(layer), 1), result.variance_TS.split(_sizes(layer), 1))
        for norm, mean_TD, variance_TD in zip(norms, *moments, strict=True):
            if isinstance(norm, OfBatch):
                norm.observe(steps.start, mean_TD, variance_TD, rows_T)
    for place, norm, of_place_2MB in zip(PLACES, norms, result.remembered_23MB.unbind(1), strict=True):
        if isinstance(norm, AssortedTimeNorm):
            memory[place] = of_place_2MB.permute(2, 1, 0)
    return result.h_TBH, result.c_BH, memory


def _sizes(layer: NormLayer) -> list[int]:
    n = layer.hidden_size
    return [4 * n, 4 * n, n]


def _affine(norm: Norm, one_D: Tensor) -> tuple[Tensor, Tensor]:
    """The gain and the shift that follow a place's normalisation."""
    if isinstance(norm, BatchNorm):
        return norm.gain, torch.zeros_like(one_D)
    if isinstance(norm, BatchLayerNorm):
        return norm.gain / len(one_D) ** 0.5, norm.bias
    if isinstance(norm, (LayerNorm, AssortedTimeNorm)) and norm.weight is not None:
        return norm.weight, norm.bias
    return one_D, torch.zeros_like(one_D)


def _bias(layer: NormLayer, place: str) -> Tensor:
    n = layer.hidden_size if place == "cell" else 4 * layer.hidden_size
    return layer.biases[place] if place in layer.biases else layer.weight_hidden.new_zeros(n)


def _population(norms: list[Norm], sizes: list[int], start: int, count: int) -> tuple[Tensor, Tensor]:
    """Means and variances (T, S) of all places; of one without a norm, anything."""
    moments = [
        norm.population(start, count) if isinstance(norm, OfBatch) else (torch.zeros(count, size),) * 2
        for norm, size in zip(norms, sizes, strict=True)
    ]
    like = next(norm.mean_SD for norm in norms if isinstance(norm, OfBatch))
    mean_TS, variance_TS = (torch.cat([part.to(like) for part in parts], 1) for parts in zip(*moments, strict=True))
    return mean_TS, variance_TS


def _stacked(norms: list[Norm], memory: Memory, like: Tensor) -> Tensor | None:
    """The memories (B, M, 2) of the places as (2, 3, M, B); None: at the beginning."""
    known = {place: memory[place] for place in PLACES if memory[place] is not None}
    if not known:
        return None
    empty_BM2 = torch.zeros_like(next(iter(known.values())))
    return torch.stack([known.get(place, empty_BM2) for place in PLACES]).permute(3, 0, 2, 1)
