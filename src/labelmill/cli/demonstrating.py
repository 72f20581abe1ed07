"""`labelmill demo`: the demo with the real label command in the middle."""

from collections.abc import Iterator

from rich.console import Console

from labelmill import demo as demonstration
from labelmill.cli import labelling
from labelmill.ledger.status import rejects_of


def demo(directory: str, rows: int, *, verbose: bool) -> int:
    """Run the demo; the exit code of its job."""

    def label(job: str) -> int:
        return labelling.label(job, (), None, as_json=False, verbose=verbose)

    return demonstration.run(directory, rows, label, _rejects, Console(highlight=False))


def _rejects(output: str) -> Iterator[tuple[str, int, str, str | None]]:
    for placed in rejects_of(output):
        yield placed.shard, placed.reject.position, placed.reject.reason, placed.reject.text
