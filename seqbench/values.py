"""What one setting of a config may be: by its type hint, and by its name, which means the same everywhere.

`fault` gives the rest of a sentence that begins with the setting's path, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

_KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
_LIST = "a list"

_COUNTS = {
    *("n_layers", "n_heads", "hidden_size", "d_model", "d_ff", "d_inner", "d_embed", "d_hidden"),
    *("batch_size", "eval_batch_size", "train_size", "valid_size", "test_size", "jacobian_growth_steps"),
}
_SPREADS = {"init_range", "init_std", "input_init_range"}


def fault(name: str, value: Any, hint: Any) -> str | None:
    return _kind_fault(value, hint) or _range_fault(name, value)


def _kind_fault(value: Any, hint: Any) -> str | None:
    """Scalars and lists only: another hint is left to the constructor."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [kind for kind in options if kind is not type(None)]
    said = [_LIST if get_origin(kind) in (list, tuple, Sequence) else _KINDS.get(kind) for kind in kinds]
    optional = type(None) in options
    if not kinds or None in said or (value is None and optional):
        return None
    accepted = {list if word == _LIST else kind for kind, word in zip(kinds, said, strict=True)}
    if type(value) in accepted or (type(value) is int and float in kinds):
        return None
    return f"must be {' or '.join(map(str, said))}{' or null' if optional else ''}, not {value!r}"


def _range_fault(name: str, value: Any) -> str | None:
    allowed: Callable[[float], bool]
    if name in _COUNTS:
        allowed, said = (lambda number: number >= 1), "is at least 1"
    elif name in _SPREADS:
        allowed, said = (lambda number: number >= 0), "is at least 0"
    elif name.startswith("dropout") or name.endswith("_dropout"):
        allowed, said = (lambda number: 0 <= number < 1), "is at least 0 and below 1"
    else:
        return None
    return None if type(value) not in (int, float) or allowed(value) else f"{said}, not {value}"
