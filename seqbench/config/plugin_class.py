"""The class of a plugin that a config names: imported, and what is wrong with its module said in one sentence."""

from __future__ import annotations

import importlib
import inspect
import traceback
from types import ModuleType

from seqbench.config.plugins import Plugin

_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_OF_AN_IMPORT = (  # what a module may raise that has a mistake in it
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)


class NoSuchTarget(Exception):
    """The end of a sentence that begins with the place of a target."""


def load_class(plugin: Plugin, target: str) -> type:
    """The class `target`, which the plugin must define itself. Raises `NoSuchTarget`."""
    module, _, name = target.rpartition(".")
    value = vars(_module(plugin, module)).get(name)
    if not inspect.isclass(value) or value.__module__.partition(".")[0] != plugin.name:
        raise NoSuchTarget(f"names {target}, and {module} defines no class {name}")
    for argument in inspect.signature(value).parameters.values():
        if argument.kind in _UNNAMED:
            raise NoSuchTarget(f"names {target}, which takes {argument}: a constructor must name each of its arguments")
    return value


def _module(plugin: Plugin, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except _OF_AN_IMPORT as error:
        message = f"{type(error).__name__}: {' '.join(str(error).partition(' (')[0].split()).rstrip('.')}"
        raise NoSuchTarget(f"is not importable: {_place(plugin, error)}{message}") from error


def _place(plugin: Plugin, error: Exception) -> str:
    """Where in the plugin an error was raised; nothing where that was outside it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: "
    files = {str(file) for file in plugin.sources().values()}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
