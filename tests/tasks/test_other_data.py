"""A finished run is of the data that it was trained on: the command that names others is not told that it has finished,
and no record of other data is lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from said import one_sentence

from seqbench.config.compose import composed
from seqbench.config.identity import former_run_id, run_id

WORDS = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"]
SMALL = [
    *("task=multi30k_ende", "model=rnn_attention", "model@model.encoder=gru", "model@model.decoder=gru"),
    *("model.encoder.hidden_size=8", "model.decoder.hidden_size=8", "model.d_attention=8", "embedding.d_embed=8"),
    *("task.vocabulary_size=290", "task.batch_tokens=300", "optimizer=adam", "train.max_steps=2", "train.threads=1"),
]


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """Folders A and B with the files of Multi30k, of different lines."""
    root = tmp_path_factory.mktemp("texts")
    for seed, name in enumerate("AB"):
        (root / name).mkdir()
        draw = np.random.default_rng(seed)
        for stem, size in (("train", 200), ("val", 20), ("test_2016_flickr", 20)):
            rows = [[WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(2, 6))] for _ in range(size)]
            (root / name / f"{stem}.en").write_text("".join(f"{' '.join(row)}\n" for row in rows))
            (root / name / f"{stem}.de").write_text("".join(f"{' '.join(row[::-1]).upper()}\n" for row in rows))
    return root


@pytest.fixture
def trained(seqbench, texts, tmp_path):
    """A run on A: how to call it again, and its record's file."""
    code, _, errors = seqbench("train", *SMALL, f"source={texts}/A", "data_dir=dA")
    assert code == 0, errors
    (record,) = (tmp_path / "results" / "runs").glob("*.json")

    def call(*settings: str) -> tuple[int, str, str]:
        return seqbench("train", *SMALL, *settings)

    return call, record


def test_a_finished_run_of_other_data(trained, texts, tmp_path):
    call, path = trained
    before, record = path.read_bytes(), json.loads(path.read_text())
    for settings in ([f"source={texts}/A", "data_dir=dA"], ["data_dir=dA"], ["data_dir=nowhere"], ["source=nowhere"]):
        code, said, errors = call(*settings)  # the same data, or none at hand
        assert (code, errors) == (0, "") and f"Run {path.stem} has finished" in said
    assert not (tmp_path / "nowhere").exists()
    code, said, errors = call(f"source={texts}/B", "data_dir=dB")
    assert code == 2 and "has finished;" not in said
    (folder,) = (tmp_path / "dB").glob("multi30k_ende-*")
    assert folder.is_dir()
    sha256 = record["task_version"]["data_sha256"]
    complaint = f"Run {path.stem} has finished, on other data than these (data_sha256 {sha256[:12]}, here "
    assert one_sentence(errors).startswith(complaint)
    assert "force=true and another results_dir=<folder>" in errors
    code, _, errors = call("data_dir=dB")  # the set alone says it, too
    assert code == 2 and "has finished, on other data than these" in one_sentence(errors)
    code, _, errors = call(f"source={texts}/B", "data_dir=dA")
    assert code == 2 and "was prepared from another train text than that of source=" in one_sentence(errors)
    shutil.copytree(texts / "B", tmp_path / "dC" / "multi30k")  # raw, where it is looked for
    code, _, errors = call("data_dir=dC")
    assert code == 2 and "has finished, on other data than these" in one_sentence(errors)
    assert path.read_bytes() == before


def test_a_record_of_other_data_is_not_replaced(trained, texts, tmp_path):
    call, path = trained
    before = path.read_bytes()
    asked = [f"source={texts}/B", "data_dir=dB"]
    for settings in (["force=true"], ["output_dir=elsewhere"]):
        code, _, errors = call(*asked, *settings)
        assert code == 2
        assert one_sentence(errors).startswith(
            f"results/runs/{path.name} is the record of this run on other data (data_"
        )
        assert path.read_bytes() == before
        assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "outputs" / path.stem / "record.json").read_bytes() == before
    code, said, errors = call(*asked, "force=true", "results_dir=of_B")
    assert code == 0, errors
    assert path.read_bytes() == before
    other = json.loads((tmp_path / "of_B" / "runs" / path.name).read_text())
    assert other["task_version"]["data_sha256"] != json.loads(before)["task_version"]["data_sha256"]
    code, _, errors = call(*asked)  # it has finished, and its record would take the place of A's
    assert code == 2 and "is the record of this run on other data" in one_sentence(errors)
    assert path.read_bytes() == before
    code, said, _ = call(*asked, "results_dir=of_B")
    assert code == 0 and "has finished" in said
    assert call(f"source={texts}/A", "data_dir=dA", "force=true")[0] == 0  # its own data again: replaced
    assert json.loads(path.read_text())["metrics"] == json.loads(before)["metrics"]


def test_a_record_under_a_former_id_is_not_replaced(seqbench, texts, tmp_path):
    settings = [*SMALL, "optimizer.lr=1", "task=multi30k_ende"]
    former = former_run_id(composed(settings))
    assert former != run_id(composed(settings))
    (tmp_path / "outputs" / former).mkdir(parents=True)  # begun by the first edition
    code, _, errors = seqbench("train", *settings, f"source={texts}/A", "data_dir=dA")
    assert code == 0, errors
    path = tmp_path / "results" / "runs" / f"{former}.json"
    before = path.read_bytes()
    code, _, errors = seqbench("train", *settings, f"source={texts}/B", "data_dir=dB", "force=true")
    assert code == 2
    assert one_sentence(errors).startswith(f"results/runs/{former}.json is the record of this run on other data (data_")
    code, _, errors = seqbench("train", *settings, "data_dir=dB")
    assert code == 2 and one_sentence(errors).startswith(f"Run {former} has finished, on other data than these (data_")
    assert path.read_bytes() == before
