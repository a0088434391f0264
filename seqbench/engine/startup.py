"""A start without torch's compiler, whose import would take a second of every run in one process."""

import inspect

from torch.optim import Optimizer

EXCLUDED = (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict)


def leave_the_compiler_out() -> None:
    """Spares torch the import of torch._dynamo at the first call of an optimizer's methods.

    They are excluded from compilation: torch imports it to make a version of the method that is not compiled, unless
    the method carries one already. Nothing is compiled here, so that version is the method as it is. Where another
    torch does this otherwise, the attribute has no effect and the start is as slow as before.
    """
    for method in EXCLUDED:
        plain = inspect.unwrap(method)
        plain.__dynamo_disable = plain
