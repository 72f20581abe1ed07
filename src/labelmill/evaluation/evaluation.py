"""Evaluation: one pass over a run, and everything that is measured of it.

Every row that the receipts tell of is accounted for: rejected, without a label, without a gold
value, or evaluated. A run that is not whole is evaluated as far as it is. Memory is that of the
scorer, linear in rows with a few bytes each, and 4 bytes a row for each `by`; see the scorers.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.errors import ConfigError, UnfinishedRun
from labelmill.evaluation import choosing
from labelmill.evaluation.gold import Gold, GoldColumn, GoldFile
from labelmill.evaluation.measuring import measured, sliced
from labelmill.evaluation.result import Evaluation, RowCounts
from labelmill.evaluation.run_rows import RunRows
from labelmill.evaluation.scored import Flags, Scorer
from labelmill.evaluation.slices import Slices
from labelmill.evaluation.statistics import texts_of
from labelmill.evaluation.tagging import TaggingScorer
from labelmill.ledger.receipt import Entry
from labelmill.ledger.state import State
from labelmill.ledger.status import Status, status_of
from labelmill.masking import masked
from labelmill.ops import plugins, word_lists
from labelmill.storage import open_store

Progress = Callable[[int, int], None]  # parts read so far, and of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to evaluate, and against what."""

    output: str  # directory of the run
    gold: str  # column of the output, or with `key` a file
    key: str | None = None  # column that both the output and the gold file have
    gold_column: str | None = None  # of the gold file
    by: tuple[str, ...] = ()  # columns of the output
    names: tuple[str, ...] = ()  # of gold numbers, in their order from 0
    tokenize: str | None = None  # BLEU's
    resamples: int = 1000  # of the bootstrap; 0 for none
    seed: int = 0


def evaluate(wish: Wish, progress: Progress | None = None) -> Evaluation:
    """Evaluate a run.

    Raises LedgerError where there is no run, CorruptRun where a part is not what its receipt says,
    ConfigError where a column is not there or does not fit the task, UnfinishedRun where receipts
    move meanwhile, InputError, StorageError.
    """
    return _Pass(wish, progress).evaluation()


class _Pass:
    """One pass over the parts of a run."""

    def __init__(self, wish: Wish, progress: Progress | None) -> None:
        self._wish, self._progress = wish, progress or _silent
        self._store = open_store(wish.output)
        self._status: Status = status_of(self._store)
        self._manifest = self._status.manifest
        settings = self._manifest.settings
        self._prefix = str(settings.get("output.prefix", ""))
        self._error = "error" in self._added().names
        self._scorer: Scorer = choosing.scorer(self._added(), settings, wish.names, wish.tokenize)
        self._gold: Gold = _gold(wish)
        self._refuse_own_answer()
        self._slices = [Slices(column) for column in wish.by]
        self._rows = RunRows(self._store, self._manifest)
        self._counts: Counter[str] = Counter()

    def evaluation(self) -> Evaluation:
        """Read, then measure."""
        self._read()
        rows = RowCounts(
            **{name: self._counts[name] for name in _COUNTED},
            unreadable=self._rows.unreadable,
            gold_unused=self._gold.unused,
        )
        if not rows.evaluated:
            raise ConfigError(_nothing(self._wish, rows))
        scored = self._scorer.scored()
        metrics, told = measured(scored, self._wish.resamples, self._wish.seed)
        status, settings = self._status, self._manifest.settings
        return Evaluation(
            output=self._store.url,
            task=str(settings["task"]),
            model=masked(str(self._manifest.provenance["model"])),
            gold=masked(self._wish.gold),
            key=self._wish.key,
            complete=status.complete,
            splits_done=status.splits_done,
            splits=status.splits,
            rows=rows,
            headline=_headline(str(settings["task"]), tuple(metrics)),
            metrics=metrics,
            slices={each.column: sliced(scored, each) for each in self._slices},
            resamples=self._wish.resamples,
            seed=self._wish.seed,
            told=told,
        )

    def _added(self) -> pa.Schema:
        """The task's columns, without prefix."""
        kept = set(self._manifest.source_schema.names)
        ours = [each for each in self._manifest.schema if each.name not in kept]
        return pa.schema([(each.name.removeprefix(self._prefix), each.type) for each in ours])

    def _refuse_own_answer(self) -> None:
        """Raise ConfigError where the answers would be measured against themselves."""
        named = self._manifest.schema.names
        ours = set(named) - set(self._manifest.source_schema.names)
        gold = self._gold.column
        root = gold if gold in named else gold.partition(".")[0]
        if self._wish.key is None and root in ours:
            raise ConfigError(
                f"--gold: {gold!r} is a column that the run itself wrote, not one of the source; "
                "label with the source's column in source.keep (and with output.prefix, where both "
                "have one name), or give a gold file with --key"
            )

    def _read(self) -> None:
        self._rows.look(self._entries(State(self._store)), self._columns())
        state = State(self._store)
        receipts = 0
        for entry in self._entries(state):
            receipts += 1
            self._counts.update(read=entry["rows_read"], rejected=entry["rows_rejected"])
            for table in self._rows.batches(entry, self._columns()):
                self._take(table)
        if receipts != state.tally.splits:
            raise UnfinishedRun(
                f"{state.tally.splits - receipts} receipts in {self._store.url!r} moved while they "
                "were read; evaluate again when nobody labels there"
            )

    def _entries(self, state: State) -> Iterator[Entry]:
        for done, entry in enumerate(state.entries(), start=1):
            yield entry
            self._progress(done, state.tally.splits)

    def _columns(self) -> tuple[str, ...]:
        ours = (self._prefix + name for name in (*self._scorer.columns, *self._errors()))
        words = [] if self._words() is None else [self._words()]
        return tuple(
            dict.fromkeys([*ours, self._gold.column, *self._wish.by, *filter(None, words)])
        )

    def _errors(self) -> tuple[str, ...]:
        return ("error",) if self._error else ()

    def _words(self) -> str | None:
        """The kept column with the words of each row, if any."""
        words = self._scorer.words if isinstance(self._scorer, TaggingScorer) else None
        root = "" if words is None else words.partition(".")[0]
        there = self._manifest.settings.get("output.raw") or {words, root} & set(
            self._manifest.source_schema.names
        )
        return words if words and there else None

    def _take(self, table: pa.Table) -> None:
        """Count the rows of a batch, and score those that can be."""
        gold = self._gold.of(table[self._gold.column].combine_chunks())
        labelled, good = self._labelled(table)
        known = _there(gold, empty=self._scorer.takes_empty, gaps=self._scorer.gaps)
        chosen = good & labelled & known
        self._counts.update(
            unlabelled=int((good & ~labelled).sum()),
            without_gold=int((good & labelled & ~known).sum()),
            evaluated=int(chosen.sum()),
        )
        mask = pa.array(chosen)
        names = {name: table[self._prefix + name] for name in self._scorer.columns}
        if (words := self._words()) is not None:
            names["words"] = _word_lists(table[words])
        if chosen.any():
            self._scorer.add(pa.table(names).filter(mask), gold.filter(mask))
            for each in self._slices:
                each.add(table[each.column].combine_chunks().filter(mask))

    def _labelled(self, table: pa.Table) -> tuple[Flags, Flags]:
        """[rows] whether there is an answer, and whether the row is no reject."""
        everything = np.ones(len(table), np.bool_)
        first = table[self._prefix + self._scorer.columns[0]]
        labelled = everything if self._scorer.takes_null else _flags(first.is_valid())
        good = _flags(table[f"{self._prefix}error"].is_null()) if self._error else everything
        return labelled, good


_COUNTED = ("read", "rejected", "unlabelled", "without_gold", "evaluated")


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


def _gold(wish: Wish) -> Gold:
    if wish.key is not None:
        return GoldFile(wish.gold, wish.key, wish.gold_column)
    if wish.gold_column is not None:
        raise ConfigError("--gold-column: is for a gold file; give --key too")
    return GoldColumn(wish.gold)


def _there(gold: pa.Array, *, empty: bool, gaps: Sequence[str]) -> Flags:
    """[rows] whether there is a gold value; NaN, as other libraries write what is missing, is none.

    `empty`: a list of nothing is one. `gaps`: texts that are none; CSV has only such.
    """
    there = _flags(gold.is_valid())
    gold = texts_of(gold)
    if pt.is_floating(gold.type):
        return there & ~_flags(pc.fill_null(pc.is_nan(gold), True))  # noqa: FBT003
    if gaps and (pt.is_string(gold.type) or pt.is_large_string(gold.type)):
        plain = pc.utf8_lower(pc.utf8_trim_whitespace(gold))
        return there & ~_flags(pc.is_in(plain, value_set=pa.array(gaps, plain.type)))
    if (pt.is_list(gold.type) or pt.is_large_list(gold.type)) and not empty:
        rows = pc.list_parent_indices(gold).filter(gold.flatten().is_valid())
        return np.bincount(rows.to_numpy(zero_copy_only=False), minlength=len(gold)) > 0
    return there


def _flags(mask: Any) -> Flags:
    found: Flags = (
        mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else (mask.to_numpy())
    )
    return found


def _word_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of words; those that come as JSON text are read."""
    if pt.is_nested(column.type):
        return column
    words, _ = word_lists.parsed([text or "" for text in column.to_pylist()])
    return pa.chunked_array([pa.array(words, pa.list_(pa.string()))])


def _headline(task: str, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Those that the task names, where they were measured; else the first two."""
    named = plugins.load_class("labelmill.tasks", task).metrics
    return tuple(name for name in named if name in metrics) or metrics[:2]


def _nothing(wish: Wish, rows: RowCounts) -> str:
    return (
        f"no row of {wish.output!r} has both an answer and a gold value in {wish.gold!r}: "
        f"{rows.read:,} rows read, {rows.rejected:,} rejected, {rows.unreadable:,} unreadable, "
        f"{rows.unlabelled:,} without answer, {rows.without_gold:,} without gold; see that --gold "
        "and --key name the right columns"
    )
