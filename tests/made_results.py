"""A small ledger, made up, of experiments that there are, and its site."""

import copy
from pathlib import Path

import yaml

from seqbench.commands.tables import compose_row
from seqbench.config.identity import digest
from seqbench.report.ledger import write_record
from seqbench.report.site.build import build_site

TABLES = {
    "tables": [
        {
            "name": "copying",
            "title": "Copying <memory> & more",
            "note": "As in arXiv 1803.01271.",
            "columns": [
                {"heading": "Parameters", "metric": "parameters.total", "format": ",.0f"},
                {"heading": "Test loss", "metric": "test.nll", "format": ".3g"},
                {"heading": "Published", "published": "test.nll"},
            ],
            "rows": [
                {
                    "label": "LSTM",
                    "experiment": "copy_t400/lstm",
                    "published": {"test.nll": {"value": "0.05", "source": "Bai 2018, arXiv 1803.01271", "tag": "P"}},
                    "note": "Two seeds.",
                },
                {
                    "label": "TCN",
                    "experiment": "copy_t400/tcn",
                    "published": {"test.nll": {"value": "0.01", "source": "Bai 2018, arXiv 1803.01271", "tag": "P"}},
                },
                {
                    "label": "GRU",
                    "experiment": "copy_t400/gru",
                    "published": {"test.nll": {"value": "0.02", "source": "Bai 2018, arXiv 1803.01271", "tag": "P"}},
                },
            ],
            "claims": [{"better": "LSTM", "than": "TCN", "metric": "test.nll"}],
        },
        {
            "name": "empty",
            "title": "Not run yet",
            "columns": [{"heading": "Steps", "metric": "steps", "format": ",.0f"}],
            "rows": [{"label": "scoRNN", "experiment": "copy_t100/scornn"}],
        },
    ]
}
PEERS = """<!-- Written by `seqbench bench`. -->

# LSTM: one training step

B sequences of T steps.

## B = 20, T = 1,000

| | ms | relative to seqbench |
|:--|--:|--:|
| seqbench | 28.8 | 1.00 [1.00, 1.00] |
| torch.nn.LSTM | 137.9 | 4.79 [4.58, 5.32] |
"""
ANALYSIS = {
    "settings": {"n_points": 2},
    "step": 30,
    "numbers": {"valid.linear": 2.3},
    "figures": {
        "valid": {"x": "share pruned", "y": "loss", "log": ["y"], "lines": {"linear": [[0.0, 0.03], [0.9, 2.3]]}}
    },
}


def made_record(config: dict, experiment: str | None, nll: float, seed: int = 0) -> dict:
    config = {**copy.deepcopy(config), "seed": seed}
    return {
        "run_id": digest(config),
        "status": "finished",
        "experiment": experiment,
        "config": config,
        "seed": seed,
        "selected_step": 30,
        "steps": 30,
        "epochs": 1.0,
        "metrics": {"valid": {"nll": nll}, "test": {"nll": nll, "n_targets": 100}, "baseline": {"nll": 0.0495}},
        "parameters": {"recurrent": 10816, "total": 13789},
        "wall_seconds": 4000.0,
        "tokens_per_second": 25011.0,
        "peak_memory_mib": None,
        "device": "cpu: AMD EPYC",
        "n_processes": 1,
        "n_threads": 1,
        "precision": "fp32",
        "deterministic": True,
        "versions": {"torch": "2.13.0"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "task_version": {"name": "copy", "version": 1, "data_sha256": None},
        "curve": {"steps": [10, 20, 30], "nll": [0.2, 0.1, nll]},
    }


def write_results(folder: Path) -> None:
    """A folder of tables.yaml, runs/ and bench/."""
    (folder / "tables.yaml").write_text(yaml.safe_dump(TABLES))
    (folder / "bench").mkdir()
    (folder / "bench" / "gated.md").write_text(PEERS)
    lstm, tcn = compose_row("copy_t400/lstm", []), compose_row("copy_t400/tcn", [])
    shorter = {**tcn, "train": {**tcn["train"], "max_steps": 77}}
    dynamic = {"settings": {"lr": 0.1}, "metrics": {"nll": 0.04}, "category": "dynamic", "step": 30}
    records = [
        made_record(lstm, "copy_t400/lstm", 0.0504) | {"evaluations": {"dynamic": {"test": [dynamic]}}},
        made_record(lstm, "copy_t400/lstm", 0.0502, seed=1) | {"analyses": {"loss_modelling": [ANALYSIS]}},
        made_record(tcn, "copy_t400/tcn", 0.03),
        made_record(shorter, "copy_t400/tcn", 0.04),
        made_record({**shorter, "head": {**tcn["head"], "bias": False}}, None, 0.05),
    ]
    for record in records:
        write_record(record, folder / "runs")


def build(folder: Path) -> list[Path]:
    return build_site(folder / "tables.yaml", folder / "runs", folder / "bench", folder / "site", compose_row)
