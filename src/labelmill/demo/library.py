"""Library: the standard library's docstrings, each with the chapter that its module belongs to.

It reads the source that this Python was installed with. Tests and modules outside the reference are
left out.
"""

import hashlib
import importlib.util
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pyarrow as pa

from labelmill.demo import chapters, docstrings
from labelmill.demo.docstrings import Docstring

# Other packages lie inside the library's folder; tests document other things than their chapter.
_SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "__pycache__"})


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("module", pa.string()),
        ("qualname", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("text", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A docstring and what it teaches."""

    docstring: Docstring
    chapter: str


def lessons() -> list[Lesson]:
    """The docstrings of the library that have a chapter, each text once, in a fixed order."""
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[str, Lesson] = {}
    for docstring in _docstrings(root):
        chapter = chapters.chapter_of(docstring.module)
        if chapter is not None:
            found.setdefault(docstring.text, Lesson(docstring=docstring, chapter=chapter))
    return list(found.values())


def _docstrings(root: Path) -> Iterator[Docstring]:
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _SKIPPED.isdisjoint(relative.parts):
            yield from docstrings.of_file(path, root)
    for name in sorted(chapters.table()):
        if _written_in_c(name):
            yield from docstrings.of_c_module(name)


def _written_in_c(name: str) -> bool:
    """`builtins` is left out: it documents the whole language, so it teaches no chapter."""
    if name == "builtins" or "." in name:
        return False
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return False
    return spec.origin == "built-in" or spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def hold_out(found: Sequence[Lesson], share: float) -> tuple[list[Lesson], list[Lesson]]:
    """Lessons to learn from, and about `share` of every chapter to be tested on; whole modules.

    Docstrings of one module resemble each other, so a split by rows would flatter the classifier.
    Modules are held out in the order of the hash of their names; one that would overshoot by half
    is skipped.
    """
    held: set[str] = set()
    for chapter in chapters.names():
        sizes = Counter(item.docstring.module for item in found if item.chapter == chapter)
        wanted = share * sizes.total()
        taken = 0
        for module in sorted(sizes, key=_hash):
            if taken < wanted and taken + sizes[module] <= 1.5 * wanted:
                held.add(module)
                taken += sizes[module]
    learned = [item for item in found if item.docstring.module not in held]
    return learned, [item for item in found if item.docstring.module in held]


def _hash(module: str) -> bytes:
    return hashlib.sha256(module.encode()).digest()
