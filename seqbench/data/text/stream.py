"""A split as one continuous stream, cut into windows that follow each other so that a state can be carried.

Training: B contiguous rows of one length, read side by side; row r starts where the targets of row r - 1 ended:

    ids  0 1 2 3 4 5 6 7 8      B = 2, bptt = 2      window 0          window 1
    row 0 predicts 1..4                              inputs 0 1        inputs 2 3       targets are the inputs
    row 1 predicts 5..8                                     4 5               6 7       shifted by one

Evaluation: one row, and an <eos> (or what its tokenizer names) before the first token, so that every token of the split
is a target once.

A window is a pure function of its index and owns its memory. B rows, T steps of a window.
"""

from __future__ import annotations

import mmap

import numpy as np
import torch
from torch import Tensor

from seqbench.data.errors import DataError
from seqbench.data.text.windows import EvenWindows, VariableWindows

_KEPT = 1 << 22  # tokens that windows read before their part of the file is let go


class TokenStream:
    """Training windows from (N,) `ids`; index n_windows is the first of the second epoch.

    They have `bptt` steps, or, given a seed, random numbers of steps around it (see `windows`).

    A row has (N - 1) // batch_size targets: the tokens beyond the last row are dropped, and so is the end of each row
    that fills no window. Raises `DataError` if there is not one window.
    """

    def __init__(self, ids: np.ndarray, batch_size: int, bptt: int, variable_seed: int | None = None):
        n_targets = (len(ids) - 1) // batch_size
        if n_targets < bptt:
            raise DataError(
                f"{len(ids):,} tokens give no window of task.bptt={bptt} steps in task.batch_size={batch_size} rows: "
                "make one of them smaller."
            )
        if variable_seed is None:
            self._windows = EvenWindows(n_targets, bptt)
        else:
            self._windows = VariableWindows(n_targets, bptt, variable_seed)
        self.n_windows = self._windows.n_windows
        self.bptt = bptt
        # a plain view of the file: slicing np.memmap itself costs more than the conversion to int64
        plain = np.asarray(ids)
        self._mapped = ids.base if isinstance(ids, np.memmap) and not ids.flags.writeable else None
        self._kept = max(1, _KEPT // (batch_size * bptt))
        self._inputs_BL = plain[: batch_size * n_targets].reshape(batch_size, n_targets)
        self._targets_BL = plain[1 : batch_size * n_targets + 1].reshape(batch_size, n_targets)

    def window(self, index: int) -> tuple[Tensor, Tensor, bool]:
        """Inputs (B, T) and targets (B, T), int64, and whether this is an epoch's first window."""
        if isinstance(self._mapped, mmap.mmap) and index % self._kept == 0:
            # pages read through a mapping count as the process's memory until they are let go; the system keeps them
            self._mapped.madvise(mmap.MADV_DONTNEED)
        start, stop = self._windows.span(index)
        inputs_BT = torch.from_numpy(self._inputs_BL[:, start:stop].astype(np.int64))
        targets_BT = torch.from_numpy(self._targets_BL[:, start:stop].astype(np.int64))
        return inputs_BT, targets_BT, start == 0


class EvaluationStream:
    """Every token of (N,) `ids` scored once, in windows of `n_steps`, of which the last may be shorter.

    `eos` is the id that stands before the first token: the end of what came before, which tells the model least. Raises
    `DataError` for an empty split.
    """

    def __init__(self, ids: np.ndarray, n_steps: int, eos: int):
        if len(ids) == 0:
            raise DataError("a split without tokens cannot be evaluated.")
        self.n_windows = -(-len(ids) // n_steps)
        self.n_steps = n_steps
        self._eos = eos
        self._ids = np.asarray(ids)

    def window(self, index: int) -> tuple[Tensor, Tensor, bool]:
        """Inputs (1, T) and targets (1, T), int64, and whether this is the split's first window."""
        position = index % self.n_windows
        start = position * self.n_steps
        targets_T = self._ids[start : start + self.n_steps].astype(np.int64)
        inputs_T = np.empty_like(targets_T)
        inputs_T[0] = self._ids[start - 1] if position else self._eos
        inputs_T[1:] = targets_T[:-1]
        return torch.from_numpy(inputs_T[None]), torch.from_numpy(targets_T[None]), position == 0
