"""The command line in a fork of a process that has torch and Hydra imported: 0.3 s instead of 3.

What is imported there hides an import that the code forgot. So commands run in processes of their own, too: train and
list in test_imports.py and test_wheel.py, eval and prepare where a test says `apart`.
"""

import contextlib
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["seqbench.engine.run", "seqbench.commands.train"])


def call(folder: Path, arguments: tuple[str, ...], largest_file: int | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `seqbench <arguments>` in `folder`."""
    with tempfile.TemporaryDirectory() as place:
        said = [Path(place, name) for name in ("stdout", "stderr")]
        process = FORKS.Process(target=_main, args=(folder, arguments, said, largest_file))
        process.start()
        return _exit_code(process), *(path.read_text() for path in said)


@contextlib.contextmanager
def started(folder: Path, arguments: tuple[str, ...]) -> Iterator[multiprocessing.Process]:
    """`seqbench <arguments>` on its way in `folder`, to be killed with all that it starts: its id is its group's."""
    with tempfile.TemporaryDirectory() as place:
        said = [Path(place, name) for name in ("stdout", "stderr")]
        process = FORKS.Process(target=_main, args=(folder, arguments, said, None, True))
        process.start()
        yield process
        _exit_code(process)


def _exit_code(process: multiprocessing.Process) -> int:
    process.join(240)
    if process.is_alive():
        process.kill()
        raise TimeoutError("seqbench takes over four minutes")
    return process.exitcode


def _main(
    folder: Path, arguments: tuple[str, ...], said: list[Path], largest_file: int | None, own_group: bool = False
) -> None:
    from seqbench.cli import main

    if own_group:
        os.setsid()
    for descriptor, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["seqbench", *arguments]
    main()
