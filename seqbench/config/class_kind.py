"""The kind of a class that is named by itself, outside a config."""

from __future__ import annotations

from seqbench.config.plugin_class import NoSuchTarget, load_class
from seqbench.config.plugins import how_to_allow, plugin_of
from seqbench.config.targets import KINDS, class_at
from seqbench.errors import ConfigError


def kind_of_class(target: str) -> str:
    """By where the class lies and by its base. Raises `ConfigError`, before anything is imported, for one that lies
    where no class of any kind may."""
    plugin = plugin_of(target)
    kinds = [name for name, kind in KINDS.items() if any(target.startswith(f"{place}.") for place in kind.packages)]
    if plugin is not None:
        try:
            load_class(plugin, target)  # what is wrong with it is the same whatever its kind
        except NoSuchTarget as error:
            raise ConfigError(f"_target_ {error}.") from error
        kinds = list(KINDS)
    if not kinds:
        raise ConfigError(f"{target} lies neither in the package of a kind nor in a plugin{how_to_allow(target)}.")
    refusal = None
    for kind in kinds:
        try:
            class_at(kind, target)
            return kind
        except ConfigError as error:
            refusal = error
    if plugin is None and refusal is not None:
        raise refusal
    raise ConfigError(f"{target} inherits from the base class of no kind; there are {', '.join(KINDS)}.")
