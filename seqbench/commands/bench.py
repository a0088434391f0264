"""`seqbench bench`: speed and memory beside what a user would pick instead."""

from __future__ import annotations

from pathlib import Path

from seqbench.errors import UserError

DEFAULTS = {"rounds": 7, "threads": 1}


def bench(arguments: list[str]) -> None:
    """The contestants take turns in one process; <name>.json and <name>.md are written to results/bench.

    <name> ...                         recurrent, kronecker, language, equilibrium, optimizer, or a suite; none: all
    rounds=7 threads=1                 how often each is timed, and with how many threads
    results_dir=results
    """
    from seqbench.bench.run import GROUPS, find, run, write

    numbers, results = dict(DEFAULTS), Path("results")
    names = [argument for argument in arguments if "=" not in argument]
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            continue
        if key == "results_dir":
            results = Path(value)
        elif key in numbers and value.isdigit() and int(value) > 0:
            numbers[key] = int(value)
        else:
            raise UserError(f"bench takes rounds=, threads= (positive integers) and results_dir=, not {argument}.")
    suites = [suite for name in names or GROUPS for suite in find(name)]
    for suite in suites:
        for path in write(suite, run(suite, **numbers), results / "bench"):
            print(path)
