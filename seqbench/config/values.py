"""What one setting of a config may be: by its type hint, and by its name, which means the same everywhere.

`fault` gives the rest of a sentence that begins with the setting's path, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

_KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
_MANY = {int: "integers", float: "numbers", str: "strings"}
_LISTS = (list, tuple, Sequence)

_COUNTS = {
    *("n_layers", "n_heads", "hidden_size", "d_model", "d_ff", "d_inner", "d_embed", "d_hidden"),
    *("batch_size", "eval_batch_size", "train_size", "valid_size", "test_size", "jacobian_growth_steps"),
    *("d_attention", "d_combined", "max_positions"),
}
_NOT_NEGATIVE = {"init_range", "init_std", "input_init_range", "lr", "warmup_steps", "flat_epochs", "final"}
BACKENDS = ("auto", "reference", "native")  # native: compiled
_CHOICES = {"backend": BACKENDS}
_POSITIVE = {"divide_by", "div_value"}


def fault(name: str, value: Any, hint: Any) -> str | None:
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"must be one of {', '.join(_CHOICES[name])}, not {value!r}"
    return _kind_fault(value, hint) or _range_fault(name, value)


def same(a: Any, b: Any) -> bool:
    """1 and 1.0 are one setting; true and 1 are not, though Python calls them equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(*pair) for pair in zip(a, b, strict=True))
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def with_type(value: Any, hint: Any, default: Any = None) -> Any:
    """A setting with each number in the type of its argument: 20 is 20.0 where the argument is a float, and -0.0 is
    0.0. A number equal to the constructor's default is written as that is: torch's `weight_decay: float = 0`."""
    if type(value) in (int, float) and type(default) in (int, float) and value == default:
        return default
    kinds = _options(hint)
    if isinstance(value, list):
        listed = next((kind for kind in kinds if get_origin(kind) in _LISTS), None)
        inner = get_args(listed)
        if listed is None or not inner:
            return value
        hints = inner if _is_fixed(listed) else (inner[0],) * len(value)
        return [with_type(*pair) for pair in zip(value, hints, strict=True)] if len(hints) == len(value) else value
    if type(value) is int and float in kinds and int not in kinds:
        return float(value)
    return value + 0.0 if type(value) is float else value


def _kind_fault(value: Any, hint: Any) -> str | None:
    """Scalars and lists only: another hint is left to the constructor."""
    kinds = _options(hint)
    said = [_said(kind) for kind in kinds]
    optional = type(None) in kinds
    if None in said or any(_is(value, kind) for kind in kinds):
        return None
    named = [one for one in said if one != "null"]
    return f"must be {' or '.join(map(str, named))}{' or null' if optional else ''}, not {value!r}"


def _options(hint: Any) -> tuple[Any, ...]:
    """The kinds that a hint allows, without torch's tensors (`lr: float | Tensor`), which no config holds."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(kind for kind in options if getattr(kind, "__name__", "") != "Tensor")


def _said(kind: Any) -> str | None:
    """A kind in words; None for one that is not known here."""
    if get_origin(kind) not in _LISTS:
        return "null" if kind is type(None) else _KINDS.get(kind)
    inner = get_args(kind)
    first = _options(inner[0])[0]
    what = "lists" if get_origin(first) in _LISTS else _MANY.get(first, "values")
    return f"a list of {f'{len(inner)} ' if _is_fixed(kind) else ''}{what}"


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) in _LISTS:
        inner = get_args(kind)
        if type(value) is not list or (_is_fixed(kind) and len(value) != len(inner)):
            return False
        wanted = inner if _is_fixed(kind) else [inner[0]] * len(value)
        return all(any(_is(item, one) for one in _options(hint)) for item, hint in zip(value, wanted, strict=True))
    return type(value) is kind or (type(value) is int and kind is float)


def _is_fixed(kind: Any) -> bool:
    """Whether a list has so many values: tuple[float, float]."""
    return get_origin(kind) is tuple and Ellipsis not in get_args(kind)


def _range_fault(name: str, value: Any) -> str | None:
    allowed: Callable[[float], bool]
    if type(value) not in (int, float):
        return None
    if not math.isfinite(value):
        return f"must be finite, not {value}"
    if name in _COUNTS:
        allowed, said = (lambda number: number >= 1), "is at least 1"
    elif name in _NOT_NEGATIVE:
        allowed, said = (lambda number: number >= 0), "is at least 0"
    elif name in _POSITIVE:
        allowed, said = (lambda number: number > 0), "is positive"
    elif name.startswith("dropout") or name.endswith("_dropout"):
        allowed, said = (lambda number: 0 <= number < 1), "is at least 0 and below 1"
    else:
        return None
    return None if allowed(value) else f"{said}, not {value}"
