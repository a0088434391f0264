"""Automata drawn: which of a row's runs, the same bytes again, and what cannot be read."""

from types import SimpleNamespace

import pytest

from seqbench.report.analyses import analyses_fault
from seqbench.report.graphs import draw_graphs, graphs_of, places

GRAPH = {"n_states": 3, "start": 0, "accepting": [0], "edges": [[0, 1, "0"], [0, 2, "1"], [1, 1, "0,1"], [2, 0, "0"]]}


def run(seed, *graphs):
    entries = [{"settings": {"n": n}, "numbers": {}, "graphs": {"minimal": graph}} for n, graph in enumerate(graphs)]
    return SimpleNamespace(seed=seed, analyses={"automaton": entries} if entries else {})


def test_the_lowest_seed_that_has_one_and_its_latest_settings():
    other = {**GRAPH, "accepting": []}
    found = graphs_of({"GRU": [run(2, GRAPH), run(1, GRAPH, other), run(0)], "LSTM": [run(0)]})
    assert found == {"automaton": [("GRU, seed 1", other)]}


def test_it_is_drawn_the_same_again_with_its_states_apart(tmp_path):
    pytest.importorskip("matplotlib")
    one = {"n_states": 1, "start": 0, "accepting": [], "edges": [[0, 0, "0,1"]]}
    large = {**GRAPH, "n_states": 40}
    for name in ("first.svg", "second.svg"):
        draw_graphs("Automata", [("A", GRAPH), ("B", one), ("C", large), ("D", GRAPH)], tmp_path / name)
    drawing = (tmp_path / "first.svg").read_bytes()
    assert drawing == (tmp_path / "second.svg").read_bytes() and drawing.startswith(b"<?xml")
    for n_states in range(1, 13):
        at = places(n_states)
        assert all(abs(complex(*p) - complex(*q)) > 0.35 for i, p in enumerate(at) for q in at[:i])


@pytest.mark.parametrize(
    "graph",
    [
        None,
        {**GRAPH, "n_states": "3"},
        {**GRAPH, "start": 3},
        {**GRAPH, "accepting": [5]},
        {**GRAPH, "edges": [[0, 1]]},
        {**GRAPH, "edges": [[0, 7, "0"]]},
        {**GRAPH, "edges": None},
    ],
)
def test_a_record_with_no_such_graph_is_refused(graph):
    sound, broken = run(0, GRAPH).analyses, run(0, graph).analyses
    assert analyses_fault(sound) is None
    assert analyses_fault(broken) == "has analyses.automaton, where what `seqbench analyze` writes belongs"
