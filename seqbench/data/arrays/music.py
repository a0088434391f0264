"""Polyphonic music as piano rolls: which of 88 keys sound in each frame (Boulanger-Lewandowski, Bengio, Vincent 2012,
arXiv 1206.6392), in the MATLAB files of the TCN's code: cells traindata, validdata and testdata, a roll a sequence.

The rolls of a split are stored one after another, with the number of frames of each.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.errors import DataError
from seqbench.data.files.blocks import GZIP

N_KEYS = 88
_CELLS = {"train": "traindata", "valid": "validdata", "test": "testdata"}


def read_rolls(path: Path) -> Arrays:
    """The rolls of a MATLAB file. Raises `DataError` for a file that is none of these."""
    from scipy.io import loadmat  # here: it takes a quarter of a second, and only a preparation needs it
    from scipy.io.matlab import MatReadError

    try:
        with gzip.open(path) if path.suffix == GZIP else path.open("rb") as file:
            cells = loadmat(file, variable_names=list(_CELLS.values()))
    except (OSError, EOFError, MatReadError, zlib.error, ValueError, TypeError, NotImplementedError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not a MATLAB file of before 7.3"
        raise DataError(f"{path} cannot be read: {reason}.") from error
    arrays: Arrays = {}
    for split, name in _CELLS.items():
        rolls = list(cells[name].flat) if name in cells else []
        if not rolls or any(not _is_roll(roll) for roll in rolls):
            raise DataError(f"{path} has no cells {name} of rolls, each of frames of {N_KEYS} bits.")
        arrays[f"{split}_frames"] = np.concatenate(rolls).astype(np.uint8)
        arrays[f"{split}_lengths"] = np.array([len(roll) for roll in rolls], np.int64)
    return arrays


def _is_roll(roll: object) -> bool:
    if not isinstance(roll, np.ndarray) or roll.ndim != 2 or roll.shape[1] != N_KEYS or len(roll) < 2:
        return False
    return roll.dtype.kind in "biuf" and bool(((roll == 0) | (roll == 1)).all())


def _read(key: str, files: Mapping[str, Path]) -> Arrays:
    return read_rolls(files[key])


def _corpus(name: str, title: str, stem: str, *sha256: str) -> Published:
    names = [f"{split}_{part}" for split in _CELLS for part in ("frames", "lengths")]
    return Published(
        name=name,
        title=title,
        version=1,
        folders=("music", "mdata", name),
        files={name: (f"{stem}.mat",)},
        read=partial(_read, name),
        arrays=dict(zip(names, sha256, strict=True)),
    )


CORPORA = {
    corpus.name: corpus
    for corpus in (
        _corpus(
            "jsb",
            "the JSB chorales",
            "JSB_Chorales",
            "8caab2f495f007b062c062d9ad1b1d2e00114069b1a8658363116aeeb31d69de",
            "e336ce5cefb675c18a2d9b6f4e7f225ed1f14e427c1ba0cf1a81c4571b347a2a",
            "e152a113b904a144b3f39f9256df8ab3c7c2c76da4fc035282615ebce0a73476",
            "b9618513e2acadc0dffe1e8720f7c4f540fb323dab01c871c6d4b4733cc49f00",
            "2f7559494134a18360c00ad30d1cd51c75f979abda58c1e44c0676b3723e38ae",
            "d8529f1472a5f08cab5234ce15a4fc78806a3aa32d71c17226fd7244a5bc0b53",
        ),
        _corpus(
            "nottingham",
            "the Nottingham tunes",
            "Nottingham",
            "2bd55cf7a43b1c1be86a3fae6e85527bba301a5e5136f6f8415a9782def65d4f",
            "b97c44908d2d5d01c3fd525270fe5e9529033c5efe593e8a6b562c68a851438c",
            "00c8a26737c206811d909cc854f9d023dd5c1681dcf79a78e0e69435b3a7084a",
            "40600ffb42be12036cc56767132046485554ae73605b99ba5449864d79ff1c3b",
            "b4d242feb8c27c14877696f405ec1a0d8a2a2455b345a03e437078be6df279a8",
            "51a69a86fb73e13163e3a504455c2c8e53caa923dfe786db5ad81dad95645ede",
        ),
        _corpus(
            "musedata",
            "MuseData",
            "MuseData",
            "491986d93bc014d4b945f68a070bdd88780cee7268153db8aba83dbbecd4a77e",
            "3538900652d19a7ec25dc399b10581ad11a3bbf0e816f65962c4f8a547d3e10b",
            "95f84678e98c197cefab8eea7c925c118c94070974e38eff94a4b50ba302aa54",
            "4e45aeae9011505b89a1671ba0918b69d9e5320de9f85f9b814a93bbba975dc0",
            "fcb0837471e334c1142338da657244f5edd8265d5d83be18145265b604846ced",
            "a50fb92e518329fac0ea98a20f6d36387356dc8d365c2c0e63e74301a46fd029",
        ),
        _corpus(
            "piano_midi",
            "Piano-midi",
            "Piano_midi",
            "0dc3b69f7776c0a191901612f3d7d237a830f48d875b9a5126d5ff3b07567ad6",
            "2b84c0c04a69c9bb02ac5e93a898abf6a58e1cde6d561f757a8df7841086c093",
            "86c2bb7648a9df34c302020898829cb914047338d0955733ab0d2b7e48e8faef",
            "65fd09f0b00c4cdfac6c20d9fd3fc3f8d7506ffeacf806a9cbb406686db34919",
            "3cc5f42729568dbb4899d3ae93a95f8844fe9f0571cd2a93c7787d10907db7aa",
            "c5f7fd0ceff0400638499083faef35c5f9c40f3a8aba4fcf266e28fc2633fba1",
        ),
    )
}
