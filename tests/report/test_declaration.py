from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seqbench.errors import UserError
from seqbench.report.declaration import read_declaration


def declare(tmp_path: Path, **changes) -> Path:
    """A valid declaration with one column, row or citation of it changed."""
    citation = {"value": 0.5, "source": "Somebody 2018, Table 1", "tag": "P"} | changes.get("citation", {})
    row = {"label": "LSTM", "experiment": "copy/lstm", "published": {"test.nll": citation}} | changes.get("row", {})
    column = {"heading": "Loss", "metric": "test.nll", "format": ".2f"} | changes.get("column", {})
    columns = [column, {"heading": "Published", "published": "test.nll"}]
    table = {"name": "copy", "title": "Copy", "columns": columns, "rows": [row]} | changes.get("table", {})
    for name, node in (("citation", citation), ("row", row), ("column", column), ("table", table)):
        if changes.get("without", ("", ""))[0] == name:
            del node[changes["without"][1]]
    path = tmp_path / "tables.yaml"
    path.write_text(yaml.safe_dump({"tables": [table]}))
    return path


def test_the_declaration_of_this_project_is_valid():
    path = Path(__file__).parents[2] / "results" / "tables.yaml"
    assert {"copy", "adding", "ptb_word", "ptb_char"} <= set(read_declaration(path))


@pytest.mark.parametrize("tag", ["C", "P", "T", "D", "CODE", "TEXT", "3P", "CALC"])
def test_tags_of_what_was_seen(tmp_path, tag):
    row = read_declaration(declare(tmp_path, citation={"tag": tag}))["copy"].rows[0]
    assert row.published["test.nll"].tag == tag


@pytest.mark.parametrize("tag", ["M-hi", "MEM hi", "UNKNOWN", "", None, "p"])
def test_other_tags_are_refused(tmp_path, tag):
    with pytest.raises(UserError, match="a published number needs a source in which it was checked"):
        read_declaration(declare(tmp_path, citation={"tag": tag}))


def test_the_papers_digits_are_kept(tmp_path):
    for value, printed in ((114.5, "114.5"), ("114.50", "114.50"), ("3.5e-5", "3.5e-5"), (97, "97")):
        row = read_declaration(declare(tmp_path, citation={"value": value}))["copy"].rows[0]
        assert row.published["test.nll"].value == printed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"citation": {"source": ""}}, "source of published"),
        ({"citation": {"value": "about 3"}}, "must be a number, not 'about 3'"),
        ({"citation": {"value": True}}, "must be a number, not True"),
        ({"citation": {"vaule": 1}}, "did you mean value?"),
        ({"without": ("citation", "source")}, "source is missing in published of the row 'LSTM' of the table copy"),
        ({"without": ("row", "experiment")}, "experiment is missing in a row of the table copy"),
        ({"row": {"lable": "x"}}, "'lable' is not a key of a row of the table copy (did you mean label?)"),
        ({"row": {"experiment": None, "published": {}}}, "Without an experiment"),
        ({"row": {"experiment": None, "partial": "1 of 2 epochs"}}, "Without an experiment"),
        ({"row": {"overrides": "train.max_epochs=2"}}, "must be a list"),
        ({"row": {"published": {"valid.nll": {"value": 1, "source": "x", "tag": "P"}}}}, "No column of the table copy"),
        ({"column": {"metric": "tset.nll"}}, "did you mean test.nll?"),
        ({"column": {"metric": "step"}}, "did you mean steps?"),
        ({"column": {"metric": "test"}}, "which no record has"),
        ({"column": {"format": ",d"}}, "cannot format numbers"),
        ({"column": {"published": "test.nll"}}, "Exactly one of metric, published and judged"),
        ({"row": {"seeds": 0}}, "seeds of the row 'LSTM' of the table copy must be a whole number, 1 at least, not 0"),
        ({"row": {"seeds": True}}, "must be a whole number, 1 at least, not True"),
        (
            {
                "row": {"published": {"test.accuracy": {"value": 96.2, "source": "B", "tag": "P"}}},
                "table": {"columns": [{"heading": "Published", "published": "test.accuracy"}]},
            },
            "The published test.accuracy of the row 'LSTM' of the table copy is in percent: it needs unit: \"%\"",
        ),
        ({"citation": {"unit": "percent"}}, "can be '%', or is left out, not 'percent'"),
        ({"table": {"claims": [{"better": "LSTM", "than": "GRU", "metric": "test.nll"}]}}, "no row of ours"),
        ({"table": {"claims": [{"better": "LSTM", "than": "LSTM"}]}}, "metric is missing in a claim of the table copy"),
        (
            {"table": {"claims": [{"better": "LSTM", "than": "LSTM", "metric": "test.nll", "source": "B"}]}},
            "source and tag go together in a claim of the table copy",
        ),
        ({"without": ("column", "format")}, "format is missing"),
        ({"table": {"nmae": "x"}}, "did you mean name?"),
        ({"table": {"name": "../copy"}}, "lower-case letters"),
        ({"table": {"rows": None}}, "must be a list, not None"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, changes, said):
    with pytest.raises(UserError) as caught:
        read_declaration(declare(tmp_path, **changes))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_declared_twice(tmp_path):
    path = declare(tmp_path)
    table = yaml.safe_load(path.read_text())["tables"][0]
    path.write_text(yaml.safe_dump({"tables": [table, table]}))
    with pytest.raises(UserError, match="declares the table copy twice"):
        read_declaration(path)


@pytest.mark.parametrize("content", ["tables: [", "", "tables: 3", "- copy"])
def test_a_file_that_declares_nothing(tmp_path, content):
    path = tmp_path / "tables.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"tables\.yaml") as caught:
        read_declaration(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"There is no .*tables\.yaml"):
        read_declaration(tmp_path / "tables.yaml")
