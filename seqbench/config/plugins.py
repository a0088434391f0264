"""Packages outside seqbench whose classes a config may name, and whose conf/ lies beside ours.

The user alone says which: `plugins=[...]` on the command line, the environment variable SEQBENCH_PLUGINS, or an entry
point `seqbench.plugins` of what is installed. No file does, whether a config, a saved run or a record. The command
line's are put into the environment variable, so that the processes which this one starts know them too. Nothing here
imports a plugin: it is looked for, read and hashed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from seqbench.errors import ConfigError, did_you_mean

VARIABLE = "SEQBENCH_PLUGINS"
GROUP = "seqbench.plugins"
OURS = ("seqbench", "torch")  # whose classes lie where their kinds say
EXAMPLE = "plugins=[my_package]"


@dataclass(frozen=True)
class Plugin:
    """A package, or a module of one file. `places` are its folders, of which a package without __init__.py may have
    several, or its file."""

    name: str
    places: tuple[Path, ...]

    def sources(self) -> dict[str, Path]:
        """Its Python files by their path within it, sorted."""
        paths = {}
        for place in reversed(self.places):  # a module is imported from the first folder that has it
            files = [place] if place.is_file() else place.rglob("*.py")
            paths |= {(place.name if file == place else file.relative_to(place).as_posix()): file for file in files}
        return {name: paths[name] for name in sorted(paths) if paths[name].is_file()}

    def checksum(self) -> str:
        """The SHA-256 of its Python files' paths and contents."""
        return _checksum(self)

    def conf(self) -> Path | None:
        """Its folder of configs, if it has one."""
        return next((place / "conf" for place in self.places if (place / "conf").is_dir()), None)

    def source_of(self, module: str) -> Path | None:
        """The file of one of its modules, if there is one."""
        path = "/".join(module.split(".")[1:])
        names = [f"{path}.py", f"{path}/__init__.py".lstrip("/")]
        if module == self.name:
            names = ["__init__.py", *(place.name for place in self.places if place.is_file())]
        return next((file for name, file in self.sources().items() if name in names), None)


@functools.cache
def _checksum(plugin: Plugin) -> str:
    """Once a process, as its modules are imported once."""
    digest = hashlib.sha256()
    for name, file in plugin.sources().items():
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def take(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line without `plugins=`, whose packages are plugins from now on. Raises
    `ConfigError`, as all below do, for one that is not there."""
    rest = []
    for argument in arguments:
        if argument.startswith("plugins="):
            allow(_names(argument.removeprefix("plugins=")))
        else:
            rest.append(argument)
    return rest


def _names(value: str) -> list[str]:
    listed = re.fullmatch(r"\[(.*)\]", value)
    if listed is None and "," in value:
        raise ConfigError(f"plugins takes a list: plugins=[{value}].")
    words = [word.strip().strip("'\"") for word in (listed[1] if listed else value).split(",")]
    return [word for word in words if word]


def allow(names: Iterable[str]) -> None:
    """Make these packages plugins, here and in the processes that this one starts."""
    names = [*dict.fromkeys([*_named(), *names])]
    for name in names:
        _located(name)
    os.environ[VARIABLE] = ",".join(names)


def plugins() -> list[Plugin]:
    """All that are allowed now, those of the command line first."""
    return [_located(name) for name in dict.fromkeys([*_named(), *_installed()])]


def plugin_of(module: str) -> Plugin | None:
    """The plugin that a module, or a class by its full name, would lie in."""
    top = module.partition(".")[0]
    return _located(top) if top in {*_named(), *_installed()} else None


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Those of the distributions that installed them; one that lies in a folder of its own has none."""
    if not names:
        return {}
    distributions = metadata.packages_distributions()  # reads the file lists of all that is installed
    return {name: metadata.version(distributions[name][0]) for name in names if name in distributions}


def how_to_allow(target: str) -> str:
    """The end of a sentence about a target that lies in no plugin; nothing for what no plugin is: Python's own."""
    top = target.partition(".")[0]
    if not top.isidentifier() or top in {*OURS, *sys.stdlib_module_names}:
        return ""
    return f"; if you trust that package, plugins=[{top}] allows it"


def _named() -> list[str]:
    return [word for word in os.environ.get(VARIABLE, "").replace(" ", "").split(",") if word]


@functools.cache
def _installed() -> tuple[str, ...]:
    return tuple(sorted({point.module.partition(".")[0] for point in metadata.entry_points(group=GROUP)}))


def _located(name: str) -> Plugin:
    """Raises `ConfigError` where there is no such package."""
    if not name.isidentifier():
        raise ConfigError(f"plugins names packages, as {EXAMPLE}, not '{name}'{_instead(name)}.")
    if name in OURS:
        raise ConfigError(f"plugins names packages of your own, as {EXAMPLE}, not '{name}'.")
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)  # last: no file of the current folder hides a package that is installed
    plugin = _find(name)
    if plugin is None:
        raise ConfigError(
            f"There is no package '{name}' in {folder}, on PYTHONPATH or installed"
            f"{did_you_mean(name, _beside(Path(folder), name))}."
        )
    return plugin


def _find(name: str) -> Plugin | None:
    """A top-level name is looked up without importing anything."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a specification, such as __main__
        return None
    if spec is None:
        return None
    folders = tuple(Path(place) for place in spec.submodule_search_locations or ())
    file = spec.origin or ""
    places = folders or ((Path(file),) if file.endswith(".py") else ())
    plugin = Plugin(name, tuple(place.absolute() for place in places if place.exists()))
    return plugin if plugin.sources() else None


def _instead(name: str) -> str:
    """What was meant by the path of a file or by a module within a package."""
    top = re.split(r"[./]", name.removeprefix("./"))[0]
    return f" (did you mean plugins=[{top}]?)" if top.isidentifier() else ""


def _beside(folder: Path, name: str) -> list[str]:
    """What else might be a package there."""
    stems = {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")}
    return sorted(stem for stem in stems - {name} if stem.isidentifier())
