"""The demo: the whole loop on real text that every machine has, offline.

Docstrings of the standard library teach a small classifier the chapters of its reference; the main
job then labels the docstrings of the installed packages, and some of the library's own that it did
not learn, by which the labels are evaluated. Every step leaves a directory that is whole or absent,
so running the demo again goes on where it stopped. It knows no command line: the three commands are
handed in.
"""

import json
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from labelmill.demo import corpus, lessons, library, packages, showing
from labelmill.demo.showing import Rejected
from labelmill.errors import ConfigError

FEWEST_ROWS = 200  # below that the broken lines are more than the job accepts

Rejects = Callable[[str], Iterable[Rejected]]  # output directory -> its rejects


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The three commands that the demo shows; each gives an exit code."""

    train: Callable[[str], int]  # job file
    label: Callable[[str], int]  # job file
    evaluate: Callable[[str], int]  # output directory


def run(directory: str, rows: int, commands: Commands, rejects: Rejects, console: Console) -> int:
    """Train, write the corpus, label it, evaluate it, show what came out; the exit code.

    Raises ConfigError where the extra is not installed, or the directory holds another size of
    demo.
    """
    place = Path(directory).absolute()
    encoder = lessons.encoder()
    _prepare(place, rows, console)
    training, job = write_training(place, encoder), write_job(place)
    _step(console, "train", training)
    code = commands.train(str(training))
    if code == 0:
        _step(console, "label", job)
        code = commands.label(str(job))
    if code in {0, 4}:
        output = place / "labelled"
        showing.labelled(console, output, rejects(str(output)))
        _step(console, "evaluate", output, "--gold chapter")
        code = commands.evaluate(str(output)) or code
        showing.places(console, place)
    return code


def write_training(directory: Path, encoder: Path) -> Path:
    """Write `train.yaml` for the demo in the absolute `directory`; the same file every time."""
    taught = directory / "lessons"
    values = {
        "encoder": encoder,
        "learned": taught / lessons.LEARNED,
        "held_out": taught / lessons.HELD_OUT,
        "model": directory / "model",
    }
    return _written(directory / "train.yaml", values)


def write_job(directory: Path) -> Path:
    """Write `job.yaml` for the demo in the absolute `directory`; the same file every time."""
    values = {name: directory / name for name in ("model", "corpus")}
    return _written(directory / "job.yaml", {**values, "output": directory / "labelled"})


def _written(path: Path, values: dict[str, Path]) -> Path:
    template = resources.files(__package__).joinpath(path.name).read_text("ascii")
    quoted = {name: json.dumps(str(value)) for name, value in values.items()}
    quoted["max_length"] = str(lessons.MAX_LENGTH)
    path.write_text(string.Template(template).substitute(quoted, job=path), "utf-8")
    return path


def _prepare(place: Path, rows: int, console: Console) -> None:
    _claim(place, rows)
    if not (place / "corpus").exists() or not (place / "lessons").exists():
        with console.status("reading the docstrings of this machine"):
            learned, kept = lessons.held_out(library.lessons())
            if not (place / "lessons").exists():
                lessons.write(place / "lessons", learned, kept)
            if not (place / "corpus").exists():
                corpus.write(place / "corpus", packages.rows(rows), kept)
    console.print(
        f"[bold]Corpus[/bold] {rows:,} docstrings of the installed packages in "
        f"{len(corpus.SHARDS)} shards, {corpus.BROKEN} broken rows among them, and one more shard "
        "of the standard library's",
        soft_wrap=True,
    )


def _step(console: Console, command: str, path: Path, rest: str = "") -> None:
    shown = escape(str(path))
    console.print(f"\n[bold]labelmill {command}[/bold] {shown} {rest}", soft_wrap=True)


def _claim(place: Path, rows: int) -> None:
    """The directory is for a demo of so many rows, from now on."""
    if rows < FEWEST_ROWS:
        raise ConfigError(f"the demo needs at least {FEWEST_ROWS} rows (got {rows})")
    note = place / "demo.json"
    try:
        if not note.exists():
            place.mkdir(parents=True, exist_ok=True)
            draft = note.with_suffix(".draft")
            draft.write_text(json.dumps({"rows": rows}) + "\n", "utf-8")
            draft.replace(note)
        before = json.loads(note.read_text("utf-8"))["rows"]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--dir: {str(place)!r} cannot be used: {error}; give another directory"
        ) from error
    if before != rows:
        raise ConfigError(
            f"{str(place)!r} holds a demo of {before} rows, not {rows}; "
            f"give another --dir, or --rows {before}"
        )
