"""MNIST: 60,000 and 10,000 images of digits, 28 by 28 (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seqbench.data.arrays.idx import read_idx
from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.errors import DataError

SIDE = 28  # pixels


def _read(files: Mapping[str, Path]) -> Arrays:
    arrays = {key: read_idx(path) for key, path in files.items()}
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.shape != (len(labels), SIDE, SIDE) or labels.ndim != 1 or not len(labels):
            raise DataError(
                f"{files[f'{part}_images']} has the shape {images.shape} and {files[f'{part}_labels']} "
                f"{labels.shape}; they should hold images of 28 by 28 and as many labels."
            )
        if images.dtype != "u1" or labels.dtype != "u1" or labels.max() > 9:
            raise DataError(f"{files[f'{part}_labels']} and its images are not bytes, the labels 0 to 9.")
    return arrays


MNIST = Published(
    name="mnist",
    title="MNIST",
    version=1,
    folders=("mnist", "MNIST/raw", "MNIST"),
    files={
        "train_images": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
        "train_labels": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
        "test_images": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
        "test_labels": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
    },
    read=_read,
    arrays={
        "train_images": "7966334e0a62e21aeecb36c594d601b1545b48a7cfcd636d924be8f23bea61a7",
        "train_labels": "7cae198257dc3f40dd3f471fb4eb7e4a2d866d3b9709469d2624ce09ba884ca5",
        "test_images": "3e0c14618a662036c0bd667aa23f8d52269db4b32c4aae88e8c4671bd516fa70",
        "test_labels": "76ba51f7d0e782ba9dbef10071337cc0af4a587046c8f71c38920af74747b571",
    },
)
