"""`seqbench compact`: a finished run's network without its closed units, as a run of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqbench.commands.stored import PLACES, read, require_its_config
from seqbench.commands.train import run as train
from seqbench.config import arguments as command_lines
from seqbench.config.check import check
from seqbench.config.compat import filled
from seqbench.config.schema import Config, TrainConfig
from seqbench.config.targets import class_at
from seqbench.contracts.backbone import Compactable
from seqbench.errors import RunError, UserError
from seqbench.report.analyses import COMPACTION, merged_analyses
from seqbench.report.evaluations import Found
from seqbench.report.places import Places
from seqbench.report.record import FINISHED, read_content

ACCEPTED = (*PLACES, "train.device", "train.threads")
CLOSEST = 1e-6  # of outputs in float64, and of the metric that selects in float32
N_BATCHES = 3  # of the test split, whose outputs are compared
PLAIN = "seqbench.models.recurrent.lstm.LSTM"
SETTINGS = ("n_layers", "dropout", "init_range", "backend")  # that both models have


def compact(arguments: list[str]) -> None:
    """Takes the closed units of a finished run away. What is left is a plain LSTM, and a run that begins from the first
    one by init=; both records tell its sizes and how much faster it reads.

    run=<id>                           as seqbench list shows it; a unique prefix is enough. Its model is one whose
                                       units can be closed: model=pruned_lstm
    train.device= train.threads=       device and threads to use; times are of one thread on the CPU
    output_dir= results_dir= data_dir= source=    folders to use

    Nothing is written unless the small network's outputs are those of the first one, to 1e-6 in float64.
    """
    always = ("output_dir", "results_dir", "source", "train.device", "train.threads")
    config, folder = read("compact", command_lines.read("compact", arguments), ACCEPTED, always)
    require_its_config(config, folder)
    config.train.nproc = 1
    check(config)
    if not (folder / "record.json").exists() or read_content(folder / "record.json")["status"] != FINISHED:
        raise UserError(f"Run {folder.name} has not finished; seqbench train run={folder.name} resumes it.")
    if not issubclass(class_at("model", config.model["_target_"]), Compactable):
        raise UserError(f"Run {folder.name} has a model without gates, such as pruned_lstm has.")
    places = Places(config)
    places.require_writable()
    small, numbers = _compacted(config, folder)
    record = train(small, isolated=False)
    assert record is not None
    _require_same_metric(read_content(folder / "record.json"), record)
    entry: Found = {"settings": {}, "step": record["selected_step"], "numbers": numbers, "figures": {}}
    for place in (folder, Path(config.output_dir) / record["run_id"]):
        _keep(entry, place, places.runs)
    print(json.dumps({"run_id": record["run_id"], "init": folder.name, COMPACTION: numbers}, indent=2))


def _compacted(config: Config, folder: Path) -> tuple[Config, dict[str, float]]:
    """The config of the run without closed units, and what is to be told of it. Raises `UserError` where there is
    none, `RunError` where its outputs are others."""
    from seqbench.bench.inference import compare
    from seqbench.engine.assemble import assemble_learner
    from seqbench.engine.room import within_memory
    from seqbench.engine.selected import selected_run
    from seqbench.learners.compaction import compacted, largest_difference, open_indices, require_compactable, widths
    from seqbench.learners.network import Network
    from seqbench.models.recurrent.lstm import LSTM

    with within_memory(config):
        run, _ = selected_run(config, folder)
        with run.optimizer.averaged():
            try:
                network = require_compactable(run.learner.eval().cpu())
                kept = open_indices(network)
            except ValueError as error:
                raise UserError(f"Run {folder.name} {error}.") from error
            sizes, large = [len(one) for one in kept], widths(network)
            small_config = _config(config, folder.name, sizes)
            check(small_config)
            small = assemble_learner(small_config, run.task)
            assert isinstance(small, Network) and isinstance(small.backbone, LSTM) and small.head.readout is not None
            small.load_state_dict(compacted(network, kept))
            batches = [run.task.batch("test", index) for index in range(min(N_BATCHES, run.task.n_batches("test")))]
            difference = largest_difference(network, small, kept, batches)
            if not difference <= CLOSEST:
                raise RunError(
                    f"Without its closed units, the outputs of {folder.name} differ by up to {difference:.2g}: nothing "
                    "is written."
                )
            network.diagnostics()
            network.outputs(batches[0])
            numbers = {name: total / count for name, (total, count) in network.diagnostics().items()}
            numbers |= {"closed_units": 1 - sum(sizes[1:]) / sum(large[1:]), "difference": difference}
            return small_config, {**numbers, **compare(small.backbone, small.head.readout, sizes, large)}


def _config(config: Config, name: str, sizes: list[int]) -> Config:
    """The run of a plain LSTM that begins from the run `name`: one step at a rate of zero, which changes nothing."""
    model: dict[str, Any] = {key: config.model[key] for key in SETTINGS}
    embedding = {**config.embedding, **({"d_embed": sizes[0]} if "d_embed" in config.embedding else {})}
    train = config.train
    of_machine = {"device": train.device, "threads": train.threads}
    return replace(
        config,
        model=filled("model", {"_target_": PLAIN, "hidden_size": sizes[1:], **model}),
        embedding=embedding,
        optimizer={**filled("optimizer", {"_target_": "torch.optim.SGD", "lr": 0.0}), "groups": {}},
        schedule=filled("schedule", {"_target_": "seqbench.optim.schedules.Constant"}),
        train=TrainConfig(max_steps=1, precision=train.precision, deterministic=train.deterministic, **of_machine),
        init=name,
        experiment=None,
        force=False,
    )


def _require_same_metric(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Of what selects, as the engine has measured it of either. Raises `RunError`. Half precision, and what a GPU does
    in float32, round more than that."""
    if after["precision"] != "fp32" or not all(record["device"].startswith("cpu") for record in (before, after)):
        return
    (metric,) = (name for name in after["curve"] if name != "steps")
    for split in ("valid", "test"):
        theirs, ours = (record["metrics"][split][metric] for record in (before, after))
        if abs(ours - theirs) > CLOSEST * max(1.0, abs(theirs)):
            raise RunError(f"The {metric} on {split} is {ours}, and {theirs} with the closed units: nothing is kept.")


def _keep(entry: Found, folder: Path, ledger: Path) -> None:
    from seqbench.engine.record import keep_record, with_later_findings

    record = with_later_findings(read_content(folder / "record.json"), ledger)
    record["analyses"] = merged_analyses(record.get("analyses", {}), {COMPACTION: [entry]})
    keep_record(record, folder, ledger)
