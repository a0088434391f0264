"""Running a suite and writing what came out: results/bench/<suite>.json and .md."""

from __future__ import annotations

import importlib
import json
import platform
import statistics
from pathlib import Path
from typing import Any

import torch

from seqbench.bench.measure import alternate, peak_memory, ratio
from seqbench.bench.suite import Suite
from seqbench.errors import UserError

GROUPS = {  # what can be asked for -> its suites, a module each
    "recurrent": ["recurrent", "gated"],
    "kronecker": ["kronecker"],
    "language": ["language_model", "output_layer", "token_stream"],
    "equilibrium": ["equilibrium"],
    "optimizer": ["optimizer"],
}


def names() -> list[str]:
    """What can be asked for: each suite, and each group of them."""
    return list(dict.fromkeys([*(suite for suites in GROUPS.values() for suite in suites), *GROUPS]))


def find(name: str) -> list[Suite]:
    """The suites of a group, or one of them."""
    if name not in names():
        raise UserError(f"There is no suite '{name}'; there are {', '.join(names())}.")
    return [load(suite) for suite in GROUPS.get(name, [name])]


def load(name: str) -> Suite:
    return importlib.import_module(f"seqbench.bench.{name}").SUITE


def run(suite: Suite, rounds: int, threads: int, say=print) -> dict[str, Any]:
    """Time and weigh every contestant at every shape."""
    torch.set_num_threads(threads)
    results = []
    for shape in suite.shapes:
        say(f"{suite.name}: {_text(shape)}")
        steps = {one.name: one.build(**shape) for one in suite.contestants}
        seconds = alternate(steps, rounds)
        kept = {one.name: one.kept(steps[one.name]) for one in suite.contestants if one.kept}
        steps.clear()
        rows = []
        for one in suite.contestants:
            times = seconds[one.name]
            middle, times_ours = statistics.median(times), ratio(times, seconds[suite.ours])
            row = {
                "name": one.name,
                "milliseconds": round(middle * 1e3, 2),
                "times_ours": {key: round(value, 3) for key, value in times_ours.items()},
                "tokens_per_second": round(suite.n_tokens(**shape) / middle) if one.trains else None,
                "peak_mib": peak_memory(suite.name, one.name, shape, threads) if one.trains else None,
                **({"kept_mib": round(kept[one.name], 3)} if one.name in kept else {}),
            }
            rows.append(row)
            say(f"  {one.name:32} {row['milliseconds']:10.1f} ms  {times_ours['median']:6.2f} x")
        results.append({"shape": shape, "rows": rows})
    return {
        "suite": suite.name,
        "rounds": rounds,
        "threads": threads,
        "device": _device(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "results": results,
    }


def write(suite: Suite, found: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{suite.name}.json", folder / f"{suite.name}.md"]
    paths[0].write_text(json.dumps(found, indent=2) + "\n")
    paths[1].write_text(markdown(suite, found))
    return paths


def markdown(suite: Suite, found: dict[str, Any]) -> str:
    lines = [
        "<!-- Written by `seqbench bench`. -->",
        "",
        f"# {suite.title}",
        "",
        f"{suite.note} {found['rounds']} rounds in turns, {found['threads']} thread(s) on all sides; milliseconds are "
        f"medians, ratios (to {suite.ours}) medians of the rounds' with the smallest and largest. Peak memory is what "
        "one step takes beyond parameters and data, in a process of its own.",
        "",
        f"{found['device']}, torch {found['versions']['torch']}.",
    ]
    for result in found["results"]:
        keeps = any("kept_mib" in row for row in result["rows"])
        lines += [
            "",
            f"## {_text(result['shape'])}",
            "",
            f"| | ms | times ours | {suite.counts}/s | peak MiB |{' state MiB |' if keeps else ''}",
            f"|:--|--:|--:|--:|--:|{'--:|' if keeps else ''}",
        ]
        for row in result["rows"]:
            times = row["times_ours"]
            spread = f"{times['median']:.2f} [{times['min']:.2f}, {times['max']:.2f}]"
            tokens = "" if row["tokens_per_second"] is None else f"{row['tokens_per_second']:,}"
            peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.{0 if row['peak_mib'] >= 10 else 1}f}"
            state = f" {row['kept_mib']:.2f} |" if "kept_mib" in row else " |" if keeps else ""
            lines.append(f"| {row['name']} | {row['milliseconds']:.1f} | {spread} | {tokens} | {peak} |{state}")
    return "\n".join(lines) + "\n"


def _text(shape: dict[str, int]) -> str:
    return ", ".join(f"{name} = {value:,}" for name, value in shape.items())


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
