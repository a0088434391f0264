"""What `seqbench analyze` found of a run: name -> a list, one entry for each settings.

An entry holds "settings", the "step" of the weights, "numbers", and "figures": name -> the labels "x" and "y", the
logarithmic axes "log", and "lines": label -> points (x, y); where it found automata also "graphs": name -> "n_states",
"start", "accepting" and "edges", each (state, state, label); of a plugin's analysis also "plugins", its checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqbench.report.evaluations import Found, own_names, plugin_names, with_others

Analyses = dict[str, list[Found]]
COMPACTION = "compaction"  # what `seqbench compact` finds stands among the analyses


def known_analyses() -> list[str]:
    """The analyses that this version and the plugins have. A record may hold others, which are carried."""
    return sorted({*own_names("analysis"), *plugin_names("analysis")})


def names_in_records() -> list[str]:
    """What a record of this version and the plugins may hold among its analyses."""
    return sorted({*known_analyses(), COMPACTION})


def merged_analyses(before: Mapping[str, list[Found]], after: Mapping[str, list[Found]]) -> Analyses:
    """All entries of both, but for those of `before` that one of `after` repeats."""
    return {
        name: with_others(list(before.get(name, [])), list(after.get(name, []))) for name in sorted({*before, *after})
    }


def analyses_fault(analyses: Mapping[str, Any]) -> str | None:
    """What is wrong with a record's analyses, as the end of a sentence."""
    for name, entries in analyses.items():
        if not isinstance(entries, list) or not all(map(_is_entry, entries)):
            return f"has analyses.{name}, where what `seqbench analyze` writes belongs"
    return None


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), dict) for key in ("settings", "numbers")):
        return False
    figures, graphs = entry.get("figures", {}), entry.get("graphs", {})
    if not isinstance(figures, dict) or not isinstance(graphs, dict):
        return False
    drawn = all(map(_is_figure, figures.values())) and all(map(_is_graph, graphs.values()))
    return drawn and _are_numbers(entry["numbers"])


def _are_numbers(numbers: dict[str, Any]) -> bool:
    return all(isinstance(value, (int, float)) or value is None for value in numbers.values())


def _is_figure(figure: Any) -> bool:
    if not isinstance(figure, dict) or not isinstance(figure.get("lines"), dict):
        return False
    if not all(isinstance(figure.get(axis), str) for axis in ("x", "y")) or not isinstance(figure.get("log"), list):
        return False
    return all(isinstance(points, list) and all(map(_is_point, points)) for points in figure["lines"].values())


def _is_graph(graph: Any) -> bool:
    if not isinstance(graph, dict) or type(graph.get("n_states")) is not int:
        return False
    states = range(graph["n_states"])
    if graph.get("start") not in states or not isinstance(graph.get("accepting"), list):
        return False
    edges = graph.get("edges")
    return (
        all(state in states for state in graph["accepting"])
        and isinstance(edges, list)
        and all(
            isinstance(edge, list)
            and len(edge) == 3
            and edge[0] in states
            and edge[1] in states
            and type(edge[2]) is str
            for edge in edges
        )
    )


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(isinstance(value, (int, float)) for value in point)
