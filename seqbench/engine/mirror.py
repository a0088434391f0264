"""Dashboards that mirror metrics.jsonl: Weights & Biases, TensorBoard.

A dashboard is never needed for a result, so an error in one is said once and the mirror goes silent; it never stops a
run. W&B is online only when there is a key and a server that answers; else it writes an offline run to be synced later.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from seqbench.errors import ConfigError

NOT_IN_PROJECTS = "/\\#?%:"  # by W&B's rules
CONNECT_SECONDS = 9  # beside the ten of the login


class Mirror(Protocol):
    def log(self, row: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


def check_mirror(kind: str, project: str) -> None:
    """Raise `ConfigError` where the package of `log.mirror` is not installed, or W&B takes no project of that name."""
    if kind == "wandb" and set(project) & set(NOT_IN_PROJECTS):
        raise ConfigError(f"log.project={project!r} cannot have any of {' '.join(NOT_IN_PROJECTS)} in it.")
    if kind != "none" and importlib.util.find_spec(kind) is None:
        raise ConfigError(f'log={kind} needs its package: pip install "seqbench[{kind}]".')


def make_mirrors(kind: str, project: str, run_id: str, folder: Path, config: dict, say: Callable) -> list[Mirror]:
    """The mirrors of `log.mirror`; none where one cannot start, which is said."""
    try:
        if kind == "wandb":
            return [Guarded(WandB(project, run_id, folder, config, say), kind, say)]
        if kind == "tensorboard":
            return [Guarded(TensorBoard(folder), kind, say)]
    except Exception as error:  # whatever a dashboard raises, the run goes on
        say(f"{kind} cannot start and is left out: {_first_line(error)}")
    return []


class Guarded:
    """A mirror whose first error is said and whose later rows are dropped."""

    def __init__(self, inner: Mirror, name: str, say: Callable):
        self.inner, self.name, self.say, self.broken = inner, name, say, False

    def log(self, row: dict[str, Any]) -> None:
        self._try(lambda: self.inner.log(row))

    def close(self) -> None:
        self._try(self.inner.close)

    def _try(self, action: Callable[[], None]) -> None:
        if self.broken:
            return
        try:
            action()
        except Exception as error:  # whatever a dashboard raises, the run goes on
            self.broken = True
            self.say(f"{self.name} failed and is left out from here on: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def flat(row: dict[str, Any]) -> dict[str, float]:
    """`{"valid": {"nll": 1}}` as `{"valid/nll": 1}`."""
    result: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            result.update({f"{name}/{key}": inner for key, inner in value.items()})
        elif name != "step":
            result[name] = value
    return result


class WandB:
    def __init__(self, project: str, run_id: str, folder: Path, config: dict, say: Callable):
        import wandb

        settings = wandb.Settings(init_timeout=CONNECT_SECONDS, console="off", silent=True)
        start = functools.partial(
            wandb.init, project=project, id=run_id, resume="allow", dir=str(folder), config=config, settings=settings
        )
        try:
            # WANDB_MODE has the first word; the login asks no one at the terminal, and the server for ten seconds
            asked = "WANDB_MODE" in os.environ
            online = asked or wandb.login(prompt=False)
            if not online:
                say(f"W&B has no key (wandb login); logging offline into {folder / 'wandb'}.")
            self.run = start(mode=None if asked else "online" if online else "offline")
        except wandb.Error as error:
            say(f"W&B does not answer ({_first_line(error)}); logging offline.")
            wandb.teardown()  # its service still has the run's id in use
            self.run = start(mode="offline")

    def log(self, row: dict[str, Any]) -> None:
        self.run.log(flat(row), step=row["step"])

    def close(self) -> None:
        self.run.finish()


class TensorBoard:
    def __init__(self, folder: Path):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, row: dict[str, Any]) -> None:
        for name, value in flat(row).items():
            self.writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        self.writer.close()
