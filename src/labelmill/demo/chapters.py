"""Chapters: which part of the Library Reference a standard module belongs to.

The table beside this file covers Python 3.11 to 3.14. Chapters of a few modules are merged with
their neighbours, so that each of the classes has enough docstrings to learn from. IDLE is left
out: it is an application, not a library. Nothing here knows a docstring, or what is installed.
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType


@cache
def table() -> Mapping[str, str]:
    """Module -> chapter; a package stands for those of its submodules that have no own entry."""
    text = resources.files(__package__).joinpath("chapters.tsv").read_text("ascii")
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    return MappingProxyType({row["module"]: row["chapter"] for row in rows})


def names() -> tuple[str, ...]:
    """Every chapter once, sorted: the order of the classifier's labels."""
    return tuple(sorted(set(table().values())))


def chapter_of(module: str) -> str | None:
    """The chapter of a module or of the nearest package above it; None where there is none."""
    while module:
        if module in table():
            return table()[module]
        module = module.rpartition(".")[0]
    return None
