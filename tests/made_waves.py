"""WAV files of a process whose best prediction is known."""

import wave
from pathlib import Path

import numpy as np

AR = (1.6, -0.8)  # of the two samples before: a resonance
SCALE = 0.02  # of the innovations, where samples are from -1 to 1


def write_wave(path: Path, samples: np.ndarray, n_bytes: int = 2, rate: int = 8000) -> None:
    """Samples from -1 to 1, (n_samples,) or (n_samples, n_channels), as PCM."""
    numbers = np.round(samples * 2 ** (8 * n_bytes - 1)).astype("<i8")
    if n_bytes == 1:
        numbers += 128
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(n_bytes)
        file.setframerate(rate)
        file.writeframes(numbers.reshape(-1, 1).view(np.uint8)[:, :n_bytes].tobytes())


def resonance(n_samples: int, seed: int) -> np.ndarray:
    """x_t = 1.6 x_{t-1} - 0.8 x_{t-2} + N(0, SCALE^2)."""
    noise, samples = np.random.default_rng(seed).normal(size=n_samples + 100) * SCALE, [0.0, 0.0]
    for one in noise:
        samples.append(AR[0] * samples[-1] + AR[1] * samples[-2] + one)
    return np.array(samples[-n_samples:])


def make_waves(folder: Path, n_recordings: int, n_samples: int) -> None:
    """Recordings of resonances, each a few samples longer than the one before."""
    for number in range(n_recordings):
        write_wave(folder / f"{number:02}.wav", resonance(n_samples + 3 * number, number))
