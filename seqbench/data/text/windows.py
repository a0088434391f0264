"""Where the windows of a row begin and end: all of one length, or of random lengths.

Random lengths are those of AWD-LSTM (Merity, Keskar, Socher 2018, arXiv 1708.02182, section 5): with probability 0.95
the base is `bptt`, else half of it, and a window has max(5, int(Normal(base, 5))) steps. There they are drawn as the
epoch goes. Here a window is a function of its index and an epoch has a fixed number of them: one set of lengths that
tiles the row is drawn from the seed, and each epoch has them in another order. The last length drawn is cut to what is
left of the row, or, where fewer than 5 steps are left, the one before it takes them.
"""

from __future__ import annotations

import numpy as np

from seqbench.data.random_bits import philox

_SHORTEST, _DEVIATION, _HALVED = 5, 5.0, 0.05
_WORDS = 4  # 64-bit words that one Philox count gives; a window takes one count
_DRAWN = 4096  # windows at a time


class EvenWindows:
    """`n_windows` windows of `bptt` steps; what is left of the row is in none."""

    def __init__(self, n_steps: int, bptt: int):
        self.bptt, self.n_windows = bptt, n_steps // bptt

    def span(self, index: int) -> tuple[int, int]:
        """First step and the one after the last of a window."""
        start = index % self.n_windows * self.bptt
        return start, start + self.bptt


class VariableWindows:
    """`n_windows` windows of random lengths that tile a row of `n_steps` steps, in another order in each epoch."""

    def __init__(self, n_steps: int, bptt: int, seed: int):
        self.lengths = _tiling(n_steps, bptt, seed)
        self.n_windows = len(self.lengths)
        self._seed = seed
        self._epoch, self._stops = -1, self.lengths  # those of the epoch that was asked for last

    def span(self, index: int) -> tuple[int, int]:
        """First step and the one after the last of a window."""
        epoch, position = divmod(index, self.n_windows)
        if epoch != self._epoch:
            bits = philox(self._seed, 1 + epoch).random_raw(self.n_windows)
            order = np.argsort(bits, kind="stable")
            self._epoch, self._stops = epoch, np.cumsum(self.lengths[order])
        return int(self._stops[position - 1]) if position else 0, int(self._stops[position])


def _tiling(n_steps: int, bptt: int, seed: int) -> np.ndarray:
    """(n_windows,) lengths that sum to `n_steps`."""
    drawn, total = [np.zeros(0, np.int64)], 0
    while total < n_steps:
        drawn.append(_lengths(bptt, seed, first=_DRAWN * (len(drawn) - 1)))
        total += int(drawn[-1].sum())
    lengths = np.concatenate(drawn)
    stops = np.cumsum(lengths)
    n_windows = int(np.searchsorted(stops, n_steps)) + 1
    lengths = lengths[:n_windows]
    lengths[-1] -= stops[n_windows - 1] - n_steps
    if n_windows > 1 and lengths[-1] < _SHORTEST:
        lengths[-2] += lengths[-1]
        lengths = lengths[:-1]
    return lengths


def _lengths(bptt: int, seed: int, first: int) -> np.ndarray:
    """The lengths of draws `first`, ..., `first + _DRAWN - 1`. Raw bits, because numpy promises no more than those."""
    bits = philox(seed, 0, first).random_raw(_DRAWN * _WORDS).reshape(_DRAWN, _WORDS)
    uniform = ((bits[:, :3] >> np.uint64(11)) + 0.5) * 2.0**-53  # in (0, 1)
    normal = np.sqrt(-2 * np.log(uniform[:, 1])) * np.cos(2 * np.pi * uniform[:, 2])  # Box and Muller
    base = np.where(uniform[:, 0] < _HALVED, bptt / 2, bptt)
    return np.maximum(_SHORTEST, (base + _DEVIATION * normal).astype(np.int64))
