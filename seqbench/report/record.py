"""A run's record: what it holds, what is wrong with one, and the text that it is written as."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from seqbench.config.identity import digest
from seqbench.config.targets import class_of
from seqbench.contracts.metrics import finite
from seqbench.errors import UserError
from seqbench.report.analyses import analyses_fault
from seqbench.report.evaluations import Found, listed

FINISHED = "finished"
DATA_SPLITS = ("train", "valid", "test")
SPLITS = (*DATA_SPLITS, "baseline")
COUNTS = ("steps", "selected_step", "epochs", "wall_seconds", "tokens_per_second", "peak_memory_mib", "train_loss")
LARGEST = 2**64  # of integers: a seed of data fits below
_NULL = type(None)


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
    analyses: dict = field(default_factory=dict)  # as analyses.py has them
    train_loss: float | None = None  # a target's, over the steps after the last evaluation but one; None in old records
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
            "train_loss": self.train_loss,
        }
        numbers |= {f"parameters.{name}": count for name, count in self.parameters.items()}
        for split, metrics in self.metrics.items():
            numbers |= {f"{split}.{metric}": value for metric, value in metrics.items()}
        for name, splits in self.evaluations.items():
            for split, entries in splits.items():
                for entry in entries:  # the latest stands for all
                    numbers |= {f"{name}.{split}.{metric}": value for metric, value in entry["metrics"].items()}
        for name, entries in self.analyses.items():
            for entry in entries:
                numbers |= {f"{name}.{number}": value for number, value in entry["numbers"].items()}
        return numbers

    def found_later(self, path: str) -> list[tuple[Found, float | None]]:
        """What `eval` and `analyze` found under a path such as `beam.test.bleu` or `loss_modelling.valid.linear`: the
        entries, one for each settings, with their numbers."""
        name, _, rest = path.partition(".")
        if name in self.analyses:
            return [(entry, entry["numbers"].get(rest)) for entry in self.analyses[name]]
        split, _, metric = rest.partition(".")
        return [(entry, entry["metrics"].get(metric)) for entry in self.evaluations.get(name, {}).get(split, [])]


TYPES: dict[str, tuple[type, ...]] = {  # what JSON may hold for a field
    **dict.fromkeys(("run_id", "status", "device", "precision"), (str,)),
    **dict.fromkeys(("experiment", "commit"), (str, _NULL)),
    **dict.fromkeys(("seed", "steps", "n_processes", "n_threads"), (int,)),
    "selected_step": (int, _NULL),
    "wall_seconds": (int, float),
    **dict.fromkeys(("epochs", "tokens_per_second", "peak_memory_mib", "train_loss"), (int, float, _NULL)),
    "deterministic": (bool,),
    "dirty": (bool, _NULL),
    **dict.fromkeys(("config", "metrics", "parameters", "versions", "task_version"), (dict,)),
    **dict.fromkeys(("evaluations", "analyses", "curve"), (dict,)),
}
_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false", dict: "a mapping", _NULL: "null"}


def dumps(record: dict[str, Any]) -> str:
    """The text of a record's file, the same for the same record. A number that is not finite (a perplexity can
    overflow) is written as null, since JSON has no word for it."""
    return json.dumps(finite(record), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """Raises `UserError` with the path. Keys that this version does not know are left out."""
    content = read_content(path)
    record = Record(**{name: content[name] for name in _names(content)})
    return replace(record, evaluations=listed(record.evaluations))


def read_content(path: Path) -> dict[str, Any]:
    """All that a sound record's file holds, for one that is to be written again. Raises `UserError`."""
    if path.exists() and not path.is_file():  # reading a pipe would never end
        raise UserError(f"{path} is not a file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not JSON, or not UTF-8
        raise UserError(f"{path} cannot be read as a run's record: {error}.") from error
    problem = fault(content)
    if problem:
        raise UserError(f"{path} {problem}.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def fault(content: Any) -> str | None:
    """What is wrong with a record, as the end of a sentence; None if nothing is."""
    if not isinstance(content, dict):
        return "is not a JSON object"
    required = [entry.name for entry in fields(Record) if entry.default is MISSING and entry.default_factory is MISSING]
    missing = [name for name in required if name not in content]
    if missing:
        return f"lacks {', '.join(missing)}"
    for name in _names(content):
        value = content[name]
        if not isinstance(value, TYPES[name]) or (isinstance(value, bool) and bool not in TYPES[name]):
            wanted = " or ".join(_WORDS[kind] for kind in TYPES[name])
            return f"has {value!r} for {name}, where {wanted} belongs"
    faults = (
        _odd_value(content, ""),
        _config_fault(content),
        _metrics_fault(content),
        _curve_fault(content.get("curve", {})),
        analyses_fault(content.get("analyses", {})),
    )
    return next((problem for problem in faults if problem), None)


def _odd_value(value: Any, path: str) -> str | None:
    """What no run writes, and what would reach a terminal or a table as something else than text and numbers."""
    if isinstance(value, str):
        odd = any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in value)
        surrogate = any(0xD800 <= ord(character) < 0xE000 for character in value)
        return f"has characters in {path} that are no text" if odd or surrogate else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"has a number in {path} that is not finite"
    if isinstance(value, int):
        return None if abs(value) < LARGEST else f"has an impossible number in {path}"
    if isinstance(value, list):
        return next(filter(None, (_odd_value(item, f"{path}[{i}]") for i, item in enumerate(value))), None)
    if isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            problem = _odd_value(key, f"a name of {path or 'it'}") or _odd_value(item, where)
            if problem:
                return problem
    return None


def _config_fault(content: dict[str, Any]) -> str | None:
    for key in ("name", "version"):
        if key not in content["task_version"]:
            return f"lacks task_version.{key}"
    model = content["config"].get("model")
    if not isinstance(model, dict) or not isinstance(model.get("_target_"), str):
        return "lacks config.model._target_"
    run_id, identity = content["run_id"], digest(content["config"])
    if re.fullmatch(r"[0-9a-f]{12}", run_id) and run_id != identity:
        return f"has the config of another run ({identity})"
    return None


def _metrics_fault(content: dict[str, Any]) -> str | None:
    for split, metrics in content["metrics"].items():
        if split not in SPLITS or not isinstance(metrics, dict):
            return f"has metrics.{split}, where a mapping for one of {', '.join(SPLITS)} belongs"
    if content["status"] == FINISHED and "test" not in content["metrics"]:
        return "lacks metrics.test"
    groups = {"parameters": content["parameters"]}
    groups |= {f"metrics.{split}": metrics for split, metrics in content["metrics"].items()}
    for name, splits in content.get("evaluations", {}).items():
        if not isinstance(splits, dict):
            return f"has evaluations.{name}, where a mapping of splits belongs"
        for split, entries in splits.items():
            entries = [entries] if isinstance(entries, dict) else entries
            if split not in DATA_SPLITS or not isinstance(entries, list) or not all(map(_is_entry, entries)):
                return f"has evaluations.{name}.{split}, where what `seqbench eval` writes belongs"
            groups |= {f"evaluations.{name}.{split}[{i}]": entry["metrics"] for i, entry in enumerate(entries)}
    for group, numbers in groups.items():
        for name, number in numbers.items():
            if not _is_number(number):
                return f"has {number!r} for {group}.{name}, where a number belongs"
    return None


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("metrics"), dict):
        return False
    return isinstance(entry.get("settings", {}), dict) and isinstance(entry.get("category", ""), str)


def _curve_fault(curve: dict[str, Any]) -> str | None:
    lists = list(curve.values())
    equal = all(isinstance(numbers, list) and len(numbers) == len(lists[0]) for numbers in lists)
    if not curve or (equal and len(curve) == 2 and "steps" in curve and all(map(_is_number, itertools.chain(*lists)))):
        return None
    return "has a curve that is not one number for each of its steps"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, _NULL)) and not isinstance(value, bool)


def _names(content: dict) -> list[str]:
    """The fields of `Record` that a record has."""
    return [entry.name for entry in fields(Record) if entry.name in content]
