"""The equilibrium layer takes the memory of a shallow network, however many steps its solver makes."""

import functools
import os
import subprocess
import sys

import pytest
import torch
from allocation import allocated

from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.plain import Plain
from seqbench.models.equilibrium.deq_transformer import DEQTransformer

MEMORY = """
import gc, sys
from pathlib import Path
import torch
import seqbench.bench.suites.equilibrium as bench
from seqbench.bench.measure import _status
torch.set_num_threads(1)
bench.TOLERANCE, bench.STEPS = 0.0, int(sys.argv[2])
chosen = bench.unrolled(bench.STEPS) if sys.argv[1] == "unrolled" else bench.layer(sys.argv[1], 0.0)
bench.Problem(2, 128, 4).run(chosen)  # libraries are loaded
problem = bench.Problem(16, 128, 64)
gc.collect()
Path("/proc/self/clear_refs").write_text("5")
before = _status("VmRSS")
problem.run(chosen)
print((_status("VmHWM") - before) / 2**10)
"""


def peak_mib(kind, steps):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}  # freed is given back
    arguments = [sys.executable, "-c", MEMORY, kind, str(steps)]
    return float(subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("method", [Plain, Anderson, Broyden])
def test_as_much_is_allocated_for_any_number_of_solver_steps(method):
    def most(steps):
        solver = functools.partial(method, max_steps=steps, tolerance=0.0)
        equilibrium = functools.partial(Equilibrium, forward=solver, backward=solver)
        torch.manual_seed(0)
        model = DEQTransformer(6, 16, n_heads=2, d_inner=12, span=4, init_std=0.1, equilibrium=equilibrium)
        x = torch.randn(4, 30, 6)
        return allocated(lambda: model(x)[0].sum().backward())[0]

    most(1)  # torch keeps some for later
    few = most(5)
    assert few == pytest.approx(most(60), rel=0.05)  # the bound that is promised
    assert few > 4 * 4 * 30 * 16


@pytest.mark.slow  # the test above counts what is allocated
@pytest.mark.skipif(torch.cuda.is_available(), reason="weighs this process's memory")
def test_memory_does_not_grow_with_the_solvers_steps():
    """Resident memory, once all that was allocated for the 6 remembered iterates has been written to."""
    few, many = peak_mib("anderson", 8), peak_mib("anderson", 60)
    assert many < 1.05 * few
    assert max(many, peak_mib("broyden", 60)) < min(peak_mib("unrolled", 12) / 3, 0.15 * peak_mib("unrolled", 48))
