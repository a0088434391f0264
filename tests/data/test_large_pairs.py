"""As many sentence pairs as WMT14 has for English and German, made up: prepared in bounded memory, read in batches.

Minutes long and some 2 GB of disk: `make test-data` runs it, `make test` does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_words import word, zipf

from seqbench.data.pairs.store import SIDES
from seqbench.tasks.translation.translation import WMT14German

pytestmark = pytest.mark.large

N_PAIRS = {"train": 4_500_000, "validation": 3_000, "test": 3_003}
N_TYPES = 150_000
N_SHARDS, N_PARTS = 3, 20  # files of the training split, parts that one is made in
N_BAD = 1_000  # pairs without a target, and as many with one three times too long
SETTINGS = {"vocabulary_size": 32_000, "subword": "bpe", "max_pieces": 250, "max_ratio": 1.5, "tokenized": False}
MOST_MEMORY = 2_000_000_000  # bytes
CODE = """
import json, resource, sys, time
from pathlib import Path
from seqbench.tasks.translation.translation import WMT14German
start = time.process_time(), time.perf_counter()
said = WMT14German.prepare(Path(sys.argv[1]), sys.argv[2], False, json.loads(sys.argv[3]))
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(json.dumps([said, time.process_time() - start[0], time.perf_counter() - start[1], int(peak) << 10]))
"""


def write(path: Path, n_pairs: int, n_bad: int, generator: np.random.Generator) -> None:
    """One file in one row group, the hardest to read in bounded memory; sentences of 8 words on average, the other
    side's a word longer now and then. The first `n_bad` pairs have a target thrice as long, the next none."""
    import pyarrow as arrow
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    words = {
        language: arrow.array([f"{mark}{word(rank)}" for rank in range(N_TYPES)])
        for language, mark in (("en", ""), ("de", "ü"))
    }
    parts = []
    for size in map(len, np.array_split(np.arange(n_pairs), N_PARTS)):
        n_source = 3 + generator.poisson(5, size)
        n_target = n_source + (generator.random(size) < 0.3)
        if not parts:
            n_target[:n_bad] *= 3
            n_target[n_bad : 2 * n_bad] = 0
        sides = []
        for language, n_words in (("en", n_source), ("de", n_target)):
            ends = np.concatenate([[0], np.cumsum(n_words)]).astype(np.int32)
            taken = words[language].take(arrow.array(zipf(int(ends[-1]), N_TYPES, generator)))
            sides.append(compute.binary_join(arrow.ListArray.from_arrays(arrow.array(ends), taken), " "))
        parts.append(arrow.StructArray.from_arrays(sides, ["en", "de"]))
    table = arrow.table({"translation": arrow.chunked_array(parts)})
    parquet.write_table(table, path, row_group_size=n_pairs)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What preparation said, its seconds of processor time and by the clock, its peak in bytes, and the folder."""
    pytest.importorskip("pyarrow")
    folder, generator = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    (folder / "raw").mkdir()
    for split, n_pairs in N_PAIRS.items():
        n_shards = N_SHARDS if split == "train" else 1
        for shard in range(n_shards):
            path = folder / "raw" / f"{split}-{shard:05}-of-{n_shards:05}.parquet"
            write(path, n_pairs // n_shards, N_BAD if split == "train" else 0, generator)
    settings = json.dumps({"source_language": "en", "target_language": "de", **SETTINGS})
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder / "data"), str(folder / "raw"), settings],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1700,
        check=True,
    )
    return *json.loads(done.stdout.splitlines()[-1]), folder


@pytest.fixture(scope="module")
def task(prepared):
    return WMT14German("en", "de", **SETTINGS, batch_tokens=25_000, eval_batch_tokens=8_192, data_seed=0,
                       data_dir=prepared[-1] / "data", source=None)  # fmt: skip


def test_in_two_gigabytes(prepared, capsys):
    said, processor, clock, peak, _ = prepared
    with capsys.disabled():
        print(
            f"\n{said}\n{N_PAIRS['train'] / processor:,.0f} pairs a second of processor time, "
            f"{N_PAIRS['train'] / clock:,.0f} by the clock (load {os.getloadavg()[0]:.1f}), {peak / 1e6:.0f} MB at most"
        )
    assert peak < MOST_MEMORY


def test_no_pair_is_lost(task):
    splits = task.pairs.manifest["splits"]
    assert {split: splits[split]["n_read"] for split in splits} == {"train": 4_500_000, "valid": 3_000, "test": 3_003}
    skipped = splits["train"]["skipped"]
    assert skipped["empty"] == N_SHARDS * N_BAD and skipped["ratio"] >= N_SHARDS * N_BAD
    assert splits["train"]["n_pairs"] + sum(skipped.values()) == 4_500_000
    assert splits["train"]["n_pairs"] > 4_400_000


def test_an_epochs_batches_hold_every_pair_once(task, capsys):
    index, start = task.index["train"], time.process_time()
    batches = [index.examples(number) for number in range(index.n_batches)]
    with capsys.disabled():
        print(f"\n{len(batches) / (time.process_time() - start):,.0f} batches a second")
    seen = np.bincount(np.concatenate(batches), minlength=task.pairs.manifest["splits"]["train"]["n_pairs"])
    assert (seen == 1).all()
    longest = 1 + np.maximum(*(task.pairs.lengths("train", side) for side in SIDES))
    padded = [longest[examples].max() * len(examples) for examples in batches]
    assert max(padded) <= 25_000
    assert sum(int(longest[examples].sum()) for examples in batches) > 0.9 * sum(map(int, padded))
