"""Packages: the docstrings of what is installed beside this Python: text that nobody has labelled.

Nothing is imported. The packages take turns, so that a bounded number of rows has something of
each; what is chosen depends on the installed files alone.
"""

import hashlib
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from itertools import islice
from pathlib import Path

from labelmill.demo import docstrings
from labelmill.demo.docstrings import Docstring

_TURN = 20  # docstrings of one package before the next has its turn
_SKIPPED = frozenset({"test", "tests", "testing", "_vendor", "vendor", "__pycache__"})


def rows(wanted: int) -> list[Docstring]:
    """At most `wanted` docstrings, each text once, in an order that the installed files fix."""
    found: dict[str, Docstring] = {}
    for docstring in _in_turns([_of_package(folder) for folder in folders()]):
        found.setdefault(docstring.text, docstring)
        if len(found) == wanted:
            break
    return list(found.values())


def folders() -> list[Path]:
    """The folders of the installed top-level packages, by name, this one excepted."""
    names = sorted(name for name in packages_distributions() if name.isidentifier())
    found = [_folder(name) for name in names if name != "labelmill"]
    return [folder for folder in found if folder is not None]


def _folder(name: str) -> Path | None:
    """Where a package lies; None for single modules, namespaces and packages written in C."""
    try:
        # Not importlib.util.find_spec: its hook for pip warns once distutils is imported.
        spec = PathFinder.find_spec(name)
    except (ImportError, ValueError):  # an installed name that leads nowhere
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith("__init__.py"):
        return None
    return Path(spec.origin).parent


def _of_package(folder: Path) -> Iterator[Docstring]:
    """Its docstrings; files by the hash of their names, so that a few are a fair sample."""
    files = [
        path for path in folder.rglob("*.py") if _SKIPPED.isdisjoint(path.relative_to(folder).parts)
    ]
    for path in sorted(files, key=lambda path: _hash(path.relative_to(folder))):
        yield from docstrings.of_file(path, folder.parent)


def _in_turns(sources: list[Iterator[Docstring]]) -> Iterator[Docstring]:
    while sources:
        left = []
        for source in sources:
            turn = list(islice(source, _TURN))
            yield from turn
            if turn:
                left.append(source)
        sources = left


def _hash(relative: Path) -> bytes:
    return hashlib.sha256(relative.as_posix().encode()).digest()
