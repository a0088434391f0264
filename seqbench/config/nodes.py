"""What Hydra composes of conf/, as it composes it: nothing is checked, built or executed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from seqbench.config.plugins import plugins
from seqbench.config.schema import folder, register
from seqbench.errors import ConfigError


@contextmanager
def hydra_here() -> Iterator[None]:
    """Hydra with conf/ as its folder, within the block."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(folder()), version_base="1.3"):
        yield


def node_of(overrides: Sequence[str], with_hydra: bool = False) -> DictConfig:
    """The node of some overrides. `with_hydra`: with Hydra's own settings."""
    with hydra_here():
        return compose("config", overrides=list(overrides), return_hydra_config=with_hydra)


def options(group: str) -> list[str]:
    """The names that `group=` takes, nested ones with their folder."""
    return sorted(files(group))


def files(group: str) -> dict[str, Path]:
    """The files of a group by the names that `group=` takes, those of plugins too. Raises `ConfigError` for a name that
    two folders have: Hydra would take the first one's."""
    named: dict[str, Path] = {}
    for root in (place / group for place in (folder(), *plugin_folders())):
        for path in sorted(root.rglob("*.yaml")):
            name = path.relative_to(root).with_suffix("").as_posix()
            if name in named:
                raise ConfigError(f"{group}={name} would be {named[name]} or {path}: rename one of them.")
            named[name] = path
    return named


def plugin_folders() -> list[Path]:
    """The plugins' folders of configs."""
    return [place for place in (plugin.conf() for plugin in plugins()) if place is not None]


def groups() -> list[str]:
    return sorted(path.name for path in folder().iterdir() if path.is_dir() and path.name != "hydra")
