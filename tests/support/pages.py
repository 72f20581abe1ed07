"""The pages under docs/ that are generated, and `python -m tests.support.pages`, which does it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from labelmill.config.reference import render
from tests.support import architectures
from tests.support.options import task_options

DOCS = Path(__file__).parents[2] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {
    "architectures.md": architectures.page,
    "config.md": lambda: render(task_options()),
}

if __name__ == "__main__":
    for name, written in PAGES.items():
        (DOCS / name).write_text(written(), encoding="utf-8")
