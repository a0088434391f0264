"""The translation task's batches, and whole runs of it on made text: resumed, in two processes, translated."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from said import losses

from seqbench.data.pairs.subword import BOS, EOS, PAD
from seqbench.tasks.translation.translation import Multi30k

# a language in which each word has its translation and every sentence is turned around
WORDS = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"]


def write(folder: Path, sizes=(400, 30, 20)) -> Path:
    folder.mkdir()
    draw = np.random.default_rng(0)
    for stem, size in zip(("train", "val", "test_2016_flickr"), sizes, strict=True):
        rows = [draw.integers(0, len(WORDS), draw.integers(2, 6)) for _ in range(size)]
        english = [" ".join(WORDS[i] for i in row) for row in rows]
        german = [" ".join(WORDS[i].upper() for i in row[::-1]) for row in rows]
        (folder / f"{stem}.en").write_text("".join(f"{line}\n" for line in english))
        (folder / f"{stem}.de").write_text("".join(f"{line}\n" for line in german))
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "raw")


@pytest.fixture(scope="module")
def task(raw, tmp_path_factory):
    return make(tmp_path_factory.mktemp("task"), raw)


def make(data_dir, raw, **changed):
    plain = {"source_language": "en", "target_language": "de", "vocabulary_size": 300, "subword": "bpe"}
    plain |= {"max_pieces": 50, "max_ratio": None, "tokenized": False, "batch_tokens": 200, "eval_batch_tokens": 150}
    return Multi30k(**{**plain, "data_seed": 0, **changed}, data_dir=data_dir, source=str(raw))


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_batches_are_the_pairs(task, split, raw):
    stem = {"train": "train", "valid": "val", "test": "test_2016_flickr"}[split]
    english, german = ((raw / f"{stem}.{name}").read_text().splitlines() for name in ("en", "de"))
    seen = []
    for index in range(task.n_batches(split)):
        batch = task.batch(split, index)
        seen += batch.rows_B.tolist()
        assert max(batch.source.numel(), batch.inputs.numel()) <= (200 if split == "train" else 150)
        assert batch.count() == int(batch.valid_BT.sum()) and batch.reset
        for row, number in enumerate(batch.rows_B.tolist()):
            source = batch.source[row][batch.source_valid_BS[row]].tolist()
            target = batch.targets[row][batch.valid_BT[row]].tolist()
            assert source[-1] == target[-1] == EOS
            assert task.detokenize([source[:-1], target[:-1]]) == [english[number % 2**32], german[number % 2**32]]
            assert batch.inputs[row][batch.valid_BT[row]].tolist() == [BOS, *target[:-1]]
        for ids, valid in ((batch.inputs, batch.valid_BT), (batch.targets, batch.valid_BT)):
            assert (ids[~valid] == PAD).all()
    assert len(seen) == len(set(seen)) == len(english)
    if split != "train":
        assert task.sentences(sorted(seen), "target") == german


def test_the_version_tells_data_and_subwords_apart(task, raw, tmp_path):
    other = make(tmp_path, raw, vocabulary_size=290)
    assert other.version["subwords_sha256"] != task.version["subwords_sha256"]
    assert other.version["data_sha256"] != task.version["data_sha256"]
    assert make(tmp_path, raw, data_seed=3).version == make(tmp_path, raw).version
    assert task.version["remark"] == "not the published pairs"


SMALL = [
    *("task=multi30k_ende", "model=rnn_attention", "model@model.encoder=gru", "model@model.decoder=gru"),
    *("model.encoder.hidden_size=16", "model.decoder.hidden_size=32", "model.d_attention=16", "embedding.d_embed=16"),
    *("task.vocabulary_size=300", "task.batch_tokens=300", "optimizer=adam", "optimizer.lr=1e-2", "train.threads=1"),
    *("head=softmax", "head.label_smoothing=0.1", "head.target_chunk=64", "network.dropout_input=0.1"),
]


def settings(raw, tmp_path, *extra):
    return [*SMALL, f"source={raw}", f"data_dir={tmp_path / 'data'}", *extra]


def run_of(tmp_path) -> Path:
    return next(path for path in (tmp_path / "outputs").iterdir())


def test_a_run_learns_and_is_translated(seqbench, raw, tmp_path):
    code, said, wrong = seqbench("prepare", *settings(raw, tmp_path), apart=True)
    assert code == 0, wrong
    assert "400 / 30 / 20 pairs of 400 training lines (left out: 0 empty, 0 invalid_utf8, 0 long, 0 ratio)" in said
    asked = settings(raw, tmp_path, "train.max_steps=400", "train.eval_every=100")
    code, said, wrong = seqbench("train", *asked)
    assert code == 0, wrong
    assert "multi30k_ende: holding " in said  # the prepared set, against the source that is given again
    run = run_of(tmp_path).name
    code, said, wrong = seqbench("eval", f"run={run}", "evaluation=beam", "split=train")
    assert (code, said) == (2, "") and "evaluation=beam is for split=valid or test, not train" in wrong
    code, said, wrong = seqbench("eval", f"run={run}", "evaluation=beam", "evaluation.beam_width=3")
    assert code == 0, wrong
    found = json.loads(said)
    assert found["metrics"]["bleu"] > 60 and found["metrics"]["ter"] < 30
    assert found["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    record = json.loads((tmp_path / "results" / "runs" / f"{run}.json").read_text())
    (kept,) = record["evaluations"]["beam"]["test"]
    assert kept["metrics"] == found["metrics"] and kept["settings"]["beam_width"] == 3
    assert kept["metrics"]["nll"] == pytest.approx(record["metrics"]["test"]["nll"])
    assert set(record["task_version"]) >= {"data_sha256", "subwords_sha256", "subwords"}
    translations = run_of(tmp_path) / "translations.test.txt"
    line = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(raw / "test_2016_flickr.de"),
        "-i",
        str(translations),
        "-b",
        "-w",
        "6",
    ]
    printed = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    assert float(printed) == pytest.approx(found["metrics"]["bleu"], abs=1e-6)
    assert seqbench("eval", f"run={run}", "evaluation=beam", "evaluation.beam_width=1")[0] == 0
    record = json.loads((tmp_path / "results" / "runs" / f"{run}.json").read_text())
    widths = [one["settings"]["beam_width"] for one in record["evaluations"]["beam"]["test"]]
    assert widths == [3, 1]  # the first is not lost
    code, _, said = seqbench("eval", f"run={run}", "evaluation=cache")
    assert code == 2 and "is for language modelling" in said


def test_resumed_equals_uninterrupted(seqbench_in, raw, tmp_path):
    states = []
    for name, times in (("whole", 1), ("parts", 2)):
        place = tmp_path / name
        place.mkdir()
        for index in range(times):
            asked = settings(
                raw, tmp_path, "train.max_steps=12", "train.eval_every=6", "log.every=1", "checkpoint.every=1"
            )
            code, _, wrong = seqbench_in(place, "train", *asked)
            assert code == 0, wrong
            folder = run_of(place)
            if index < times - 1:  # as if it had been killed after step 11
                (folder / "record.json").unlink()
                newest = sorted((folder / "checkpoints").glob("step-*.pt"))[-1]
                newest.unlink()
        payload = torch.load(sorted((folder / "checkpoints").glob("step-*.pt"))[-1], weights_only=True)
        states.append(((folder / "metrics.jsonl").read_bytes(), payload["network"], payload["progress"]))
    assert states[0][0] == states[1][0]
    assert all(torch.equal(tensor, states[1][1][name]) for name, tensor in states[0][1].items())
    assert (states[0][2]["n_resumed"], states[1][2]["n_resumed"]) == (0, 1)


def test_one_process_equals_two(seqbench_in, raw, tmp_path):
    found = []
    for nproc in (1, 2):
        place = tmp_path / str(nproc)
        place.mkdir()
        asked = settings(
            raw, tmp_path, "train.max_steps=8", "log.every=1", f"train.nproc={nproc}", "train.eval_every=8"
        )
        code, said, wrong = seqbench_in(place, "train", *asked, "network.dropout_input=0", "task.eval_batch_tokens=9")
        assert code == 0, wrong
        assert said.count(": holding ") == nproc - 1  # by one process alone
        record = json.loads((run_of(place) / "record.json").read_text())
        found.append((losses(run_of(place)), record["metrics"]["test"]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-4)


MISTAKES = [
    (
        "model=lstm",
        "LSTM has no decoder: this task is a translation, so choose a model of both, such as model=rnn_attention.",
    ),
    (
        "+model.encoder.hiden_size=3",
        "model.encoder.hiden_size is not an argument of GRU (did you mean model.encoder.hidden_size?).",
    ),
    ("model.decoder.hidden_size=abc", "model.decoder.hidden_size must be an integer, not 'abc'."),
    (
        "model.encoder._target_=os.system",
        "model.encoder._target_ must lie in seqbench.models, not 'os.system'.",
    ),
    (
        "model.encoder=3",
        "model.encoder needs a _target_ and its arguments: model@model.encoder=<a model>.",
    ),
    (
        "~model.encoder.dropout",
        "model.encoder.dropout is missing: GRU needs it in its YAML.",
    ),
    ("model.attention=sum", "model.attention is one of additive, general, dot, not 'sum'."),
    ("embedding=one_hot", "translation reads embedded tokens, and OneHot embeds none."),
    ("task.target_language=fr", "Multi30k has the languages en and de, not 'fr'."),
    ("task.batch_tokens=0", "task.batch_tokens is at least 1, not 0."),
    (
        "task.data_seed=18446744073709551616",
        "task: task.data_seed is at least 0 and below 2^64, not 18446744073709551616.",
    ),
    ("head=squared_error", "SquaredError is a head for real numbers, and this task's outputs are classes."),
    (
        "model@model.encoder=gnmt",
        "model: GNMT has an encoder and a decoder itself, and is no part of one.",
    ),
    ("model.encoder.backend=fast", "model.encoder.backend is one of auto, reference, native, not 'fast'."),
    ("task=copy", "RNNAttention is an encoder and a decoder: a model for translation alone."),
]


@pytest.mark.parametrize(("change", "said"), MISTAKES, ids=[change for change, _ in MISTAKES])
def test_mistakes(seqbench, raw, tmp_path, change, said):
    group = change.partition("=")[0]
    replaced = {"task": ("task", "embedding")}.get(group, (group,) if group in ("model", "head", "embedding") else ())
    asked = [setting for setting in settings(raw, tmp_path) if not replaced or not setting.startswith(replaced)]
    code, _, wrong = seqbench("train", *asked, change, "train.max_steps=2")
    assert (code, wrong) == (2, f"seqbench: {said}\n")
    assert not (tmp_path / "outputs").exists()


def test_shared_embedding_is_for_translation(seqbench):
    code, _, said = seqbench("train", "network.shared_embedding=true")
    assert code == 2 and "network.shared_embedding=true is for translation" in said


def test_nested_backends_are_no_part_of_a_run(seqbench):
    ids = []
    for change in ([], ["model.encoder.backend=reference"], ["model.encoder.hidden_size=8"]):
        asked = [
            "task=multi30k_ende",
            "model=rnn_attention",
            "model@model.encoder=scornn",
            "model.encoder.n_negative=4",
        ]
        ids.append(seqbench("show", *asked, *change)[1].splitlines()[0])
    assert ids[0] == ids[1] != ids[2]


def test_real_multi30k(real_data, tmp_path):
    if not (real_data / "multi30k").exists():
        pytest.skip("Multi30k is not there")
    task = make(tmp_path, real_data / "multi30k", vocabulary_size=8000, max_pieces=200, batch_tokens=4096)
    entries = task.pairs.manifest["splits"]
    assert [entries[split]["n_pairs"] for split in ("train", "valid", "test")] == [29_000, 1_014, 1_000]
    assert sum(entries["train"]["skipped"].values()) == 0
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("source=nowhere", "source=nowhere is not a folder; name the folder that holds train.en, train.de"),
        ("task.max_pieces=0", "task.max_pieces and task.vocabulary_size are at least 1."),
        ("task.subword=words", "task.subword is one of bpe, unigram, not 'words'."),
        (
            "task.vocabulary_size=10000000000",
            "a vocabulary of 10,000,000,000 bpe pieces cannot be learnt from this text",
        ),
    ],
)
def test_mistakes_of_prepare(seqbench, raw, tmp_path, change, said):
    code, _, wrong = seqbench("prepare", "task=multi30k_ende", f"source={raw}", "data_dir=new/data", change)
    assert code == 2 and wrong.splitlines()[-1].startswith(f"seqbench: {said}")
    assert list(tmp_path.iterdir()) == []


def test_text_in_tokens_is_scored_apart(seqbench, raw, tmp_path):
    asked = settings(raw, tmp_path, "train.max_steps=2", "task.tokenized=true")
    assert seqbench("train", *asked)[0] == 0
    code, said, wrong = seqbench("eval", f"run={run_of(tmp_path).name}", "evaluation=beam", "evaluation.beam_width=1")
    assert code == 0, wrong
    found = json.loads(said)
    assert "bleu_tokenized" in found["metrics"] and "bleu" not in found["metrics"]
    assert "tok:none" in found["signatures"]["bleu_tokenized"]


def test_a_translation_is_one_line(task, monkeypatch):
    monkeypatch.setattr(task.pairs.subwords, "decode", lambda ids: ["one\ntwo", "a\r\nb"])
    assert task.detokenize([[], []]) == ["one two", "a b"]
