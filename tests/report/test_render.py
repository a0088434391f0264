from __future__ import annotations

import pytest

from seqbench.report.record import Record
from seqbench.report.render import escape_latex, escape_markdown, render_one_row


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("copy_t1000 5% A&B #1 $2 {x}", r"copy\_t1000 5\% A\&B \#1 \$2 \{x\}"),
        ("a~b^c", r"a\textasciitilde{}b\textasciicircum{}c"),
        ("a\\b", r"a\textbackslash{}b"),
        ("0.1 ± 0.2", r"0.1 $\pm$ 0.2"),
        ("–", "--"),
        ("[1] *", "{[}1{]} {*}"),
        ("a < b | c > d", r"a \textless{} b \textbar{} c \textgreater{} d"),
        ("Cissé, 2 × 200", r"Cissé, 2 $\times$ 200"),
    ],
)
def test_latex_is_escaped_once(text, escaped):
    assert escape_latex(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("copy_t1000 _x_", r"copy_t1000 \_x\_"),
        ("*b* `c` <d> $e$ [f] #g &h; ~i~", r"\*b\* \`c\` \<d\> \$e\$ \[f\] \#g \&h; \~i\~"),
        ("a\\b", r"a\\b"),
        ("0.1 ± 0.2, 5%", "0.1 ± 0.2, 5%"),
    ],
)
def test_markdown_is_escaped_once(text, escaped):
    assert escape_markdown(text) == escaped


def test_the_table_of_one_run(make_record):
    assert render_one_row(Record(**make_record("aaa", nll=0.0187))) == (
        "| Model | Parameters |  Steps | Test nll | Baseline nll | Test accuracy | Published |\n"
        "|:------|-----------:|-------:|---------:|-------------:|--------------:|----------:|\n"
        "| LSTM  |     22,109 | 10,000 |   0.0187 |       0.0204 |         0.125 |           |\n"
    )


def test_the_table_of_a_run_without_baseline(make_record):
    record = make_record("aaa")
    record["metrics"] = {"test": {"ppl": None, "nll": 4.7406, "n_targets": 82430}, "baseline": {}}
    assert render_one_row(Record(**record)).splitlines()[::2] == [
        "| Model | Parameters |  Steps | Test ppl | Test nll | Published |",
        "| LSTM  |     22,109 | 10,000 |        – |    4.741 |           |",
    ]
