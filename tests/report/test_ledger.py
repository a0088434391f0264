from __future__ import annotations

import json
import math
import os

import pytest

from seqbench.errors import UserError
from seqbench.report.ledger import read_ledger, said, write_record


def test_what_is_written_is_read_back_sorted(make_record, tmp_path):
    for run_id in ("bbb", "aaa"):
        path = write_record(make_record(run_id), tmp_path / "runs")
        assert path == tmp_path / "runs" / f"{run_id}.json"
    records = read_ledger(tmp_path / "runs")
    assert [record.run_id for record in records] == ["aaa", "bbb"]
    assert records[0].config == make_record("aaa")["config"]
    assert records[0].values()["test.nll"] == 0.02
    assert records[0].values()["parameters.total"] == 22109
    assert sorted(os.listdir(tmp_path / "runs")) == ["aaa.json", "bbb.json"]


def test_the_file_has_sorted_keys_and_one_newline_at_its_end(make_record, tmp_path):
    record = make_record("aaa")
    shuffled = dict(reversed(record.items()))
    text = write_record(shuffled, tmp_path).read_text()
    assert text == json.dumps(record, indent=2, sort_keys=True) + "\n"


def test_a_crash_while_writing_leaves_the_old_record(make_record, tmp_path, monkeypatch):
    path = write_record(make_record("aaa", nll=0.5), tmp_path)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_record(make_record("aaa", nll=0.1), tmp_path)
    assert path.read_bytes() == before
    assert len(read_ledger(tmp_path)) == 1


def test_an_overflown_perplexity_is_null(make_record, tmp_path):
    record = make_record("aaa")
    record["metrics"]["test"]["ppl"] = math.inf
    assert "Infinity" not in write_record(record, tmp_path).read_text()
    assert read_ledger(tmp_path)[0].values()["test.ppl"] is None


def test_an_incomplete_record_is_not_written(make_record, tmp_path):
    record = make_record("aaa")
    del record["device"], record["dirty"]
    with pytest.raises(ValueError, match="lacks device, dirty"):
        write_record(record, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_keys_of_a_later_version_are_left_out(make_record, tmp_path):
    write_record(make_record("aaa") | {"invented_later": 1}, tmp_path)
    assert read_ledger(tmp_path)[0].run_id == "aaa"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.pop("steps"), "lacks steps"),
        (lambda record: record.update(steps="many"), "'many' for steps, where int belongs"),
        (lambda record: record.update(steps=True), "True for steps, where int belongs"),
        (lambda record: record.update(metrics={"test": 3}), "metrics.test"),
        (lambda record: record.update(metrics={"tset": {}}), "metrics.tset"),
        (lambda record: record["metrics"]["test"].update(nll="low"), "'low' for metrics.test.nll"),
        (lambda record: record["config"].pop("model"), "lacks config.model._target_"),
        (lambda record: record["task_version"].pop("version"), "lacks task_version.version"),
        (lambda record: record.update(run_id="other"), "holds the run other"),
    ],
)
def test_a_damaged_record_is_one_sentence_with_its_path(make_record, tmp_path, change, said):
    record = make_record("aaa")
    change(record)
    path = tmp_path / "aaa.json"
    path.write_text(json.dumps(record))
    with pytest.raises(UserError) as caught:
        read_ledger(tmp_path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b'{"run_id": ', b"[1, 2]", b"\xff\xfe\x00"])
def test_a_file_that_is_no_record_is_one_sentence_with_its_path(tmp_path, content):
    path = tmp_path / "aaa.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_ledger(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_ledger_that_is_not_there_is_no_empty_ledger(tmp_path):
    with pytest.raises(UserError, match="first run that finishes"):
        read_ledger(tmp_path / "rusn")


def test_metrics_in_one_line():
    metrics = {"forward_residual": 0.125, "ppl": math.e, "nll": None, "n_targets": 5, "n_targets_from_10": 3}
    assert said(metrics) == "nll –  ppl 2.7183  forward_residual 0.125"
