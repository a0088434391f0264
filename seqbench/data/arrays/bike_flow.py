"""Bike flow in New York: rides begun and ended in each half hour in the fields of a grid of 14 by 8.

As the authors of the ARMA cell keep them (github.com/phschiele/armacell_paper, benchmarks/data/NYBike): an .npz file
with the arrays train, val and test, each (frames, 14, 8, 2).
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.errors import DataError

FRAME = (14, 8, 2)
_PARTS = {"train": "train", "valid": "val", "test": "test"}


def _read(files: Mapping[str, Path]) -> Arrays:
    path, arrays = files["frames"], {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for split, name in _PARTS.items():
                arrays[split] = np.asarray(file[name])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it has not the three arrays"
        raise DataError(f"{path} cannot be read: {reason}.") from error
    for split, frames in arrays.items():
        if frames.shape[1:] != FRAME or frames.dtype.kind not in "iu" or not len(frames) or frames.min() < 0:
            raise DataError(f"{path} has {frames.dtype} of {frames.shape} for {split}: frames are counts, 14 x 8 x 2.")
    return {split: frames.astype(np.int16) for split, frames in arrays.items()}


BIKE_FLOW = Published(
    name="bike_flow",
    title="the bike flow",
    version=1,
    folders=("nyc_bike",),
    files={"frames": ("bike_flow.npz",)},
    read=_read,
    arrays={
        "train": "9590c913b6e217e0e5e96804a43a625f786c6098eabb996aeb0bf895436b4af5",
        "valid": "3e1502ecd4316b1ada782d1cc439028384d7285c6cbe02cbeaa2d0dca4eb9909",
        "test": "f2678aaa02150b2d16363226e2ad25fce4d3a1309746ccb29342548602c46d1c",
    },
)
