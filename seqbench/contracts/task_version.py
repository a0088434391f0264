"""What a task's `version` says of its data."""

from __future__ import annotations

from typing import Any


def same_data(version: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two task versions name the same data. What one of them does not say, as earlier versions of the project
    did not say all, tells them apart no more than a remark does."""
    return all(version[key] == other[key] for key in version.keys() & other.keys() - {"remark"})
