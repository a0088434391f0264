"""What a checkpoint holds, and whether it can be one of this run: its digest says that it is what was written, but a
file may have been copied from another run, or written by something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

PARTS = {"network": dict, "optimizer": dict, "scaler": dict, "progress": dict}
LATER_PARTS = {"task": dict, "run_id": str, "metrics": dict}  # which checkpoints of earlier versions do not have
PROGRESS = {
    "step": int,
    "carry": object,
    "history": list,
    "history_steps": list,
    "running": list,
    "n_tokens": int,
    "seconds": (int, float),
    "n_resumed": int,
}
METRICS = {"n_rows": int, "n_bytes": int, "sha256": str}
Shapes = dict[str, torch.Size | None]


@dataclass(frozen=True)
class Expected:
    """What a run's checkpoints agree with: its id, its learner's tensors, its optimizers' numbers of parameters by
    group, and its number of steps."""

    run_id: str
    shapes: Shapes
    optimizers: Mapping[str, list[int]]
    max_steps: int

    def fault(self, payload: Any, step: int) -> str | None:
        """What is wrong with the content of a checkpoint of this step, as the end of a sentence; None if nothing is."""
        if not _has(payload, PARTS, LATER_PARTS) or not _has(payload["progress"], PROGRESS):
            return "is damaged"
        if "metrics" in payload and not _has(payload["metrics"], METRICS):
            return "is damaged"
        if payload.get("run_id", self.run_id) != self.run_id:
            return f"is of another run ({payload['run_id']!r})"
        progress = payload["progress"]
        if progress["step"] != step or not 0 <= step <= self.max_steps:
            return f"is of an impossible step ({progress['step']})"
        if len(progress["history"]) != len(progress["history_steps"]) or len(progress["running"]) != 2:
            return "is damaged"
        if shapes_of(payload["network"]) != self.shapes:
            return "has weights of another network"
        if not _optimizers_fit(payload["optimizer"], self.optimizers):
            return "is of another optimizer"
        return None


def optimizer_sizes(states: Mapping[str, Any]) -> dict[str, list[int]]:
    """The number of parameters in each group of each optimizer, of their state dicts."""
    return {name: [len(group["params"]) for group in state["param_groups"]] for name, state in states.items()}


def _has(mapping: Any, types: Mapping[str, Any], later: Mapping[str, Any] | None = None) -> bool:
    """Whether all keys are there, each with a value of its type, and no others."""
    known = {**types, **(later or {})}
    if not isinstance(mapping, dict) or not types.keys() <= mapping.keys() <= known.keys():
        return False
    return all(isinstance(value, known[key]) and not isinstance(value, bool) for key, value in mapping.items())


def shapes_of(tensors: Mapping[str, Any]) -> Shapes:
    """Of a state dict, which may hold other things than tensors, too."""
    return {name: value.shape if isinstance(value, torch.Tensor) else None for name, value in tensors.items()}


def _optimizers_fit(states: Mapping[str, Any], sizes: Mapping[str, list[int]]) -> bool:
    for state in states.values():
        if not isinstance(state, dict) or not isinstance(state.get("state"), dict):
            return False
        groups = state.get("param_groups")
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            return False
        if not all(isinstance(group.get("params"), list) for group in groups):
            return False
    return optimizer_sizes(states) == sizes
