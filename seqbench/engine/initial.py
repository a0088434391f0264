"""A run that begins from another run's weights (init=<id>)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from seqbench.config.schema import Config, load
from seqbench.engine.checkpoint import Checkpoints
from seqbench.engine.runtime import Run
from seqbench.errors import UserError
from seqbench.report.record import FINISHED, read_content


def begin_from_another(config: Config, run: Run) -> None:
    """Give the learner the weights that the run `init` has selected. Step, optimizer and schedule are new.

    Raises `UserError` where that run is not below `output_dir`, has not finished, or had a learner of other parameters.
    """
    if config.init is None:
        return
    weights = _selected_weights(Path(config.output_dir) / config.init, config.init, run)
    own = run.learner.state_dict()
    for name in sorted({*own, *weights}):
        if name not in own or name not in weights or own[name].shape != weights[name].shape:
            here, there = (
                f"{tuple(state[name].shape)}" if name in state else "no such parameter" for state in (own, weights)
            )
            raise UserError(
                f"The weights of init={config.init} are not those of this model: for {name} there is {there} there, "
                f"and {here} here."
            )
    run.learner.load_state_dict(weights)
    run.log.say(f"The weights are those of run {config.init}.")


def _selected_weights(folder: Path, name: str, run: Run) -> dict[str, Tensor]:
    record = folder / "record.json"
    if not (folder / "config.yaml").exists():
        raise UserError(f"init={name} names a run that is not in {folder.parent}; train it there first.")
    if not record.exists() or read_content(record)["status"] != FINISHED:
        raise UserError(f"init={name} names a run that has not finished; seqbench train run={name} resumes it.")
    settings = load(folder / "config.yaml").train
    parameters = {name for name, _ in run.learner.named_parameters()}
    checkpoints = Checkpoints(folder / "checkpoints", run.log.say, settings.average_last, parameters=parameters)
    payload = checkpoints.load_selected(settings.select) or checkpoints.load_last()
    if payload is None:
        raise UserError(f"There is no checkpoint in {folder}; seqbench train run={name} force=true makes one.")
    return payload["network"]
