"""Axes, charts and the words of numbers, by themselves."""

import math

import pytest

from seqbench.report.site.axis import Axis, axis_for
from seqbench.report.site.chart import Chart, Line, draw
from seqbench.report.site.docstrings import blocks
from seqbench.report.site.wording import duration, number, tick


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0.0, 10_000.0, False, [0, 2000, 4000, 6000, 8000, 10_000]),
        (4.66, 5.42, False, [4.8, 5.0, 5.2, 5.4]),
        (0.0, 1.0, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1e-6, 0.3, True, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1]),
        (0.9, 30.0, True, [1, 2, 5, 10, 20]),
        (0.5, 0.6, True, [0.5, 0.52, 0.54, 0.56, 0.58, 0.6]),
    ],
)
def test_ticks_are_round(low, high, log, ticks):
    assert Axis(low, high, log).ticks() == pytest.approx(ticks)


def test_there_are_never_too_many_ticks_nor_too_few():
    for exponent in range(-12, 13):
        for high in (1.1, 2, 3.7, 9.9, 1e3, 1e9):
            for log in (False, True):
                axis = Axis(10.0**exponent, 10.0**exponent * high, log)
                ticks = axis.ticks()
                assert 2 <= len(ticks) <= 8, (axis, ticks)
                places = [axis.place(tick) for tick in ticks]
                assert places == sorted(places) and places[0] > -1e-6 and places[-1] < 1 + 1e-6, (axis, ticks)


def test_an_axis_of_one_number_has_room():
    assert axis_for([5.0], False).place(5.0) == pytest.approx(0.5)
    assert axis_for([5.0], True).place(5.0) == pytest.approx(0.5)
    assert axis_for([0.0, 1.0], False).low == 0.0
    assert not axis_for([0.0, 1.0], True).log  # zero has no logarithm


def test_a_chart_leaves_out_what_it_cannot_show():
    lines = [Line("a", "", [(1, 0.5), (2, 0.0), (3, math.inf), (4, 0.25)]), Line("b", "", [(1, -1.0)])]
    drawing = draw(Chart("t", "x", "y", lines, log_y=True, references=[(0.0, "none", ""), (1.0, "level", "a")]))
    assert drawing is not None
    assert len(drawing.marks) == 1 and len(drawing.marks[0].dots) == 2
    assert [(text, style) for _, text, style in drawing.references] == [("level", "c0")]
    assert draw(Chart("t", "x", "y", [Line("a", "", [])])) is None


def test_numbers():
    assert [number(value) for value in (None, 3, 4653200.0, 0.0123456, 112.4711, 1e-7)] == [
        *("–", "3", "4,653,200", "0.012346", "112.47", "1e-07")
    ]
    assert [tick(value) for value in (0, 0.001, 1000, 1e-5, 3e-7, 2.5e6)] == [
        *("0", "0.001", "1,000", "10⁻⁵", "3·10⁻⁷", "2.5·10⁶")
    ]
    assert [duration(seconds) for seconds in (3, 125, 6040, 7200, 360_000)] == [
        *("3 s", "2 min", "1 h 41 min", "2 h", "4.2 days")
    ]


def test_a_docstring_is_cut_into_blocks():
    text = "One line\nand on.\n\n    a = b\n\n    c = d\n\n- `x`: first,\n  still\n- second\n"
    assert [(block.kind, block.lines) for block in blocks(text)] == [
        ("text", ["One line and on."]),
        ("display", ["a = b", "", "c = d"]),
        ("list", ["`x`: first, still", "second"]),
    ]
