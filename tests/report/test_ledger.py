from __future__ import annotations

import dataclasses
import errno
import json
import math
import os

import pytest
import yaml

from seqbench.config.schema import folder
from seqbench.contracts.metrics import in_one_line
from seqbench.engine.record import with_later_findings
from seqbench.errors import UserError
from seqbench.report.evaluations import known_names, name_of
from seqbench.report.ledger import read_ledger, write_record
from seqbench.report.record import TYPES, Record, dumps


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


def test_a_failed_write_names_the_file_and_leaves_no_draft(make_record, tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        write_record(make_record("aaa"), tmp_path)
    assert caught.value.filename == str(tmp_path / "aaa.json")
    assert list(tmp_path.iterdir()) == []


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
        (lambda record: record.update(steps="many"), "'many' for steps, where an integer belongs"),
        (lambda record: record.update(steps=True), "True for steps, where an integer belongs"),
        (lambda record: record.update(metrics={"test": 3}), "metrics.test"),
        (lambda record: record.update(metrics={"tset": {}}), "metrics.tset"),
        (lambda record: record["metrics"]["test"].update(nll="low"), "'low' for metrics.test.nll"),
        (lambda record: record["config"].pop("model"), "lacks config.model._target_"),
        (lambda record: record["task_version"].pop("version"), "lacks task_version.version"),
        (lambda record: record.update(run_id="other"), "holds the run other"),
        (lambda record: record.update(run_id="0123456789ab"), "has the config of another run (ced23694495f)"),
        (lambda record: record["metrics"].pop("test"), "lacks metrics.test"),
        (lambda record: record.update(metrics={}), "lacks metrics.test"),
        (lambda record: record.update(evaluations={"beam": [1]}), "evaluations.beam, where a mapping of splits"),
        (lambda record: record.update(evaluations={"beam": {"test": 3}}), "evaluations.beam.test, where what"),
        (lambda record: record.update(evaluations={"beam": {"test": [{"metrics": 3}]}}), "evaluations.beam.test"),
        (
            lambda record: record.update(evaluations={"beam": {"test": [{"metrics": {}, "settings": 1}]}}),
            "evaluations.beam.test",
        ),
        (lambda record: record.update(evaluations={"unheard": {"sets": []}}), "evaluations.unheard.sets"),
        (lambda record: record.update(experiment="copy\ud800"), "characters in experiment that are no text"),
        (lambda record: record.update(device="cpu \x1b[2J"), "characters in device that are no text"),
        (lambda record: record["metrics"]["test"].update({"n\nll": 1.0}), "a name of metrics.test that are no text"),
        (lambda record: record.update(steps=10**400), "impossible number in steps"),
        (lambda record: record["metrics"]["test"].update(nll=math.nan), "NaN is no JSON"),
        (lambda record: record["metrics"]["test"].update(nll=math.inf), "Infinity is no JSON"),
        (lambda record: record.update(curve={"steps": [1, 2], "nll": [1.0]}), "a curve that is not one number"),
        (lambda record: record.update(curve={"steps": [1], "nll": ["low"]}), "a curve that is not one number"),
        (lambda record: record.update(curve={"steps": 3}), "a curve that is not one number"),
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


def test_a_number_beyond_float64_is_refused(make_record, tmp_path):
    text = dumps(make_record("aaa")).replace('"nll": 0.02\n', '"nll": 1e999\n')
    (tmp_path / "aaa.json").write_text(text)
    with pytest.raises(UserError, match=r"a number in metrics\.test\.nll that is not finite"):
        read_ledger(tmp_path)


def test_an_evaluation_of_another_version_is_carried(make_record, tmp_path):
    entry = {"category": "later", "metrics": {"ppl": 3.0}, "settings": {"depth": 2}, "more": [1, {"deep": None}]}
    write_record(make_record("aaa") | {"evaluations": {"unheard": {"test": [entry]}}}, tmp_path)
    (record,) = read_ledger(tmp_path)
    assert record.evaluations == {"unheard": {"test": [entry]}}
    assert record.values()["unheard.test.ppl"] == 3.0
    again = with_later_findings(make_record("aaa"), tmp_path)
    assert again["evaluations"]["unheard"]["test"] == [entry]  # of a run that this version trains again


def test_names_of_evaluations_are_those_of_conf():
    assert known_names() == ["beam", "cache", "dynamic", "frequency", "sliding"]
    for name in ("static", *known_names()):
        assert name_of(yaml.safe_load((folder() / "evaluation" / f"{name}.yaml").read_text())) == name


def test_every_field_has_its_types():
    assert set(TYPES) == {field.name for field in dataclasses.fields(Record)}


@pytest.fixture
def with_damage(make_record, tmp_path):
    """A ledger of one sound record, a torn one, one that is no text, and a pipe, which nobody writes into."""
    write_record(make_record("aaa"), tmp_path / "runs")
    (tmp_path / "runs" / "bbb.json").write_text('{"run_id": ')
    (tmp_path / "runs" / "ccc.json").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "runs" / "ddd.json")
    return tmp_path


def test_the_list_names_what_cannot_be_read_and_goes_on(seqbench, with_damage):
    code, said, errors = seqbench("list", "results_dir=.")
    assert (code, errors) == (0, "")
    lines = [line for line in said.splitlines() if line]
    assert lines[1].split()[:2] == ["aaa", "copy_t1000/lstm"]  # below the headings
    assert [line[:26] for line in lines[2:4]] == ["runs/bbb.json cannot be re", "runs/ccc.json cannot be re"]
    assert lines[4:] == ["runs/ddd.json is not a file."]


def test_tables_are_not_made_without_a_run_that_may_belong_to_them(with_damage):
    with pytest.raises(UserError) as caught:
        read_ledger(with_damage / "runs")
    assert str(caught.value) == (
        f"{with_damage}/runs/bbb.json cannot be read as a run's record: Expecting value: line 1 column 12 (char 11). "
        "Training its run again writes it anew; else remove it. Nor can 2 more be read."
    )


def test_a_run_that_has_not_finished_is_listed_as_such(seqbench, make_record, tmp_path):
    write_record(make_record("aaa") | {"status": "running", "metrics": {}}, tmp_path / "runs")
    row = seqbench("list", "results_dir=.")[1].splitlines()[-1]
    assert row.split() == ["aaa", "copy_t1000/lstm", "0", "10,000", "running"]


def test_a_draft_that_a_killed_process_left_is_removed(make_record, tmp_path):
    drafts = [tmp_path / f".aaa.json.{pid}.draft" for pid in (2**22 + 1, os.getppid())]  # no such process; one there is
    for draft in drafts:
        draft.write_text("half")
        os.utime(draft, (0, 0))
    write_record(make_record("aaa"), tmp_path)
    assert sorted(tmp_path.glob(".*")) == drafts[1:]


def test_a_ledger_that_is_not_there_is_no_empty_ledger(tmp_path):
    with pytest.raises(UserError, match="first run that finishes"):
        read_ledger(tmp_path / "rusn")


def test_metrics_in_one_line():
    metrics = {"forward_residual": 0.125, "ppl": math.e, "nll": None, "n_targets": 5, "n_targets_from_10": 3}
    assert in_one_line(metrics) == "nll –  ppl 2.7183  forward_residual 0.125"
