"""Sentence pairs of one's own: two files a split or a table, one run however they lie, another for other pairs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from said import one_sentence, run_id

WORDS = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"]
SMALL = [
    *("task=pairs", "task.source_language=x", "task.target_language=y", "model=rnn_attention"),
    *("model@model.encoder=gru", "model@model.decoder=gru", "model.encoder.hidden_size=8"),
    *("model.decoder.hidden_size=8", "model.d_attention=8", "embedding.d_embed=8", "task.vocabulary_size=290"),
    *("task.batch_tokens=300", "optimizer=adam", "train.max_steps=2", "train.threads=1", "data_dir=data"),
]


def write(folder: Path, form: str, seed: int = 0) -> None:
    folder.mkdir()
    for number, (split, size) in enumerate((("train", 200), ("dev" if form == "gz" else "valid", 20), ("test", 20))):
        draw = np.random.default_rng([seed, number])
        rows = [[WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(2, 6))] for _ in range(size)]
        pairs = [(" ".join(row), " ".join(row[::-1]).upper()) for row in rows]
        if form == "tsv":
            (folder / f"{split}.tsv").write_text("".join(f"{source}\t{target}\r\n" for source, target in pairs))
            continue
        for side, suffix in enumerate("xy"):
            content = "".join(f"{pair[side]}\n" for pair in pairs).encode()
            path = folder / f"{split}.{suffix}{'.gz' if form == 'gz' else ''}"
            path.write_bytes(gzip.compress(content) if form == "gz" else content)


def test_a_run_on_pairs_of_ones_own(seqbench, tmp_path):
    for form in ("plain", "gz", "tsv"):
        write(tmp_path / form, form)
    write(tmp_path / "others", "plain", seed=1)
    ids = [run_id(seqbench, *SMALL, f"source={form}") for form in ("plain", "gz", "tsv", "others")]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    code, said, errors = seqbench("train", *SMALL, "source=tsv")
    assert (code, errors) == (0, "") and f"Test of run {ids[0]}" in said
    code, said, errors = seqbench("train", *SMALL, "source=plain")
    assert code == 0 and "has finished" in said
    code, said, errors = seqbench(
        "eval", f"run={ids[0]}", "evaluation=beam", "evaluation.beam_width=2", "data_dir=data"
    )
    assert (code, errors) == (0, "")
    assert json.loads(said)["metrics"].keys() >= {"bleu", "chrf", "ppl"} and "nrefs:1" in said
    record = json.loads((tmp_path / "results" / "runs" / f"{ids[0]}.json").read_text())
    assert record["task_version"]["name"] == f"pairs-x-y-{record['task_version']['text_sha256'][:8]}"
    assert "remark" not in record["task_version"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ([], "task=pairs reads pairs of your own: name their folder as source=<folder>."),
        (["source=nowhere"], "is not a folder; name the folder that holds train.x, train.y, valid.x"),
        (["source=hub"], "is not a folder"),
        (["source=plain", "task.target_language=z"], "has train.x but not train.z (or .gz), its other side."),
        (["source=torn"], "line 2 of "),
        (["task.data_sha256=abc"], "The text of this run is not prepared in data; name its folder as source=<folder>."),
        (["source=plain", "task.target_language=x"], "is translated from one language into another"),
    ],
)
def test_a_mistake_is_one_sentence(settings, complaint, seqbench, tmp_path):
    write(tmp_path / "plain", "plain")
    write(tmp_path / "torn", "tsv")
    (tmp_path / "torn" / "train.tsv").write_text("a\tb\na b\n")
    code, _, errors = seqbench("train", *SMALL, *settings)
    assert code == 2 and complaint in one_sentence(errors)
    assert not (tmp_path / "outputs").exists()
