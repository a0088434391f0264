"""Metrics, name -> number: as they are written into JSON, and in a line."""

from __future__ import annotations

import math
from typing import Any

_HIGHER_IS_BETTER = (
    "accuracy",
    "balanced_accuracy",
    "bleu",
    "border",
    "capacity",
    "equivalent",
    "fidelity",
    "speedup",
)  # any other metric is an error or a loss


def is_higher_better(path: str) -> bool:
    """Whether more is better of a metric, named alone or by a record's path: `accuracy`, `beam.test.bleu`."""
    return path.rpartition(".")[2] in _HIGHER_IS_BETTER


def finite(value: Any) -> Any:
    """The value, None for each number in it that JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_one_line(metrics: dict[str, float | None]) -> str:
    """A split's metrics, the plain names (nll, ppl) first; how many targets they are of is left out."""
    names = sorted((name for name in metrics if not name.startswith("n_targets")), key=lambda name: ("_" in name, name))
    shown = {name: metrics[name] for name in names}
    return "  ".join(f"{name} {'–' if value is None else format(value, '.5g')}" for name, value in shown.items())
