"""Running a suite and writing the measurements: results/bench/<suite>.json and .md."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seqbench.bench.measure import alternate, peak_memory, ratio
from seqbench.bench.suite import Suite


def run(suite: Suite, rounds: int, threads: int, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure the time and the memory of every contestant at every shape."""
    torch.set_num_threads(threads)
    results = []
    for shape in suite.shapes:
        say(f"{suite.name}: {_text(shape)}")
        steps = {contestant.name: contestant.build(**shape) for contestant in suite.contestants}
        seconds = alternate(steps, rounds)
        state_mib = {
            contestant.name: contestant.state_mib(steps[contestant.name])
            for contestant in suite.contestants
            if contestant.state_mib
        }
        steps.clear()
        rows = []
        for contestant in suite.contestants:
            name, median = contestant.name, statistics.median(seconds[contestant.name])
            relative = ratio(seconds[name], seconds[suite.ours])
            row: dict[str, Any] = {
                "name": name,
                "milliseconds": round(median * 1e3, 2),
                "times_ours": {key: round(value, 3) for key, value in relative.items()},
                "tokens_per_second": round(suite.n_tokens(**shape) / median) if contestant.trains else None,
                "peak_mib": peak_memory(suite.name, name, shape, threads) if contestant.trains else None,
            }
            if name in state_mib:
                row["kept_mib"] = round(state_mib[name], 3)
            rows.append(row)
            say(f"  {name:32} {row['milliseconds']:10.1f} ms  {relative['median']:6.2f} x")
        results.append({"shape": shape, "rows": rows})
    return {
        "suite": suite.name,
        "rounds": rounds,
        "threads": threads,
        "device": _device(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "results": results,
    }


def write(suite: Suite, measurements: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{suite.name}.json", folder / f"{suite.name}.md"]
    paths[0].write_text(json.dumps(measurements, indent=2) + "\n")
    paths[1].write_text(markdown(suite, measurements))
    return paths


def markdown(suite: Suite, measurements: dict[str, Any]) -> str:
    threads = measurements["threads"]
    lines = [
        "<!-- Written by `seqbench bench`. -->",
        "",
        f"# {suite.title}",
        "",
        f"{suite.note} {measurements['rounds']} interleaved rounds, {threads} thread{'s' if threads > 1 else ''} for "
        f"every contestant. Times are medians; ratios are medians over the rounds, with the smallest and the largest, "
        f"relative to {suite.ours}. Peak memory is what one step adds to parameters and data, "
        "measured in a process of its own.",
        "",
        f"{measurements['device']}, torch {measurements['versions']['torch']}.",
    ]
    for result in measurements["results"]:
        has_state = any("kept_mib" in row for row in result["rows"])
        lines += [
            "",
            f"## {_text(result['shape'])}",
            "",
            f"| | ms | relative to seqbench | {suite.counts}/s | peak MiB |{' state MiB |' if has_state else ''}",
            f"|:--|--:|--:|--:|--:|{'--:|' if has_state else ''}",
        ]
        for row in result["rows"]:
            relative = row["times_ours"]
            spread = f"{relative['median']:.2f} [{relative['min']:.2f}, {relative['max']:.2f}]"
            tokens = "" if row["tokens_per_second"] is None else f"{row['tokens_per_second']:,}"
            peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.{0 if row['peak_mib'] >= 10 else 1}f}"
            state = f" {row['kept_mib']:.2f} |" if "kept_mib" in row else " |" if has_state else ""
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
