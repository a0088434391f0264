"""Recordings of one's own: the WAV files of a folder, PCM of 8 to 32 bits, whose channels are averaged.

The checksum is of the samples and the rate, in the order of the files' names: it is the same wherever the folder lies.
"""

from __future__ import annotations

import functools
import hashlib
import os
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.arrays.store import ArraySet, ensure_arrays
from seqbench.data.errors import DataError
from seqbench.data.files.lock import Progress

SUFFIX = ".wav"


def find_waves(source: str) -> list[Path]:
    """The WAV files of the folder that `source` names, by name. Raises `DataError` where there are none."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(f"source={source} is not a folder; name the folder that holds the WAV files.")
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIX))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if not names:
        raise DataError(f"{folder} has no file that ends in {SUFFIX}.")
    return [folder / name for name in names]


def waves_checksum(source: str) -> str:
    """The checksum of the recordings in a folder. Raises `DataError`."""
    paths = find_waves(source)
    try:
        state = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror or error}.") from error
    return _checksum(state)


@functools.lru_cache(maxsize=8)
def _checksum(state: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in state:
        rate, samples = read_wave(Path(path))
        digest.update(f"{rate} {len(samples)}\n".encode())
        digest.update(samples.tobytes())
    return digest.hexdigest()


def ensure_waves(
    data_sha256: str, data_dir: Path, source: str | None, progress: Progress, force: bool = False
) -> ArraySet:
    """The prepared recordings: `samples` (all of them, float32 from -1 to 1), `lengths` and `rate` (1,). Raises
    `DataError` where they are not prepared and `source` does not hold them."""
    if source is not None and waves_checksum(source) != data_sha256:
        raise DataError(
            f"source={source} holds other recordings than this run's (SHA-256 {waves_checksum(source)[:12]}, not "
            f"{data_sha256[:12]}): leave task.data_sha256 out, or name the run's own folder."
        )
    recordings = recordings_of(data_sha256, source)
    if source is None and not (data_dir / recordings.name).exists():
        raise DataError(
            f"The recordings of this run (SHA-256 {data_sha256[:12]}) are not prepared in {data_dir}; name their "
            "folder as source=<folder>."
        )
    return ensure_arrays(recordings, data_dir, source, progress, force)


def recordings_of(data_sha256: str, source: str | None) -> Published:
    """The set as the store of arrays knows it."""
    name = f"waves-{data_sha256[:12]}"
    files = {} if source is None else {path.name: (path.name,) for path in find_waves(source)}
    arrays: dict[str, str | None] = {"samples": None, "lengths": None, "rate": None}
    return Published(name, "the recordings", 1, (name,), files, _read, arrays)


def read_wave(path: Path) -> tuple[int, np.ndarray]:
    """Samples a second, and the samples. Raises `DataError` for what is no such file."""
    try:
        with wave.open(str(path)) as file:
            rate, n_channels, n_bytes = file.getframerate(), file.getnchannels(), file.getsampwidth()
            content = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(
            f"{path} cannot be read as a WAV file of PCM samples: {error or 'it ends too early'}."
        ) from error
    content = content[: len(content) // (n_bytes * n_channels) * n_bytes * n_channels]
    numbers = np.frombuffer(content, np.uint8).reshape(-1, n_bytes)
    if n_bytes == 1:  # the only width without a sign
        numbers = numbers ^ 0x80
    padded = np.zeros((len(numbers), 4), np.uint8)
    padded[:, 4 - n_bytes :] = numbers
    samples = padded.view("<i4")[:, 0].reshape(-1, n_channels).astype(np.float64).mean(1) / 2**31
    return rate, samples.astype("<f4")


def _read(files: Mapping[str, Path]) -> Arrays:
    recordings = {path: read_wave(path) for path in files.values()}
    rates = {rate: path for path, (rate, _) in recordings.items()}
    if len(rates) > 1:
        (first, one), (second, other) = list(rates.items())[:2]
        raise DataError(
            f"{one} has {first:,} samples a second and {other} {second:,}: bring the recordings to one rate first."
        )
    samples = [samples for _, samples in recordings.values()]
    return {
        "samples": np.concatenate(samples),
        "lengths": np.array([len(one) for one in samples], np.int64),
        "rate": np.array(list(rates), np.int64),
    }
