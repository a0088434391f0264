"""Omniglot's two small background sets: 242 characters of eight alphabets, each drawn by 20 people (Lake,
Salakhutdinov, Tenenbaum 2015). Read from the two published archives, which have 50 characters in common: these count
once.

The drawings, black on white and 105 by 105 pixels, are stored white on black and 28 by 28, as MNIST's digits are: each
pixel is the mean over what it covers of the drawing. They go by alphabet, character and person.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.errors import DataError

SIDE = 28  # pixels
_DRAWN = 105
_DRAWING = re.compile(r"images_background_small[12]/([^/]+)/character(\d+)/\d+_(\d+)\.png")


def shrink(ink: np.ndarray) -> np.ndarray:
    """Ink (105, 105), 0 or 1, as bytes (28, 28): 255 times the inked share of the area that each covers, which is 15
    quarters of a pixel wide, in whole numbers: the same on every machine."""
    quarter = (
        np.arange(SIDE + 1)[:, None] * 4 * _DRAWN // SIDE
    )  # where pixels begin and end, in quarters of a drawn one
    ends, starts = np.arange(1, _DRAWN + 1) * 4, np.arange(_DRAWN) * 4
    covered = np.clip(np.minimum(quarter[1:], ends) - np.maximum(quarter[:-1], starts), 0, None)
    area = (4 * _DRAWN // SIDE) ** 2
    return ((2 * 255 * (covered @ ink @ covered.T) + area) // (2 * area)).astype(np.uint8)


def _read(files: Mapping[str, Path]) -> Arrays:
    images = dict(sorted(drawing for path in files.values() for drawing in _drawings(path)))
    characters = sorted({(alphabet, character) for alphabet, character, _ in images})
    alphabets = sorted({alphabet for alphabet, _ in characters})
    return {
        "images": np.stack([np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE) for pixels in images.values()]),
        "characters": np.array(
            [characters.index((alphabet, character)) for alphabet, character, _ in images], np.uint16
        ),
        "alphabets": np.array([alphabets.index(alphabet) for alphabet, *_ in images], np.uint8),
        "drawers": np.array([person - 1 for *_, person in images], np.uint8),
    }


def _drawings(path: Path) -> Iterator[tuple[tuple[str, int, int], bytes]]:
    """Alphabet, character and person of each drawing in an archive, and its pixels."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise DataError("Omniglot's drawings are PNG files: pip install 'seqbench[images]' reads them.") from error
    count = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                found = _DRAWING.fullmatch(name)
                if found is None:
                    continue
                count += 1
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    ink = (np.asarray(image.convert("L")) < 128).astype(np.int64)
                if ink.shape != (_DRAWN, _DRAWN):
                    raise DataError(f"{name} in {path} is not of {_DRAWN} by {_DRAWN} pixels.")
                alphabet, character, person = found.groups()
                yield (alphabet, int(character), int(person)), shrink(ink).tobytes()
    except (zipfile.BadZipFile, UnidentifiedImageError) as error:
        raise DataError(f"{path} is no archive of PNG files, or a damaged one.") from error
    if not count:
        raise DataError(f"{path} holds none of Omniglot's drawings.")


OMNIGLOT = Published(
    name="omniglot",
    title="Omniglot's small background sets",
    version=1,
    folders=("omniglot", "omniglot-py", "omniglot/python"),
    files={
        "small1": ("images_background_small1.zip",),
        "small2": ("images_background_small2.zip",),
    },
    read=_read,
    arrays={
        "images": "9417323e1054dfd6a06cde065600f95aef1d0b80fa93223070b067f234a36a21",
        "characters": "178b21feae19c29ccaa0257d16305fa391911655c97b08980c542c3d5665b1e7",
        "alphabets": "f9735cd25b6c45b0d74fa9042d499ca5e8ae5b484ec0bf2b439a1a54033b48c7",
        "drawers": "c41ae0d775051c1431782f89a6fc96488929dc665071b5972beaedddcfe13a16",
    },
)
