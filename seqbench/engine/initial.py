"""A run that begins from another run's weights (init=<id>)."""

from __future__ import annotations

from pathlib import Path

from seqbench.config.compat import fill_defaults
from seqbench.config.schema import Config, load
from seqbench.config.targets import class_at, stable_target
from seqbench.contracts.analysis import Weights
from seqbench.contracts.backbone import Compactable
from seqbench.contracts.learner import Learner
from seqbench.engine.assemble import assemble_learner
from seqbench.engine.checkpoint import Checkpoints
from seqbench.engine.runtime import Run
from seqbench.errors import UserError
from seqbench.learners.compaction import compacted, largest, require_compactable, sizes_of
from seqbench.report.record import FINISHED, read_content


def begin_from_another(config: Config, run: Run) -> None:
    """Give the learner the weights that the run `init` has selected. Step, optimizer and schedule are new.

    A plain LSTM that begins from a model whose units can be closed is given those that are open, or of them so many as
    it has: of each layer, those with the largest norms.

    Raises `UserError` where that run is not below `output_dir`, has not finished, or had a learner of other parameters.
    """
    if config.init is None:
        return
    folder = Path(config.output_dir) / config.init
    _require_finished(folder, config.init)
    source = load(folder / "config.yaml")
    sizes = sizes_of(run.learner)
    if sizes is None or not _can_close_units(config, source):
        weights = _selected_weights(folder, source, config.init, run.learner, run)
    else:
        network = assemble_learner(fill_defaults(source), run.task).to(run.world.device)
        network.load_state_dict(_selected_weights(folder, source, config.init, network, run))
        try:
            weights = compacted(require_compactable(network), largest(require_compactable(network), sizes))
        except ValueError as error:
            raise UserError(f"init={config.init} names a run that {error}.") from error
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


def _require_finished(folder: Path, name: str) -> None:
    record = folder / "record.json"
    if not (folder / "config.yaml").exists():
        raise UserError(f"init={name} names a run that is not in {folder.parent}; train it there first.")
    if not record.exists() or read_content(record)["status"] != FINISHED:
        raise UserError(f"init={name} names a run that has not finished; seqbench train run={name} resumes it.")


def _can_close_units(config: Config, source: Config) -> bool:
    """Whether a run's model is another than this one's, and one whose units can be closed."""
    theirs, ours = source.model["_target_"], config.model["_target_"]
    return stable_target(theirs) != stable_target(ours) and issubclass(class_at("model", theirs), Compactable)


def _selected_weights(folder: Path, source: Config, name: str, learner: Learner, run: Run) -> Weights:
    """What a run, whose learner has the parameters of `learner`, has selected."""
    settings = source.train
    parameters = {name for name, _ in learner.named_parameters()}
    checkpoints = Checkpoints(folder / "checkpoints", run.log.say, settings.average_last, parameters=parameters)
    payload = checkpoints.load_selected(settings.select) or checkpoints.load_last()
    if payload is None:
        raise UserError(f"There is no checkpoint in {folder}; seqbench train run={name} force=true makes one.")
    return payload["network"]
