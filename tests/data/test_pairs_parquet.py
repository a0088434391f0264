"""Sentence pairs from parquet files, as the hub has them: their shards in order, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from made_pairs import SETTINGS, lines, made

from seqbench.data.errors import DataError
from seqbench.data.pairs.build import ensure_pairs
from seqbench.data.pairs.corpora import WMT14_FRENCH, WMT14_GERMAN
from seqbench.data.pairs.store import PairSettings


def parquet(folder: Path, rows: dict[str, list[tuple[str, str]]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    for split, pairs in rows.items():
        for shard in (0, 1):
            table = pa.table({"translation": [{"de": de, "en": en} for en, de in pairs[shard::2]]})
            pq.write_table(table, folder / f"{split}-0000{shard}-of-00002.parquet")


def test_parquet_shards(tmp_path):
    rows = {"train": made(200), "validation": made(10, 1), "test": made(8, 2)}
    parquet(tmp_path / "raw", rows)
    pairs = ensure_pairs(WMT14_GERMAN, SETTINGS, tmp_path / "data", str(tmp_path / "raw"))
    assert pairs.text("valid", "target") == lines([*rows["validation"][0::2], *rows["validation"][1::2]], 1)
    settings = PairSettings(("en", "fr"), 300, "bpe", 40, None, False)
    with pytest.raises(DataError, match="has no column 'translation' with the languages en and fr"):
        ensure_pairs(WMT14_FRENCH, settings, tmp_path / "data", str(tmp_path / "raw"))


MEASURE = r"""
import re, sys
from pathlib import Path
from seqbench.data.pairs.build import ensure_pairs
from seqbench.data.pairs.store import PairSettings
from seqbench.data.pairs.corpora import WMT14_GERMAN
def peak():  # not getrusage's, which begins with that of the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024
before = peak()
ensure_pairs(WMT14_GERMAN, PairSettings(("en", "de"), 300, "bpe", 250, 1.5, False), Path(sys.argv[2]), sys.argv[1])
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_text(tmp_path, monkeypatch):
    used = []
    for n in (20_000, 120_000):
        parquet(tmp_path / f"raw{n}", {"train": made(2_000) * (n // 2_000), "validation": made(10), "test": made(10)})
        code = f"import seqbench.data.pairs.build as build; build._SAMPLE = 4_000\n{MEASURE}"
        line = [sys.executable, "-c", code, str(tmp_path / f"raw{n}"), str(tmp_path / f"data{n}")]
        used.append(float(subprocess.run(line, check=True, capture_output=True, text=True).stdout))
    assert used[1] < used[0] + 12  # MiB; the lines that are more would take 20
