"""Where results lie, by a config's `results_dir`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from seqbench.config.schema import Config


class Places:
    """`runs`, the ledger; `declaration`, tables.yaml; and the folders of what is made from them."""

    def __init__(self, config: Config):
        results = Path(config.results_dir)
        self.runs = results / "runs"
        self.declaration = results / "tables.yaml"
        self.tables, self.plots, self.bench = results / "tables", results / "plots", results / "bench"
        self.site = results / "site"

    def record(self, run_id: str) -> Path:
        return self.runs / f"{run_id}.json"

    def require_writable(self) -> None:
        """Make the ledger's folder, or a run might end with nowhere to go. Raises `OSError`."""
        self.runs.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=self.runs):
                pass
        except OSError as error:
            error.filename = os.fspath(self.runs)
            raise
