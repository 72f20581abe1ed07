"""A campaign: a corpus is labelled while all is killed again and again, and compared at the end.

    python -m tests.crash.campaign --corpus DIR --kills 5

Not a test. With one replica, with two, and with two drivers that share the run, the command is
started, and at random moments, with parts committed and splits pending, the drivers and everything
below them are killed by SIGKILL. After the last kill the run is brought to its end. Then each part
is compared byte for byte with that of a run that nothing interrupted, and what was committed before
a kill must not have been touched since. The model is tiny and random: its labels mean nothing.
"""

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from labelmill import verification
from labelmill.ledger.status import read_status
from tests.support import corpus, process
from tests.support.models import tiny_classifier
from tests.support.process import Command

_LOOK = 0.2  # seconds between two looks at the output directory
_LIMIT = 7200.0  # seconds of one attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A part as it lay there."""

    checksum: str
    mtime: int  # ns
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What a kill left."""

    parts: int
    unfinished: int  # parts without receipt
    temporaries: int
    seconds: float  # from the start of the attempt to the kill


@dataclass(slots=True, kw_only=True)
class Run:
    """One run in the making: how it is started, and what its kills left."""

    name: str
    job: Path
    output: Path
    slices: tuple[str, ...] = ()  # of its drivers; one driver without
    kills: list[Kill] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of the last attempt

    def batter(self, moments: Sequence[int], whole: Mapping[str, Seen]) -> None:
        """Kill all as soon as so many parts are there, once for each moment; finish; compare."""
        before: dict[str, Seen] = {}
        for moment in moments:
            if not self._kill_at(moment):
                break
            before = self._compare(whole, before)
        self.finish()
        found = self._compare(whole, before)
        self.wrong += [f"lacks {name}" for name in whole.keys() - found.keys()]

    def finish(self) -> None:
        """Bring the run to its end, and have it verified."""
        with self._drivers() as drivers:
            ended = [driver.end(_LIMIT) for driver in drivers]
        self.seconds = max(each.seconds for each in ended)
        self.wrong += [f"exit code {each.code}: {each.err[-500:]}" for each in ended if each.code]
        self.wrong += [] if read_status(str(self.output)).complete else ["not complete"]
        self.wrong += [] if verification.verify(str(self.output), source=True).ok else ["not sound"]

    def parts(self) -> dict[str, Seen]:
        """Every part by its path."""
        return {path.relative_to(self.output).as_posix(): _see(path) for path in self._paths()}

    def _kill_at(self, moment: int) -> bool:
        """False where the run was at its end before."""
        started, already = time.monotonic(), len(list(self._paths()))
        with self._drivers() as drivers:
            while len(list(self._paths())) < max(moment, already + 1):
                if all(driver.ended for driver in drivers):
                    return False
                time.sleep(_LOOK)
            for driver in drivers:
                driver.kill()
        self.kills.append(self._left(time.monotonic() - started))
        return True

    def _left(self, seconds: float) -> Kill:
        parts = len(list(self._paths()))
        return Kill(
            parts=parts,
            unfinished=parts - read_status(str(self.output)).splits_done,
            temporaries=len(list(self.output.rglob(".tmp-*"))),
            seconds=seconds,
        )

    def _compare(self, whole: Mapping[str, Seen], before: Mapping[str, Seen]) -> dict[str, Seen]:
        found = self.parts()
        for name, part in found.items():
            if name not in whole or part.checksum != whole[name].checksum:
                self.wrong.append(f"other bytes: {name}")
        self.wrong += [f"touched: {name}" for name in before if before[name] != found.get(name)]
        return found

    @contextmanager
    def _drivers(self) -> Iterator[list[Command]]:
        chosen = [("--slice", each) for each in self.slices] or [()]
        with ExitStack() as stack:
            yield [
                stack.enter_context(process.command("label", str(self.job), "--json", *arguments))
                for arguments in chosen
            ]

    def _paths(self) -> Iterator[Path]:
        return self.output.rglob("*.parquet")


def _see(path: Path) -> Seen:
    status = path.stat()
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return Seen(checksum=checksum, mtime=status.st_mtime_ns, inode=status.st_ino)


def _moments(splits: int, kills: int, chance: random.Random) -> list[int]:
    """Numbers of parts, ascending: one in each of `kills` equal pieces of the run but its end."""
    piece = 0.85 * splits / kills
    return [max(1, int(piece * (number + chance.uniform(0.1, 0.9)))) for number in range(kills)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all runs of a campaign have in common."""

    source: Path
    work: Path
    model: str
    columns: Mapping[str, str]
    split_rows: int

    def run(self, name: str, replicas: int, slices: tuple[str, ...] = ()) -> Run:
        """A run that is not begun."""
        key = name.replace(" ", "-")
        job = corpus.write_job(
            self.work / f"{key}.yaml",
            self.source,
            self.work / key,
            self.model,
            source={"split_rows": self.split_rows, "columns": dict(self.columns)},
            output={"max_rejected": 1.0},
            resources={"replicas": replicas},
        )
        return Run(name=name, job=job, output=self.work / key, slices=slices)


def _report(run: Run, splits: int, table: Table) -> None:
    for number, kill in enumerate(run.kills, 1):
        facts = (kill.parts, splits - kill.parts, kill.unfinished, kill.temporaries)
        table.add_row(run.name, f"kill {number}", *map(str, facts), f"{kill.seconds:.1f}", "")
    status = read_status(str(run.output))
    rows = f"{status.rows_read:,} rows once" if not run.wrong else f"WRONG: {len(run.wrong)}"
    end = (len(run.parts()), 0, 0, len(list(run.output.rglob(".tmp-*"))))
    table.add_row(run.name, "end", *map(str, end), f"{run.seconds:.1f}", rows, end_section=True)


_COLUMNS = ("run", "moment", "parts", "pending", "no receipt", "temporaries", "seconds", "verdict")


@click.command()
@click.option("--corpus", "source", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--column", default="text", show_default=True, help="The column of the text.")
@click.option("--kills", default=5, show_default=True, help="In each run.")
@click.option("--split-rows", default=250, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@click.option("--work", type=click.Path(path_type=Path), help="Kept; default: thrown away.")
def main(
    source: Path, column: str, kills: int, split_rows: int, seed: int, work: Path | None
) -> None:
    """Label a corpus while all is killed again and again; exit code 1 where a byte differs."""
    with tempfile.TemporaryDirectory(prefix="campaign-") as directory:
        work = work or Path(directory)
        work.mkdir(parents=True, exist_ok=True)
        setting = Setting(
            source=source.absolute(),
            work=work.absolute(),
            model=tiny_classifier(work / "model"),
            columns={"text": column},
            split_rows=split_rows,
        )
        sys.exit(_campaign(setting, kills, random.Random(seed), Console()))


def _campaign(setting: Setting, kills: int, chance: random.Random, console: Console) -> int:
    reference = setting.run("uninterrupted", 1)
    reference.finish()
    whole = reference.parts()
    battered = [
        setting.run("one replica", 1),
        setting.run("two replicas", 2),
        setting.run("two drivers", 1, ("1/2", "2/2")),
    ]
    table = Table(*_COLUMNS)
    _report(reference, len(whole), table)
    for run in battered:
        run.batter(_moments(len(whole), kills, chance), whole)
        _report(run, len(whole), table)
    console.print(table)
    wrong = [f"{run.name}: {each}" for run in [reference, *battered] for each in run.wrong]
    for each in wrong[:50]:
        console.print(each, style="red", markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
