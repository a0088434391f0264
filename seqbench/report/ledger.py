"""The ledger: one JSON file for each run, `<run_id>.json`, and nothing else that a table is made from."""

from __future__ import annotations

import json
import math
import os
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from seqbench.config.targets import class_of
from seqbench.errors import UserError
from seqbench.report.evaluations import EVALUATIONS, listed

SPLITS = ("train", "valid", "test", "baseline")
COUNTS = ("steps", "selected_step", "epochs", "wall_seconds", "tokens_per_second", "peak_memory_mib")

# what JSON may hold for a field of `Record`, by the words of its annotation
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "dict": (dict,),
    "None": (type(None),),
}


@dataclass(frozen=True)
class Record:
    """A run as the ledger holds it.

    `config` is what determines the results, resolved; `metrics` is split -> metric -> number, with the memoryless
    "baseline" as a split of its own, maybe empty; `parameters` holds counts. None is a number that was not measured
    or was not finite. `experiment` is informational: rows of tables find their records by `config`.
    """

    run_id: str
    status: str
    experiment: str | None
    config: dict
    seed: int
    selected_step: int | None
    steps: int
    epochs: float | None
    metrics: dict
    parameters: dict
    wall_seconds: float
    tokens_per_second: float | None
    peak_memory_mib: float | None
    device: str
    n_processes: int
    n_threads: int
    precision: str
    deterministic: bool
    versions: dict
    commit: str | None
    dirty: bool | None
    task_version: dict
    evaluations: dict = field(default_factory=dict)  # as evaluations.py has them
    curve: dict = field(default_factory=dict)  # "steps", and the selection metric on valid at each; {} in old records

    def model(self) -> str:
        """The name of the model's class, in lower case."""
        return class_of(self.config["model"])

    def values(self) -> dict[str, float | None]:
        """Every number that a column may show, by its path: `test.nll`, `dynamic.test.nll`, `steps`."""
        numbers: dict[str, float | None] = {
            "steps": self.steps,
            "selected_step": self.selected_step,
            "epochs": self.epochs,
            "wall_seconds": self.wall_seconds,
            "tokens_per_second": self.tokens_per_second,
            "peak_memory_mib": self.peak_memory_mib,
        }
        numbers |= {f"parameters.{name}": count for name, count in self.parameters.items()}
        for split, metrics in self.metrics.items():
            numbers |= {f"{split}.{metric}": value for metric, value in metrics.items()}
        for name, splits in self.evaluations.items():
            for split, found in splits.items():
                for one in found:  # the latest stands for all
                    numbers |= {f"{name}.{split}.{metric}": value for metric, value in one["metrics"].items()}
        return numbers


def same_data(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two task versions name the same data. What one of them does not say, as earlier versions of the project
    did not say all, tells them apart no more than a remark does."""
    return all(one[key] == other[key] for key in one.keys() & other.keys() - {"remark"})


def write_record(record: dict[str, Any], folder: Path) -> Path:
    """Write a run's record to `<folder>/<run_id>.json`, whole or not at all, and return the path.

    A number that is not finite (a perplexity can overflow) is written as null, since JSON has no word for it. Raises
    `ValueError` for a record that `read_ledger` would refuse.
    """
    record = finite(record)
    problem = _problem(record)
    if problem:
        raise ValueError(f"the record {problem}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record['run_id']}.json"
    draft = folder / f".{record['run_id']}.{os.getpid()}.tmp"  # not *.json: a reader never sees half a record
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def read_ledger(folder: Path) -> list[Record]:
    """All records of a ledger, sorted by run_id.

    Raises `UserError` if the folder or a record cannot be read, or a record lacks a key. Keys that this version does
    not know are left out.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: the ledger is made by the first run that finishes.")
    return sorted((_read(path) for path in folder.glob("*.json")), key=lambda record: record.run_id)


def _read(path: Path) -> Record:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not JSON, or not UTF-8
        raise UserError(f"{path} cannot be read as a run's record: {error}.") from error
    problem = _problem(content)
    if problem:
        raise UserError(f"{path} {problem}.")
    if content["run_id"] != path.stem:
        raise UserError(f"{path} holds the run {content['run_id']}: a copy would count a run twice.")
    record = Record(**{name: content[name] for name in _names(content)})
    return replace(record, evaluations=listed(record.evaluations))


def _problem(content: Any) -> str | None:
    """What is wrong with a record, as the end of a sentence; None if nothing is."""
    if not isinstance(content, dict):
        return "is not a JSON object"
    missing = [one.name for one in fields(Record) if one.name not in content and one.default_factory is MISSING]
    if missing:
        return f"lacks {', '.join(missing)}"
    types = {one.name: str(one.type) for one in fields(Record)}
    for name in _names(content):
        kinds = [kind for word in types[name].split(" | ") for kind in _KINDS[word]]
        value = content[name]
        if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
            return f"has {value!r} for {name}, where {types[name]} belongs"
    for split, metrics in content["metrics"].items():
        if split not in SPLITS or not isinstance(metrics, dict):
            return f"has metrics.{split}, where a mapping for one of {', '.join(SPLITS)} belongs"
    for key in ("name", "version"):
        if key not in content["task_version"]:
            return f"lacks task_version.{key}"
    model = content["config"].get("model")
    if not isinstance(model, dict) or not isinstance(model.get("_target_"), str):
        return "lacks config.model._target_"
    groups = {"parameters": content["parameters"]}
    groups |= {f"metrics.{split}": metrics for split, metrics in content["metrics"].items()}
    for name, splits in content.get("evaluations", {}).items():
        for split, found in splits.items() if isinstance(splits, dict) else ():
            entries = [found] if isinstance(found, dict) else found
            if name not in EVALUATIONS or not isinstance(entries, list) or not all(map(_is_entry, entries)):
                return f"has evaluations.{name}.{split}, where what `seqbench eval` writes belongs"
            groups |= {f"evaluations.{name}.{split}[{i}]": one["metrics"] for i, one in enumerate(entries)}
    for group, numbers in groups.items():
        for name, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, (int, float, type(None))):
                return f"has {number!r} for {group}.{name}, where a number belongs"
    return None


def _is_entry(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("metrics"), dict)


def _names(content: dict) -> list[str]:
    """The fields of `Record` that a record has."""
    return [one.name for one in fields(Record) if one.name in content]


def said(metrics: dict[str, float | None]) -> str:
    """A split's metrics in one line, the plain names (nll, ppl) first; how many targets they are of is left out."""
    names = sorted((name for name in metrics if not name.startswith("n_targets")), key=lambda name: ("_" in name, name))
    shown = {name: metrics[name] for name in names}
    return "  ".join(f"{name} {'–' if value is None else format(value, '.5g')}" for name, value in shown.items())


def finite(value: Any) -> Any:
    """The value, None for each number in it that JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
