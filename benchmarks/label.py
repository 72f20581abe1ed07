"""`python -m benchmarks.label`: labelling speed, Parquet to Parquet, against what people use today.

Every contender is a process of its own on all cores of the machine, in turn, corpus by corpus,
`--repeats` times; medians count. The slow ones may run on fewer rows (`--peer-rows`), and their
time for all rows is then their start-up plus their steady state in proportion. Peers live in
environments of their own, made on first use (`venvs`); what cannot be installed or run is said.
Ends with 1 where labelmill itself could not be run.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import chart, checkpoint, contenders, corpus, flops, machine, results, table
from benchmarks.contenders import Contender
from benchmarks.rounds import Round, Runner, Shards
from benchmarks.setting import Setting, cores

_CENTRE_ROWS = 64  # that the seeded head is centred on
_SAMPLE_ROWS = 384  # that models are prepared with, of all corpora together
_CHECK_ROWS = 1000  # of a corpus, labelled in float32, to compare labels with
_REFERENCE = Contender(name="reference", module="hand_one", precision="float32")


def main() -> None:
    """Run the comparison, print its tables, write its JSON and chart."""
    asked = _arguments()
    chosen = contenders.named(asked.contenders)
    scratch = Path(asked.scratch or tempfile.mkdtemp(prefix="labelmill-bench-")).absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        told = _told(asked, chosen, scratch)
    finally:
        if not asked.scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    table.show(told)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        chart.draw(told, asked.out.with_suffix(".png"))
    sys.exit(1 if "labelmill" in told["absent"] else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label", description=__doc__)
    parser.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="NAME=DIR:COLUMN",
        help="Parquet or TSV files, several times for several corpora (default: docstrings)",
    )
    parser.add_argument("--rows", type=int, default=10_000, help="of each corpus")
    parser.add_argument("--peer-rows", type=int, default=2_000, help="rows for slow contenders")
    parser.add_argument("--model", type=Path, help="a classifier (default: built from MiniLM)")
    parser.add_argument("--max-length", type=int, default=512, help="tokens")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contenders", default=",".join(contenders.NAMES))
    parser.add_argument("--limit", type=float, default=3600, help="seconds of one process")
    parser.add_argument("--scratch", help="directory to keep (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="JSON file; a chart goes beside it (.png)")
    return parser.parse_args()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """The shards of one corpus."""

    all: Shards
    fewer: Shards  # for the slow
    check: Shards  # to compare labels on: rows that every contender has labelled


def _told(asked: argparse.Namespace, chosen: Sequence[Contender], scratch: Path) -> dict[str, Any]:
    texts = corpus.named(asked.corpus, asked.rows)
    model = (asked.model or _built(texts, scratch, asked.max_length)).absolute()
    loads = {name: _written(name, found, asked, scratch, model) for name, found in texts.items()}
    setting = Setting(
        model=str(model),
        prepared="",
        shards="",
        output="",
        precision=_precision(asked.precision),
        int8=False,
        max_length=asked.max_length,
        cores=cores(),
        trained=asked.model is not None,
    )
    runner = Runner(setting, scratch, asked.limit)
    corpus.write(scratch / "sample", _sample(texts, _SAMPLE_ROWS))
    for contender in (*chosen, _REFERENCE):
        runner.prepare(contender, scratch / "sample")
    rounds, rates = _rounds(runner, chosen, loads, asked.repeats)
    tokens = {name: load.all.tokens for name, load in loads.items()}
    found = results.collect(rounds, _references(runner, loads), asked.rows, tokens, rates)
    return {
        "machine": machine.described(),
        "command": sys.argv[1:],
        "setting": asdict(setting),
        "repeats": asked.repeats,
        "load": {name: asdict(load.all) | {"rows": asked.rows} for name, load in loads.items()},
        "prepared": runner.prepared,
        "absent": runner.absent,
        **found,
    }


def _built(texts: Mapping[str, pa.ChunkedArray], scratch: Path, max_length: int) -> Path:
    sample = _sample(texts, _CENTRE_ROWS)["text"].to_pylist()
    checkpoint.build(scratch / "model", sample, max_length)
    return scratch / "model"


def _sample(texts: Mapping[str, pa.ChunkedArray], count: int) -> pa.Table:
    """Rows of all corpora, equally many of each."""
    each = max(1, count // len(texts))
    kept = [corpus.some(corpus.table(found), each)["text"] for found in texts.values()]
    return corpus.table(pa.chunked_array([piece for one in kept for piece in one.chunks]))


def _written(
    name: str, texts: pa.ChunkedArray, asked: argparse.Namespace, scratch: Path, model: Path
) -> _Load:
    rows = corpus.table(texts)
    fewer = corpus.some(rows, asked.peer_rows)
    kinds = {"all": rows, "fewer": fewer, "check": corpus.some(fewer, _CHECK_ROWS)}
    shards = {}
    for kind, found in kinds.items():
        place = scratch / name / kind
        corpus.write(place, found)
        lengths = corpus.lengths(model, found["text"].to_pylist(), asked.max_length)
        shards[kind] = Shards(
            corpus=name,
            place=str(place),
            tokens=int(lengths.sum()),
            flops=flops.of_checkpoint(model, lengths),
        )
    return _Load(**shards)


def _precision(asked: str) -> str:
    """What labelmill and the hand-written loops work in: the same for all of them."""
    from labelmill.engines import pytorch

    return pytorch.best_precision("cpu") if asked == "auto" else asked


def _rounds(
    runner: Runner, chosen: Sequence[Contender], loads: Mapping[str, _Load], repeats: int
) -> tuple[list[Round], list[dict[str, float]]]:
    """Every contender once a corpus and repeat; the device's rate before each corpus."""
    rounds, rates = [], []
    for turn in range(repeats):
        for load in loads.values():
            rates.append(runner.matrix_rate())
            for contender in _turned(chosen, turn):
                shards = load.fewer if contender.slow else load.all
                if (found := runner.round(contender, shards, turn)) is not None:
                    rounds.append(found)
                    table.line(found)
    if not rounds:
        raise SystemExit(f"no contender could be run: {runner.absent}")
    return rounds, rates


def _turned(chosen: Sequence[Contender], turn: int) -> Iterator[Contender]:
    """In an order that turns, so that none always comes after the same one."""
    return (chosen[(place + turn) % len(chosen)] for place in range(len(chosen)))


def _references(runner: Runner, loads: Mapping[str, _Load]) -> dict[str, Mapping[int, str]]:
    """Corpus -> row -> label of a plain float32 loop."""
    found = {}
    for name, load in loads.items():
        if (one := runner.round(_REFERENCE, load.check, 0)) is None:
            raise SystemExit(f"no labels in float32: {runner.absent['reference']}")
        found[name] = one.labels
    return found


if __name__ == "__main__":
    main()
