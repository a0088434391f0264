"""Benchmarks: contestants do the same work, and what is written can be read. How fast they are is not tested."""

import functools
import json
from pathlib import Path

import pytest
import torch

from seqbench.bench.catalog import group_names, load, suite_names, suites_of
from seqbench.bench.measure import alternate, peak_memory, ratio
from seqbench.bench.run import markdown, run, write
from seqbench.bench.suite import Contestant, Suite
from seqbench.bench.suites.equilibrium import PASSES, errors
from seqbench.bench.suites.recurrent import stages
from seqbench.errors import UserError

SMALL = {
    "recurrent": {"B": 3, "N": 8, "T": 5},
    "gated": {"gates": 3, "B": 3, "N": 8, "T": 5},
    "kronecker": {"B": 3, "N": 16, "P": 4, "complex": 1, "T": 5},
    "normalised": {"B": 4, "N": 5, "T": 6},
    "stages": {"H": 6, "B": 3, "T": 5, "layers": 2, "backward": 1},
    "language_model": {"B": 2, "T": 3, "N": 8, "V": 50},
    "output_layer": {"N": 4, "D": 8, "V": 3000},
    "token_stream": {"tokens": 20_000, "B": 4, "T": 5},
    "equilibrium": {"B": 3, "N": 8, "T": 5},
    "unitary": {"B": 3, "N": 8, "T": 5},
    "packed": {"B": 1, "N": 12, "T": 3, "calls": 2},
    "optimizer": {"encoder": 1, "decoder": 1, "lstm": 1, "D": 8, "V": 20},
}


def test_every_file_is_a_suite_and_every_folder_a_group():
    assert suite_names() == sorted(SMALL)
    assert group_names() == ["language", "recurrent"]
    assert [suite.name for suite in suites_of("recurrent")] == ["gated", "normalised", "recurrent", "stages", "unitary"]
    assert [suite.name for suite in suites_of("output_layer")] == ["output_layer"]
    assert [load(name).name for name in SMALL] == list(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_every_contestant_runs(name, monkeypatch):
    monkeypatch.setattr(stages, "compiled", functools.cache(lambda function: function))  # which takes many seconds
    suite = load(name)
    assert suite.ours in [contestant.name for contestant in suite.contestants]
    for contestant in suite.contestants:
        step = contestant.build(**SMALL[name])
        step()
        step()


def test_solvers_of_the_equilibrium_suite_do_the_same_work():
    """To the same residual, and to gradients of about the same exactness."""
    for name in PASSES:
        residual, gradient = errors(name, B=2, N=16, T=8)
        if "layers" not in name:
            assert residual < 1.5e-3 and gradient < 0.1, name
    assert errors("48 tied layers", B=2, N=16, T=8)[0] < 1e-3


def test_rounds_are_interleaved():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = alternate(steps, rounds=2)
    assert order == list("cba") + list("abc") + list("cba")  # the first round does not count
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2, "c": 2}
    assert ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == {"median": 3.0, "min": 2.0, "max": 4.0}


def test_what_is_written(tmp_path):
    def build(n):
        return lambda: torch.randn(n).sum()

    suite = Suite(
        "tiny", "A title", "A note.", "ours", [Contestant("ours", build, False), Contestant("peer", build, False)],
        [{"n": 3}], lambda n: n,
    )  # fmt: skip
    measurements = run(suite, rounds=3, threads=torch.get_num_threads(), say=lambda line: None)
    paths = write(suite, measurements, tmp_path)
    assert [path.name for path in paths] == ["tiny.json", "tiny.md"]
    assert json.loads(paths[0].read_text()) == measurements
    assert paths[1].read_text() == markdown(suite, measurements)


def test_the_table_of_a_suite():
    suite = Suite("tiny", "A title", "A note.", "ours", [], [], lambda n: n)
    relative = {"median": 1.5, "min": 1.25, "max": 2.0}
    row = {"name": "peer", "milliseconds": 3.25, "times_ours": relative, "tokens_per_second": 12345, "peak_mib": 7.0}
    measurements = {
        "rounds": 3, "threads": 2, "device": "A processor", "versions": {"torch": "2"},
        "results": [{"shape": {"n": 3000}, "rows": [row, row | {"name": "floor", "tokens_per_second": None}]}],
    }  # fmt: skip
    assert markdown(suite, measurements) == (
        "<!-- Written by `seqbench bench`. -->\n\n# A title\n\n"
        "A note. 3 interleaved rounds, 2 threads for every contestant. Times are medians; ratios are medians over the "
        "rounds, with the smallest and the largest, relative to ours. Peak memory is what one step adds to parameters "
        "and data, measured in a process of its own.\n\nA processor, torch 2.\n\n## n = 3,000\n\n"
        "| | ms | relative to seqbench | tokens/s | peak MiB |\n|:--|--:|--:|--:|--:|\n"
        "| peer | 3.2 | 1.50 [1.25, 2.00] | 12,345 | 7.0 |\n| floor | 3.2 | 1.50 [1.25, 2.00] |  | 7.0 |\n"
    )


@pytest.mark.parametrize("name", sorted(SMALL))
def test_committed_tables_are_those_of_the_committed_measurements(name):
    bench = Path(__file__).parents[1] / "results" / "bench"
    for path in bench.glob(f"{name}*.json"):
        assert path.with_suffix(".md").read_text() == markdown(load(name), json.loads(path.read_text()))


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own():
    small = peak_memory("recurrent", "torch.nn.RNN (relu)", {"B": 16, "N": 64, "T": 100}, 1)
    large = peak_memory("recurrent", "torch.nn.RNN (relu)", {"B": 64, "N": 64, "T": 1000}, 1)
    assert small is not None and large is not None
    assert large > 64 * 1020 * 64 * 4 / 2**20 > small  # its outputs alone are that many bytes


def test_mistakes(seqbench):
    with pytest.raises(UserError):
        suites_of("recurent")
    assert seqbench("bench", "recurent") == (
        2,
        "",
        "seqbench: There is no suite 'recurent' (did you mean recurrent?); there are equilibrium, gated, kronecker, "
        "language, language_model, normalised, optimizer, output_layer, packed, recurrent, stages, token_stream, "
        "unitary.\n",
    )
    code, _, errors = seqbench("bench", "rounds=-1")
    assert (code, errors) == (
        2,
        "seqbench: bench takes rounds=, threads= (positive integers) and results_dir=, not rounds=-1.\n",
    )
