"""A corpus of WikiText-103's size, made up: prepared in bounded memory at speed, killed midway and gone on with, read.

Minutes long and some 3 GB of disk: `make test-data` runs it, `make test` does not. Rates are per second of processor
time, so that a busy machine does not fail them; what the clock said is printed beside.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_words import word, zipf

from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import SPLITS, Corpus, Split
from seqbench.data.text.store import Prepared, open_prepared
from seqbench.data.text.stream import TokenStream

pytestmark = pytest.mark.large

N_LINES, N_TOKENS, N_TYPES = 1_801_350, 103_227_021, 267_735  # WikiText-103's, <eos> among the types
SMALL = {"valid": (3_760, 217_646), "test": (4_358, 245_569)}  # lines, tokens
N_SHARDS = 4
MOST_MEMORY = 1 << 30
CODE = """
import pickle, resource, sys, time
from pathlib import Path
from seqbench.data.text.build import ensure_prepared
from seqbench.tasks.text.language_modeling import LanguageModeling  # with all that the command line loads
corpus = pickle.loads(Path(sys.argv[1]).read_bytes())
before, start = time.process_time(), time.perf_counter()
prepared = ensure_prepared(corpus, Path(sys.argv[2]), sys.argv[3], lambda line: print(line, flush=True))
print("seconds", time.process_time() - before, time.perf_counter() - start)
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print("peak", int(peak) << 10)
print("sha256", prepared.sha256)
"""


def row_ends(n_lines: int, n_words: int, generator) -> np.ndarray:
    """Where each row's words end: a third of the rows blank, the others of widely different lengths."""
    weights = generator.exponential(size=n_lines) * (generator.random(n_lines) > 0.35)
    return (np.cumsum(weights) / weights.sum() * n_words).round().astype(np.int64)


def write(folder: Path, name: str, n_shards: int, n_lines: int, n_tokens: int, words, generator, all_types: bool):
    """Shards of one row group each, the hardest to read in bounded memory."""
    import pyarrow as arrow
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    n_words = n_tokens - n_lines
    ends = row_ends(n_lines, n_words, generator)
    ends[-1] = n_words
    missing = len(words) if all_types else 0  # the first words are every type once
    for shard, rows in enumerate(np.array_split(np.arange(n_lines), n_shards)):
        parts = []
        for some in np.array_split(rows, 16):
            start, stop = (int(ends[some[0] - 1]) if some[0] else 0), int(ends[some[-1]])
            ranks = zipf(stop - start, len(words), generator)
            fresh = np.arange(start, min(stop, missing))
            ranks[: len(fresh)] = fresh
            offsets = np.concatenate([[0], ends[some] - start]).astype(np.int32)
            lists = arrow.ListArray.from_arrays(arrow.array(offsets), words.take(arrow.array(ranks)))
            lines = compute.binary_join(lists, " ")
            empty = compute.equal(lines, "")
            parts.append(compute.if_else(empty, "", compute.binary_join_element_wise("", lines, "\n", " ")))
        table = arrow.table({"text": arrow.chunked_array(parts)})
        path = folder / f"{name}-{shard:05}-of-{n_shards:05}.parquet"
        parquet.write_table(table, path, row_group_size=n_lines, use_dictionary=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    arrow = pytest.importorskip("pyarrow")
    folder, generator = tmp_path_factory.mktemp("source"), np.random.default_rng(0)
    words = arrow.array(["<unk>", *(word(rank) for rank in range(N_TYPES - 2))])
    write(folder, "train", N_SHARDS, N_LINES, N_TOKENS, words, generator, all_types=True)
    for split, (n_lines, n_tokens) in SMALL.items():
        name = "validation" if split == "valid" else split
        write(folder, name, 1, n_lines, n_tokens, words, generator, all_types=False)
    return folder


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    counts = {"train": (N_LINES, N_TOKENS), **SMALL}
    splits = {split: Split(CORPORA["wikitext103"].splits[split].stems, (), None, *counts[split]) for split in SPLITS}
    return replace(CORPORA["wikitext103"], name="large", title="the large corpus", splits=splits)


def start(corpus: Corpus, folder: Path, source: Path) -> subprocess.Popen:
    pickled = folder / "corpus.pickle"
    pickled.write_bytes(pickle.dumps(corpus))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE, str(pickled), str(folder), str(source)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> tuple[list[str], dict[str, list[str]]]:
    """All that a client said, and its last lines by their first word."""
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0
    lines = output.splitlines()
    return lines, {line.split()[0]: line.split()[1:] for line in lines[-3:]}


@pytest.fixture(scope="module")
def whole(corpus, source, tmp_path_factory) -> tuple[list[str], dict[str, list[str]], Path]:
    folder = tmp_path_factory.mktemp("whole")
    return *finish(start(corpus, folder, source)), folder


@pytest.fixture(scope="module")
def prepared(corpus, whole) -> Prepared:
    found = open_prepared(corpus, whole[2])
    assert found is not None
    return found


def test_two_million_tokens_a_second_in_a_gigabyte(whole, capsys):
    lines, said, _ = whole
    processor, clock = map(float, said["seconds"])
    n_tokens = N_TOKENS + sum(n_tokens for _, n_tokens in SMALL.values())
    with capsys.disabled():
        print(
            f"\n{n_tokens / processor / 1e6:.2f} million tokens a second of processor time, "
            f"{n_tokens / clock / 1e6:.2f} by the clock (load {os.getloadavg()[0]:.1f}), "
            f"{int(said['peak'][0]) / 2**20:.0f} MiB at most"
        )
    assert n_tokens / processor > 2e6
    assert int(said["peak"][0]) < MOST_MEMORY
    assert sum(" % (" in line for line in lines) >= 2  # a word of progress now and then


def test_counts_and_order(prepared):
    assert [prepared.n_tokens(split) for split in SPLITS] == [N_TOKENS, 217_646, 245_569]
    assert [prepared.manifest["splits"][split]["n_lines"] for split in SPLITS] == [N_LINES, 3_760, 4_358]
    assert len(set(prepared.vocabulary)) == N_TYPES
    assert prepared.ids("train").dtype == np.dtype("<u4")
    counts = np.bincount(prepared.ids("train"), minlength=N_TYPES)
    assert (np.diff(counts) <= 0).all() and counts[-1] >= 1


def test_killed_midway_and_gone_on_with(corpus, source, whole, tmp_path):
    process = start(corpus, tmp_path, source)
    for line in process.stdout:
        if " % (" in line and int(line.split(", ")[1].split()[0]) >= 30:
            break
    process.kill()
    process.communicate()
    assert open_prepared(corpus, tmp_path) is None
    lines, said = finish(start(corpus, tmp_path, source))
    done = next(int(line.split()[-2].replace(",", "")) for line in lines if "going on at" in line)
    assert 0.29 * N_TOKENS < done < N_TOKENS  # 30 % of all splits, rounded
    assert said["sha256"] == whole[1]["sha256"]
    assert int(said["peak"][0]) < MOST_MEMORY
    assert float(said["seconds"][0]) < float(whole[1]["seconds"][0])


def resident() -> int:
    """Bytes of this process in memory, those of mapped files too."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) << 10


@pytest.mark.parametrize("variable_seed", [None, 0])
@pytest.mark.parametrize(("batch_size", "bptt"), [(20, 35), (60, 35), (20, 512), (60, 512)])
def test_fifty_million_tokens_a_second_are_read(batch_size, bptt, variable_seed, prepared, capsys):
    stream = TokenStream(prepared.ids("train"), batch_size, bptt, variable_seed)
    stream.window(0)
    memory, peak, n_tokens, begun = resident(), 0, 0, (time.process_time(), time.perf_counter())
    for index in range(stream.n_windows):
        n_tokens += stream.window(index)[1].numel()
        if index % 1000 == 999:
            peak = max(peak, resident())
    processor, clock = time.process_time() - begun[0], time.perf_counter() - begun[1]
    with capsys.disabled():
        print(
            f"\n{batch_size} x {bptt}: {n_tokens / processor / 1e6:.0f} million tokens a second of processor time, "
            f"{n_tokens / clock / 1e6:.0f} by the clock (load {os.getloadavg()[0]:.1f}), "
            f"{(peak - memory) / 2**20:.0f} MiB more"
        )
    assert n_tokens / processor > 50e6
    assert peak - memory < 64 << 20  # of a file of 413 million bytes
