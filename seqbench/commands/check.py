"""`seqbench check`: whether a class keeps the contract of its kind."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Case:
    """A node that is checked. `own` says that evaluations and analyses are tried on the config's task and model;
    `d_input` is the width of what a model reads."""

    kind: str
    node: dict[str, Any]
    config: Config
    d_input: int
    own: bool = False

    def make(self, **derived: Any) -> Any:
        """The class with its settings, and those derived arguments that it takes."""
        from seqbench.engine.assemble import instantiate

        return instantiate(self.kind, self.node, **derived)


def check(arguments: list[str]) -> None:
    """Runs the checks of a class's contract and prints a line on each; the exit code is 1 if one of them fails.

    my_package.module.Mine             a class of one's own, or of seqbench, and its arguments: hidden_size=8
    model=<model> head=<head> ...      or what is chosen as for train, with its settings: model.hidden_size=8
    d_input=6                          the width of what a model reads, where it takes no other
    data_dir= source=                  of a task that reads data

    An evaluation or an analysis is tried on a small made-up task, or on task= and model= where they are named beside
    it.
    """
    targets = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    if len(targets) > 1:
        raise ConfigError(f"check takes one class at a time, not {' and '.join(targets)}.")
    d_input = _d_input(arguments)
    if targets:
        arguments.remove(targets[0])
        cases = [_named(targets[0], arguments, d_input)]
    else:
        cases = _chosen(arguments, d_input)
    failed = [name for case in cases for name in _report(case)]
    if failed:
        raise RunError(f"{len(failed)} of the checks failed: {', '.join(failed)}.")


def _d_input(arguments: list[str]) -> int:
    """Takes `d_input=` out of a command line."""
    widths = [argument for argument in arguments if argument.startswith("d_input=")]
    for argument in widths:
        arguments.remove(argument)
        if not argument.removeprefix("d_input=").isdecimal() or argument == "d_input=0":
            raise ConfigError(f"d_input is a number of features, at least 1, not {argument.removeprefix('d_input=')}.")
    return int(widths[-1].removeprefix("d_input=")) if widths else D_INPUT


def _named(target: str, arguments: list[str], d_input: int) -> Case:
    """A class that the command line names, and so allows."""
    top = target.partition(".")[0]
    if top not in plugins.OURS:
        plugins.allow([top])
    kind = kind_of_class(target)
    settings = command_lines.read("check", arguments, ()).settings
    places = [one for one in settings if key_of(one) in PLACES]
    node = command_lines.node_of([one for one in settings if one not in places])
    node = filled(kind, {"_target_": target, **node})
    check_node(kind, node)
    return Case(kind, node, composed(places), d_input)


def _chosen(arguments: list[str], d_input: int) -> list[Case]:
    """The nodes of a config that the command line chooses or sets anything of. With an evaluation or an analysis, only
    that: task and model are what it is tried on."""
    line = command_lines.read("check", arguments)
    named = {key_of(one).partition(".")[0] for one in line.settings}
    config = compose_run(line).config
    asking = [section for section in ("evaluation", "analysis") if section in named]
    sections = asking or [section for section in PLUGGABLE if section in named]
    if not sections:
        raise ConfigError("Name a class and its arguments, my_package.Mine hidden_size=8, or choose: model=lstm.")
    cases = [
        Case(section, getattr(config, section), config, d_input, own=bool(asking) and "task" in named)
        for section in sections
    ]
    for case in cases:
        check_node(case.kind, case.node)
    return cases


def _report(case: Case) -> list[str]:
    """Run the checks of a node and print a line on each; the names of those that failed."""
    cls = class_at(case.kind, case.node["_target_"])
    print(f"{cls.__name__}, {'an' if case.kind[0] in 'aeiou' else 'a'} {case.kind}:")
    failed = []
    for name, run in _CHECKS[case.kind](case).items():
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


def _of_model(case: Case) -> Checks:
    from seqbench.checks import encoder_decoders, learners, models
    from seqbench.contracts.encoder_decoder import EncoderDecoder
    from seqbench.contracts.learner import Learner
    from seqbench.contracts.peers import Alone

    cls = class_at("model", case.node["_target_"])
    if issubclass(cls, Learner):
        return learners.checks(functools.partial(case.make, peers=Alone()))

    def make() -> Any:
        try:
            return case.make(d_input=case.d_input, peers=Alone())
        except ConfigError as error:
            raise ConfigError(f"{str(error).rstrip('.')}; it was made with d_input={case.d_input}.") from error

    checks = encoder_decoders.checks if issubclass(cls, EncoderDecoder) else models.checks
    return checks(make, case.d_input)


def _of_task(case: Case) -> Checks:
    from seqbench.checks.tasks import checks
    from seqbench.engine.assemble import data_folder

    return checks(functools.partial(case.make, data_dir=data_folder(case.config), source=case.config.source))


def _of_embedding(case: Case) -> Checks:
    from seqbench.checks.embeddings import checks

    return checks(case.make)


def _of_head(case: Case) -> Checks:
    from seqbench.checks.heads import checks
    from seqbench.contracts.peers import Alone

    return checks(functools.partial(case.make, embedding=None, peers=Alone()))


def _of_optimizer(case: Case) -> Checks:
    from seqbench.checks.optimizers import SAMPLING, checks
    from seqbench.contracts.peers import Alone

    del case.node["groups"]  # of a network's parameters
    return checks(
        lambda parameters, learner: case.make(params=parameters, network=learner, peers=Alone(), sampling=SAMPLING)
    )


def _of_schedule(case: Case) -> Checks:
    from seqbench.checks.schedules import checks

    return checks(functools.partial(case.make, max_steps=MAX_STEPS, steps_per_epoch=STEPS_PER_EPOCH), MAX_STEPS)


def _of_evaluation(case: Case) -> Checks:
    from seqbench.checks.evaluations import checks

    return checks(case.make, _subjects(case))


def _of_analysis(case: Case) -> Checks:
    from seqbench.checks.analyses import checks

    return checks(case.make, _subjects(case))


def _of_norm(case: Case) -> Checks:
    from seqbench.checks.norms import checks

    return checks(case.make)


def _of_equilibrium(case: Case) -> Checks:
    from seqbench.checks.equilibria import checks

    return checks(case.make)


def _of_solver(case: Case) -> Checks:
    from seqbench.checks.solvers import checks

    return checks(case.make)


def _of_quantizer(case: Case) -> Checks:
    from seqbench.checks.quantizers import checks

    return checks(case.make)


def _subjects(case: Case) -> Iterable[Callable[[], Any]]:
    """What an evaluation or an analysis is tried on: functions that make it anew."""
    from seqbench.checks.subjects import SUBJECTS, Made
    from seqbench.engine.assemble import assemble_learner, assemble_task

    def own() -> Made:
        import torch

        torch.manual_seed(0)
        task = assemble_task(case.config)
        learner = assemble_learner(case.config, task).eval()
        return Made(task, learner, lambda: iter([(0, learner.state_dict())]))

    return [own] if case.own else SUBJECTS


_CHECKS: dict[str, Callable[[Case], Checks]] = {
    "model": _of_model,
    "task": _of_task,
    "embedding": _of_embedding,
    "head": _of_head,
    "optimizer": _of_optimizer,
    "schedule": _of_schedule,
    "evaluation": _of_evaluation,
    "analysis": _of_analysis,
    "norm": _of_norm,
    "equilibrium": _of_equilibrium,
    "solver": _of_solver,
    "quantizer": _of_quantizer,
}
