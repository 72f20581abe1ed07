"""`labelmill evaluate`: metrics on stdout, and a page where one is wanted."""

from labelmill.cli import console
from labelmill.errors import StorageError
from labelmill.evaluation.evaluation import Wish, evaluate
from labelmill.reports.checking import Checking
from labelmill.reports.evaluation import metrics
from labelmill.storage import absolute, open_store, split_url


def evaluating(wish: Wish, page: str | None, *, as_json: bool) -> int:
    """Print the metrics, and write the page; 0."""
    draw = None
    if page is not None:
        from labelmill.reports.evaluation_page import render

        draw = render
    with Checking("evaluating parts") as checking:
        found = evaluate(wish, checking.show)
    if page is not None and draw is not None:
        _replace(page, draw(found).encode())
        console.note(f"page written to {page}")
    console.result(found.to_json() if as_json else metrics(found))
    return 0


def _replace(place: str, data: bytes) -> None:
    """Write a file; one of that name is replaced, as no store can do in one step."""
    parent, name = split_url(absolute(place))
    store = open_store(parent)
    store.delete(name)
    if not store.create(name, data):
        raise StorageError(f"{place!r} is written by somebody else at this moment; try again")
