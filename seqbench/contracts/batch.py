"""One step's data.

Shape suffixes used throughout: B batch, T time, S source positions, D features, H hidden size, C classes, N targets
(flattened B and T).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One step's data: `inputs` is (B, T) token ids or (B, T, D) features; `targets` is (B, T), or (B, T, D) reals.

    `valid_BT` marks the targets that are scored (None: all of them). `reset` is true where the carried state must be
    dropped, because this batch does not continue the one before it. `lr_scale` multiplies the learning rate of the step
    that begins with this batch: a task whose batches differ in length may make up for it there.

    For translation `source` is (B, S) ids, `source_valid_BS` marks those that are no padding, `inputs` are the targets
    one step later, <s> first, and `rows_B` are the pairs' numbers, unique over the splits.
    """

    inputs: Tensor
    targets: Tensor
    valid_BT: Tensor | None = None
    reset: bool = True
    lr_scale: float = 1.0
    source: Tensor | None = None
    source_valid_BS: Tensor | None = None
    rows_B: Tensor | None = None

    @property
    def size(self) -> int:
        return self.inputs.shape[0]

    def count(self) -> int:
        """Number of scored targets."""
        if self.valid_BT is not None:
            return int(self.valid_BT.sum())
        return self.targets.shape[0] * self.targets.shape[1]

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        def optional(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else function(tensor)

        return Batch(
            function(self.inputs),
            function(self.targets),
            optional(self.valid_BT),
            self.reset,
            self.lr_scale,
            optional(self.source),
            optional(self.source_valid_BS),
            optional(self.rows_B),
        )
