"""`python -m benchmarks.label`: labelling speed, Parquet to Parquet, against what people use today.

Every contender is a process of its own on all cores of the machine, in turn, `--repeats` times;
medians count. sentence-transformers and transformers.pipeline are slow: they may run on fewer rows
(`--peer-rows`), and their time for all rows is then their start-up plus their steady state in
proportion.
"""

import argparse
import importlib
import itertools
import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa

from benchmarks import checkpoint, contenders, corpus, measuring, results
from benchmarks.results import Round
from benchmarks.setting import Setting, cores, environment

_CENTRE_ROWS = 64  # that the seeded head is centred on
_CHECK_ROWS = 1000  # labelled in float32, to compare labels with


def main() -> None:
    """Run the comparison, print its table, write its JSON."""
    asked = _arguments()
    scratch = Path(asked.scratch or tempfile.mkdtemp(prefix="labelmill-bench-"))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        setting = _prepare(asked, scratch)
        rounds = _compare(asked, setting)
        reference = _reference(setting)
    finally:
        if not asked.scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    told = results.collect(rounds, reference, asdict(setting) | {"rows": asked.rows})
    results.show(told)
    if asked.out:
        Path(asked.out).write_text(json.dumps(told, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label", description=__doc__)
    parser.add_argument("--corpus", help="Parquet file or directory (default: docstrings)")
    parser.add_argument("--column", default="text", help="column with the text")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--peer-rows", type=int, default=2_000, help="rows for slow contenders")
    parser.add_argument("--model", help="directory of a classifier (default: built from MiniLM)")
    parser.add_argument("--max-length", type=int, default=512, help="tokens")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contenders", default=",".join(contenders.NAMES))
    parser.add_argument("--scratch", help="directory to keep (default: a temporary one)")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


def _prepare(asked: argparse.Namespace, scratch: Path) -> Setting:
    """Shards for all, shards for the slow, shards to compare labels on; the checkpoint."""
    rows = corpus.table(corpus.texts(asked.corpus, asked.column, asked.rows))
    fewer = rows.take(corpus.evenly(len(rows), min(asked.peer_rows, len(rows))))
    corpus.write(scratch / "all", rows)
    corpus.write(scratch / "peers", fewer)
    corpus.write(scratch / "check", _some(fewer, _CHECK_ROWS))
    if asked.model is None:
        sample = _some(rows, _CENTRE_ROWS)["text"].to_pylist()
        checkpoint.build(scratch / "model", sample, asked.max_length)
    return Setting(
        model=str(Path(asked.model or scratch / "model").absolute()),
        shards=str((scratch / "all").absolute()),
        output=str((scratch / "output").absolute()),
        precision=_precision(asked.precision),
        max_length=asked.max_length,
        cores=cores(),
    )


def _some(rows: pa.Table, count: int) -> pa.Table:
    return rows.take(corpus.evenly(len(rows), min(count, len(rows))))


def _precision(asked: str) -> str:
    """What labelmill and the hand-written loops work in: the same for all of them."""
    from labelmill.engines import pytorch

    return pytorch.best_precision("cpu") if asked == "auto" else asked


def _compare(asked: argparse.Namespace, setting: Setting) -> list[Round]:
    """Every contender once a repeat, in an order that turns."""
    names = asked.contenders.split(",")
    rounds = []
    for repeat, place in itertools.product(range(asked.repeats), range(len(names))):
        name = names[(place + repeat) % len(names)]
        shards = "peers" if name in contenders.PEERS else "all"
        precision = "float32" if name in contenders.PEERS else setting.precision
        mine = replace(
            setting,
            shards=str(Path(setting.shards).with_name(shards)),
            output=f"{setting.output}-{name}-{repeat}",
            precision=precision,
        )
        rounds.append(_round(name, mine))
        results.line(rounds[-1])
    return rounds


def _round(name: str, setting: Setting) -> Round:
    contender = importlib.import_module(f"benchmarks.contenders.{name}")
    usage = measuring.run(contender.command(setting), environment())
    report = contender.report(setting, usage.stdout)
    return Round(
        name=name,
        rows=report.rows,
        seconds=usage.seconds,
        steady_seconds=report.steady_seconds,
        cpu_seconds=usage.cpu_seconds,
        peak=usage.peak,
        peak_process=usage.peak_process,
        facts=report.facts,
        labels=results.labels(setting.output),
    )


def _reference(setting: Setting) -> dict[int, str]:
    """Row -> label of a plain float32 loop, for some rows that every contender has labelled."""
    plain = replace(
        setting,
        shards=str(Path(setting.shards).with_name("check")),
        output=f"{setting.output}-reference",
        precision="float32",
    )
    return _round("hand_one", plain).labels


if __name__ == "__main__":
    main()
