"""What one setting of a config may be: by its type hint, and by the ranges in it (contracts/ranges.py).

`fault` gives the rest of a sentence that begins with the setting's path, or None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from seqbench.contracts.ranges import Range

_KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
_MANY = {int: "integers", float: "numbers", str: "strings"}
_LISTS = (list, tuple, Sequence)


def fault(value: Any, hint: Any) -> str | None:
    return _kind_fault(value, hint) or _not_finite(value) or _range_fault(value, hint)


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
    words = [_words(kind) for kind in kinds]
    optional = type(None) in kinds
    if None in words or any(_is(value, kind) for kind in kinds):
        return None
    named = [word for word in words if word != "null"]
    return f"must be {' or '.join(map(str, named))}{' or null' if optional else ''}, not {value!r}"


def _options(hint: Any) -> tuple[Any, ...]:
    """The kinds that a hint allows, without torch's tensors (`lr: float | Tensor`), which no config holds."""
    return tuple(_bare(kind) for kind in _alternatives(hint) if getattr(kind, "__name__", "") != "Tensor")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The kinds of a union, each with the ranges that it has there."""
    return get_args(_bare(hint)) if get_origin(_bare(hint)) in (Union, UnionType) else (hint,)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _ranges(hint: Any) -> list[Range]:
    """Those of an annotated hint itself."""
    return [each for each in get_args(hint)[1:] if isinstance(each, Range)] if get_origin(hint) is Annotated else []


def _words(kind: Any) -> str | None:
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
        return all(any(_is(item, kind) for kind in _options(hint)) for item, hint in zip(value, wanted, strict=True))
    return type(value) is kind or (type(value) is int and kind is float)


def _is_fixed(kind: Any) -> bool:
    """Whether a list has so many values: tuple[float, float]."""
    return get_origin(kind) is tuple and Ellipsis not in get_args(kind)


def _not_finite(value: Any) -> str | None:
    numbers = value if isinstance(value, list) else [value]
    finite = all(math.isfinite(number) for number in numbers if type(number) in (int, float))
    return None if finite else f"must be finite, not {value}"


def _range_fault(value: Any, hint: Any) -> str | None:
    """The first range that a value, or one of a list's values, does not keep."""
    if value is None:
        return None
    alternatives = _alternatives(hint)
    own = [kind for kind in alternatives if kind is not hint and _is(value, _bare(kind))]  # a width, or a list of them
    ranges = [*_ranges(hint), *(each for kind in own for each in _ranges(kind))]
    or_null = ", or null" if type(None) in alternatives else ""
    for each in ranges:
        if not each.allows(value):
            return f"{each.text}{or_null}, not {value!r}"
    for kind in map(_bare, alternatives):
        if get_origin(kind) in _LISTS and isinstance(value, list) and get_args(kind):
            hints = get_args(kind) if _is_fixed(kind) else (get_args(kind)[0],) * len(value)
            for item, inner in zip(value, hints, strict=False):
                wrong = _range_fault(item, inner)
                if wrong is not None:
                    return f"holds values each of which {wrong}"
    return None
