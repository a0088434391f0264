"""Sequences of unlike lengths, stored one after another."""

from __future__ import annotations

import numpy as np


class Ragged:
    """`values` (N, ...) of all sequences, and the (n_sequences,) `lengths` that cut them; sequence i begins at
    `starts[i]`. Raises `ValueError` where the two do not fit together."""

    def __init__(self, values: np.ndarray, lengths: np.ndarray):
        if lengths.sum() != len(values):
            raise ValueError(f"{len(values)} values are not {lengths.sum()}, as their lengths say")
        self.values, self.lengths = values, lengths
        self.starts = np.cumsum(lengths) - lengths

    def padded(
        self, rows: np.ndarray, most: int | None = None, from_end: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sequences side by side with zeros behind, (B, T, ...), and what of them is no padding, (B, T). Of one longer
        than `most` come the first so many values, or the last ones if `from_end`."""
        lengths_B = self.lengths[rows] if most is None else np.minimum(self.lengths[rows], most)
        starts_B = self.starts[rows] + (self.lengths[rows] - lengths_B if from_end else 0)
        valid_BT = np.arange(lengths_B.max()) < lengths_B[:, None]
        padded = np.zeros((*valid_BT.shape, *self.values.shape[1:]), self.values.dtype)
        for row, (start, length) in enumerate(zip(starts_B, lengths_B, strict=True)):
            padded[row, :length] = self.values[start : start + length]
        return padded, valid_BT
