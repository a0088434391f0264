"""Sums and gathers over two real processes, and their gradients."""

import subprocess
import sys

import torch

PROGRAM = """
import os, sys, torch
from seqbench.config.schema import TrainConfig
from seqbench.engine.distributed import World
world = World(TrainConfig(device="cpu", threads=1))
x = torch.arange(3.0, dtype=torch.float64) + world.rank
x.requires_grad_()
total = world.peers.sum(x)
(total ** 2).sum().backward()  # each process's loss
rows = world.peers.gather(torch.full((1 + world.rank, 2), float(world.rank)))
torch.save({"total": total.detach(), "grad": x.grad, "rows": rows}, sys.argv[1] + str(world.rank))
world.close()
"""


def test_sums_are_differentiable_and_rows_are_gathered_in_order(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*launcher, str(tmp_path / "program.py"), str(tmp_path / "out")], check=True, timeout=120)
    for rank in range(2):
        found = torch.load(tmp_path / f"out{rank}")
        total = torch.tensor([1.0, 3.0, 5.0], dtype=torch.float64)
        assert torch.equal(found["total"], total)
        assert torch.equal(found["grad"], 2 * 2 * total)  # of the two losses, each 2 * total
        assert found["rows"].tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
