"""Processes: the only file that knows ranks. `World` is what the loop sees of them; `launch` starts them.

A run of one process is a world of size one, whose operations are the identity.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from seqbench.config.schema import TrainConfig
from seqbench.contracts.batch import Batch
from seqbench.contracts.learner import Learner
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.pytree import State, tree_map, tree_zip
from seqbench.errors import ConfigError

TIMEOUT = timedelta(minutes=10)


class World:
    """This process among `size`; `rank` 0 writes."""

    def __init__(self, train: TrainConfig):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        local_rank, local_size = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        self.device = _device(train.device, local_rank)
        cores = int(os.environ.get("OMP_NUM_THREADS", "0").partition(",")[0]) or n_cores() // local_size
        if train.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        self.n_threads = train.threads or max(1, cores)
        torch.set_flush_denormal(True)  # vanishing gradients end as denormal numbers, ten times slower on a CPU
        torch.set_num_threads(self.n_threads)  # threads started from here on flush them, too
        if self.size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=TIMEOUT)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def shard(self, batch: Batch) -> Batch:
        """This process's rows of a batch, on its device; maybe none."""
        return batch.map(lambda tensor: self._rows(tensor).to(self.device, non_blocking=True))

    def shard_state(self, state: State) -> State:
        return tree_map(lambda tensor: self._rows(tensor).to(self.device), state)

    def gather_state(self, state: State) -> State:
        """The whole batch's state, on the CPU, in process 0 (None elsewhere)."""
        state = tree_map(lambda tensor: tensor.detach().cpu(), state)
        if self.size == 1:
            return state
        parts: list[State] | None = [None] * self.size if self.leads else None
        dist.gather_object(state, parts)
        return tree_zip(torch.cat, parts) if parts else None

    def sum(self, values: Sequence[float]) -> list[float]:
        """Elementwise sum over processes, in float64."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    @property
    def peers(self) -> Peers:
        """The processes, as models and optimizers see them."""
        return Alone() if self.size == 1 else Together(self.size)

    def wrap(self, learner: Learner) -> nn.Module:
        """The learner whose backward pass averages gradients over processes; itself where none has a gradient. Buffers
        stay each process's own: what they hold of a batch is summed over the peers where it is made."""
        if self.size == 1 or not any(parameter.requires_grad for parameter in learner.parameters()):
            return learner
        return DistributedDataParallel(learner, broadcast_buffers=False, find_unused_parameters=not learner.touches_all)

    def unreduced(self, network: nn.Module):
        """No averaging of gradients: more batches of the step follow, or the optimizer sums them itself."""
        return network.no_sync() if isinstance(network, DistributedDataParallel) else contextlib.nullcontext()

    def check_rows(self, batch: Batch) -> None:
        check_rows(batch, self.size)

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()

    def close(self) -> None:
        if self.size > 1:
            dist.barrier()  # gloo's threads abort if a peer leaves while they still answer it
            dist.destroy_process_group()

    def _rows(self, tensor: Tensor) -> Tensor:
        return tensor if self.size == 1 else tensor.tensor_split(self.size)[self.rank]


class Together:
    """The peers of a run of several processes."""

    def __init__(self, size: int):
        self.size = size

    def sum(self, tensor: Tensor) -> Tensor:
        return all_reduce(tensor)

    def gather(self, rows: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
        most = max(int(count) for count in counts)
        padded = rows.new_zeros(most, *rows.shape[1:])  # gloo gathers tensors of one shape alone
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])


def check_rows(batch: Batch, n_processes: int) -> None:
    if batch.size < n_processes:
        raise ConfigError(f"train.nproc={n_processes} processes cannot share a batch of {batch.size} sequences.")


def check_device(wanted: str) -> None:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device=cuda, but torch sees no GPU here.")


def _device(wanted: str, local_rank: int) -> torch.device:
    check_device(wanted)
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def n_cores() -> int:
    """Those that this process may use, where the system says it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def lost_peer(error: BaseException) -> bool:
    """Whether an error is but the echo of another process's death. gloo has no class of its own for it."""
    return isinstance(error, dist.DistError) or (type(error) is RuntimeError and "gloo" in str(error))


def worker_command(config_path: Path, nproc: int) -> list[str]:
    """The command that trains a saved config in `nproc` new processes."""
    module = ["-m", "seqbench.engine.worker", str(config_path)]
    if nproc == 1:
        return [sys.executable, *module]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={nproc}", "--max-restarts=0"]
    logs = ["--log-dir", str(config_path.parent / "workers"), "--redirects=2"]
    return [sys.executable, *torchrun, *logs, *module]
