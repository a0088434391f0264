"""A process that trains a saved config: `python -m seqbench.engine.worker <config.yaml>`, alone or under torchrun.

It never composes: the config file is the run. An error is left in `error-<rank>.json` beside the config, for the
process that started this one to show. With `--while-stdin` it ends when its standard input does, that is, when the
process at the other end is gone, killed even: no worker outlives its run and holds the lock.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqbench.config.plugin_use import require_same_plugins
from seqbench.config.schema import Config, load, save
from seqbench.engine.assemble import assemble_task
from seqbench.engine.distributed import World, check_device, check_rows, lost_peer, n_cores, worker_command
from seqbench.engine.interrupt import PASSED_ON, passed_on, stop_with_parent
from seqbench.engine.room import within_memory
from seqbench.engine.run import run_folder, train
from seqbench.errors import BusyError, RunError, UserError


def main(path: Path, while_stdin: bool = False) -> None:
    if while_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    config = load(path)
    try:
        require_same_plugins(config, "this run")
        world = World(config.train)
        train(config, world)
    except (UserError, RunError) as error:
        _leave(path, {"kind": type(error).__name__, "user": isinstance(error, UserError), "text": str(error)})
        os._exit(2 if isinstance(error, UserError) else 1)  # without waiting for the others in a collective
    except KeyboardInterrupt as error:
        _leave(path, {"kind": "interrupt", "user": True, "text": str(error)})
        os._exit(130)
    except BaseException as error:
        kind = "lost" if lost_peer(error) else "bug"
        _leave(path, {"kind": kind, "user": False, "text": traceback.format_exc()})
        os._exit(1)
    world.close()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may abort the process while Python takes it down


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def _leave(path: Path, error: dict[str, Any]) -> None:
    name = f"error-{os.environ.get('RANK', '0')}.json"
    (path.parent / name).write_text(json.dumps(error))
    sys.stdout.flush()


def run_in_processes(config: Config) -> dict[str, Any]:
    """Train in `train.nproc` new processes; the record. The first error of any of them is raised here."""
    check_device(config.train.device)
    with within_memory(config):
        task = assemble_task(config)  # prepares the data, or says what is missing, before anything is written
        if task.equal_batches and config.train.nproc > 1:
            check_rows(task.batch("train", 0), config.train.nproc)
    folder = run_folder(config)
    place = folder / f"launch-{os.getpid()}"  # of this process: another may try the same run
    try:
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob("error-*.json"):
            old.unlink()
        save(replace(config, source=None), place / "config.yaml")  # they find what is prepared, and need no other text
    except OSError as error:
        raise UserError(f"Cannot write {error.filename or place}: {error.strerror}.") from error
    command = [*worker_command(place / "config.yaml", config.train.nproc), "--while-stdin"]
    said = place / "torchrun.log"  # its own report repeats the workers' errors
    threads = str(max(1, n_cores() // config.train.nproc))  # torchrun would say one
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    with open(said, "wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=file if config.train.nproc > 1 else None, env=environment
        )
    if multiprocessing.current_process().name != "MainProcess":  # a job that joblib started
        stop_with_parent()
    try:
        with passed_on(process, PASSED_ON if config.train.nproc == 1 else signal.SIGTERM) as told_to_stop:
            process.wait()
    except BaseException as error:
        process.terminate()  # torchrun hands it on; whatever stays ends with stdin
        process.wait()
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(*_last_words(place)) from None
        raise
    finally:
        if process.stdin:
            process.stdin.close()
    if told_to_stop():
        raise KeyboardInterrupt(*_last_words(place))
    if process.returncode:
        raise _first_error(place, process.returncode, said.read_text(errors="replace"))
    shutil.rmtree(place)
    return json.loads((folder / "record.json").read_text())


def _last_words(place: Path) -> list[str]:
    """What a process that was interrupted says it has saved, if anything."""
    errors = [json.loads(path.read_text()) for path in place.glob("error-*.json")]
    shutil.rmtree(place)
    return [error["text"] for error in errors if error["kind"] == "interrupt" and error["text"]]


def _first_error(place: Path, code: int, said: str) -> BaseException:
    """The error that one of the processes left, or what torchrun says of one that died without a word."""
    paths = sorted(place.glob("error-*.json"), key=lambda path: path.stat().st_mtime_ns)
    errors = [(path.stem.rpartition("-")[2], json.loads(path.read_text())) for path in paths]
    own = [(rank, error) for rank, error in errors if error["kind"] != "lost"]
    if not own:
        return RunError(f"{_first_death(said, code)} and no error of its own; code -9 is often a lack of memory.")
    rank, error = own[0]
    if error["kind"] == "bug":
        return RunError(f"Process {rank} failed:\n{error['text'].rstrip()}")
    shutil.rmtree(place)
    with contextlib.suppress(OSError):
        place.parent.rmdir()  # only if the run had never begun
    kinds = {"interrupt": KeyboardInterrupt, "BusyError": BusyError}
    return kinds.get(error["kind"], UserError if error["user"] else RunError)(error["text"])


def _first_death(said: str, code: int) -> str:
    """Who died, from torchrun's report: a signal comes first, unless it was torchrun's own, to those left over."""
    deaths = re.findall(r"rank\s+: (\d+) .*\n\s+exitcode\s+: (-?\d+)", said)
    killed = [death for death in deaths if int(death[1]) < 0 and int(death[1]) != -signal.SIGTERM]
    for rank, exit_code in [*killed, *deaths]:
        return f"Process {rank} died with code {exit_code}"
    return f"A process ended with code {code}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--while-stdin" in sys.argv[2:])
