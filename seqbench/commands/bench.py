"""`seqbench bench`: speed and memory, compared with what a user would pick instead."""

from __future__ import annotations

from pathlib import Path

from seqbench.errors import UserError

DEFAULTS = {"rounds": 7, "threads": 1}


def bench(arguments: list[str]) -> None:
    """The contestants run alternately in one process; <suite>.json and <suite>.md are written to results/bench.

    <name> ...                         recurrent (with gated, normalised, stages and unitary), kronecker, language
                                       (language_model, output_layer and token_stream), equilibrium, optimizer, packed;
                                       without a name, all
    rounds=7 threads=1                 how often each contestant is timed, and with how many threads
    results_dir=results                the folder of bench/
    """
    from seqbench.bench.catalog import load, suite_names, suites_of
    from seqbench.bench.run import run, write

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
    suites = [suite for name in names for suite in suites_of(name)] or [load(name) for name in suite_names()]
    for suite in suites:
        for path in write(suite, run(suite, numbers["rounds"], numbers["threads"]), results / "bench"):
            print(path)
