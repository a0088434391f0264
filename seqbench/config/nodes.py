"""What Hydra composes of conf/, as it composes it: nothing is checked, built or executed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from seqbench.config.schema import folder, register


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
    root = folder() / group
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


def groups() -> list[str]:
    return sorted(path.name for path in folder().iterdir() if path.is_dir() and path.name != "hydra")
