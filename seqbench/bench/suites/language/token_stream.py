"""From token ids on disk to batches: windows of B rows and T steps as int64 tensors, inputs and targets.

The peers read the same ids: a list in memory, and Hugging Face `datasets` rows of B x T tokens. Half a million tokens a
step at the most, each step going on where the one before ended, over the whole file.
"""

from __future__ import annotations

import atexit
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqbench.bench.suite import Contestant, Suite
from seqbench.data.text.stream import TokenStream

Step = Callable[[], None]
PER_STEP = 500_000


def file_of(tokens: int) -> Path:
    """A file of random uint32 ids below 267,735, gone when the process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "ids.bin"
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, tokens, 1 << 22):
            size = min(1 << 22, tokens - start)
            file.write((267_735 ** generator.random(size)).astype("<u4").data)
    return path


def reading(windows: Callable[[Path, int, int], Iterator[tuple[Tensor, Tensor]]]) -> Callable[..., Step]:
    def build(tokens: int, B: int, T: int) -> Step:
        stream = windows(file_of(tokens), B, T)
        n_windows = max(1, min(PER_STEP, tokens // 2) // (B * T))

        def step() -> None:
            for _ in itertools.islice(stream, n_windows):
                pass

        return step

    return build


def seqbench(path: Path, B: int, T: int) -> Iterator[tuple[Tensor, Tensor]]:
    stream = TokenStream(np.memmap(path, "<u4", mode="r"), B, T)
    for index in itertools.count():
        inputs_BT, targets_BT, _ = stream.window(index)
        yield inputs_BT, targets_BT


def lists(path: Path, B: int, T: int) -> Iterator[tuple[Tensor, Tensor]]:
    """A row a Python list, as many short scripts keep a corpus; the first part of the file is enough to time it."""
    ids = np.fromfile(path, "<u4", 4_000_000)
    rows = [row.tolist() for row in np.array_split(ids[: len(ids) // B * B], B)]
    while True:
        for start in range(0, len(rows[0]) - T, T):
            yield (
                torch.tensor([row[start : start + T] for row in rows]),
                torch.tensor([row[start + 1 : start + T + 1] for row in rows]),
            )


def hugging_face(path: Path, B: int, T: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`datasets` rows of T + 1 ids in torch's format, B at a time; the first part of the file, too."""
    import datasets

    ids = np.fromfile(path, "<u4", 4_000_000).astype(np.int64)
    n_rows = (len(ids) - 1) // T
    starts = np.arange(n_rows)[:, None] * T
    table: Any = datasets.Dataset.from_dict({"ids": list(ids[starts + np.arange(T + 1)])}).with_format("torch")
    while True:
        for batch in table.iter(B):
            yield batch["ids"][:, :-1], batch["ids"][:, 1:]


SUITE = Suite(
    name="token_stream",
    title="Token ids from disk to batches",
    note="`tokens` ids in a file (uint32, warm page cache), batches of B rows and T steps.",
    ours="seqbench",
    contestants=[
        Contestant("seqbench", reading(seqbench)),
        Contestant("Python lists", reading(lists)),
        Contestant("Hugging Face datasets", reading(hugging_face)),
    ],
    shapes=[{"tokens": 103_000_000, "B": 20, "T": 35}, {"tokens": 103_000_000, "B": 60, "T": 150}],
    n_tokens=lambda tokens, B, T: max(1, min(PER_STEP, tokens // 2) // (B * T)) * B * T,
    smaller={"tokens": 100_000},
)
