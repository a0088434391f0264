"""The plugins that a config's targets lie in: what of them belongs to a run.

A config that is composed is given their checksums, which are part of its identity. A saved one has those of the code
that it was run with, so it can be told when the code is another one now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqbench.config.compat import filled
from seqbench.config.plugins import plugin_of
from seqbench.config.schema import Config
from seqbench.config.targets import NAMED, PLUGGABLE
from seqbench.errors import UserError


def with_plugins(config: Config) -> Config:
    """The config with its plugins' checksums, and with the defaults of what their constructors are not given."""
    for section in NAMED:
        node = getattr(config, section)
        if isinstance(node, dict) and plugin_of(str(node.get("_target_"))):
            setattr(config, section, filled(section, node))
    config.plugins = checksums(config)
    return config


def checksums(config: Config) -> dict[str, str]:
    """Those of the plugins that a run of this config uses, as they are now; an evaluation is not part of a run."""
    sections = [getattr(config, section) for section in PLUGGABLE if section != "evaluation"]
    return checksums_of(sections)


def checksums_of(nodes: Any) -> dict[str, str]:
    plugins = {plugin.name: plugin for plugin in map(plugin_of, _targets(nodes)) if plugin is not None}
    return {name: plugins[name].checksum() for name in sorted(plugins)}


def require_same_plugins(config: Config, run: str) -> None:
    """Raise `UserError` where a saved config's plugins are not what they were when it was saved."""
    now = checksums(config)
    for name in sorted({*now, *config.plugins}):
        before, after = config.plugins.get(name, "none"), now.get(name, "none")
        if before != after:
            raise UserError(
                f"{name} has changed since {run} was composed (sha256 {before[:12]}, now {after[:12]}): go back to "
                "that code, or train these settings as a new run."
            )


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "_target_" in value:
            yield str(value["_target_"])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _targets(inner)
