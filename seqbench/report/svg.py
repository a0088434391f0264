"""Drawings that come out the same, byte for byte, from the same numbers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from seqbench.data.files.atomic import write_whole


def deterministic_pyplot() -> Any:
    """matplotlib's pyplot, set up for such files."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "seqbench"
    from matplotlib import pyplot

    return pyplot


def write_svg(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all, and close it."""
    drawing = io.BytesIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    write_whole(path, drawing.getvalue())
    deterministic_pyplot().close(figure)
