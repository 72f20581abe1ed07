"""The streams of a command: what is told arrives, whatever it holds and wherever it goes."""

import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.table import Table

from labelmill import cli
from labelmill.cli import console
from labelmill.reports.progress import Progress
from labelmill.reports.training import TrainingProgress
from tests.support.labelled_runs import labelled_run


def test_brackets_of_a_name_are_no_markup(capsys):
    table = Table("run")
    table.add_row("out[/x] [red]out")
    console.result(table)
    assert "out[/x] [red]out" in capsys.readouterr().out


def verify(place: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "labelmill", "verify", place],
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
    )


@pytest.fixture
def run(tmp_path: Path) -> str:
    return labelled_run(tmp_path / "run[/x]\u4f60", {"gold": ["a"]}, {"label": ["a"]})


def test_a_letter_that_stdout_has_not_is_escaped(run):
    done = verify(run, PYTHONIOENCODING="latin-1", COLUMNS="400")
    assert done.returncode == 0, done.stderr
    assert b"run[/x]\\u4f60" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_stdout_is_told_in_one_line(run):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "labelmill", "verify", run, "--json"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 1
    told = done.stderr.decode().strip().splitlines()
    assert told[0].startswith("labelmill: the result cannot be written to stdout: ")
    assert "Traceback" not in done.stderr.decode()


def test_colons_of_a_name_are_no_emoji(capsys):
    table = Table("run")
    table.add_row("10:100:00")
    console.result(table)
    assert "10:100:00" in capsys.readouterr().out


@pytest.mark.parametrize("progress", [Progress, TrainingProgress])
def test_a_name_in_a_line_of_progress_stays_as_it_is(progress):
    written = io.StringIO()
    progress(Console(file=written)).say("starting out[/x] [red]out 10:100:00")
    assert written.getvalue() == "starting out[/x] [red]out 10:100:00\n"


@pytest.mark.parametrize("told", [{"rows": 1}, Table("rows")])
def test_a_reader_who_has_seen_enough_is_told_and_no_error(monkeypatch, told):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert not console.result(told)


def test_a_process_without_streams_gets_some_that_lead_nowhere():
    code = (
        "import os, sys\n"
        "for number in range(3): os.close(number)\n"
        "from labelmill.cli import process\n"
        "process.set_up()\n"
        "print('lost', flush=True), print('lost', file=sys.stderr, flush=True)\n"
        "os._exit(os.open(os.devnull, os.O_RDONLY))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert (done.returncode, done.stdout) == (3, b"")


def test_end_of_a_file_that_nobody_expected_is_no_wish_to_stop(monkeypatch):
    @click.command()
    def broken():
        raise EOFError("a stream ended")

    monkeypatch.setattr(cli, "group", broken)
    for name in ("set_up", "end"):
        monkeypatch.setattr(cli.process, name, lambda: None)
    monkeypatch.setattr(sys, "argv", ["labelmill"])
    with pytest.raises(EOFError, match="a stream ended"):
        cli.main()


def test_a_stop_in_the_middle_of_an_import_ends_with_3(tmp_path):
    """CPython under -m remembers one that came out of an exec of text, though it was caught."""
    program = """
        import click
        from labelmill import cli

        @cli.group.command()
        def stopped() -> None:
            exec("raise KeyboardInterrupt")

        cli.main()
    """
    (tmp_path / "stopped.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "-m", "stopped", "stopped"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "running the same command again goes on" in done.stderr
