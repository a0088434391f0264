"""How much memory tensors take, by what torch's allocator was asked for on the CPU."""

import itertools
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def allocated(step: Callable[[], object]) -> tuple[int, int]:
    """Bytes of tensors: the most at any one time while it runs, and what is left after it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = profiled.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = list(itertools.accumulate(change for _, change in changes))
    return max(held), held[-1]
