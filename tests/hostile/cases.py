"""Hostile and mistaken command lines, YAML files and damaged folders, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import small_run

MARKER = "marker"  # what an attack makes where it runs
QUICK = [*small_run.SMALL, "train.max_steps=2", "train.eval_every=1", "train.threads=1"]
CALLS = [
    "{_target_: os.mkdir, path: marker}",
    "{_target_: pathlib.Path.touch, self: marker}",
    "{_target_: shutil.copyfile, src: /etc/hostname, dst: marker}",
    "{_target_: torch.load, f: bomb.pkl, weights_only: false}",
    "{_target_: seqbench.config.targets.class_at, kind: model, target: evil.Evil}",
    "{_target_: seqbench.engine.run._start_over, folder: .}",
    "{_target_: seqbench.commands.train.train, arguments: [--experimental-rerun=bomb.pkl]}",
    "{_target_: evil.Evil}",
]
KEYS = [
    *("model.hidden_size", "model.n_negative", "task.delay", "task.train_size", "task.batch_size", "optimizer.lr"),
    *("train.max_steps", "train.eval_every", "train.grad_clip", "train.nproc", "train.precision", "train.select"),
    *("seed", "force", "log.every", "checkpoint.every", "output_dir", "results_dir", "data_dir", "source", "split"),
    *("model", "task", "optimizer", "schedule", "head", "embedding", "evaluation", "experiment", "network.tied", "run"),
    *("network.dropout_output", "train", "network", "nonsense", "model.nonsense", "optimizer.groups.recurrent.lr"),
    *("hydra.callbacks.e", "hydra.job.env_set.X", "hydra.run.dir", "hydra.output_subdir", "hydra/launcher"),
    *("hydra.launcher._target_", "hydra.sweeper._target_", "hydra", "hydra.mode", "hydra.searchpath", "_target_"),
    *("model._target_", "task._target_", "optimizer._target_", "hydra.job_logging.handlers.x.class", "model@x"),
]
VALUES = [
    *("0", "-1", "1", "2", "1.5", "-0.0", "1e5", "1e39", "1e308", "nan", "inf", "-inf", "null", "true", "False", "''"),
    *("1000000000000000000000", "9223372036854775808", "0x10", "1_000", "abc", "lstm", "sgd", "adam", "bf16", "best"),
    *("[]", "[1,2]", "[[1]]", "{}", "{a:1}", "[a", "{a:", "'", '"', "a b", "a=b", "a,b", "lstm,gru", "range(0,0)"),
    *("range(0,1e9)", "choice(1,2)", "glob(*)", "int(3)", "${seed}", "${nothing}", "${oc.env:HOME}", "$HOME", "~/x"),
    *("../../etc/passwd", "/etc/passwd", "/proc/x", "/dev/null/x", "/dev/full", "Übung", "日本", "a\tb", "\\", "\\'"),
    *("os.mkdir", "torch.optim.SparseAdam", "torch.optim.LBFGS", "torch.optim", "seqbench.errors.UserError", "..", "*"),
    *("file://marker", "pkg://evil", "[" * 200, "x" * 5000, "\u202e", "%s", "{}{}", "<<<", "#", ":", "?", "!!python/x"),
    *CALLS,
]
OPTIONS = [
    *(["-m"], ["--multirun"], ["--foo"], ["-x"], ["--model=lstm"], ["-model=lstm"], ["--cfg", "job"], ["--cfg", "x"]),
    *(["--resolve"], ["--run", "-m"], ["--experimental-rerun", "bomb.pkl"], ["--config-dir", "theirs"]),
    *(["--config-dir"], ["--config-dir", "/nowhere"], ["--config-path", "theirs"], ["--config-name", "evil"]),
    *(["--info"], ["--hydra-help"], ["--version"], ["--help"], ["--row"], ["--package", "model"], ["--"], ["-"], [""]),
]
COMMANDS = ["train", "train", "train", "show", "eval", "prepare", "list", "tables", "plots", "bench", "nonsense"]


@dataclass
class Case:
    """A command in a folder with some files. `damage` changes the text of a finished run's config.yaml first."""

    arguments: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    damage: Callable[[bytes], bytes] | None = None


def cases(seed: int, n_of_each: int) -> Iterator[Case]:
    """`n_of_each` of each of the three kinds."""
    chance = random.Random(seed)
    for _ in range(n_of_each):
        yield _command_line(chance)
    for _ in range(n_of_each):
        yield _folder_of_configs(chance)
    for _ in range(n_of_each):
        yield _damaged_run(chance)


def _command_line(chance: random.Random) -> Case:
    command = chance.choice(COMMANDS)
    words = list(QUICK) if command in ("train", "show") else []
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.2:
            words += chance.choice(OPTIONS)
        else:
            prefix = chance.choice(["", "", "", "+", "++", "~"])
            words.append(f"{prefix}{chance.choice(KEYS)}={chance.choice(VALUES)}")
    if chance.random() < 0.1:
        words.append(chance.choice(VALUES))
    if command == "bench":
        words.append("rounds=x")  # a whole suite would take minutes
    return Case([command, *words])


def _folder_of_configs(chance: random.Random) -> Case:
    group = chance.choice(["experiment", "model", "task", "optimizer", "hydra/launcher"])
    text = _yaml(chance, group)
    content = text.encode()
    if chance.random() < 0.2:
        content = _flipped(chance, content)
    settings = QUICK if chance.random() < 0.5 else [one for one in QUICK if not one.startswith(f"{group}.")]
    sweep = ["-m", "seed=0,1"] if chance.random() < 0.2 else []
    command = chance.choice(["train", "train", "show", "prepare"])
    sweep = sweep if command == "train" else []
    words = [command, "--config-dir", "theirs", f"{group}=evil", *sweep, *(settings if command != "prepare" else [])]
    return Case(words, {f"theirs/{group}/evil.yaml": content, "theirs/other/evil.yaml": chance.choice(CALLS).encode()})


def _yaml(chance: random.Random, group: str) -> str:
    call, value, key = chance.choice(CALLS), chance.choice(VALUES), chance.choice(KEYS)
    lines = {
        "experiment": [
            f"hydra: {{callbacks: {{e: {call}}}}}",
            f"hydra: {{job_logging: {{handlers: {{h: {{(): os.mkdir, path: {MARKER}}}}}}}}}",
            f"hydra: {{sweeper: {call}}}",
            f"hydra: {{launcher: {call}}}",
            f"hydra: {{job: {{env_set: {{LD_PRELOAD: {MARKER}}}, chdir: true}}}}",
            f"hydra: {{run: {{dir: {MARKER}}}, output_subdir: {MARKER}}}",
            f"hydra: {chance.choice(['null', '5', '[]', '{}', '[1]'])}",
            "defaults: [/other/evil@hydra.callbacks.e]",
            "defaults: [override /hydra/launcher: joblib]",
            "defaults: [evil]",
            f"defaults: {chance.choice(['5', 'null', '{a: 1}', '[5]', '[{}]', '[[a]]', 'evil', '[{a: [b]}]'])}",
            f"{chance.choice(['model', 'task', 'optimizer', 'head', 'schedule'])}: {call}",
            f"{chance.choice(['model', 'train', 'network', 'seed', 'log', 'force'])}: {value}",
            f"{key.replace('.', ': {', 1)}: {value}{'}' if '.' in key else ''}",
        ],
        "hydra/launcher": [call, "_target_: os.mkdir", "defaults: [joblib]"],
    }.get(
        group, [call, value, "defaults: [evil]", f"_target_: seqbench.models.recurrent.gru.GRU\nhidden_size: {value}"]
    )
    header = "# @package _global_\n" if group == "experiment" and chance.random() < 0.9 else ""
    text = header + "\n".join(chance.sample(lines, chance.randint(1, 2) if group == "experiment" else 1)) + "\n"
    depth = chance.randint(1, 500)
    return text + chance.choice(["", "", "", "a: &a [*a]\n", f"b: {'[' * depth}{']' * depth}\n"])


def _damaged_run(chance: random.Random) -> Case:
    command = chance.choice(["eval", "train", "list", "show"])
    words = [command] if command == "list" else [command, "run={id}"]
    call, value = chance.choice(CALLS), chance.choice(VALUES)
    section = chance.choice(
        ["model", "task", "head", "optimizer", "schedule", "evaluation", "embedding", "train", "seed"]
    )
    where, size = chance.random(), chance.random()
    replacements: list[Callable[[bytes], bytes]] = [
        lambda text: text[: int(where * len(text))],
        lambda text: _flipped(random.Random(where), text),
        lambda text: text + f"{section}: {call}\n".encode(),
        lambda text: text + f"{section}: {value}\n".encode(),
        lambda text: text.replace(b"_target_: seqbench", b"_target_: evil"),
        lambda text: text + f"results_dir: {MARKER}\noutput_dir: {MARKER}\n".encode(),
        lambda text: text.replace(b"delay: 10", f"delay: {value}".encode()),
        lambda text: chance.choice(
            [b"", b"null\n", b"[]\n", b"5\n", b"model: null\n", b"\xff\xfe\x00", b"a: &a [*a]\n"]
        ),
        lambda text: text + b"k: " + b"[" * int(size * 400) + b"]" * int(size * 400) + b"\n",
        lambda text: text.replace(b": ", b": ${oc.env:HOME}", 3),
    ]
    return Case(words, damage=chance.choice(replacements))


def _flipped(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)
