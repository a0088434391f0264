"""Text in aligned columns, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

_TO_THE_RIGHT = ("seed", "seeds", "steps", "saved step", "time")  # headings of numbers


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, numbers to the right. A column that only its heading fills is left out."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    cells = [
        [text.rjust(width) if column[0] in _TO_THE_RIGHT else text.ljust(width) for text in column]
        for column, width in zip(columns, widths, strict=True)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*cells, strict=True))
