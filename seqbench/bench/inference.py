"""How long a network around an LSTM takes to read, and to predict, beside one of other widths.

Contestants are the smaller network, the same code at the widths that it came from, and torch.nn.LSTM built at either
directly. They alternate; a ratio is the median of the rounds' ratios. One thread, float32, no gradients; inputs are
features, so that looking up an embedding is not counted.

Shapes: B batch, T time, D inputs, H units, C rows of the readout.
"""

from __future__ import annotations

import gc
import itertools
import statistics
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.bench.measure import alternate, ratio
from seqbench.models.recurrent.lstm import LSTM

BATCHES, N_STEPS, ROUNDS, REPEATS = (1, 20), 35, 20, 5
BYTES = 4  # of a float32

Read = Callable[[Tensor], Tensor]  # x (B, T, D) -> y (B, T, H)


def count(sizes: Sequence[int], n_outputs: int) -> dict[str, int]:
    """Multiply-accumulates a token, of the LSTM layers alone and with a readout, and the bytes of all weights. `sizes`
    are the inputs and each layer's units."""
    layers = [4 * units * (below + units) for below, units in itertools.pairwise(sizes)]
    macs, readout = sum(layers), n_outputs * sizes[-1]
    biases = sum(8 * units for units in sizes[1:]) + n_outputs
    return {"macs": macs, "with_softmax.macs": macs + readout, "bytes": BYTES * (macs + readout + biases)}


def compare(small: LSTM, readout: nn.Linear, sizes: Sequence[int], large: Sequence[int]) -> dict[str, float]:
    """Counts and times of `small`, whose sizes are given, beside a network of the sizes `large`.

    `batch_<B>` are B sequences of 35 steps, `with_softmax` with the readout and its softmax, `torch` is torch.nn.LSTM;
    `_ms` is the median, `_iqr_ms` the interquartile range. `speedup` is the larger one's time by the smaller one's, and
    `of_macs` that ratio by the ratio of their multiply-accumulates.
    """
    ours, theirs = (count(each, readout.out_features) for each in (sizes, large))
    numbers: dict[str, float] = {name: float(value) for name, value in ours.items()}
    numbers |= {f"large.{name}": float(value) for name, value in theirs.items()}
    numbers |= {f"{name}_ratio": theirs[name] / ours[name] for name in ours}
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()  # what is there by now, or collecting it between the rounds would take longer than they do
    try:
        with torch.no_grad():
            readers = _readers(small, sizes, large)
            large_readout = nn.Linear(large[-1], readout.out_features, bias=readout.bias is not None)
            for batch, prefix in itertools.product(BATCHES, ("", "with_softmax.")):
                steps = {}
                for name, read in readers.items():
                    (d_input, *_), linear = (large, large_readout) if "large" in name else (sizes, readout)
                    steps[name] = _step(read, batch, d_input, linear if prefix else None)
                found = _times(steps, numbers[f"{prefix}macs_ratio"])
                numbers |= {f"batch_{batch}.{prefix}{name}": value for name, value in found.items()}
    finally:
        gc.unfreeze()
        torch.set_num_threads(n_threads)
    return numbers


def _readers(small: LSTM, sizes: Sequence[int], large: Sequence[int]) -> dict[str, Read]:
    def ours(model: LSTM) -> Read:
        return lambda x: model(x)[0]

    def torchs(widths: Sequence[int]) -> Read:
        layers = [nn.LSTM(below, units, batch_first=True).eval() for below, units in itertools.pairwise(widths)]

        def read(x: Tensor) -> Tensor:
            for layer in layers:
                x, _ = layer(x)
            return x

        return read

    same = LSTM(large[0], list(large[1:]), n_layers=len(large) - 1).eval()
    readers = {"small": ours(small.eval()), "large": ours(same)}
    return {**readers, "torch.small": torchs(sizes), "torch.large": torchs(large)}


def _step(read: Read, batch: int, d_input: int, readout: nn.Linear | None) -> Callable[[], None]:
    x_BTD = torch.randn(batch, N_STEPS, d_input, generator=torch.Generator().manual_seed(0))

    def step() -> None:
        for _ in range(REPEATS):
            y_BTH = read(x_BTD)
            if readout is not None:
                F.log_softmax(readout(y_BTH), -1)

    return step


def _times(steps: dict[str, Callable[[], None]], macs_ratio: float) -> dict[str, float]:
    seconds = alternate(steps, ROUNDS)
    numbers: dict[str, float] = {}
    for name, each in seconds.items():
        low, median, high = statistics.quantiles(each, n=4)
        numbers[f"{name}_ms"] = 1e3 * median / REPEATS
        numbers[f"{name}_iqr_ms"] = 1e3 * (high - low) / REPEATS
    numbers["speedup"] = ratio(seconds["large"], seconds["small"])["median"]
    numbers["torch.speedup"] = ratio(seconds["torch.large"], seconds["torch.small"])["median"]
    return {**numbers, "of_macs": numbers["speedup"] / macs_ratio}
