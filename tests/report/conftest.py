from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

CONFIG = {
    "model": {"_target_": "seqbench.models.recurrent.lstm.LSTM", "hidden_size": 68, "n_layers": 1},
    "task": {"_target_": "seqbench.tasks.synthetic.copy.Copy", "delay": 1000},
    "head": {"_target_": "seqbench.heads.softmax.Softmax"},
    "optimizer": {"_target_": "torch.optim.RMSprop", "lr": 0.001, "groups": {}},
    "schedule": {"_target_": "seqbench.optim.schedules.Constant"},
    "network": {"dropout_output": 0.0},
    "train": {"max_steps": 10000, "precision": "fp32"},
    "seed": 0,
}


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


@pytest.fixture
def make_record() -> Callable[..., dict[str, Any]]:
    def make(run_id: str, seed: int = 0, nll: float = 0.02, lr: float = 0.001) -> dict[str, Any]:
        own = copy.deepcopy(CONFIG)
        own["seed"], own["optimizer"]["lr"] = seed, lr
        return {
            "run_id": run_id,
            "status": "finished",
            "experiment": "copy_t1000/lstm",
            "config": own,
            "seed": seed,
            "selected_step": 9500,
            "steps": 10000,
            "epochs": 10.0,
            "metrics": {
                "train": {"nll": 0.03},
                "valid": {"nll": 0.025},
                "test": {"nll": nll, "accuracy": 0.125, "n_targets": 1020000},
                "baseline": {"nll": 0.0204},
            },
            "parameters": {"recurrent": 21488, "total": 22109},
            "wall_seconds": 812.3,
            "tokens_per_second": 25011.0,
            "peak_memory_mib": 512.0,
            "device": "cpu: Intel(R) Xeon(R)",
            "n_processes": 1,
            "n_threads": 4,
            "precision": "fp32",
            "deterministic": True,
            "versions": {"seqbench": "0.1.0", "torch": "2.13.0"},
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": False,
            "task_version": {"name": "copy", "version": 1, "data_sha256": None},
        }

    return make
