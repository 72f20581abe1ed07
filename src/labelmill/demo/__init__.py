"""The demo: the whole loop on real text that every machine has, offline.

Docstrings of the standard library teach a small classifier the chapters of its reference; the main
job then labels the docstrings of the installed packages. Every step leaves a directory that is
whole or absent, so running the demo again goes on where it stopped. It knows no command line: the
job is started by who calls.
"""

import json
import string
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from labelmill.demo import corpus, library, packages, showing, training
from labelmill.demo.showing import Rejected
from labelmill.errors import ConfigError

FEWEST_ROWS = 200  # below that the broken lines are more than the job accepts

Label = Callable[[str], int]  # job file -> exit code
Rejects = Callable[[str], Iterable[Rejected]]  # output directory -> its rejects


def run(directory: str, rows: int, label: Label, rejects: Rejects, console: Console) -> int:
    """Train, write the corpus, label it, show what came out; the exit code of `label`.

    Raises ConfigError where the extra is not installed, or the directory holds another size of
    demo.
    """
    place = Path(directory).absolute()
    _prepare_corpus(place, rows, console)
    _prepare_model(place, console)
    job = write_job(place)
    console.print(f"[bold]Job[/bold]   {job}\n", soft_wrap=True)
    code = label(str(job))
    if code in {0, 4}:
        showing.labelled(console, place / "labelled", rejects(str(place / "labelled")))
        showing.places(console, place)
    return code


def write_job(directory: Path) -> Path:
    """Write `job.yaml` for the demo in the absolute `directory`; the same file every time."""
    template = resources.files(__package__).joinpath("job.yaml").read_text("ascii")
    values = {name: json.dumps(str(directory / name)) for name in ("model", "corpus")}
    values["output"] = json.dumps(str(directory / "labelled"))
    values["max_length"] = str(training.MAX_LENGTH)
    path = directory / "job.yaml"
    path.write_text(string.Template(template).substitute(values, job=path), "utf-8")
    return path


def _prepare_corpus(place: Path, rows: int, console: Console) -> None:
    _claim(place, rows)
    if not (place / "corpus").exists():
        with console.status("reading the docstrings of the installed packages"):
            corpus.write(place / "corpus", packages.rows(rows))
    console.print(
        f"[bold]Corpus[/bold] {rows:,} docstrings of the installed packages in "
        f"{len(corpus.SHARDS)} shards, {corpus.BROKEN} broken rows among them",
        soft_wrap=True,
    )


def _claim(place: Path, rows: int) -> None:
    """The directory is for a demo of so many rows, from now on."""
    if rows < FEWEST_ROWS:
        raise ConfigError(f"the demo needs at least {FEWEST_ROWS} rows (got {rows})")
    note = place / "demo.json"
    if not note.exists():
        place.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"rows": rows}) + "\n", "utf-8")
    before = json.loads(note.read_text("utf-8"))["rows"]
    if before != rows:
        raise ConfigError(
            f"{str(place)!r} holds a demo of {before} rows, not {rows}; "
            f"give another --dir, or --rows {before}"
        )


def _prepare_model(place: Path, console: Console) -> None:
    report = training.report(place / "model")
    if report is None:
        with _progress(console) as progress:
            line = progress.add_task("training", total=None)
            report = training.train(
                place / "model",
                library.lessons(),
                lambda done, of: progress.update(line, completed=done, total=of),
            )
    showing.trained(console, report)


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)
