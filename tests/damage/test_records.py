"""Records and tables that are damaged or cannot be written: each an exact sentence, with nothing lost or left."""

import json

import pytest
from damaged import SMALL, cut
from said import one_sentence

from seqbench.report.ledger import write_record


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        cut,
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
        lambda path: path.write_text(path.read_text().replace('"n_copied": 10', '"n_copied": 11')),
        lambda path: path.write_text(path.read_text().replace('"torch": "', '"torch": "9')),
    ],
    ids=["missing", "empty", "cut", "no text", "another config", "another version"],
)
def test_a_ledgers_record_is_written_again_from_the_runs_own(seqbench, whole_run, damage):
    before = whole_run.read_bytes()
    damage(whole_run)
    assert not whole_run.exists() or whole_run.read_bytes() != before
    there = whole_run.exists()
    code, said, errors = seqbench("train", *SMALL)
    assert (code, errors) == (0, "")
    assert whole_run.read_bytes() == before
    told = f"results/runs/{whole_run.name} was not the run's own record and is written again.\n"
    assert (told in said) == there


def test_evaluations_that_only_the_ledger_has_stay(seqbench, whole_run):
    record = json.loads(whole_run.read_text())
    record["evaluations"] = {"unheard": {"test": [{"category": "later", "metrics": {"ppl": 2.0}}]}}
    write_record(record, whole_run.parent)
    before = whole_run.read_bytes()
    code, said, _ = seqbench("train", *SMALL)
    assert code == 0 and "written again" not in said
    assert whole_run.read_bytes() == before


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_text(path.read_text().replace("finished", "running"))])
def test_a_run_whose_own_record_is_not_whole_has_not_finished(seqbench, whole_run, damage):
    before = json.loads(whole_run.read_text())
    folder = whole_run.parents[2] / "outputs" / whole_run.stem
    damage(folder / "record.json")
    code, said, errors = seqbench("train", *SMALL)
    assert (code, errors) == (0, "")
    assert f"Resuming {whole_run.stem} at step 4.\n" in said
    after = json.loads((folder / "record.json").read_text())
    assert (after["metrics"], after["curve"]) == (before["metrics"], before["curve"])


def test_show_refuses_a_record_that_is_no_text(seqbench, whole_run):
    whole_run.write_bytes(b"\xff\xfe")
    code, said, errors = seqbench("show", f"run={whole_run.stem}")
    assert (code, said) == (2, "")
    assert one_sentence(errors).startswith(
        f"results/runs/{whole_run.name} cannot be read as a run's record: 'utf-8' codec"
    )


def test_a_table_is_written_whole_or_not_at_all(seqbench, whole_run):
    results = whole_run.parents[1]
    (results / "tables.yaml").write_text(
        "tables: [{name: copy, title: Copying, columns: [{heading: Steps, metric: steps, format: ',.0f'}], rows: []}]"
    )
    assert seqbench("tables")[0] == 0
    before = (results / "tables" / "copy.md").read_bytes()
    code, _, said = seqbench("tables", largest_file=50)
    assert (code, one_sentence(said)) == (2, "results/tables/copy.md: File too large.")
    assert (results / "tables" / "copy.md").read_bytes() == before
    assert sorted(path.name for path in (results / "tables").iterdir()) == ["copy.md", "copy.tex"]


def test_a_path_that_stdouts_encoding_does_not_have(seqbench, whole_run):
    results = whole_run.parents[1].rename(whole_run.parents[2] / "Übung")
    (results / "tables.yaml").write_text(
        "tables: [{name: copy, title: Copying, columns: [{heading: Steps, metric: steps, format: ',.0f'}], rows: []}]"
    )
    code, said, errors = seqbench("tables", 'results_dir="Übung"', PYTHONIOENCODING="ascii")
    assert (code, errors) == (0, "")
    assert said == "\\xdcbung/tables/copy.md\n\\xdcbung/tables/copy.tex\n"
