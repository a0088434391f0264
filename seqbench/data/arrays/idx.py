"""The IDX format of MNIST's files: one array, packed by gzip or not.

2 bytes 0, 1 byte for the type, 1 byte for the number of axes, 4 bytes for each axis, then the numbers; big-endian
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.files.blocks import GZIP

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST = 1 << 36  # bytes: a header that says more is damaged


def read_idx(path: Path) -> np.ndarray:
    """The array of a file, in the machine's own byte order. Raises `DataError` for a file that is none."""
    try:
        with gzip.open(path) if path.suffix == GZIP else path.open("rb") as file:
            array = _read(file)
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"{path} cannot be read: {reason}.") from error
    if array is None:
        raise DataError(f"{path} is not an IDX file, or is cut off; fetch it again.")
    return array.astype(array.dtype.newbyteorder("="))


def _read(file: BinaryIO | gzip.GzipFile) -> np.ndarray | None:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        return None
    axes = file.read(4 * head[3])
    if len(axes) < 4 * head[3]:
        return None
    shape, dtype = np.frombuffer(axes, ">u4").tolist(), np.dtype(_TYPES[head[2]])
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > _MOST:
        return None
    content = file.read(n_bytes + 1)
    return np.frombuffer(content, dtype).reshape(shape) if len(content) == n_bytes else None
