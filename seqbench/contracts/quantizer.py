"""The contract of a quantiser: it rounds weights, activations or gradients to few levels."""

from __future__ import annotations

from typing import Annotated, Protocol, runtime_checkable

from torch import Tensor, nn

from seqbench.contracts.ranges import OneOf

Scale = Annotated[str, OneOf("one", "row", "tensor")]  # a scale is 1, or of a last axis, or of all values


class Quantizer(nn.Module):
    """Rounds numbers to levels, (..., D) -> (..., D), and passes gradients straight through where it does not saturate.
    The same value twice is rounded as once. In evaluation mode it is deterministic; in training mode it may draw from
    torch's generator, which a step seeds.

    One whose `scale` is of the tensor mixes positions and rows, so it is for weights alone."""

    bits: int | None = None  # of a value; None: real numbers
    scale: str = "one"  # what its scale is of: one, row or tensor

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def packed_bits(self, shape: tuple[int, ...], plain: int) -> int:
        """What a tensor of this shape takes when packed, scales included; `plain` is a real number's bits."""
        n_values = 1
        for size in shape:
            n_values *= size
        if self.bits is None:
            return n_values * plain
        n_scales = {"one": 0, "tensor": 1, "row": n_values // max(shape[-1], 1)}[self.scale]
        return n_values * self.bits + n_scales * plain


@runtime_checkable
class HasQuantized(Protocol):
    """A module some of whose own parameters are quantised before they are used."""

    def quantized(self) -> list[tuple[nn.Parameter, Quantizer]]:
        """Each of them with its quantiser."""
        ...
