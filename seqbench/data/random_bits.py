"""Random bits by number: the same in whatever process, and whatever was drawn before.

Philox (Salmon et al. 2011) counts: a key and a counter say all. The key is the task's `data_seed` and a stream, which
keeps apart what is drawn from one seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def check_data_seed(seed: int) -> None:
    """Raise `ValueError` for a seed that is none: the same range for all tasks."""
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"task.data_seed is at least 0 and below 2^64, not {seed}")


def philox(seed: int, stream: int, counter: int | Sequence[int] = 0) -> np.random.Philox:
    """The bits of a seed's stream from a count on."""
    # as an array of 64-bit words: a list with a seed of 2^63 or more would become float64, and one seed another
    return np.random.Philox(key=np.array([seed, stream], np.uint64), counter=counter)


class Draws:
    """Whole numbers drawn one after another from the bits of a seed's stream, equally likely."""

    def __init__(self, seed: int, stream: int):
        self._bits = philox(seed, stream)

    def below(self, bound: int) -> int:
        """One of 0, ..., bound - 1. With 64 bits more than the bound has, the remainder favours none. Raises
        `ValueError` where there is none to draw."""
        if bound < 1:
            raise ValueError("there is nothing to draw from")
        n_words = bound.bit_length() // 64 + 2
        return int.from_bytes(self._bits.random_raw(n_words).astype("<u8").tobytes(), "little") % bound
