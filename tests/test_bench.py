"""Benchmarks: what they measure is the same work, and what they write can be read. How fast is not tested."""

import json

import pytest
import torch

from seqbench.bench.equilibrium import PASSES, errors
from seqbench.bench.measure import alternate, ratio
from seqbench.bench.run import GROUPS, find, load, markdown, run, write
from seqbench.bench.suite import Contestant, Suite
from seqbench.errors import UserError

SMALL = {
    "recurrent": {"B": 3, "N": 8, "T": 5},
    "gated": {"gates": 3, "B": 3, "N": 8, "T": 5},
    "kronecker": {"B": 3, "N": 16, "P": 4, "complex": 1, "T": 5},
    "language_model": {"B": 2, "T": 3, "N": 8, "V": 50},
    "output_layer": {"N": 4, "D": 8, "V": 3000},
    "token_stream": {"tokens": 20_000, "B": 4, "T": 5},
    "equilibrium": {"B": 3, "N": 8, "T": 5},
    "optimizer": {"encoder": 1, "decoder": 1, "lstm": 1, "D": 8, "V": 20},
}


@pytest.mark.parametrize("name", [name for group in GROUPS.values() for name in group])
def test_every_contestant_runs(name):
    suite = load(name)
    assert suite.ours in [one.name for one in suite.contestants]
    for one in suite.contestants:
        step = one.build(**SMALL[name])
        step()
        step()


def test_solvers_of_the_equilibrium_suite_do_the_same_work():
    """To the same residual, and to gradients of about the same exactness."""
    for name in PASSES:
        residual, gradient = errors(name, B=2, N=16, T=8)
        if "layers" not in name:
            assert residual < 1.5e-3 and gradient < 0.1, name
    assert errors("48 tied layers", B=2, N=16, T=8)[0] < 1e-3


def test_in_turns_and_round_by_round():
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
    found = run(suite, rounds=3, threads=torch.get_num_threads(), say=lambda line: None)
    paths = write(suite, found, tmp_path)
    assert [path.name for path in paths] == ["tiny.json", "tiny.md"]
    assert json.loads(paths[0].read_text()) == found
    assert paths[1].read_text() == markdown(suite, found)
    assert "| ours | " in markdown(suite, found) and "1.00 [1.00, 1.00]" in markdown(suite, found)


def test_memory_is_weighed_in_a_process_of_its_own():
    from seqbench.bench.measure import peak_memory

    small = peak_memory("recurrent", "torch.nn.RNN (relu)", {"B": 16, "N": 64, "T": 100}, 1)
    large = peak_memory("recurrent", "torch.nn.RNN (relu)", {"B": 64, "N": 64, "T": 1000}, 1)
    assert small is not None and large is not None
    assert large > 64 * 1020 * 64 * 4 / 2**20 > small  # its outputs alone are that many bytes


def test_mistakes(seqbench):
    with pytest.raises(UserError):
        find("recurent")
    assert seqbench("bench", "recurent") == (
        2,
        "",
        "seqbench: There is no suite 'recurent'; there are recurrent, gated, kronecker, language_model, output_layer, "
        "token_stream, equilibrium, optimizer, language.\n",
    )
    code, _, said = seqbench("bench", "rounds=-1")
    assert (code, said) == (
        2,
        "seqbench: bench takes rounds=, threads= (positive integers) and results_dir=, not rounds=-1.\n",
    )
