"""`labelmill demo`: the demo with the real commands in it."""

from collections.abc import Iterator

from rich.console import Console

from labelmill import demo as demonstration
from labelmill.cli import console, evaluating, labelling, training
from labelmill.demo import Commands
from labelmill.evaluation.evaluation import Wish
from labelmill.ledger.status import rejects_of


def demo(directory: str, rows: int, *, verbose: bool) -> int:
    """Run the demo; the exit code of its commands."""

    def train(job: str) -> int:
        return training.train(job, (), as_json=False, verbose=verbose)

    def label(job: str) -> int:
        return labelling.label(job, (), None, as_json=False, verbose=verbose)

    def evaluate(output: str) -> int:
        return evaluating.evaluating(Wish(output=output, gold="chapter"), None, as_json=False)

    commands = Commands(train=train, label=label, evaluate=evaluate)
    screen = Console(file=console.stdout(), highlight=False, emoji=False)
    return demonstration.run(directory, rows, commands, _rejects, screen)


def _rejects(output: str) -> Iterator[tuple[str, int, str, str | None]]:
    for placed in rejects_of(output):
        yield placed.shard, placed.reject.position, placed.reject.reason, placed.reject.text
