"""`seqbench check`: whether a class keeps the contract of its kind."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable
from typing import Any

from seqbench.config import arguments as command_lines
from seqbench.config import plugins
from seqbench.config.arguments import key_of
from seqbench.config.class_kind import kind_of_class
from seqbench.config.compat import filled
from seqbench.config.compose import compose_run, composed
from seqbench.config.schema import Config
from seqbench.config.targets import PLUGGABLE, check_node, class_at
from seqbench.errors import ConfigError, RunError

Checks = dict[str, Callable[[], None]]
PLACES = ("data_dir", "source")  # of a task's data; no arguments of its YAML
D_INPUT = 6
MAX_STEPS, STEPS_PER_EPOCH = 1000, 37.5
FAILURES = (  # what a class with a mistake may raise
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NameError),
    *(OSError, RuntimeError, TypeError, ValueError),
)


def check(arguments: list[str]) -> None:
    """Runs the checks of a class's contract and prints a line on each; the exit code is 1 if one of them fails.

    my_package.module.Mine             a class of one's own, or of seqbench, and its arguments: hidden_size=8
    model=<model> head=<head> ...      or what is chosen as for train, with its settings: model.hidden_size=8
    data_dir= source=                  of a task that reads data
    """
    targets = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    if len(targets) > 1:
        raise ConfigError(f"check takes one class at a time, not {' and '.join(targets)}.")
    if targets:
        arguments.remove(targets[0])
        nodes, config = _named(targets[0], arguments)
    else:
        nodes, config = _chosen(arguments)
    failed = [name for kind, node in nodes for name in _report(kind, node, config)]
    if failed:
        raise RunError(f"{len(failed)} of the checks failed: {', '.join(failed)}.")


def _named(target: str, arguments: list[str]) -> tuple[list[tuple[str, dict[str, Any]]], Config]:
    """The node of a class that the command line names, and so allows."""
    top = target.partition(".")[0]
    if top not in plugins.OURS:
        plugins.allow([top])
    kind = kind_of_class(target)
    settings = command_lines.read("check", arguments, ()).settings
    places = [one for one in settings if key_of(one) in PLACES]
    node = command_lines.node_of([one for one in settings if one not in places])
    node = filled(kind, {"_target_": target, **node})
    check_node(kind, node)
    return [(kind, node)], composed(places)


def _chosen(arguments: list[str]) -> tuple[list[tuple[str, dict[str, Any]]], Config]:
    """The nodes of a config that the command line chooses or sets anything of."""
    line = command_lines.read("check", arguments)
    named = {key_of(one).partition(".")[0] for one in line.settings}
    config = compose_run(line).config
    sections = [section for section in PLUGGABLE if section in named]
    if not sections:
        raise ConfigError("Name a class and its arguments, my_package.Mine hidden_size=8, or choose: model=lstm.")
    for section in sections:
        check_node(section, getattr(config, section))
    return [(section, getattr(config, section)) for section in sections], config


def _report(kind: str, node: dict[str, Any], config: Config) -> list[str]:
    """Run the checks of a node and print a line on each; the names of those that failed."""
    cls = class_at(kind, node["_target_"])
    if kind not in _CHECKS:
        raise ConfigError(f"There are no checks of the kind {kind} yet; there are of {', '.join(_CHECKS)}.")
    print(f"{cls.__name__}, {'an' if kind[0] in 'aeiou' else 'a'} {kind}:")
    failed = []
    for name, run in _CHECKS[kind](node, config).items():
        reason = _reason(run)
        print(f"  ok     {name}" if reason is None else f"  fails  {name}: {reason}")
        failed += [] if reason is None else [name]
    return failed


def _reason(run: Callable[[], None]) -> str | None:
    """Why a check fails; None if it does not."""
    try:
        run()
    except FAILURES as error:
        text = " ".join(str(error).split()) or "no reason is given"
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return textwrap.shorten(f"{kind}{text}", 300, placeholder=" ...")
    return None


def _maker(kind: str, node: dict[str, Any]) -> Callable[..., Any]:
    from seqbench.engine.assemble import instantiate

    return functools.partial(instantiate, kind, node)


def _of_model(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.models import checks
    from seqbench.contracts.backbone import Backbone

    cls = class_at("model", node["_target_"])
    if not issubclass(cls, Backbone):
        raise ConfigError(f"The checks of a model are those of a Backbone, and {cls.__name__} is none.")
    return checks(lambda: _maker("model", node)(d_input=D_INPUT), D_INPUT)


def _of_task(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.tasks import checks
    from seqbench.engine.assemble import data_folder

    return checks(lambda: _maker("task", node)(data_dir=data_folder(config), source=config.source))


def _of_embedding(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.embeddings import checks

    return checks(_maker("embedding", node))


def _of_head(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.heads import checks
    from seqbench.contracts.peers import Alone

    return checks(functools.partial(_maker("head", node), embedding=None, peers=Alone()))


def _of_optimizer(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.optimizers import checks
    from seqbench.contracts.peers import Alone

    make = _maker("optimizer", {key: value for key, value in node.items() if key != "groups"})
    return checks(lambda parameters, learner: make(params=parameters, network=learner, peers=Alone()))


def _of_schedule(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.schedules import checks

    make = functools.partial(_maker("schedule", node), max_steps=MAX_STEPS, steps_per_epoch=STEPS_PER_EPOCH)
    return checks(make, MAX_STEPS)


def _of_norm(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.norms import checks

    return checks(_maker("norm", node))


def _of_solver(node: dict[str, Any], config: Config) -> Checks:
    from seqbench.checks.solvers import checks

    return checks(_maker("solver", node))


_CHECKS: dict[str, Callable[[dict[str, Any], Config], Checks]] = {
    "model": _of_model,
    "task": _of_task,
    "embedding": _of_embedding,
    "head": _of_head,
    "optimizer": _of_optimizer,
    "schedule": _of_schedule,
    "norm": _of_norm,
    "solver": _of_solver,
}
