"""`labelmill evaluate`: metrics on stdout, and a page where one is wanted."""

from labelmill.cli import console
from labelmill.errors import ConfigError, StorageError
from labelmill.evaluation.evaluation import Wish, evaluate
from labelmill.reports.checking import Checking
from labelmill.reports.evaluation import metrics
from labelmill.storage import absolute, canonical, open_store, put, split_url


def evaluating(wish: Wish, page: str | None, *, as_json: bool) -> int:
    """Print the metrics, and write the page; 0. ConfigError for a page that cannot be one."""
    draw = None
    if page is not None:
        _refuse_inside(wish.output, page)
        _refuse_directory(page)
        from labelmill.reports.evaluation_page import ready

        draw = ready()
    with Checking("evaluating parts") as checking:
        found = evaluate(wish, checking.show)
    # First: where the page cannot be written, what took minutes to measure is not lost.
    console.result(found.to_json() if as_json else metrics(found))
    if page is not None and draw is not None:
        _replace(page, draw(found).encode())
        console.note(f"page written to {page}")
    return 0


def _refuse_directory(page: str) -> None:
    parent, name = split_url(absolute(page))
    if open_store(parent).kind(name) == "directory":
        raise ConfigError(f"--page: {page!r} is a directory, expected the name of a file in it")


def _refuse_inside(output: str, page: str) -> None:
    """Raise ConfigError for a page among the parts.

    `datasets` takes a file with "evaluation" or "test" in its name for a part of the data, wherever
    below the output it lies, and then finds no other.
    """
    if f"{canonical(page)}/".startswith(f"{canonical(output)}/"):
        raise ConfigError(
            f"--page: {page!r} lies inside the run {output!r}, where readers of the output would "
            "take it for data; write it elsewhere"
        )


def _replace(place: str, data: bytes) -> None:
    """Write a file; one of that name is replaced, as no store can do in one step."""
    parent, name = split_url(absolute(place))
    store = open_store(parent)
    store.delete(name)
    if not put(store, name, data):
        raise StorageError(f"{place!r} is written by somebody else at this moment; try again")
