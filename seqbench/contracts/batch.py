"""One step's data.

Shape suffixes used throughout: B batch, T time, S source positions, D features, H hidden size, C classes, N targets
(flattened B and T).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on


OVER_TIME = {"over_time": True}  # metadata of a field whose second axis is that of the inputs' positions


@dataclass(frozen=True)
class Batch:
    """`inputs` is (B, T) token ids or (B, T, D) features; `targets` is (B, T), or (B, T, D) reals, and has no T where
    the task asks for one output a sequence.

    `valid_BT` marks the targets that are scored (None: all of them), `inputs_valid_BT` the positions that are not
    padding (None: none is). `reset` is true where the carried state must be dropped, because this batch does not
    continue the one before it. `lr_scale` multiplies the learning rate of the step that begins with this batch: a task
    whose batches differ in length may make up for it there.

    A kind of task whose data are more than that adds fields in a subclass. The first axis of every tensor is the batch,
    which is checked: processes share its rows.
    """

    inputs: Tensor = field(metadata=OVER_TIME)
    targets: Tensor = field(metadata=OVER_TIME)
    valid_BT: Tensor | None = field(default=None, metadata=OVER_TIME)
    inputs_valid_BT: Tensor | None = field(default=None, metadata=OVER_TIME)
    reset: bool = True
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        for name, tensor in self.tensors().items():
            if tensor.dim() == 0 or len(tensor) != len(self.inputs):
                raise ValueError(
                    f"{name} of a batch has the shape {tuple(tensor.shape)}, whose first axis is not the batch of "
                    f"{len(self.inputs)} rows"
                )

    @property
    def size(self) -> int:
        return self.inputs.shape[0]

    def count(self) -> int:
        """Number of scored targets."""
        if self.valid_BT is not None:
            return int(self.valid_BT.sum())
        return self.targets.shape[0] * (self.targets.shape[1] if self.targets.dim() > 1 else 1)

    def n_positions(self) -> int:
        """Number of positions that are read, padding counted: what a rate in tokens per second is of."""
        return self.inputs.shape[0] * self.inputs.shape[1]

    def tensors(self) -> dict[str, Tensor]:
        """The fields that are tensors, by name."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def replace(self, **changes: Any) -> Self:
        """The batch with other values for some fields."""
        return dataclasses.replace(self, **changes)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The batch with `function` applied to each tensor."""
        return self.replace(**{name: function(tensor) for name, tensor in self.tensors().items()})

    def steps(self, start: int, stop: int | None = None) -> Self:
        """The positions from `start` up to `stop` of everything that runs over time."""
        return self.replace(**{name: tensor[:, start:stop] for name, tensor in self._over_time().items()})

    def followed_by(self, others: Sequence[Self]) -> Self:
        """One batch of these rows' positions and, after them, those of `others`, which go on with the same rows."""
        parts = [self, *others]
        return self.replace(
            **{name: torch.cat([getattr(part, name) for part in parts], 1) for name in self._over_time()}
        )

    def _over_time(self) -> dict[str, Tensor]:
        names = {one.name for one in dataclasses.fields(self) if one.metadata.get("over_time")}
        return {name: tensor for name, tensor in self.tensors().items() if name in names}
