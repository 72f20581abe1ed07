"""Plugins: one file each under a package, found by its name; adding one is no other edit.

A plugin is a public module of the package. Its name is the module's with '-' for '_', as in
"text-classification"; both spellings are understood. Some packages also hold modules that are no
plugins: `having` names an attribute that tells them apart. Nothing is kept between calls.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from labelmill.errors import ConfigError


def modules(package: str, *, having: str | None = None) -> tuple[str, ...]:
    """The names of the plugins of a package, sorted; imports them only where `having` is asked."""
    path = importlib.import_module(package).__path__
    found = (info.name for info in pkgutil.iter_modules(path) if not info.name.startswith("_"))
    wanted = (name for name in found if having is None or hasattr(_module(package, name), having))
    return tuple(sorted(_spoken(name) for name in wanted))


def load(package: str, name: str, *, having: str | None = None) -> Any:
    """The module of a plugin; raises ConfigError for an unknown name, with the near miss."""
    known = modules(package)
    if _spoken(name) not in known:
        raise ConfigError(_unknown(package, name, modules(package, having=having)))
    module = _module(package, _spoken(name).replace("-", "_"))
    if having is not None and not hasattr(module, having):
        raise ConfigError(_unknown(package, name, modules(package, having=having)))
    return module


def load_class(package: str, name: str) -> Any:
    """The class of a plugin, called as its file: TextClassification of text_classification.py."""
    title = "".join(word.capitalize() for word in _spoken(name).split("-"))
    return getattr(load(package, name), title)


def suggestion(name: str, known: Iterable[str]) -> str:
    """A clause such as "; did you mean 'jsonl'?" where a known name is near, else ''."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _module(package: str, name: str) -> Any:
    return importlib.import_module(f"{package}.{name}")


def _spoken(name: str) -> str:
    return name.replace("_", "-")


def _unknown(package: str, name: str, known: tuple[str, ...]) -> str:
    kind = package.rpartition(".")[2].removesuffix("s")
    advice = suggestion(name, known) or f"; known are {', '.join(known) or 'none'}"
    return f"no such {kind}: {name!r}{advice}"
